/* The contract of store.h, on every backend: what is kept of attempts, and another life. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
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

/* Claims the one task there is and ends the attempt so. */
static struct task run_once(enum task_event ev, const char *code)
{
    struct task t;
    struct task_outcome *o = task_outcome_new(&(struct task_outcome){.code = code,
                                                                     .message = "so it ended",
                                                                     .error_type = "Busy",
                                                                     .exit_code = 7,
                                                                     .max_rss_kib = 99,
                                                                     .cpu_ms = 3,
                                                                     .log = "last words",
                                                                     .log_len = 10});
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, ev, &(struct task_in){.due_in_ms = 1, .outcome = o}), 0);
    task_outcome_unref(o);
    return t;
}

static struct store_attempts attempts_of(struct task_id id, size_t n)
{
    struct store_attempts o = {.id = id};
    ck_assert_int_eq(fixture_attempts(&k, &o), 0);
    ck_assert_uint_eq(o.n, n);
    return o;
}

START_TEST(test_store_attempts_keeps_what_was_tried_again)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = run_once(EVENT_RETRY, "busy");
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_ptr_null(t.outcome);
    struct store_attempts o = attempts_of(id, 1);
    const struct store_attempt *a = &o.attempts[0];
    ck_assert_uint_eq(a->attempt, 1);
    ck_assert_int_eq(a->state, TASK_FAILED);
    ck_assert_int_eq(a->started_wall_ms, t.started_wall_ms);
    ck_assert_int_ge(a->finished_wall_ms, a->started_wall_ms);
    ck_assert_str_eq(a->outcome->code, "busy");
    ck_assert_str_eq(a->outcome->message, "so it ended");
    ck_assert_str_eq(a->outcome->error_type, "Busy");
    ck_assert_int_eq(a->outcome->exit_code, 7);
    ck_assert_uint_eq(a->outcome->max_rss_kib, 99);
    ck_assert_uint_eq(a->outcome->cpu_ms, 3);
    ck_assert_mem_eq(a->outcome->log, "last words", 10);
    store_attempts_free(o.attempts, o.n);
    task_release(&t);
    t = run_once(EVENT_SUCCEED, NULL); /* the end itself stands with the future */
    o = attempts_of(id, 1);
    store_attempts_free(o.attempts, o.n);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_attempts_of_plain_lives_are_none)
{
    begin(_i);
    struct task_id failed = fixture_submit(&k, LANE_IO, "x");
    struct task t = run_once(EVENT_FAIL, "exit");
    struct store_attempts o = attempts_of(failed, 0);
    ck_assert_ptr_null(o.attempts);
    task_release(&t);
    struct task_id released = fixture_submit(&k, LANE_IO, "x");
    t = run_once(EVENT_RELEASE, "ignored");
    o = attempts_of(released, 0);
    ck_assert_ptr_null(o.attempts);
    task_release(&t);
    (void)attempts_of(id_new(), 0);
    end();
}
END_TEST

START_TEST(test_store_attempts_are_bounded)
{
    begin(_i);
    enum { LIVES = STORE_ATTEMPTS_MAX + 3 };
    char log[STORE_ATTEMPT_LOG_MAX + 100];
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    memset(log, 'a', sizeof(log));
    log[sizeof(log) - 1] = 'z';
    for (int i = 0; i < LIVES; i++) {
        struct task_outcome *o = task_outcome_new(&(struct task_outcome){
            .code = "exit", .exit_code = i, .log = log, .log_len = sizeof(log)});
        struct task t;
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
        ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, &(struct task_in){.outcome = o}), 0);
        ck_assert_int_eq(fixture_revive(&k, &t), 0);
        task_release(&t);
        task_outcome_unref(o);
    }
    struct store_attempts o = attempts_of(id, STORE_ATTEMPTS_MAX);
    ck_assert_uint_eq(o.attempts[0].attempt, LIVES - STORE_ATTEMPTS_MAX + 1);
    ck_assert_uint_eq(o.attempts[o.n - 1].attempt, LIVES);
    ck_assert_uint_eq(o.attempts[0].outcome->log_len, STORE_ATTEMPT_LOG_MAX);
    ck_assert_int_eq(o.attempts[0].outcome->log[STORE_ATTEMPT_LOG_MAX - 1], 'z');
    store_attempts_free(o.attempts, o.n);
    end();
}
END_TEST

