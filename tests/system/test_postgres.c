/* The daemon on a PostgreSQL database: tasks over its death and the server's, the server away, and
 * what the commands for files say. */
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/api.h"
#include "tests/support/daemon_database.h"
#include "tests/support/notify.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define TASK "{\"handler\":\"sha256\",\"input\":\"hello\"}"
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

static void expect_state(const char *id, const char *state, int attempt)
{
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), state);
    ck_assert_int_eq(api_int(f, "attempt"), attempt);
    json_decref(f);
}

/* One future has ended, one runs, one waits: the next daemon has all three. */
START_TEST(test_postgres_tasks_outlive_the_daemon)
{
    char done[ID_TEXT_SIZE], running[ID_TEXT_SIZE], later[ID_TEXT_SIZE];
    api_submit(daemon_url(d), TASK, done);
    expect_state(done, "succeeded", 1);
    api_submit(daemon_url(d), SLOW, running);
    api_wait_state(daemon_url(d), running, "running");
    api_submit(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\",\"delay\":3600}", later);
    ck_assert_int_eq(kill(daemon_pid(d), SIGKILL), 0);
    (void)daemon_wait_end(d);
    daemon_start(d);
    expect_state(done, "succeeded", 1);
    char *result = api_result(daemon_url(d), done);
    ck_assert_ptr_nonnull(strstr(result, "2cf24dba"));
    free(result);
    json_decref(api_wait_text(daemon_url(d), running, "state", "running"));
    json_t *f = api_future(daemon_url(d), later);
    ck_assert_str_eq(api_str(f, "state"), "scheduled");
    json_decref(f);
    daemon_stop(d);
}
END_TEST

static bool is_ready(void *ctx)
{
    struct http_reply r = api_get(daemon_url(d), "/readyz");
    bool is = r.status == 200;
    (void)ctx;
    http_reply_release(&r);
    return is;
}

/* Not ready, for the reason that it is. */
static bool is_said_away(void *ctx)
{
    struct http_reply r = api_get(daemon_url(d), "/readyz");
    bool is = r.status == 503;
    (void)ctx;
    ck_assert_msg(!is || strstr(r.body, "The store fails: store: io") != NULL, "%s", r.body);
    http_reply_release(&r);
    return is;
}

static bool takes_tasks(void *ctx)
{
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", TASK);
    bool is = r.status == 202;
    (void)ctx;
    ck_assert_msg(is || r.status == 503, "%d %s", r.status, r.body);
    http_reply_release(&r);
    return is;
}

static void *submit_until_taken(void *was_refused)
{
    while (!takes_tasks(NULL))
        atomic_store((atomic_bool *)was_refused, true);
    return NULL;
}

/* Submissions are 503 while it is away, after having been held, and /readyz says from the first
 * moment why; that is not taken for a hang. A task that ran goes on. */
START_TEST(test_postgres_server_may_be_away)
{
    char id[ID_TEXT_SIZE], running[ID_TEXT_SIZE];
    atomic_bool was_refused = false;
    pthread_t thread;
    api_submit(daemon_url(d), TASK, id);
    expect_state(id, "succeeded", 1);
    api_submit(daemon_url(d), SLOW, running);
    api_wait_state(daemon_url(d), running, "running");
    database_stop(db, _i ? SIGINT : SIGQUIT);
    thread_start(&thread, "client", submit_until_taken, &was_refused);
    ck_assert(wait_until(is_said_away, NULL, WAIT_LONG_MS));
    free(daemon_wait_log(d, "warn database_away reason=\"cannot connect to PostgreSQL: "));
    wait_for(atomic_load(&was_refused));
    ck_assert(is_said_away(NULL));
    database_start(db);
    free(daemon_wait_log(d, "info database_back ms="));
    thread_join(thread);
    ck_assert(wait_until(is_ready, NULL, WAIT_LONG_MS));
    char *log = daemon_log(d);
    ck_assert_msg(strstr(log, " stuck ") == NULL, "%s", log);
    free(log);
    expect_state(id, "succeeded", 1);
    json_t *f = api_future(daemon_url(d), running);
    ck_assert_str_eq(api_str(f, "state"), "running");
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    daemon_stop(d);
}
END_TEST

/* A restart of the server costs patience and no error. */
START_TEST(test_postgres_server_may_restart)
{
    char id[ID_TEXT_SIZE];
    database_stop(db, SIGINT);
    database_start(db);
    api_submit(daemon_url(d), TASK, id);
    expect_state(id, "succeeded", 1);
    daemon_stop(d);
}
END_TEST

START_TEST(test_postgres_second_daemon_is_refused)
{
    struct daemon *second = daemon_new();
    char *said = NULL;
    daemon_database_give(second, db);
    (void)daemon_start_refused(second, &said);
    ck_assert_msg(strstr(said, "in use by another futured") != NULL, "%s", said);
    free(said);
    daemon_free(&second);
    daemon_stop(d);
}
END_TEST

