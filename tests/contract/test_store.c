/* The contract of store.h, run on every backend: what all of them promise, in the same words. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/kit.h"

static const char *const backends[] = {"sqlite", "memory"};
static struct kit k;

static void begin(int i)
{
    kit_open(&k, backends[i]);
}

static void end(void)
{
    kit_close(&k);
}

START_TEST(test_store_submit_then_get)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "hello");
    struct task t;
    ck_assert_int_eq(kit_get(&k, id, &t), 0);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_int_eq(t.state, TASK_QUEUED);
    ck_assert_str_eq(t.spec->handler, "echo");
    ck_assert_int_eq(t.spec->timeout_ms, 5000);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_get_unknown_id)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t;
    ck_assert_int_eq(kit_get(&k, id_new(), &t), FUT_ERR_NOT_FOUND);
    id.lo ^= 1; /* right key, guessed rest */
    ck_assert_int_eq(kit_get(&k, id, &t), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_claim_is_fifo_and_counts_the_attempt)
{
    begin(_i);
    struct task_id ids[3];
    struct task tasks[4];
    for (int i = 0; i < 3; i++)
        ids[i] = kit_submit(&k, LANE_CPU, "input");
    ck_assert_uint_eq(kit_claim(&k, LANE_CPU, 4, tasks), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert(id_equal(tasks[i].spec->id, ids[i]));
        ck_assert_int_eq(tasks[i].state, TASK_RUNNING);
        ck_assert_uint_eq(tasks[i].attempt, 1);
        ck_assert_mem_eq(tasks[i].spec->input, "input", 5);
        task_release(&tasks[i]);
    }
    end();
}
END_TEST

struct parked {
    struct store_claim o;
    struct kit_wait wait;
};

static void on_parked_done(struct store_op *op)
{
    struct parked *p = FUT_CONTAINER(op, struct parked, o.op);
    mutex_lock(&p->wait.mu);
    p->wait.done = true;
    cond_signal(&p->wait.cond);
    mutex_unlock(&p->wait.mu);
}

static void park(struct parked *p, struct task *tasks, size_t max)
{
    *p = (struct parked){.o = {.lane = LANE_IO, .max = max, .tasks = tasks}};
    mutex_init(&p->wait.mu);
    cond_init(&p->wait.cond);
    ck_assert_int_eq(store_claim(k.store, &p->o, on_parked_done), 0);
}

static void join_parked(struct parked *p)
{
    mutex_lock(&p->wait.mu);
    while (!p->wait.done)
        cond_wait(&p->wait.cond, &p->wait.mu);
    mutex_unlock(&p->wait.mu);
}

START_TEST(test_store_parked_claim_gets_the_next_task)
{
    begin(_i);
    struct task got[2];
    struct parked p;
    park(&p, got, 2);
    (void)kit_submit(&k, LANE_CPU, "other lane");
    struct task_id id = kit_submit(&k, LANE_IO, "mine");
    join_parked(&p);
    ck_assert_int_eq(p.o.op.rc, 0);
    ck_assert_uint_eq(p.o.n, 1);
    ck_assert(id_equal(got[0].spec->id, id));
    ck_assert_uint_eq(got[0].attempt, 1);
    task_release(&got[0]);
    struct task seen = kit_wait_state(&k, id, TASK_RUNNING);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_stop_claims_ends_parked_and_later_claims)
{
    begin(_i);
    struct task got[1];
    struct parked p, later;
    park(&p, got, 1);
    store_stop_claims(k.store);
    join_parked(&p);
    ck_assert_int_eq(p.o.op.rc, FUT_ERR_CLOSED);
    ck_assert_uint_eq(p.o.n, 0);
    park(&later, got, 1);
    join_parked(&later);
    ck_assert_int_eq(later.o.op.rc, FUT_ERR_CLOSED);
    end();
}
END_TEST