START_TEST(test_store_revive_starts_a_new_life)
{
    begin(_i);
    struct store_stats stats;
    struct task_id id = fixture_submit(&k, LANE_IO, "the input");
    struct task t = run_once(EVENT_RETRY, "busy"), seen;
    task_release(&t);
    t = run_once(EVENT_RETRY, "busy"); /* one retry was allowed */
    ck_assert_int_eq(t.state, TASK_FAILED);
    uint64_t seq = t.seq;
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_int_eq(t.state, TASK_QUEUED);
    ck_assert_uint_eq(t.attempt, 2);
    ck_assert_ptr_null(t.outcome);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_QUEUED);
    ck_assert_uint_eq(seen.seq, 0);
    ck_assert_int_eq(seen.finished_wall_ms, 0);
    ck_assert_ptr_null(seen.outcome);
    task_release(&seen);
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 1);
    struct store_attempts o = attempts_of(id, 2);
    store_attempts_free(o.attempts, o.n);
    t = run_once(EVENT_RETRY, "busy"); /* the new life has its retries */
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_uint_eq(t.attempt, 3);
    task_release(&t);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_mem_eq(t.spec->input, "the input", 9);
    ck_assert_int_eq(fixture_succeed(&k, &t, "done"), 0);
    ck_assert_uint_gt(t.seq, seq); /* a later place in the order of completion */
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 0);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_revive_of_what_was_cancelled_before_it_ran)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    (void)attempts_of(id, 0);
    t = run_once(EVENT_SUCCEED, NULL);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_revive_is_compare_and_set)
{
    begin(_i);
    (void)fixture_submit(&k, LANE_IO, "x");
    struct task t = run_once(EVENT_FAIL, "exit"), late, again;
    task_copy(&late, &t);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_copy(&again, &late);
    ck_assert_int_eq(fixture_revive(&k, &again), FUT_ERR_STALE);
    task_release(&t);
    task_release(&again);
    t = run_once(EVENT_FAIL, "exit"); /* failed again: not the end that `late` has seen */
    ck_assert_int_eq(fixture_revive(&k, &late), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    task_release(&late);
    end();
}
END_TEST

START_TEST(test_store_revive_wants_its_unique_key_and_capacity)
{
    begin(_i);
    struct task one = fixture_task(LANE_IO, "echo", "x"), two = fixture_task(LANE_IO, "echo", "y");
    struct task_spec spec = *one.spec;
    spec.unique = "key";
    fixture_respec(&one, &spec);
    spec = *two.spec;
    spec.unique = "key";
    fixture_respec(&two, &spec);
    ck_assert_int_eq(fixture_submit_n(&k, &one, 1), 0);
    struct task t = run_once(EVENT_FAIL, "exit"), seen;
    ck_assert_int_eq(fixture_submit_n(&k, &two, 1), 0);
    ck_assert_int_eq(fixture_get(&k, one.spec->id, &seen), 0);
    ck_assert_str_eq(seen.spec->unique, "key"); /* also when it is done */
    ck_assert_int_eq(fixture_revive(&k, &seen), FUT_ERR_CONFLICT);
    task_release(&seen);
    (void)attempts_of(one.spec->id, 0); /* nothing was half done */
    task_release(&t);
    t = run_once(EVENT_SUCCEED, NULL);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, one.spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), 0);
    task_release(&seen);
    struct store_submit again = {.tasks = &one, .n = 1};
    ck_assert_int_eq(fixture_submit_op(&k, &again), 0); /* it has its key again */
    ck_assert_int_eq(again.submitted, STORE_COALESCED);
    again.tasks = &two; /* another input */
    ck_assert_int_eq(fixture_submit_op(&k, &again), FUT_ERR_CONFLICT);
    ck_assert_int_eq(again.submitted, STORE_COALESCED);
    task_release(&one);
    task_release(&two);
    end();
}
END_TEST