/* ---- what is said
 * --------------------------------------------------------------------------------
 */

static const struct {
    const char *command, *says;
} commands[] = {
    {"check", "pg_amcheck"},
    {"backup", "pg_dump"},
    {"compact", "VACUUM FULL"},
};

/* They are of files; and nothing that is printed has the password. */
START_TEST(test_postgres_commands_say_what_to_use_instead)
{
    char *program = daemon_built("futured");
    char *shell = text_printf("FUTURED_DB=postgresql://me:hush@h/db %s %s %s 2>&1; "
                              "FUTURED_DB=postgresql://me:hush@h/db %s --check-config",
                              program, commands[_i].command,
                              strcmp(commands[_i].command, "backup") == 0 ? "to" : "", program);
    const char *argv[] = {"/bin/sh", "-c", shell, NULL};
    char *said = NULL;
    int status = program_run(argv, NULL, WAIT_LONG_MS, &said, NULL);
    ck_assert_int_eq(status, 0);
    ck_assert_msg(strstr(said, commands[_i].says) != NULL, "%s", said);
    ck_assert_msg(strstr(said, "FUTURED_DB=postgresql://h/db\n") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "hush") == NULL, "%s", said);
    free(said);
    free(shell);
    free(program);
}
END_TEST

static const char *const unreadable[] = {
    "postgresql://me:hush%off@h/db", "postgresql://me:hu@sh:hush@h:1/db",
    "postgresql://me:hush/h@h/db",   "host=h password=hush",
    "Postgresql://me:hush@h/db",
};

/* libpq's own sentence would quote a piece of the password. */
START_TEST(test_postgres_unreadable_urls_are_not_quoted)
{
    struct daemon *of = daemon_new();
    char *setting = text_printf("FUTURED_DB=%s", unreadable[_i]), *said = NULL;
    daemon_set(of, setting);
    ck_assert_int_eq(daemon_start_refused(of, &said), EX_CONFIG);
    ck_assert_msg(strstr(said, "hush") == NULL && strstr(said, "off") == NULL, "%s", said);
    free(said);
    free(setting);
    daemon_free(&of);
}
END_TEST

/* ---- a database that is not there at the start ------------------------------------------------
 */

static int status_of(const char *path)
{
    struct http_reply r = api_get(daemon_url(d), "%s", path);
    int status = r.status;
    http_reply_release(&r);
    return status;
}

static void expect_early(struct http_reply r)
{
    ck_assert_int_eq(r.status, 503);
    ck_assert_msg(strstr(r.body, "not_ready") && strstr(r.body, "waits for its database"), "%s",
                  r.body);
    http_reply_release(&r);
}

/* Whoever asks is told; systemd hears that it goes on, and of readiness only when it is there. */
START_TEST(test_postgres_start_waits_for_the_server)
{
    struct notify *n = notify_new(daemon_dir(d));
    daemon_stop(d);
    database_stop(db, SIGINT);
    daemon_set(d, notify_setting(n));
    daemon_start_early(d);
    const char *said = notify_wait(n, "STATUS=waiting for the database: ");
    ck_assert_msg(strstr(said, "EXTEND_TIMEOUT_USEC=") != NULL, "%s", said);
    ck_assert_int_eq(status_of("/healthz"), 200);
    expect_early(api_get(daemon_url(d), "/readyz"));
    expect_early(api_get(daemon_url(d), "/v1/stats"));
    expect_early(api_post(daemon_url(d), "/v1/tasks", TASK));
    database_start(db);
    while (strstr(said = notify_next(n), "READY=1") == NULL)
        ck_assert_msg(strstr(said, "STATUS=") != NULL, "%s", said);
    ck_assert_int_eq(status_of("/readyz"), 200);
    char id[ID_TEXT_SIZE], *log = daemon_wait_log(d, " database_reached ");
    api_submit(daemon_url(d), TASK, id);
    expect_state(id, "succeeded", 1);
    daemon_stop(d);
    free(log);
    notify_free(&n);
}
END_TEST

START_TEST(test_postgres_waiting_may_be_ended)
{
    daemon_stop(d);
    database_stop(db, SIGINT);
    daemon_start_early(d);
    daemon_signal(d, SIGTERM);
    ck_assert_int_eq(daemon_wait_end(d), 0);
}
END_TEST

/* Waiting that helped nothing is an error after which systemd tries again. */
START_TEST(test_postgres_waiting_has_a_bound)
{
    char *said = NULL;
    daemon_stop(d);
    database_stop(db, SIGINT);
    daemon_set(d, _i ? "FUTURED_DB_WAIT=300ms" : "FUTURED_DB_WAIT=0");
    ck_assert_int_eq(daemon_start_refused(d, &said), EXIT_FAILURE);
    ck_assert_msg(strstr(said, "futured: cannot connect to PostgreSQL") != NULL, "%s", said);
    ck_assert_int_eq(strstr(said, " waiting_for_database ") != NULL, _i);
    free(said);
}
END_TEST