START_TEST(test_store_success_is_kept_with_its_result)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t, seen;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_succeed(&k, &t, "the result"), 0);
    ck_assert_int_eq(kit_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_SUCCEEDED);
    ck_assert_str_eq(seen.outcome->type, CONTENT_TEXT);
    ck_assert_uint_eq(seen.outcome->body_len, 10);
    ck_assert_mem_eq(seen.outcome->body, "the result", 10);
    ck_assert_int_gt(seen.finished_wall_ms, 0);
    ck_assert_uint_eq(seen.seq, t.seq);
    ck_assert_uint_gt(seen.seq, 0);
    task_release(&t);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_failure_is_kept_with_all_its_fields)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t, seen;
    struct task_outcome *o = task_outcome_new(&(struct task_outcome){
        .code = "signal", .message = "killed", .exit_code = -1, .signal = 11, .log = "last\0words",
        .log_len = 10});
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_apply(&k, &t, EVENT_FAIL, &(struct task_in){.outcome = o}), 0);
    ck_assert_int_eq(kit_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_FAILED);
    ck_assert_str_eq(seen.outcome->code, "signal");
    ck_assert_int_eq(seen.outcome->signal, 11);
    ck_assert_int_eq(seen.outcome->exit_code, -1);
    ck_assert_ptr_null(seen.outcome->type);
    ck_assert_uint_eq(seen.outcome->log_len, 10);
    ck_assert_mem_eq(seen.outcome->log, "last\0words", 10);
    task_outcome_unref(o);
    task_release(&t);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_late_worker_is_stale)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t, late, seen;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    task_copy(&late, &t);
    ck_assert_int_eq(kit_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(kit_succeed(&k, &late, "too late"), FUT_ERR_STALE);
    ck_assert_int_eq(kit_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_CANCELLED);
    ck_assert_uint_eq(seen.outcome ? seen.outcome->body_len : 0, 0);
    task_release(&t);
    task_release(&late);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_retry_waits_and_comes_back)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t, again;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 30}), 0);
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_int_gt(t.due_wall_ms, 0);
    task_release(&t);
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &again), 1); /* parked until it is due */
    ck_assert(id_equal(again.spec->id, id));
    ck_assert_uint_eq(again.attempt, 2);
    ck_assert_mem_eq(again.spec->input, "x", 1);
    ck_assert_int_eq(kit_apply(&k, &again, EVENT_RETRY, NULL), 0);
    ck_assert_int_eq(again.state, TASK_FAILED); /* one retry was allowed */
    task_release(&again);
    end();
}
END_TEST

START_TEST(test_store_release_does_not_charge)
{
    begin(_i);
    (void)kit_submit(&k, LANE_IO, "first");
    (void)kit_submit(&k, LANE_IO, "second");
    struct task t, again;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_apply(&k, &t, EVENT_RELEASE, NULL), 0);
    ck_assert_uint_eq(t.attempt, 0);
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &again), 1);
    ck_assert(id_equal(again.spec->id, t.spec->id)); /* its old place in the line */
    ck_assert_uint_eq(again.attempt, 1);
    task_release(&t);
    task_release(&again);
    end();
}
END_TEST

START_TEST(test_store_submit_many_is_all_or_none)
{
    begin(_i);
    struct task tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = kit_task(LANE_IO, "echo", "x");
    ck_assert_int_eq(kit_submit_n(&k, &tasks[2], 1), 0);
    ck_assert_int_eq(kit_submit_n(&k, tasks, 3), FUT_ERR_EXISTS);
    struct task t;
    ck_assert_int_eq(kit_get(&k, tasks[0].spec->id, &t), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(kit_get(&k, tasks[2].spec->id, &t), 0);
    task_release(&t);
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 1);
    ck_assert_int_eq(kit_submit_n(&k, tasks, 2), 0);
    for (int i = 0; i < 3; i++)
        task_release(&tasks[i]);
    end();
}
END_TEST

START_TEST(test_store_full_queue_refuses)
{
    begin(_i);
    kit_stop(&k);
    k.cfg.max_queued = 2;
    kit_reopen(&k);
    (void)kit_submit(&k, LANE_IO, "1");
    struct task two[2] = {kit_task(LANE_IO, "echo", "2"), kit_task(LANE_IO, "echo", "3")};
    ck_assert_int_eq(kit_submit_n(&k, two, 2), FUT_ERR_FULL);
    ck_assert_int_eq(kit_submit_n(&k, two, 1), 0);
    ck_assert_int_eq(kit_submit_n(&k, two + 1, 1), FUT_ERR_FULL);
    struct task t;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_submit_n(&k, two + 1, 1), 0);
    task_release(&t);
    task_release(&two[0]);
    task_release(&two[1]);
    end();
}
END_TEST

START_TEST(test_store_delete_only_when_done)
{
    begin(_i);
    struct task_id id = kit_submit(&k, LANE_IO, "x");
    struct task t, seen;
    ck_assert_int_eq(kit_delete(&k, id), FUT_ERR_STATE);
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_succeed(&k, &t, "r"), 0);
    struct task_id wrong = {id.hi, id.lo ^ 1};
    ck_assert_int_eq(kit_delete(&k, wrong), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(kit_delete(&k, id), 0);
    ck_assert_int_eq(kit_get(&k, id, &seen), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(kit_delete(&k, id), FUT_ERR_NOT_FOUND);
    task_release(&t);
    end();
}
END_TEST

/* Claims one task and ends it. */
static void finish_one(enum task_event ev)
{
    struct task t;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_apply(&k, &t, ev, NULL), 0);
    task_release(&t);
}

