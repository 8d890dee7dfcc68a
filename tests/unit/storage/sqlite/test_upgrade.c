/* Databases of other versions: older ones are brought to this one with all that is in them, newer
 * ones are refused and stay as they are, to the byte. */
#include <check.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/sqlite/check.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"
#include "tests/unit/storage/sqlite/schema_1.h"

static struct fixture k;

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    ck_assert_msg(rc == SQLITE_OK, "%s: %s", sql, message);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void remove_file(const char *end)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "%s%s", k.path, end);
    (void)unlink(name);
}

static void open_version_1(void)
{
    fixture_open(&k, "sqlite");
    fixture_stop(&k);
    remove_file("");
    for (size_t i = 0; i < FUT_COUNT(schema_1); i++) {
        char sql[2048];
        /* Each connection is a transaction of its own: the dump's BEGIN and COMMIT say nothing. */
        (void)snprintf(sql, sizeof(sql), "%s", schema_1[i]);
        if (strncmp(sql, "BEGIN", 5) != 0 && strncmp(sql, "COMMIT", 6) != 0)
            run_sql(sql);
    }
    k.cfg.retention_ms = 0; /* it is old */
    fixture_reopen(&k);
}

static void expect_state(struct task_id id, enum task_state state, uint32_t attempt)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(t.state, state);
    ck_assert_uint_eq(t.attempt, attempt);
    task_release(&t);
}

START_TEST(test_upgrade_from_1_keeps_what_is_done)
{
    struct task t;
    open_version_1();
    ck_assert_int_eq(fixture_get(&k, SCHEMA_1_KEYED, &t), 0);
    ck_assert_int_eq(t.state, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.outcome->body_len, 2);
    ck_assert_mem_eq(t.outcome->body, "3\n", 2);
    ck_assert_uint_eq(t.seq, 2);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, SCHEMA_1_FAILED, &t), 0);
    ck_assert_int_eq(t.state, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "exit");
    ck_assert_int_eq(t.outcome->exit_code, 3);
    ck_assert_mem_eq(t.outcome->log, "no\n", 3);
    ck_assert_int_eq(t.outcome->oom, TASK_OOM_UNKNOWN); /* what version 1 did not keep */
    ck_assert_uint_eq(t.outcome->max_rss_kib, 0);
    ck_assert_ptr_null(t.outcome->error_type);
    task_release(&t);
    expect_state(SCHEMA_1_ECHO, TASK_SUCCEEDED, 1);
    expect_state(SCHEMA_1_MEMBER_DONE, TASK_SUCCEEDED, 1);
    expect_state(SCHEMA_1_CANCELLED, TASK_CANCELLED, 0);
    fixture_close(&k);
}
END_TEST

START_TEST(test_upgrade_from_1_goes_on_with_what_is_not)
{
    struct task claimed[8];
    open_version_1();
    expect_state(SCHEMA_1_CALLBACK, TASK_SCHEDULED, 0);
    size_t n = fixture_claim(&k, LANE_CPU, FUT_COUNT(claimed), claimed);
    ck_assert_uint_eq(n, 4); /* in the order in which they came */
    ck_assert(id_equal(claimed[0].spec->id, SCHEMA_1_RUNNING));
    ck_assert_uint_eq(claimed[0].attempt, 2);
    ck_assert_uint_eq(claimed[0].daemon_deaths, 1);
    ck_assert(id_equal(claimed[1].spec->id, SCHEMA_1_UNIQUE));
    ck_assert(id_equal(claimed[2].spec->id, SCHEMA_1_MEMBER));
    ck_assert(id_equal(claimed[3].spec->id, SCHEMA_1_CALLER));
    ck_assert_int_eq(fixture_succeed(&k, &claimed[3], "x"), 0); /* its callback may go now */
    for (size_t i = 0; i < n; i++)
        task_release(&claimed[i]);
    n = fixture_claim(&k, LANE_IO, 1, claimed); /* it was due long ago */
    ck_assert(id_equal(claimed[0].spec->id, SCHEMA_1_RETRIED));
    ck_assert_uint_eq(claimed[0].attempt, 2);
    task_release(&claimed[0]);
    n = fixture_claim(&k, LANE_IO, 1, claimed);
    ck_assert(id_equal(claimed[0].spec->id, SCHEMA_1_CALLBACK));
    task_release(&claimed[0]);
    fixture_close(&k);
}
END_TEST

