/* What happens to operations, claims and numbers when the backend fails under them. */
#include <check.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/ends.h"
#include "storage/fault.h"
#include "storage/session.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

#define HEAL_LIMIT_MS 20000 /* the store looks four times a second */

static const char *const faulty[] = {"fault+sqlite", "fault+memory"};
static struct fixture k;

/* No retention, and the housekeeping of the start is over: no transaction but the test's own. */
static void begin(int i)
{
    fixture_open(&k, faulty[i]);
    fixture_stop(&k);
    k.cfg.retention_ms = 0;
    fixture_reopen(&k);
    (void)fixture_submit(&k, LANE_CPU, "first");
}

static int submit_rc(void)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    int rc = fixture_submit_n(&k, &t, 1);
    task_release(&t);
    return rc;
}

static struct store_stats stats(void)
{
    struct store_stats s;
    store_stats(k.store, &s);
    return s;
}

/* A check, not the case's timeout: that it heals is what is tested. */
static void wait_healthy(void)
{
    int64_t deadline_mono_ms = clock_mono_ms() + HEAL_LIMIT_MS;
    while (stats().health != 0 && clock_mono_ms() < deadline_mono_ms)
        (void)sched_yield();
    ck_assert_int_eq(stats().health, 0);
}

START_TEST(test_fault_commit_answers_error_and_leaves_nothing)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x"), seen;
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_NO_SPACE);
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMIT), 1);
    ck_assert_int_eq(stats().health, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), FUT_ERR_NOT_FOUND);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 0);
    ck_assert_uint_eq(stats().submitted, 1); /* the first */
    wait_healthy();                          /* space again: it heals by itself */
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    ck_assert_int_eq(stats().health, 0);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 1);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_in_a_batch_leaves_nothing)
{
    begin(_i);
    struct task tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
    store_fault_arm(STORE_FAULT_INSERT, 2, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 3), FUT_ERR_IO);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 0);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 3), 0);
    ck_assert_uint_eq(stats().live[LANE_IO][TASK_QUEUED], 3);
    for (int i = 0; i < 3; i++)
        task_release(&tasks[i]);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_finish_keeps_the_task_running)
{
    begin(_i);
    struct task t, seen;
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), FUT_ERR_IO);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_RUNNING);
    task_release(&seen);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* Nor is it told from memory, until it is committed. */
START_TEST(test_fault_finish_is_not_told)
{
    begin(_i);
    struct task t, seen;
    store_want_ends(k.store, true);
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    uint64_t seq = store_session_newest_seq(k.store) + 1;
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), FUT_ERR_NO_SPACE);
    ck_assert(!store_recent_end(k.store, t.spec->id, seq, true, &seen));
    wait_healthy();
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    task_release(&t);
    t = seen;
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), 0);
    ck_assert(store_recent_end(k.store, t.spec->id, seq, true, &seen));
    task_release(&seen);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* A claim is not the client's: it waits again, and gets the task when the store can write. */
START_TEST(test_fault_claim_waits_again)
{
    begin(_i);
    struct task t;
    ck_assert_int_eq(submit_rc(), 0);
    store_fault_arm(STORE_FAULT_TAKE, 0, 1, FUT_ERR_IO);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_TAKE), 1);
    ck_assert_uint_eq(t.attempt, 1); /* the failed transaction charged nothing */
    struct store_stats s = stats();
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 1);
    ck_assert_uint_eq(s.claimed, 1);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* While there is no space, tasks end, but none comes and none is started. */
START_TEST(test_fault_full_lets_tasks_end)
{
    begin(_i);
    struct task t, seen;
    struct task_id waits;
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    waits = fixture_submit(&k, LANE_IO, "waits");
    store_fault_arm(STORE_FAULT_RESERVE, 0, UINT_MAX, FUT_ERR_NO_SPACE);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(submit_rc(), FUT_ERR_NO_SPACE);
    ck_assert_int_eq(submit_rc(), FUT_ERR_NO_SPACE); /* although a commit would work */
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), 0);
    ck_assert_int_eq(stats().health, FUT_ERR_NO_SPACE);
    ck_assert_int_eq(fixture_get(&k, waits, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_QUEUED);
    task_release(&seen);
    while (store_fault_count(STORE_FAULT_RESERVE) < 2) /* it looks again and again */
        (void)sched_yield();
    store_fault_arm(STORE_FAULT_RESERVE, 0, 0, 0);
    wait_healthy();
    ck_assert_int_eq(submit_rc(), 0);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_fsync_makes_read_only_until_restart)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x"), seen;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_READ_ONLY);
    ck_assert_int_eq(submit_rc(), FUT_ERR_READ_ONLY);
    ck_assert_int_eq(submit_rc(), FUT_ERR_READ_ONLY); /* though the disk would work again */
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_COMMIT), 1);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0); /* reads go on */
    task_release(&seen);
    task_release(&t);
    fixture_reopen(&k);
    ck_assert_int_eq(submit_rc(), 0);
    fixture_close(&k);
}
END_TEST

