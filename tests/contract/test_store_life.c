/* The contract of store.h, on every backend: how a task is submitted, claimed, changed and ended.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/backend.h"
#include "tests/contract/fixture.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

START_TEST(test_store_submit_then_get)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "hello");
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_int_eq(t.state, TASK_QUEUED);
    ck_assert_str_eq(t.spec->handler, "echo");
    ck_assert_int_eq(t.spec->timeout_ms, 5000);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    end();
}
END_TEST

/* What was said once at the submission is there at each later look, also of what was loaded again.
 */
START_TEST(test_store_keeps_the_marks_of_a_task)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x"), seen, claimed;
    struct task_spec spec = *t.spec;
    spec.once = spec.has_refs = true;
    fixture_respec(&t, &spec);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    if (strcmp(k.backend, "memory") != 0)
        fixture_reopen(&k);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert(seen.spec->once && seen.spec->has_refs && !seen.spec->is_promise);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed), 1);
    ck_assert(claimed.spec->once && claimed.spec->has_refs && !claimed.spec->in_session);
    task_release(&claimed);
    task_release(&seen);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_get_unknown_id)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id_new(), &t), FUT_ERR_NOT_FOUND);
    id.lo ^= 1; /* right key, guessed rest */
    ck_assert_int_eq(fixture_get(&k, id, &t), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_claim_is_fifo_and_counts_the_attempt)
{
    begin(_i);
    struct task_id ids[3];
    struct task tasks[4];
    for (int i = 0; i < 3; i++)
        ids[i] = fixture_submit(&k, LANE_CPU, "input");
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 4, tasks), 3);
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

static void park(struct fixture_parked *p, struct task *tasks, size_t max)
{
    *p = (struct fixture_parked){.o = {.lane = LANE_IO, .max = max, .tasks = tasks}};
    fixture_park(&k, p);
}

START_TEST(test_store_parked_claim_gets_the_next_task)
{
    begin(_i);
    struct task got[2];
    struct fixture_parked p;
    park(&p, got, 2);
    (void)fixture_submit(&k, LANE_CPU, "other lane");
    struct task_id id = fixture_submit(&k, LANE_IO, "mine");
    fixture_join(&p);
    ck_assert_int_eq(p.o.op.rc, 0);
    ck_assert_uint_eq(p.o.n, 1);
    ck_assert(id_equal(got[0].spec->id, id));
    ck_assert_uint_eq(got[0].attempt, 1);
    task_release(&got[0]);
    struct task seen = fixture_wait_state(&k, id, TASK_RUNNING);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_recall_ends_the_parked_claims_of_its_lane)
{
    begin(_i);
    struct task got[2];
    struct fixture_parked p, later;
    park(&p, got, 2);
    ck_assert_int_eq(fixture_recall(&k, LANE_CPU), 0); /* nothing is parked there */
    mutex_lock(&p.wait.mu);
    ck_assert(!p.wait.done);
    mutex_unlock(&p.wait.mu);
    ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0);
    fixture_join(&p);
    ck_assert_int_eq(p.o.op.rc, 0);
    ck_assert_uint_eq(p.o.n, 0);
    struct task_id id = fixture_submit(&k, LANE_IO, "for a later one");
    park(&later, got, 1);
    fixture_join(&later);
    ck_assert_uint_eq(later.o.n, 1);
    ck_assert(id_equal(got[0].spec->id, id));
    task_release(&got[0]);
    end();
}
END_TEST

START_TEST(test_store_stop_claims_ends_parked_and_later_claims)
{
    begin(_i);
    struct task got[1];
    struct fixture_parked p, later;
    park(&p, got, 1);
    store_stop_claims(k.store);
    fixture_join(&p);
    ck_assert_int_eq(p.o.op.rc, FUT_ERR_CLOSED);
    ck_assert_uint_eq(p.o.n, 0);
    park(&later, got, 1);
    fixture_join(&later);
    ck_assert_int_eq(later.o.op.rc, FUT_ERR_CLOSED);
    end();
}
END_TEST

START_TEST(test_store_success_is_kept_with_its_result)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, seen;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "the result"), 0);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
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
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, seen;
    struct task_outcome *o = task_outcome_new(&(struct task_outcome){.code = "signal",
                                                                     .error_type = "Own",
                                                                     .oom = TASK_OOM_YES,
                                                                     .max_rss_kib = 4711,
                                                                     .cpu_ms = 1234,
                                                                     .message = "killed",
                                                                     .exit_code = -1,
                                                                     .signal = 11,
                                                                     .log = "last\0words",
                                                                     .log_len = 10});
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, &(struct task_in){.outcome = o}), 0);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_FAILED);
    ck_assert_str_eq(seen.outcome->code, "signal");
    ck_assert_str_eq(seen.outcome->error_type, "Own");
    ck_assert_int_eq(seen.outcome->signal, 11);
    ck_assert_int_eq(seen.outcome->oom, TASK_OOM_YES);
    ck_assert_uint_eq(seen.outcome->max_rss_kib, 4711);
    ck_assert_uint_eq(seen.outcome->cpu_ms, 1234);
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

