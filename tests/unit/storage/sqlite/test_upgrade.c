/* Databases of older versions are brought to this one with all that is in them. */
#include <check.h>
#include <math.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/batch.h"
#include "storage/queue.h"
#include "storage/schedule.h"
#include "storage/session.h"
#include "storage/sqlite/check.h"
#include "storage/sqlite/internal.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"
#include "tests/unit/storage/sqlite/schema_1.h"
#include "tests/unit/storage/sqlite/schema_later.h"

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

static void make_version_1(void)
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
}

static void open_version_1(void)
{
    make_version_1();
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

/* ---- from each version ----------------------------------------------------------------------- */

static void bring_to(int version)
{
    sqlite3 *db = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_msg(sqlite_migrate(db, k.path, version, &err) == 0, "%s", err.text);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* A database as that version left it: with all that it and those before it can keep. */
static void open_version(int version)
{
    make_version_1();
    for (int v = 2; v <= version; v++) {
        bring_to(v);
        for (size_t i = 0; i < FUT_COUNT(schema_later); i++)
            if (schema_later[i].version == v)
                run_sql(schema_later[i].sql);
    }
    fixture_reopen(&k);
}

/* What has been claimed, to be found by its id. */
static struct task claimed[64];
static size_t n_claimed;

static struct task *find_claimed(struct task_id id)
{
    for (size_t i = 0; i < n_claimed; i++)
        if (claimed[i].spec && id_equal(claimed[i].spec->id, id))
            return &claimed[i];
    return NULL;
}

/* Until this task has been claimed. */
static struct task *claim(struct task_id id, enum lane lane)
{
    while (!find_claimed(id)) {
        ck_assert_uint_lt(n_claimed, FUT_COUNT(claimed));
        n_claimed += fixture_claim(&k, lane, 1, &claimed[n_claimed]);
    }
    return find_claimed(id);
}

static struct task get(struct task_id id)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    return t;
}

static void check_1(void)
{
    expect_state(SCHEMA_1_ECHO, TASK_SUCCEEDED, 1);
    expect_state(SCHEMA_1_FAILED, TASK_FAILED, 1);
    expect_state(SCHEMA_1_CANCELLED, TASK_CANCELLED, 0);
    expect_state(SCHEMA_1_MEMBER_DONE, TASK_SUCCEEDED, 1);
    expect_state(SCHEMA_1_CALLBACK, TASK_SCHEDULED, 0);
    ck_assert_uint_eq(claim(SCHEMA_1_RUNNING, LANE_CPU)->daemon_deaths, 1);
    struct store_submit second;
    ck_assert_int_eq(submit_second("", &second), 0);
    ck_assert_int_eq(second.submitted, STORE_COALESCED);
    (void)claim(SCHEMA_1_UNIQUE, LANE_CPU);
    ck_assert_uint_eq(claim(SCHEMA_1_RETRIED, LANE_IO)->attempt, 2);
    ck_assert_int_eq(fixture_succeed(&k, claim(SCHEMA_1_CALLER, LANE_CPU), "x"), 0);
    (void)claim(SCHEMA_1_CALLBACK, LANE_IO);
    ck_assert_int_eq(fixture_succeed(&k, claim(SCHEMA_1_MEMBER, LANE_CPU), "x"), 0);
    struct store_batch_get batch = {.id = SCHEMA_1_BATCH};
    ck_assert_int_eq(fixture_batch_get(&k, &batch), 0);
    ck_assert_uint_eq(batch.batch.counts[TASK_SUCCEEDED], 2);
}

static void check_2(void)
{
    struct task t = get(LATER_ID(02, 1));
    ck_assert_str_eq(t.outcome->code, "memory_limit");
    ck_assert_int_eq(t.outcome->oom, TASK_OOM_YES);
    ck_assert_uint_eq(t.outcome->max_rss_kib, 4096);
    ck_assert_uint_eq(t.outcome->cpu_ms, 250);
    task_release(&t);
}

static void check_3(void)
{
    struct store_attempts tried = {.id = LATER_ID(03, 1)};
    const struct task *t = claim(LATER_ID(03, 1), LANE_CPU);
    ck_assert_uint_eq(t->attempt, 2);
    ck_assert_uint_eq(t->earlier_attempts, 1);
    ck_assert_str_eq(t->spec->unique, "third");
    ck_assert_uint_eq(t->spec->retry.on, RETRY_TIMEOUT);
    ck_assert_int_eq(t->spec->retry.max_ms, 60000);
    ck_assert_uint_eq(t->spec->retry.jitter_percent, 10);
    ck_assert_int_eq(fixture_attempts(&k, &tried), 0);
    ck_assert_uint_eq(tried.n, 1);
    ck_assert_int_eq(tried.attempts[0].outcome->exit_code, 9);
    store_attempts_free(tried.attempts, tried.n);
}

static void check_4(void)
{
    struct store_batch_get batch = {.id = LATER_ID(04, 2)};
    ck_assert_uint_eq(claim(LATER_ID(04, 1), LANE_IO)->attempt, 2);
    struct task *member = claim(LATER_ID(04, 3), LANE_CPU);
    ck_assert(id_equal(member->spec->batch, LATER_ID(04, 2)));
    ck_assert_int_eq(fixture_succeed(&k, member, "x"), 0);
    ck_assert_uint_gt(member->seq, 70000); /* it goes on counting */
    ck_assert_int_eq(fixture_batch_get(&k, &batch), 0);
    ck_assert(batch.batch.fail_fast && batch.batch.counts[TASK_SUCCEEDED] == 1);
}

static void check_5(void)
{
    struct task t = get(LATER_ID(05, 1));
    ck_assert_str_eq(t.outcome->error_type, "ValueError");
    task_release(&t);
}

static void check_6(void)
{
    struct task t;
    struct store_bulk b = fixture_wait_bulk(&k, LATER_ID(06, 9));
    ck_assert_str_eq(b.by, "ann");
    ck_assert_uint_eq(b.changed, 1);
    ck_assert_int_eq(fixture_get(&k, LATER_ID(06, 1), &t), FUT_ERR_NOT_FOUND);
}

static void check_7(void)
{
    struct task t = fixture_wait_state(&k, LATER_ID(07, 1), TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "expired");
    task_release(&t);
    ck_assert_int_eq(claim(LATER_ID(07, 2), LANE_CPU)->spec->times.deadline_ms, 86400000);
    t = get(LATER_ID(07, 3));
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_int_eq(t.spec->times.run_at_wall_ms, 4070908800000);
    task_release(&t);
}

static void check_8(void)
{
    expect_state(LATER_ID(08, 3), TASK_SCHEDULED, 0);
    ck_assert_int_eq(fixture_succeed(&k, claim(LATER_ID(08, 2), LANE_CPU), "x"), 0);
    const struct task_spec *told = claim(LATER_ID(08, 3), LANE_IO)->spec;
    ck_assert_ptr_nonnull(
        memmem(told->input, told->input_len, "\"total\":1", strlen("\"total\":1")));
}

static void check_9(void)
{
    struct store_schedule_run runs[STORE_SCHEDULE_RUNS];
    struct store_schedule_get o = {.name = "nightly", .runs = runs};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_get, &o.op), 0);
    ck_assert_int_eq(o.schedule.next_ms, 4070908800000);
    ck_assert_uint_eq(o.schedule.revision, 3);
    ck_assert_str_eq(o.schedule.text, "{\"cron\":\"0 0 1 1 *\"}");
    ck_assert_uint_eq(o.n_runs, 1);
    ck_assert(runs[0].kind == STORE_RUN_FIRED && runs[0].has_future);
    store_schedule_release(&o.schedule);
    ck_assert_str_eq(claim(LATER_ID(09, 1), LANE_CPU)->spec->schedule, "nightly");
}