static const struct {
    const char *sql, *database, *user, *says;
} refusals[] = {
    {NULL, "nothere", "futured", "does not exist"},
    {NULL, "postgres", "nobody", "does not exist"},
    {"CREATE ROLE guest LOGIN", "postgres", "guest", "permission denied"},
    {"CREATE ROLE guest LOGIN PASSWORD 'right';"
     "DO $$ BEGIN EXECUTE format('COPY (VALUES (%L), (%L)) TO %L', 'local all futured trust',"
     " 'local all all scram-sha-256', current_setting('hba_file')); END $$;"
     "SELECT pg_reload_conf()",
     "postgres", "guest:wrong", "password authentication failed"},
};

/* Waiting would not mend it, so it is told at once, and not tried again. */
START_TEST(test_postgres_refusal_for_good_ends_the_start)
{
    char *said = NULL;
    daemon_stop(d);
    if (refusals[_i].sql)
        free(database_sql(db, refusals[_i].sql));
    char *setting = text_printf("FUTURED_DB=postgresql://%s@/%s?host=%s", refusals[_i].user,
                                refusals[_i].database, database_dir(db));
    daemon_set(d, setting);
    ck_assert_int_eq(daemon_start_refused(d, &said), EX_CONFIG);
    ck_assert_msg(strstr(said, refusals[_i].says) != NULL, "%s", said);
    ck_assert_msg(strstr(said, "waiting_for_database") == NULL, "%s", said);
    free(said);
    free(setting);
}
END_TEST

/* AuthenticationOk, a WARNING, and the end: what a server says whose other process has crashed. */
static const char crashing[] = "R\0\0\0\010\0\0\0\0"
                               "N\0\0\0\062SWARNING\0VWARNING\0C57P02\0Mterminating it all\0\0"
                               "E\0\0\0\056SFATAL\0VFATAL\0C57P02\0Mterminating it all\0";

/* Answers whoever says something, until the socket is shut down. */
static void *serve_crashing(void *listening)
{
    int fd, *from = listening;
    char startup[1024];
    while ((fd = accept(*from, NULL, NULL)) >= 0) {
        if (read(fd, startup, sizeof(startup)) > 0)
            ck_assert(write(fd, crashing, sizeof(crashing)) == (ssize_t)sizeof(crashing));
        fd_close(&fd);
    }
    return NULL;
}

/* What a server says while a connection begins is for the log alone. */
START_TEST(test_postgres_nothing_is_printed_for_the_server)
{
    struct daemon *of = daemon_new();
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char *said = NULL, *setting = text_printf("FUTURED_DB=postgresql:///x?host=%s", daemon_dir(of));
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/.s.PGSQL.5432", daemon_dir(of));
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listening, 8), 0);
    thread_start(&thread, "server", serve_crashing, &listening);
    daemon_set(of, setting);
    daemon_set(of, "FUTURED_DB_WAIT=0");
    ck_assert_int_eq(daemon_start_refused(of, &said), EXIT_FAILURE);
    ck_assert_msg(strstr(said, "FATAL:  57P02: terminating it all") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "WARNING") == NULL, "%s", said);
    (void)shutdown(listening, SHUT_RDWR);
    thread_join(thread);
    fd_close(&listening);
    free(said);
    free(setting);
    daemon_free(&of);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("postgres", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_postgres_tasks_outlive_the_daemon);
    tcase_add_loop_test(t, test_postgres_server_may_be_away, 0, 2);
    tcase_add_test(t, test_postgres_server_may_restart);
    tcase_add_test(t, test_postgres_second_daemon_is_refused);
    tcase_add_test(t, test_postgres_start_waits_for_the_server);
    tcase_add_test(t, test_postgres_waiting_may_be_ended);
    tcase_add_loop_test(t, test_postgres_waiting_has_a_bound, 0, 2);
    tcase_add_loop_test(t, test_postgres_refusal_for_good_ends_the_start, 0,
                        (int)FUT_COUNT(refusals));
    TCase *alone = tcase_create("alone");
    tcase_add_loop_test(alone, test_postgres_commands_say_what_to_use_instead, 0,
                        (int)FUT_COUNT(commands));
    tcase_add_loop_test(alone, test_postgres_unreadable_urls_are_not_quoted, 0,
                        (int)FUT_COUNT(unreadable));
    tcase_add_test(alone, test_postgres_nothing_is_printed_for_the_server);
    return suite_run_cases("postgres", t, alone, NULL);
}
