/* futured copy between PostgreSQL and files: nobody who asks sees a difference, and a copy that is
 * killed leaves nothing. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon_database.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define SLOW "{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}"

static struct database *db;
static struct daemon *d;

static void setup(void)
{
    db = database_new(1);
    d = daemon_database_start(db);
}

static void teardown(void)
{
    daemon_free(&d);
    database_free(&db);
}

static void put(const char *path, const char *body, const char *method)
{
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = method,
                                                        .path = path,
                                                        .body = body,
                                                        .body_len = strlen(body),
                                                        .timeout_ms = WAIT_LONG_MS});
    ck_assert_msg(r.status / 100 == 2, "%s: %d %s", path, r.status, r.body);
    http_reply_release(&r);
}

/* Something of every kind, in states that stay. */
static void fill_database(char running[ID_TEXT_SIZE])
{
    char id[ID_TEXT_SIZE];
    put("/v1/limits/few", "{\"max_running\":3}", "PUT");
    put("/v1/queues/mail", "{\"weight\":2}", "PUT");
    put("/v1/queues/mail", "{\"paused\":true}", "PATCH");
    put("/v1/schedules/daily", "{\"every\":3600,\"task\":{\"handler\":\"sha256\",\"input\":1}}",
        "PUT");
    put("/v1/sessions", "{\"handler\":\"sha256\"}", "POST");
    put("/v1/promises", "{}", "POST");
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"é\"}"));
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sleep\",\"input\":\"x\"}"));
    json_decref(api_batch(daemon_url(d), "{\"handler\":\"sha256\",\"inputs\":[1,2,3]}"));
    api_submit(daemon_url(d),
               "{\"handler\":\"sha256\",\"run_at\":\"2099-01-01T00:00:00Z\",\"unique\":\"u\"}", id);
    api_submit(daemon_url(d), "{\"handler\":\"sha256\",\"queue\":\"mail\",\"limits\":[\"few\"]}",
               id);
    char *after = text_printf("{\"handler\":\"sha256\",\"input\":1,\"after\":[\"%s\"]}", id);
    api_submit(daemon_url(d), after, id);
    free(after);
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    api_submit(daemon_url(d), SLOW, running);
    api_wait_state(daemon_url(d), running, "running");
}

static const char *const lists[] = {"/v1/futures?limit=100&state=succeeded,failed,cancelled",
                                    "/v1/futures?limit=100&state=scheduled",
                                    "/v1/schedules",
                                    "/v1/sessions",
                                    "/v1/limits/few",
                                    "/v1/queues/mail"};

/* What can be asked of all of it; free() it. */
static char *describe(void)
{
    struct buf all = BUF_INIT;
    size_t n;
    for (size_t i = 0; i < FUT_COUNT(lists); i++) {
        struct http_reply r = api_get(daemon_url(d), "%s", lists[i]);
        ck_assert_msg(r.status == 200, "%s: %d %s", lists[i], r.status, r.body);
        buf_printf(&all, "%s\n", r.body);
        http_reply_release(&r);
    }
    return buf_take(&all, &n);
}

static void expect_described(const char *was)
{
    char *is = describe();
    size_t n = 0;
    while (was[n] && was[n] == is[n])
        n++;
    size_t from = n > 200 ? n - 200 : 0;
    ck_assert_msg(strcmp(was, is) == 0, "%.300s\nis now\n%.300s", was + from, is + from);
    free(is);
}

static void copy_all(const char *from, const char *to)
{
    char *program = daemon_built("futured"), *said = NULL, *err = NULL;
    const char *argv[] = {program, "copy", from, to, NULL};
    int status = program_run(argv, NULL, WAIT_LONG_MS, &said, &err);
    ck_assert_msg(status == 0, "%d %s %s", status, said, err);
    ck_assert_msg(strstr(said, "the digest of both sides is ") != NULL, "%s", said);
    free(said);
    free(err);
    free(program);
}

static void go_on_with(const char *where)
{
    char *setting = text_printf("FUTURED_DB=%s", where);
    daemon_set(d, setting);
    daemon_start(d);
    free(setting);
}