static void check_10(void)
{
    const struct task_spec *spec = claim(LATER_ID(10, 1), LANE_CPU)->spec;
    ck_assert_str_eq(spec->queue, "mail");
    ck_assert_str_eq(spec->fair_key, "tenant-1");
    ck_assert_int_eq(spec->priority, 5);
}

static void check_11(void)
{
    struct task t = get(LATER_ID(11, 1));
    struct task_outcome *o = task_outcome_error("no", "nobody wants it");
    ck_assert(t.spec->is_promise && t.state == TASK_SCHEDULED);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_REJECT, &(struct task_in){.outcome = o}), 0);
    ck_assert_int_eq(t.state, TASK_FAILED);
    task_outcome_unref(o);
    task_release(&t);
}

static void check_12(void)
{
    struct store_limit_closed c;
    ck_assert(store_limit_closed(k.store, "api", &c) && c.is_shut);
    ck_assert_ptr_null(find_claimed(LATER_ID(12, 1)));
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 0), 0);
    ck_assert_str_eq(claim(LATER_ID(12, 1), LANE_CPU)->spec->limits, "api");
    ck_assert(store_limit_closed(k.store, "api", &c) && c.is_full);
}

static void check_13(void)
{
    struct task t;
    ck_assert_uint_eq(claim(LATER_ID(13, 1), LANE_CPU)->attempt, 1);
    ck_assert_int_eq(fixture_get_checkpoint(&k, LATER_ID(13, 1), &t), 0);
    ck_assert_uint_eq(t.checkpoint->len, 2);
    ck_assert_mem_eq(t.checkpoint->body, "42", 2);
    task_release(&t);
}

static void check_14(void)
{
    expect_state(LATER_ID(14, 2), TASK_SCHEDULED, 0);
    ck_assert_int_eq(fixture_succeed(&k, claim(LATER_ID(14, 1), LANE_CPU), "x"), 0);
    (void)claim(LATER_ID(14, 2), LANE_CPU);
}

static void check_15(void)
{
    struct pool_pause pause;
    struct store_queue_list o = {.name = "slow"};
    ck_assert(store_paused(k.store, STORE_PAUSE_QUEUE, "slow", &pause));
    ck_assert_str_eq(pause.by, "ann");
    ck_assert_str_eq(pause.reason, "it is too much");
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    ck_assert_uint_eq(o.n, 1);
    ck_assert_uint_eq(o.n_fair, 1);
    ck_assert(fabs(o.queues[0].queue.weight - 0.5) < 1e-9);
    ck_assert_uint_eq(o.queues[0].queue.limit.max_running, 3);
    expect_state(LATER_ID(15, 1), TASK_QUEUED, 0);
    free(o.queues);
    free(o.fair);
}