START_TEST(test_upgrade_from_1_keeps_keys_and_batches)
{
    struct store_batch_get batch = {.id = SCHEMA_1_BATCH};
    struct task t;
    struct store_key key = {.key = ":one"};
    open_version_1();
    ck_assert_int_eq(fixture_batch_get(&k, &batch), 0);
    ck_assert_uint_eq(batch.batch.total, 2);
    ck_assert_uint_eq(batch.batch.counts[TASK_SUCCEEDED], 1);
    t = fixture_task(LANE_CPU, "wc", "abc");
    struct store_submit o = {.tasks = &t, .n = 1, .key = &key};
    ck_assert_int_eq(fixture_submit_op(&k, &o), FUT_ERR_CONFLICT); /* another fingerprint */
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* Submits what SCHEMA_1_UNIQUE was submitted with, but for the input. */
static int submit_second(const char *input, struct store_submit *out)
{
    struct task_spec spec = {
        .id = id_new(),
        .lane = LANE_CPU,
        .retries = 3,
        .timeout_ms = 300000,
        .created_wall_ms = clock_wall_ms(),
        .handler = "hold",
        .unique = "second",
        .input_type = CONTENT_BYTES,
        .input = (const unsigned char *)input,
        .input_len = strlen(input),
    };
    struct task t = {.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    *out = (struct store_submit){.tasks = &t, .n = 1};
    int rc = fixture_submit_op(&k, out);
    out->tasks = NULL;
    task_release(&t);
    return rc;
}

START_TEST(test_upgrade_from_1_keeps_unique_keys)
{
    struct store_submit o;
    open_version_1();
    ck_assert_int_eq(submit_second("", &o), 0);
    ck_assert_int_eq(o.submitted, STORE_COALESCED);
    ck_assert(id_equal(o.existing, SCHEMA_1_UNIQUE));
    ck_assert_int_eq(submit_second("other", &o), FUT_ERR_CONFLICT);
    fixture_close(&k);
}
END_TEST

/* What was done before counts anew, and goes with its keys; the member waits for its batch. */
START_TEST(test_upgrade_from_1_goes_on_with_the_retention)
{
    struct task t = fixture_task(LANE_CPU, "wc", "abc");
    struct store_key key = {.key = ":one"};
    struct store_stats stats;
    int64_t deadline = clock_mono_ms() + 10000;
    open_version_1();
    fixture_stop(&k);
    k.cfg.retention_ms = 1;
    fixture_reopen(&k);
    do {
        store_stats(k.store, &stats);
        (void)sched_yield();
    } while (stats.pruned < 4 && clock_mono_ms() < deadline);
    ck_assert_uint_eq(stats.pruned, 4);
    expect_state(SCHEMA_1_MEMBER_DONE, TASK_SUCCEEDED, 1);
    struct store_submit o = {.tasks = &t, .n = 1, .key = &key};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    ck_assert_int_eq(o.submitted, STORE_NEW);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

static void say(void *ctx, const char *text)
{
    (void)ctx;
    ck_abort_msg("%s", text);
}

START_TEST(test_upgrade_from_1_is_whole_afterwards)
{
    struct sqlite_check_view upgraded, fresh;
    struct fut_errbuf err = {""};
    open_version_1();
    fixture_stop(&k);
    ck_assert_int_eq(sqlite_check(k.path, say, NULL, &upgraded, &err), 0);
    ck_assert_int_eq(upgraded.tasks, 11);
    ck_assert_int_eq(upgraded.unfinished, 6);
    ck_assert_int_eq(upgraded.results, 5);
    fixture_close(&k);
    fixture_open(&k, "sqlite");
    fixture_stop(&k);
    ck_assert_int_eq(sqlite_check(k.path, say, NULL, &fresh, &err), 0);
    ck_assert_int_eq(upgraded.schema_version, fresh.schema_version);
    fixture_close(&k);
}
END_TEST

/* ---- newer ones ------------------------------------------------------------------------------ */

static size_t read_file(const char *end, char *out, size_t cap)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "%s%s", k.path, end);
    FILE *f = fopen(name, "rb");
    size_t n = f ? fread(out, 1, cap, f) : 0;
    if (f)
        (void)fclose(f);
    ck_assert_uint_lt(n, cap);
    return n;
}

/* Also with a log that its own program has not moved into the file yet. */
START_TEST(test_upgrade_newer_is_refused_and_not_touched)
{
    static const char *const ends[] = {"", "-wal"};
    static char before[2][1 << 20], after[1 << 20];
    size_t sizes[2];
    struct store *s = NULL;
    struct fut_errbuf err = {""};
    fixture_open(&k, "sqlite");
    (void)fixture_submit(&k, LANE_IO, "x");
    fixture_stop(&k);
    run_sql(_i ? "PRAGMA user_version=999" : "PRAGMA journal_mode=DELETE; PRAGMA user_version=999");
    for (int i = 0; i < 2; i++)
        sizes[i] = read_file(ends[i], before[i], sizeof(before[i]));
    ck_assert_int_eq(sizes[1] > 0, _i);
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "schema version 999"));
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(read_file(ends[i], after, sizeof(after)), sizes[i]);
        ck_assert(sizes[i] == 0 || memcmp(before[i], after, sizes[i]) == 0);
    }
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_upgrade_from_1_keeps_what_is_done,     test_upgrade_from_1_goes_on_with_what_is_not,
        test_upgrade_from_1_keeps_keys_and_batches, test_upgrade_from_1_goes_on_with_the_retention,
        test_upgrade_from_1_is_whole_afterwards,    test_upgrade_from_1_keeps_unique_keys,
    };
    TCase *tc = suite_case("all", 30, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tc, tests[i]);
    tcase_add_loop_test(tc, test_upgrade_newer_is_refused_and_not_touched, 0, 2);
    return suite_run_cases("upgrade", tc, NULL);
}