/* With the end of its task, and not with an attempt that was tried again. */
START_TEST(test_store_data_of_a_failure_is_kept)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, seen;
    struct task_outcome *o =
        task_outcome_new(&(struct task_outcome){.code = "handler_failed",
                                                .message = "no",
                                                .exit_code = -1,
                                                .type = "application/x-pickle",
                                                .body = (const unsigned char *)"\0\xff\n",
                                                .body_len = 3});
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, &(struct task_in){.outcome = o}), 0);
    if (strcmp(k.backend, "memory") != 0)
        fixture_reopen(&k);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_FAILED);
    ck_assert_str_eq(seen.outcome->type, "application/x-pickle");
    ck_assert_uint_eq(seen.outcome->body_len, 3);
    ck_assert_mem_eq(seen.outcome->body, "\0\xff\n", 3);
    struct store_attempt one = {.attempt = 1, .state = TASK_FAILED, .outcome = o};
    struct store_attempt kept = backend_keep_attempt(&one);
    ck_assert(!kept.outcome->type && !kept.outcome->body_len);
    ck_assert_str_eq(kept.outcome->message, "no");
    task_outcome_unref(kept.outcome);
    task_outcome_unref(o);
    task_release(&t);
    task_release(&seen);
    end();
}
END_TEST

START_TEST(test_store_late_worker_is_stale)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, late, seen;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    task_copy(&late, &t);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(fixture_succeed(&k, &late, "too late"), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
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
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, again;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 30}), 0);
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_int_gt(t.due_wall_ms, 0);
    task_release(&t);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &again), 1); /* parked until it is due */
    ck_assert(id_equal(again.spec->id, id));
    ck_assert_uint_eq(again.attempt, 2);
    ck_assert_mem_eq(again.spec->input, "x", 1);
    ck_assert_int_eq(fixture_apply(&k, &again, EVENT_RETRY, NULL), 0);
    ck_assert_int_eq(again.state, TASK_FAILED); /* one retry was allowed */
    task_release(&again);
    end();
}
END_TEST

START_TEST(test_store_release_does_not_charge)
{
    begin(_i);
    (void)fixture_submit(&k, LANE_IO, "first");
    (void)fixture_submit(&k, LANE_IO, "second");
    struct task t, again;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RELEASE, NULL), 0);
    ck_assert_uint_eq(t.attempt, 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &again), 1);
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
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
    ck_assert_int_eq(fixture_submit_n(&k, &tasks[2], 1), 0);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 3), FUT_ERR_EXISTS);
    struct task t;
    ck_assert_int_eq(fixture_get(&k, tasks[0].spec->id, &t), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_get(&k, tasks[2].spec->id, &t), 0);
    task_release(&t);
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 1);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, 2), 0);
    for (int i = 0; i < 3; i++)
        task_release(&tasks[i]);
    end();
}
END_TEST

START_TEST(test_store_full_queue_refuses)
{
    begin(_i);
    fixture_stop(&k);
    k.cfg.max_queued = 2;
    fixture_reopen(&k);
    (void)fixture_submit(&k, LANE_IO, "1");
    struct task two[2] = {fixture_task(LANE_IO, "echo", "2"), fixture_task(LANE_IO, "echo", "3")};
    ck_assert_int_eq(fixture_submit_n(&k, two, 2), FUT_ERR_FULL);
    ck_assert_int_eq(fixture_submit_n(&k, two, 1), 0);
    ck_assert_int_eq(fixture_submit_n(&k, two + 1, 1), FUT_ERR_FULL);
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_submit_n(&k, two + 1, 1), 0);
    task_release(&t);
    task_release(&two[0]);
    task_release(&two[1]);
    end();
}
END_TEST

START_TEST(test_store_delete_only_when_done)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t, seen;
    ck_assert_int_eq(fixture_delete(&k, id), FUT_ERR_STATE);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    struct task_id wrong = {id.hi, id.lo ^ 1};
    ck_assert_int_eq(fixture_delete(&k, wrong), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_delete(&k, id), 0);
    ck_assert_int_eq(fixture_get(&k, id, &seen), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_delete(&k, id), FUT_ERR_NOT_FOUND);
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
        struct task_id id = fixture_submit(&k, LANE_IO, "walk");
        struct task t, seen;
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        while (!task_state_is_final(t.state) && t.state != TASK_SCHEDULED) {
            enum task_event ev = (enum task_event)(rand() % TASK_EVENT_COUNT);
            if (t.state == TASK_QUEUED && ev == EVENT_START) {
                task_release(&t);
                ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
            } else {
                int rc = fixture_apply(&k, &t, ev, &(struct task_in){.due_in_ms = 3600000});
                ck_assert(rc == 0 || rc == FUT_ERR_STATE);
            }
            ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
            ck_assert_int_eq(seen.state, t.state);
            ck_assert_uint_eq(seen.attempt, t.attempt);
            ck_assert_uint_eq(seen.daemon_deaths, t.daemon_deaths);
            task_release(&seen);
        }
        task_release(&t);
    }
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_submit_then_get,
        test_store_keeps_the_marks_of_a_task,
        test_store_get_unknown_id,
        test_store_claim_is_fifo_and_counts_the_attempt,
        test_store_parked_claim_gets_the_next_task,
        test_store_recall_ends_the_parked_claims_of_its_lane,
        test_store_stop_claims_ends_parked_and_later_claims,
        test_store_success_is_kept_with_its_result,
        test_store_failure_is_kept_with_all_its_fields,
        test_store_data_of_a_failure_is_kept,
        test_store_late_worker_is_stale,
        test_store_retry_waits_and_comes_back,
        test_store_release_does_not_charge,
        test_store_submit_many_is_all_or_none,
        test_store_full_queue_refuses,
        test_store_delete_only_when_done,
        test_store_follows_the_state_machine,
    };
    return fixture_run_on_all("store contract: life", tests, FUT_COUNT(tests));
}