/* ---- what is said of queues ------------------------------------------------------------------
 */

static const struct pool_pause paused = {1, "ann", "it is too much"}, going_on = {0};

/* All that can be said of it. */
static struct store_queue_set all_of(const char *name)
{
    static const struct store_fair_weight fair[] = {{"b", 5}, {"c", 2}};
    struct store_queue_set o = {
        .queue =
            {.weight = 7,
             .limit = {.max_running = 9, .rate_tasks = 1, .rate_per_ms = 1000, .rate_burst = 1},
             .retention_ms = 5000,
             .age_after_ms = 6000},
        .sets = STORE_QUEUE_WEIGHT | STORE_QUEUE_MAX_RUNNING | STORE_QUEUE_RATE | STORE_QUEUE_AGE |
                STORE_QUEUE_PAUSE | STORE_QUEUE_RETENTION,
        .pause = paused,
        .fair = fair,
        .n_fair = 2,
        .is_all_fair = true};
    (void)snprintf(o.queue.name, sizeof(o.queue.name), "%s", name);
    return o;
}

static int set_all(const char *name)
{
    struct store_queue_set o = all_of(name);
    return fixture_do(&k, &store_verb_queue_set, &o.op);
}

static int drop(const char *name)
{
    struct store_queue_drop o = {.name = name};
    return fixture_do(&k, &store_verb_queue_drop, &o.op);
}

/* "mail": one at a time, weights of two keys. */
static void say(void)
{
    static const struct store_fair_weight fair[] = {{"a", 3}, {"b", 4}};
    struct store_queue_set o = {.queue = {.weight = 2, .limit.max_running = 1},
                                .sets = STORE_QUEUE_WEIGHT | STORE_QUEUE_MAX_RUNNING,
                                .fair = fair,
                                .n_fair = 2};
    (void)snprintf(o.queue.name, sizeof(o.queue.name), "mail");
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_set, &o.op), 0);
}

static struct task_id submit_mail(void)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    struct task_id id = spec.id;
    spec.queue = "mail";
    fixture_respec(&t, &spec);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

/* All that `say` said holds, and nothing else. */
static void expect_said(void)
{
    struct store_queue_list o = {.name = "mail"};
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    const struct store_queue *q = &o.queues[0].queue;
    ck_assert(q->weight > 1.99 && q->weight < 2.01);
    ck_assert_uint_eq(q->limit.max_running, 1);
    ck_assert(q->limit.rate_tasks < 0.01);
    ck_assert_int_eq(q->retention_ms, 0);
    ck_assert_int_eq(q->age_after_ms, 0);
    ck_assert_int_eq(o.queues[0].pause.since_wall_ms, 0);
    ck_assert_uint_eq(o.n_fair, 2);
    ck_assert_str_eq(o.fair[0].key, "a");
    ck_assert(o.fair[0].weight > 2.99 && o.fair[0].weight < 3.01);
    ck_assert_str_eq(o.fair[1].key, "b");
    ck_assert(o.fair[1].weight > 3.99 && o.fair[1].weight < 4.01);
    free(o.queues);
    free(o.fair);
}

static int look(const char *name)
{
    struct store_queue_list o = {.name = name};
    int rc = fixture_do(&k, &store_verb_queue_list, &o.op);
    free(o.queues);
    free(o.fair);
    return rc;
}

/* Two of its tasks wait: one is let run at a time, as before. */
static void expect_one_runs(void)
{
    struct task t[2];
    (void)submit_mail();
    (void)submit_mail();
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 2, t), 1);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 2, t + 1), 0);
    ck_assert_int_eq(fixture_succeed(&k, &t[0], "x"), 0);
    task_release(&t[0]);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 2, t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t[0], "x"), 0);
    task_release(&t[0]);
}

/* The commit fails, or the statement after `_i / 2 - 1` others. */
START_TEST(test_fault_queue_set_changes_nothing)
{
    begin(_i % 2);
    say();
    if (_i / 2 == 0)
        store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    else
        store_fault_arm(STORE_FAULT_QUEUE, (unsigned)_i / 2 - 1, 1, FUT_ERR_IO);
    ck_assert_int_eq(set_all("mail"), FUT_ERR_IO);
    wait_healthy();
    expect_said();
    expect_one_runs();
    if (_i % 2 == 0) {
        fixture_reopen(&k);
        expect_said();
    }
    ck_assert_int_eq(set_all("mail"), 0);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_queue_new_is_not_there)
{
    begin(_i);
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(set_all("mail"), FUT_ERR_IO);
    wait_healthy();
    ck_assert_int_eq(look("mail"), FUT_ERR_NOT_FOUND);
    struct task t;
    (void)submit_mail();
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1); /* it is not paused */
    task_release(&t);
    fixture_close(&k);
}
END_TEST