static size_t list_count(unsigned states, int lane, const char *handler)
{
    struct task tasks[16];
    struct store_list o = {
        .states = states, .lane = lane, .handler = handler, .limit = 16, .tasks = tasks};
    ck_assert_int_eq(kit_list(&k, &o), 0);
    ck_assert_uint_eq(o.next, 0);
    for (size_t i = 0; i < o.n; i++)
        task_release(&tasks[i]);
    return o.n;
}

START_TEST(test_store_list_filters)
{
    begin(_i);
    for (int i = 0; i < 3; i++)
        (void)kit_submit(&k, LANE_IO, "x");
    (void)kit_submit(&k, LANE_CPU, "x");
    finish_one(EVENT_SUCCEED);
    finish_one(EVENT_FAIL);
    ck_assert_uint_eq(list_count(0, -1, NULL), 4);
    ck_assert_uint_eq(list_count(1u << TASK_QUEUED, -1, NULL), 2);
    ck_assert_uint_eq(list_count(1u << TASK_QUEUED, LANE_CPU, NULL), 1);
    ck_assert_uint_eq(list_count(1u << TASK_FAILED, -1, NULL), 1);
    ck_assert_uint_eq(list_count(1u << TASK_FAILED | 1u << TASK_QUEUED, -1, NULL), 3);
    ck_assert_uint_eq(list_count(0, -1, "echo"), 4);
    ck_assert_uint_eq(list_count(0, -1, "other"), 0);
    end();
}
END_TEST

START_TEST(test_store_list_pages_newest_first)
{
    begin(_i);
    struct task_id ids[5];
    struct task tasks[2];
    uint64_t before = 0;
    int seen = 0;
    for (int i = 0; i < 5; i++)
        ids[i] = kit_submit(&k, LANE_IO, "x");
    do {
        struct store_list o = {.lane = -1, .before = before, .limit = 2, .tasks = tasks};
        ck_assert_int_eq(kit_list(&k, &o), 0);
        for (size_t i = 0; i < o.n; i++) {
            ck_assert(id_equal(tasks[i].spec->id, ids[4 - seen]));
            task_release(&tasks[i]);
            seen++;
        }
        before = o.next;
    } while (before);
    ck_assert_int_eq(seen, 5);
    end();
}
END_TEST

START_TEST(test_store_prunes_after_retention)
{
    begin(_i);
    kit_stop(&k);
    k.cfg.retention_ms = 1;
    kit_reopen(&k);
    struct task_id kept = kit_submit(&k, LANE_CPU, "unfinished");
    for (int i = 0; i < 5; i++)
        (void)kit_submit(&k, LANE_IO, "x");
    for (int i = 0; i < 5; i++)
        finish_one(EVENT_SUCCEED);
    struct store_stats stats;
    int64_t deadline = clock_mono_ms() + 10000;
    do
        store_stats(k.store, &stats);
    while (stats.pruned < 5 && clock_mono_ms() < deadline);
    ck_assert_uint_eq(stats.pruned, 5);
    ck_assert_uint_eq(list_count(0, -1, NULL), 1);
    struct task t;
    ck_assert_int_eq(kit_get(&k, kept, &t), 0);
    task_release(&t);
    end();
}
END_TEST

static struct {
    struct mutex mu;
    size_t n;
    enum task_state states[8];
    uint32_t result_len;
} heard = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

static void on_change(void *ctx, const struct store_change *changes, size_t n)
{
    (void)ctx;
    mutex_lock(&heard.mu);
    for (size_t i = 0; i < n && heard.n < 8; i++) {
        heard.states[heard.n++] = changes[i].state;
        if (changes[i].task && changes[i].task->outcome)
            heard.result_len = (uint32_t)changes[i].task->outcome->body_len;
    }
    mutex_unlock(&heard.mu);
}

START_TEST(test_store_tells_listeners_after_commit)
{
    kit_open(&k, backends[_i]);
    kit_stop(&k);
    struct fut_errbuf err;
    ck_assert_int_eq(store_open(&k.cfg, &k.store, &err), 0);
    store_listen(k.store, on_change, NULL);
    store_start(k.store);
    heard.n = 0;
    (void)kit_submit(&k, LANE_IO, "x");
    struct task t;
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(kit_succeed(&k, &t, "four"), 0);
    task_release(&t);
    mutex_lock(&heard.mu);
    ck_assert_uint_eq(heard.n, 3);
    ck_assert_int_eq(heard.states[0], TASK_QUEUED);
    ck_assert_int_eq(heard.states[1], TASK_RUNNING);
    ck_assert_int_eq(heard.states[2], TASK_SUCCEEDED);
    ck_assert_uint_eq(heard.result_len, 4);
    mutex_unlock(&heard.mu);
    end();
}
END_TEST