/* From PostgreSQL to a file and to another PostgreSQL database: nobody who asks sees a difference,
 * and what was running runs again. */
START_TEST(test_copies_move_everything)
{
    char running[ID_TEXT_SIZE], *file = daemon_path(d, "moved.db");
    char *first = database_url(db, ""), *second = database_url(db, "second");
    fill_database(running);
    char *was = describe();
    daemon_kill(d);
    free(database_sql(db, "CREATE SCHEMA second"));
    copy_all(first, file);
    go_on_with(file);
    expect_described(was);
    json_decref(api_wait_text(daemon_url(d), running, "state", "running"));
    daemon_stop(d);
    copy_all(file, second);
    go_on_with(second);
    expect_described(was);
    json_decref(api_wait_text(daemon_url(d), running, "state", "running"));
    free(was);
    free(first);
    free(second);
    free(file);
    daemon_stop(d);
}
END_TEST

/* A session that keeps this table of a schema locked until it is ended. */
static struct program *hold_table(const char *table)
{
    char *url = database_url(db, "");
    char *sql = text_printf("BEGIN; LOCK TABLE %s; SELECT pg_sleep(600)", table);
    const char *const argv[] = {"/usr/bin/psql", "-X", "-d", url, "-c", sql, NULL};
    struct program *p = program_start(argv, NULL, NULL);
    free(sql);
    free(url);
    return p;
}

static bool is_so(void *sql)
{
    char *value = database_sql(db, sql);
    bool is = strcmp(value, "t\n") == 0;
    free(value);
    return is;
}

static void wait_so(const char *sql)
{
    ck_assert_msg(wait_until(is_so, (void *)(uintptr_t)sql, WAIT_LONG_MS), "never: %s", sql);
}

/* Begins a copy, which comes to this table after it has copied others, and kills it there. */
static void kill_copy(const char *from, const char *to, const char *table)
{
    struct program *holder = hold_table(table);
    char *program = daemon_built("futured");
    const char *const argv[] = {program, "copy", from, to, NULL};
    wait_so("SELECT count(*) > 0 FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'"
            " AND locktype = 'relation'");
    struct program *copy = program_start(argv, NULL, NULL);
    wait_so("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
    int status = 0;
    program_signal(copy, SIGKILL);
    ck_assert(program_wait(copy, WAIT_LONG_MS, &status));
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    free(database_sql(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE query LIKE 'BEGIN; LOCK%'"));
    wait_so("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'relation'"
            " AND pid <> pg_backend_pid()");
    program_free(&copy);
    program_free(&holder);
    free(program);
}

/* Nothing of it is in the target, the source is as it was, and the next copy is whole. */
START_TEST(test_copies_that_are_killed_leave_nothing)
{
    char running[ID_TEXT_SIZE], *file = daemon_path(d, "moved.db");
    char *first = database_url(db, ""), *second = database_url(db, "second");
    fill_database(running);
    char *was = describe();
    daemon_stop(d);
    free(database_sql(db, "CREATE SCHEMA second"));
    if (_i) {
        kill_copy(first, file, "public.results");
        ck_assert_int_ne(access(file, F_OK), 0);
    } else {
        copy_all(first, file);
        go_on_with(second); /* makes its tables */
        daemon_stop(d);
        kill_copy(file, second, "second.results");
        wait_so("SELECT (SELECT count(*) FROM second.tasks) + (SELECT count(*) FROM second.live)"
                " + (SELECT count(*) FROM second.limits) = 0");
    }
    go_on_with(_i ? first : file);
    expect_described(was);
    daemon_stop(d);
    copy_all(_i ? first : file, _i ? file : second);
    go_on_with(_i ? file : second);
    expect_described(was);
    daemon_stop(d);
    free(was);
    free(first);
    free(second);
    free(file);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("copies", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_copies_move_everything);
    tcase_add_loop_test(t, test_copies_that_are_killed_leave_nothing, 0, 2);
    return suite_run_cases("copies", t, NULL);
}