/* With a task, and without any. */
START_TEST(test_fault_queue_dropped_is_there)
{
    begin(_i % 2);
    say();
    if (_i / 2)
        (void)submit_mail();
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(drop("mail"), FUT_ERR_IO);
    wait_healthy();
    expect_said();
    if (_i / 2 == 0)
        expect_one_runs();
    ck_assert_int_eq(drop("mail"), 0);
    fixture_close(&k);
}
END_TEST

static struct {
    struct store_queue_list first;
    struct store_queue_set set[2];
    struct store_queue_drop drop[2];
    struct fixture_wait wait;
    int n;
} posted;

static void count(struct store_op *op)
{
    (void)op;
    mutex_lock(&posted.wait.mu);
    posted.n++;
    cond_signal(&posted.wait.cond);
    mutex_unlock(&posted.wait.mu);
}

/* By the writer, which takes all of them into its next transaction. */
static void post_all(struct store_op *op)
{
    (void)op;
    for (int i = 0; i < 2; i++) {
        FUT_MUST(store_post(k.store, &store_verb_queue_set, &posted.set[i].op, count) == 0);
        FUT_MUST(store_post(k.store, &store_verb_queue_drop, &posted.drop[i].op, count) == 0);
    }
}

/* Said and dropped in one transaction, which comes to nothing: one that was there, and a new one.
 */
START_TEST(test_fault_queue_changes_of_one_transaction)
{
    begin(_i);
    static const char *const names[] = {"mail", "fresh"};
    say();
    mutex_init(&posted.wait.mu);
    cond_init(&posted.wait.cond);
    for (int i = 0; i < 2; i++) {
        posted.set[i] = all_of(names[i]);
        posted.drop[i] = (struct store_queue_drop){.name = names[i]};
    }
    posted.first = (struct store_queue_list){.limit = 1};
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(store_post(k.store, &store_verb_queue_list, &posted.first.op, post_all), 0);
    mutex_lock(&posted.wait.mu);
    while (posted.n < 4)
        cond_wait(&posted.wait.cond, &posted.wait.mu);
    mutex_unlock(&posted.wait.mu);
    wait_healthy();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(posted.set[i].op.rc, FUT_ERR_IO);
        ck_assert_int_eq(posted.drop[i].op.rc, FUT_ERR_IO);
    }
    ck_assert_int_eq(look("fresh"), FUT_ERR_NOT_FOUND);
    expect_said();
    expect_one_runs();
    free(posted.first.queues);
    cond_destroy(&posted.wait.cond);
    mutex_destroy(&posted.wait.mu);
    fixture_close(&k);
}
END_TEST

START_TEST(test_fault_handler_goes_on)
{
    begin(_i);
    uint64_t running;
    struct task t;
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_handler_pause(&k, "echo", &paused, &running), FUT_ERR_IO);
    wait_healthy();
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RELEASE, NULL), 0);
    task_release(&t);
    ck_assert_int_eq(fixture_handler_pause(&k, "echo", &paused, &running), 0);
    store_fault_arm(STORE_FAULT_QUEUE, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_handler_pause(&k, "echo", &going_on, &running), FUT_ERR_IO);
    wait_healthy();
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &t), 0);
    fixture_close(&k);
}
END_TEST

/* What renewals the store could not write is not held against a client. */
START_TEST(test_fault_leases_begin_anew)
{
    begin(_i);
    struct store_session_open o = {.session = {.id = id_new(),
                                               .handler = "echo",
                                               .created_wall_ms = clock_wall_ms(),
                                               .on_disconnect = STORE_CANCEL,
                                               .grace_ms = STORE_GRACE_MAX_MS}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_open, &o.op), 0);
    struct store_session_get before = {.id = o.session.id}, after = before;
    struct store_session_renew renew = {.id = o.session.id};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_get, &before.op), 0);
    int64_t began = clock_mono_ms();
    while (clock_mono_ms() < began + 100)
        (void)sched_yield();
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_renew, &renew.op), FUT_ERR_IO);
    wait_healthy();
    ck_assert_int_eq(submit_rc(), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_get, &after.op), 0);
    ck_assert_int_ge(after.session.lease_up_ms, before.session.lease_up_ms + 100);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_fault_commit_answers_error_and_leaves_nothing,
        test_fault_in_a_batch_leaves_nothing,
        test_fault_finish_keeps_the_task_running,
        test_fault_finish_is_not_told,
        test_fault_claim_waits_again,
        test_fault_full_lets_tasks_end,
        test_fault_fsync_makes_read_only_until_restart,
        test_fault_queue_new_is_not_there,
        test_fault_queue_changes_of_one_transaction,
        test_fault_handler_goes_on,
        test_fault_leases_begin_anew,
    };
    TCase *tc = suite_case("all", 30, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_loop_test(tc, tests[i], 0, (int)FUT_COUNT(faulty));
    tcase_add_loop_test(tc, test_fault_queue_set_changes_nothing, 0, 14);
    tcase_add_loop_test(tc, test_fault_queue_dropped_is_there, 0, 4);
    return suite_run_cases("store faults", tc, NULL);
}