START_TEST(test_store_refuses_after_stop)
{
    begin(_i);
    struct task t = kit_task(LANE_IO, "echo", "x");
    store_stop(k.store);
    ck_assert_int_eq(kit_submit_n(&k, &t, 1), FUT_ERR_CLOSED);
    store_close(&k.store);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_counts_what_is_live)
{
    begin(_i);
    struct store_stats s;
    struct task t;
    (void)kit_submit(&k, LANE_IO, "1");
    (void)kit_submit(&k, LANE_IO, "2");
    ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
    store_stats(k.store, &s);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_QUEUED], 1);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 1);
    ck_assert_int_eq(kit_succeed(&k, &t, "r"), 0);
    store_stats(k.store, &s);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 0);
    ck_assert_uint_eq(s.finished[TASK_SUCCEEDED], 1);
    ck_assert_uint_eq(s.submitted, 2);
    ck_assert_uint_eq(s.claimed, 1);
    task_release(&t);
    end();
}
END_TEST

/* Random walks: whatever events come, the store holds what the pure function says. */
START_TEST(test_store_follows_the_state_machine)
{
    begin(_i);
    srand(7);
    for (int walk = 0; walk < 60; walk++) {
        struct task_id id = kit_submit(&k, LANE_IO, "walk");
        struct task t, seen;
        ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        while (!task_state_is_final(t.state) && t.state != TASK_SCHEDULED) {
            enum task_event ev = (enum task_event)(rand() % TASK_EVENT_COUNT);
            if (t.state == TASK_QUEUED && ev == EVENT_START) {
                task_release(&t);
                ck_assert_uint_eq(kit_claim(&k, LANE_IO, 1, &t), 1);
            } else {
                int rc = kit_apply(&k, &t, ev, &(struct task_in){.due_in_ms = 3600000});
                ck_assert(rc == 0 || rc == FUT_ERR_STATE);
            }
            ck_assert_int_eq(kit_get(&k, id, &seen), 0);
            ck_assert_int_eq(seen.state, t.state);
            ck_assert_uint_eq(seen.attempt, t.attempt);
            ck_assert_uint_eq(seen.lost, t.lost);
            task_release(&seen);
        }
        task_release(&t);
    }
    end();
}
END_TEST

int main(void)
{
    const struct {
        const char *name;
        const TTest *test;
    } tests[] = {
        {"submit_then_get", test_store_submit_then_get},
        {"get_unknown_id", test_store_get_unknown_id},
        {"claim_is_fifo", test_store_claim_is_fifo_and_counts_the_attempt},
        {"parked_claim", test_store_parked_claim_gets_the_next_task},
        {"stop_claims", test_store_stop_claims_ends_parked_and_later_claims},
        {"success_is_kept", test_store_success_is_kept_with_its_result},
        {"failure_is_kept", test_store_failure_is_kept_with_all_its_fields},
        {"late_worker_is_stale", test_store_late_worker_is_stale},
        {"retry", test_store_retry_waits_and_comes_back},
        {"release", test_store_release_does_not_charge},
        {"submit_many", test_store_submit_many_is_all_or_none},
        {"full_queue", test_store_full_queue_refuses},
        {"delete", test_store_delete_only_when_done},
        {"list_filters", test_store_list_filters},
        {"list_pages", test_store_list_pages_newest_first},
        {"prune", test_store_prunes_after_retention},
        {"listeners", test_store_tells_listeners_after_commit},
        {"refuses_after_stop", test_store_refuses_after_stop},
        {"counts", test_store_counts_what_is_live},
        {"state_machine", test_store_follows_the_state_machine},
    };
    const char *only = getenv("FUT_BACKEND");
    Suite *suite = suite_create("store contract");
    for (size_t i = 0; i < FUT_COUNT(tests); i++) {
        TCase *tc = tcase_create(tests[i].name);
        tcase_set_timeout(tc, 30);
        for (int b = 0; b < (int)FUT_COUNT(backends); b++) {
            if (!only || strcmp(only, backends[b]) == 0)
                tcase_add_loop_test(tc, tests[i].test, b, b + 1);
        }
        suite_add_tcase(suite, tc);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