START_TEST(test_store_revive_full_queue_refuses)
{
    begin(_i);
    (void)fixture_submit(&k, LANE_IO, "x");
    struct task t = run_once(EVENT_FAIL, "exit");
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    if (strcmp(k.backend, "memory") != 0) { /* which forgets */
        fixture_reopen(&k);
        (void)fixture_submit(&k, LANE_IO, "fills it");
        ck_assert_int_eq(fixture_revive(&k, &t), FUT_ERR_FULL);
        (void)attempts_of(t.spec->id, 0);
    }
    task_release(&t);
    end();
}
END_TEST

static struct task callback_for(struct task_id after)
{
    struct task c = fixture_task(LANE_CPU, "callback", "{}");
    struct task_spec spec = *c.spec;
    spec.after = after;
    fixture_respec(&c, &spec);
    c.state = TASK_SCHEDULED;
    return c;
}

START_TEST(test_store_revive_has_a_callback_of_its_own)
{
    begin(_i);
    struct task pair[2] = {fixture_task(LANE_IO, "echo", "the input")};
    pair[1] = callback_for(pair[0].spec->id);
    struct task_spec spec = *pair[0].spec;
    spec.callback = pair[1].spec->id;
    fixture_respec(&pair[0], &spec);
    ck_assert_int_eq(fixture_submit_n(&k, pair, 2), 0);
    struct task t = run_once(EVENT_FAIL, "exit"), called, seen;
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &called), 1);
    ck_assert(id_equal(called.spec->id, pair[1].spec->id));
    task_release(&called);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    struct task_id next = t.spec->callback;
    ck_assert(next.hi && !id_equal(next, pair[1].spec->id));
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, pair[0].spec->id, &seen), 0);
    ck_assert(id_equal(seen.spec->callback, next));
    task_release(&seen);
    t = run_once(EVENT_FAIL, "exit");
    ck_assert_mem_eq(t.spec->input, "the input", 9);
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &called), 1);
    ck_assert(id_equal(called.spec->id, next));
    const unsigned char *told = memchr(called.spec->input, '\n', called.spec->input_len);
    ck_assert_msg(told && !memchr(told + 1, '\n',
                                  called.spec->input_len - 1 - (size_t)(told - called.spec->input)),
                  "one end is told, the latest: %.*s", (int)called.spec->input_len,
                  (const char *)called.spec->input);
    task_release(&called);
    task_release(&t);
    task_release(&pair[0]);
    task_release(&pair[1]);
    end();
}
END_TEST

START_TEST(test_store_keeps_the_policy_of_a_task)
{
    begin(_i);
    struct task one = fixture_task(LANE_IO, "echo", "x"), claimed;
    struct task_spec spec = *one.spec;
    spec.retry = (struct retry_policy){.on = RETRY_EXIT | RETRY_TEMPORARY,
                                       .first_ms = 10,
                                       .max_ms = 500,
                                       .says_jitter = true,
                                       .jitter_percent = 0};
    fixture_respec(&one, &spec);
    ck_assert_int_eq(fixture_submit_n(&k, &one, 1), 0);
    if (strcmp(k.backend, "memory") != 0)
        fixture_reopen(&k);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed), 1);
    ck_assert_uint_eq(claimed.spec->retry.on, RETRY_EXIT | RETRY_TEMPORARY);
    ck_assert_int_eq(claimed.spec->retry.first_ms, 10);
    ck_assert_int_eq(claimed.spec->retry.max_ms, 500);
    ck_assert(claimed.spec->retry.says_jitter && claimed.spec->retry.jitter_percent == 0);
    task_release(&claimed);
    task_release(&one);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_attempts_keeps_what_was_tried_again,
        test_store_attempts_of_plain_lives_are_none,
        test_store_attempts_are_bounded,
        test_store_revive_starts_a_new_life,
        test_store_revive_of_what_was_cancelled_before_it_ran,
        test_store_revive_is_compare_and_set,
        test_store_revive_wants_its_unique_key_and_capacity,
        test_store_revive_full_queue_refuses,
        test_store_revive_has_a_callback_of_its_own,
        test_store_keeps_the_policy_of_a_task,
    };
    return fixture_run_on_all("store contract: attempts", tests, FUT_COUNT(tests));
}
