/* A daemon on a PostgreSQL server that has a replica: it warns when commits do not wait for it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/database.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

static struct database *db;
static struct daemon *d;

static void setup(void)
{
    db = database_new(0);
    char *url = database_url(db, ""), *setting = text_printf("FUTURED_DB=%s", url);
    d = daemon_new();
    daemon_set(d, setting);
    daemon_set(d, "MAX_WORKERS=1");
    free(setting);
    free(url);
}

static void teardown(void)
{
    daemon_free(&d);
    database_free(&db);
}

static bool is_replica(void *sync_state)
{
    char *sql = text_printf("SELECT count(*) FROM pg_stat_replication"
                            " WHERE state = 'streaming' AND sync_state = '%s'",
                            (const char *)sync_state);
    char *rows = database_sql(db, sql);
    bool is = strcmp(rows, "1\n") == 0;
    free(rows);
    free(sql);
    return is;
}

static void name_standbys(const char *names)
{
    char *sql = text_printf("ALTER SYSTEM SET synchronous_standby_names = '%s'", names);
    free(database_sql(db, sql));
    free(database_sql(db, "SELECT pg_reload_conf()"));
    free(sql);
}

struct signs {
    int n; /* so many were seen */
    char seen[40];
};

/* More than a start gives before its first look at replicas. */
static bool lives_on(void *ctx)
{
    struct signs *s = ctx;
    struct http_reply r = api_get(daemon_url(d), "/v1/nodes");
    const char *seen = api_str(json_array_get(json_object_get(r.json, "nodes"), 0), "seen_at");
    s->n += strcmp(seen, s->seen) != 0;
    (void)snprintf(s->seen, sizeof(s->seen), "%s", seen);
    http_reply_release(&r);
    return s->n > 4;
}

/* What receives the WAL is a replica to the server. */
START_TEST(test_replicas_for_which_commits_do_not_wait)
{
    char *dir = dir_new(), *url = database_url(db, "");
    const char *const argv[] = {
        "/usr/bin/pg_receivewal", "--synchronous", "-D", dir, "-d", url, NULL};
    struct program *replica = program_start(argv, NULL, NULL);
    struct signs signs = {.n = 0};
    ck_assert(wait_until(is_replica, (char[]){"async"}, WAIT_LONG_MS));
    daemon_start(d);
    free(daemon_wait_log(d, "warn async_replicas replicas=1 names=pg_receivewal"));
    daemon_stop(d);
    name_standbys("pg_receivewal");
    ck_assert(wait_until(is_replica, (char[]){"sync"}, WAIT_LONG_MS));
    daemon_start(d);
    ck_assert(wait_until(lives_on, &signs, WAIT_LONG_MS));
    char *log = daemon_log(d);
    ck_assert_ptr_null(strstr(log, "async_replicas"));
    daemon_stop(d);
    free(log);
    program_free(&replica);
    dir_free(&dir);
    free(url);
}
END_TEST

/* A start at a standby says what it is, and takes tasks once that is promoted. */
START_TEST(test_replicas_are_not_started_at)
{
    char *said = NULL;
    database_stop(db, SIGINT);
    database_start_standby(db);
    daemon_set(d, "FUTURED_DB_WAIT=300ms");
    ck_assert_int_eq(daemon_start_refused(d, &said), EXIT_FAILURE);
    ck_assert_msg(strstr(said, "cannot connect to PostgreSQL: ") != NULL, "%s", said);
    ck_assert_msg(strstr(said, "session is read-only") != NULL, "%s", said);
    free(said);
    daemon_set(d, "FUTURED_DB_WAIT=60s");
    daemon_start_early(d);
    free(daemon_wait_log(d, "session is read-only"));
    free(database_sql(db, "SELECT pg_promote()"));
    free(daemon_wait_log(d, " database_reached "));
    free(daemon_wait_log(d, " listening "));
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":1}"));
    daemon_stop(d);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("replicas", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_replicas_for_which_commits_do_not_wait);
    tcase_add_test(t, test_replicas_are_not_started_at);
    return suite_run_cases("replicas", t, NULL);
}