static void check_16(void)
{
    ck_assert(claim(LATER_ID(16, 1), LANE_CPU)->spec->has_refs);
}

static void check_17(void)
{
    struct store_batch_get o = {.id = LATER_ID(17, 1)};
    ck_assert_int_eq(fixture_batch_get(&k, &o), 0);
    ck_assert(id_equal(o.batch.then, LATER_ID(17, 3)));
    expect_state(LATER_ID(17, 3), TASK_SCHEDULED, 0);
    ck_assert_int_eq(fixture_succeed(&k, claim(LATER_ID(17, 2), LANE_CPU), "x"), 0);
    (void)claim(LATER_ID(17, 3), LANE_CPU);
}

static void check_18(void)
{
    struct task *t = claim(LATER_ID(18, 2), LANE_CPU);
    ck_assert_str_eq(t->spec->name, "first");
}

/* One was cancelled with its tree, which the old daemon had not got to yet. */
static void check_19(void)
{
    struct store_batch_get o = {.id = LATER_ID(19, 3)};
    ck_assert_int_eq(fixture_batch_get(&k, &o), 0);
    ck_assert(id_equal(o.batch.parent, LATER_ID(19, 1)));
    struct task t = fixture_wait_state(&k, LATER_ID(19, 6), TASK_CANCELLED);
    ck_assert(id_equal(t.spec->parent, LATER_ID(19, 5)));
    task_release(&t);
    ck_assert(id_equal(claim(LATER_ID(19, 2), LANE_CPU)->spec->parent, LATER_ID(19, 1)));
    (void)claim(LATER_ID(19, 4), LANE_CPU);
}

static void check_20(void)
{
    struct store_queue_list o = {.name = "audit"};
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    ck_assert_int_eq(o.queues[0].queue.retention_ms, 3600000);
    free(o.queues);
    free(o.fair);
    expect_state(LATER_ID(20, 1), TASK_CANCELLED, 0);
    ck_assert_int_eq(fixture_succeed(&k, claim(LATER_ID(20, 3), LANE_CPU), "x"), 0);
}

static void check_21(void)
{
    struct store_session_get o = {.id = LATER_ID(21, 1)};
    struct task all[4];
    struct store_session_ends ends = {.id = o.id, .page = {.limit = FUT_COUNT(all), .tasks = all}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_get, &o.op), 0);
    ck_assert_str_eq(o.session.handler, "part");
    ck_assert(o.session.total == 2 && o.session.unfinished == 1 && !o.session.closed_wall_ms);
    ck_assert_int_eq(fixture_succeed(&k, claim(LATER_ID(21, 3), LANE_CPU), "x"), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_ends, &ends.op), 0);
    ck_assert(ends.page.n == 2 && id_equal(all[0].spec->id, LATER_ID(21, 2)) && !ends.is_finished);
    for (size_t i = 0; i < ends.page.n; i++)
        task_release(&all[i]);
}

static void check_22(void)
{
    const struct task *t = claim(LATER_ID(22, 2), LANE_CPU);
    ck_assert(t->init && t->init->max_tasks == 5);
}

static void check_23(void)
{
    struct store_session_get o = {.id = LATER_ID(23, 1)};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_get, &o.op), 0);
    ck_assert(o.session.on_disconnect == STORE_CANCEL && o.session.grace_ms == 80000000);
    ck_assert_int_gt(o.session.lease_up_ms, 1000); /* begins anew */
    ck_assert_int_lt(o.session.lease_up_ms, STORE_NO_LEASE);
    struct task t = fixture_wait_state(&k, LATER_ID(23, 2), TASK_CANCELLED);
    task_release(&t);
}

/* By the version that brought it. */
static void (*const checks[])(void) = {NULL,     check_1,  check_2,  check_3,  check_4,  check_5,
                                       check_6,  check_7,  check_8,  check_9,  check_10, check_11,
                                       check_12, check_13, check_14, check_15, check_16, check_17,
                                       check_18, check_19, check_20, check_21, check_22, check_23};

START_TEST(test_upgrade_from_each_keeps_what_it_had)
{
    struct sqlite_check_view v;
    struct fut_errbuf err = {""};
    open_version(_i);
    for (int i = 1; i <= _i && i < (int)FUT_COUNT(checks); i++)
        checks[i]();
    for (size_t i = 0; i < n_claimed; i++)
        task_release(&claimed[i]);
    fixture_stop(&k);
    ck_assert_int_eq(sqlite_check(k.path, say, NULL, &v, &err), 0);
    ck_assert_int_eq(v.schema_version, sqlite_schema_version);
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
    tcase_add_loop_test(tc, test_upgrade_from_each_keeps_what_it_had, 1, sqlite_schema_version + 1);
    return suite_run_cases("upgrade", tc, NULL);
}
