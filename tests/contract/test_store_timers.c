/* The contract of store.h, on every backend: tasks that begin later, that expire, and that have a
 * deadline over all their attempts. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"

#define HOUR_MS 3600000LL

static struct fixture k;

/* What the listener heard of last. */
static struct {
    struct mutex mu;
    struct task_id id;
    enum task_state state;
    uint32_t attempt;
} stopped = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

static void listen_for_stops(void *ctx, const struct store_change *changes, size_t n)
{
    (void)ctx;
    mutex_lock(&stopped.mu);
    for (size_t i = 0; i < n; i++) {
        if (!changes[i].stopped_attempt)
            continue;
        stopped.id = changes[i].id;
        stopped.state = changes[i].state;
        stopped.attempt = changes[i].stopped_attempt;
    }
    mutex_unlock(&stopped.mu);
}

static void begin(int i)
{
    struct fut_errbuf err;
    fixture_open(&k, fixture_backends[i]);
    fixture_stop(&k);
    ck_assert_int_eq(store_open(&k.cfg, &k.store, &err), 0);
    store_listen(k.store, listen_for_stops, NULL);
    store_start(k.store);
}

static void end(void)
{
    clock_test_set(-1, -1);
    fixture_close(&k);
}

static void step(int64_t ms)
{
    clock_test_set(-1, clock_wall_ms() + ms);
}

static struct task_id submit(struct task_times times)
{
    struct task t = fixture_timed(LANE_IO, times);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

/* It begins in the commit that brings it, however slow the test is. */
static struct task begin_task(struct task_times times)
{
    struct task t;
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&k, &p);
    (void)submit(times);
    fixture_join(&p);
    return t;
}

static void expect_state(struct task_id id, enum task_state state)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_str_eq(task_state_name(t.state), task_state_name(state));
    task_release(&t);
}

static void wait_state(struct task_id id, enum task_state state)
{
    struct task t = fixture_wait_state(&k, id, state);
    task_release(&t);
}

static void wait_failed(struct task_id id, const char *code)
{
    struct task t = fixture_wait_state(&k, id, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, code);
    ck_assert_uint_gt(t.seq, 0);
    task_release(&t);
}

/* ---- beginning later ------------------------------------------------------------------------- */

START_TEST(test_store_timers_delayed_run_in_order_of_due_time)
{
    begin(_i);
    static const int64_t delays[] = {90, 30, 60};
    int64_t now = clock_wall_ms();
    struct task_id ids[3];
    struct task t[3];
    for (int i = 0; i < 3; i++) {
        t[i] = fixture_timed(LANE_IO, (struct task_times){.delay_ms = delays[i]});
        t[i].due_wall_ms = now + delays[i];
        ids[i] = t[i].spec->id;
    }
    ck_assert_int_eq(fixture_submit_n(&k, t, 3), 0); /* at one time, however slow the test is */
    for (int i = 0; i < 3; i++)
        task_release(&t[i]);
    wait_state(ids[0], TASK_QUEUED);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 3, t), 3);
    ck_assert(id_equal(t[0].spec->id, ids[1]));
    ck_assert(id_equal(t[1].spec->id, ids[2]));
    ck_assert(id_equal(t[2].spec->id, ids[0]));
    ck_assert_int_eq(t[0].spec->times.delay_ms, 30);
    for (int i = 0; i < 3; i++)
        task_release(&t[i]);
    end();
}
END_TEST

/* A delay is a duration: it is over when it is over, whatever the clock shows. */
START_TEST(test_store_timers_steps_move_no_delay)
{
    begin(_i);
    struct task_id far = submit((struct task_times){.delay_ms = HOUR_MS});
    step(2 * HOUR_MS);
    struct task_id near = submit((struct task_times){.delay_ms = 50});
    step(-4 * HOUR_MS);
    wait_state(near, TASK_QUEUED);
    expect_state(far, TASK_SCHEDULED);
    end();
}
END_TEST

START_TEST(test_store_timers_wall_time_follows_the_clock)
{
    begin(_i);
    int64_t now = clock_wall_ms(), soon_ms = 400;
    struct task_id later = submit((struct task_times){.run_at_wall_ms = now + HOUR_MS}), soon;
    struct task t;
    ck_assert_int_eq(fixture_get(&k, later, &t), 0);
    ck_assert_int_eq(t.due_wall_ms, now + HOUR_MS);
    ck_assert_int_eq(t.spec->times.run_at_wall_ms, now + HOUR_MS);
    task_release(&t);
    while (true) {
        soon = submit((struct task_times){.run_at_wall_ms = now + soon_ms});
        step(-HOUR_MS); /* none of them is due by this clock, whatever time passes */
        if (clock_wall_ms() + HOUR_MS < now + soon_ms)
            break;
        step(HOUR_MS); /* it was due before */
        now = clock_wall_ms();
        soon_ms *= 2;
    }
    wait_state(submit((struct task_times){.delay_ms = soon_ms + 200}), TASK_QUEUED);
    expect_state(soon, TASK_SCHEDULED);
    step(HOUR_MS + soon_ms);
    wait_state(soon, TASK_QUEUED);
    expect_state(later, TASK_SCHEDULED);
    step(HOUR_MS);
    wait_state(later, TASK_QUEUED);
    end();
}
END_TEST

START_TEST(test_store_timers_cancel_ends_what_has_not_begun)
{
    begin(_i);
    struct task t =
        fixture_timed(LANE_IO, (struct task_times){.run_at_wall_ms = clock_wall_ms() + HOUR_MS,
                                                   .expires_in_ms = 2 * HOUR_MS,
                                                   .deadline_ms = 3 * HOUR_MS});
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    step(4 * HOUR_MS);
    wait_state(submit((struct task_times){.delay_ms = 1}), TASK_QUEUED);
    expect_state(t.spec->id, TASK_CANCELLED);
    ck_assert_int_eq(fixture_delete(&k, t.spec->id), 0);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_timers_batch_goes_in_with_its_times)
{
    begin(_i);
    struct store_batch batch = {.id = id_new(), .total = 2, .created_wall_ms = clock_wall_ms()};
    struct task tasks[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct task one =
            fixture_timed(LANE_IO, i ? (struct task_times){.expires_in_ms = 30}
                                     : (struct task_times){.delay_ms = 20, .deadline_ms = HOUR_MS});
        struct task_spec spec = *one.spec;
        spec.batch = batch.id;
        spec.batch_pos = i;
        tasks[i] = (struct task){
            .spec = task_spec_new(&spec), .state = one.state, .due_wall_ms = one.due_wall_ms};
        task_release(&one);
    }
    ck_assert_int_eq(fixture_submit_batch(&k, tasks, 2, &batch), 0);
    wait_state(tasks[0].spec->id, TASK_QUEUED);
    wait_failed(tasks[1].spec->id, "expired");
    for (int i = 0; i < 2; i++)
        task_release(&tasks[i]);
    end();
}
END_TEST

/* ---- expiry ---------------------------------------------------------------------------------- */

START_TEST(test_store_timers_expire_unless_begun)
{
    begin(_i);
    struct task t = begin_task((struct task_times){.expires_in_ms = 40});
    struct task_id begun = t.spec->id;
    wait_failed(submit((struct task_times){.expires_in_ms = 60}), "expired");
    expect_state(begun, TASK_RUNNING);
    /* What failed for now has begun all the same. */
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 1}), 0);
    wait_state(begun, TASK_QUEUED);
    wait_failed(submit((struct task_times){.expires_in_ms = 1}), "expired");
    expect_state(begun, TASK_QUEUED);
    task_release(&t);
    end();
}
END_TEST

/* An attempt that was given back has not been. */
START_TEST(test_store_timers_expire_when_given_back)
{
    begin(_i);
    struct task t = begin_task((struct task_times){.expires_in_ms = 30});
    struct task_id id = t.spec->id;
    wait_failed(submit((struct task_times){.expires_in_ms = 60}), "expired");
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RELEASE, NULL), 0);
    wait_failed(id, "expired");
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_timers_many_expire)
{
    enum { N = 1500 }; /* more than one step */
    static struct task tasks[N];
    begin(_i);
    for (int i = 0; i < N; i++)
        tasks[i] = fixture_timed(LANE_IO, (struct task_times){.expires_in_ms = 20});
    ck_assert_int_eq(fixture_submit_n(&k, tasks, N), 0);
    for (int i = 0; i < N; i++) {
        wait_failed(tasks[i].spec->id, "expired");
        task_release(&tasks[i]);
    }
    end();
}
END_TEST

/* ---- deadline -------------------------------------------------------------------------------- */

START_TEST(test_store_timers_deadline_stops_what_runs)
{
    begin(_i);
    struct task t = begin_task((struct task_times){.deadline_ms = 40});
    struct task_id id = t.spec->id;
    wait_failed(id, "deadline");
    ck_assert_int_eq(fixture_succeed(&k, &t, "late"), FUT_ERR_STALE);
    wait_failed(id, "deadline");
    mutex_lock(&stopped.mu);
    ck_assert(id_equal(stopped.id, id));
    ck_assert_int_eq(stopped.state, TASK_FAILED);
    ck_assert_uint_eq(stopped.attempt, 1);
    mutex_unlock(&stopped.mu);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_timers_deadline_ends_retries)
{
    begin(_i);
    int rc = FUT_ERR_STALE;
    for (int64_t ms = 50; rc == FUT_ERR_STALE; ms *= 4) { /* it was over before the retry */
        struct task t = begin_task((struct task_times){.deadline_ms = ms});
        rc = fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = HOUR_MS});
        wait_failed(t.spec->id, "deadline");
        task_release(&t);
    }
    ck_assert_int_eq(rc, 0);
    wait_failed(submit((struct task_times){.deadline_ms = 20}), "deadline"); /* while queued */
    wait_failed(submit((struct task_times){.deadline_ms = 40, .delay_ms = 20}), "deadline");
    end();
}
END_TEST

/* ---- promises -------------------------------------------------------------------------------- */

static struct task make_promise(int64_t timeout_ms)
{
    struct task plain = fixture_task(LANE_IO, "promise", "");
    struct task_spec spec = *plain.spec;
    spec.times.deadline_ms = timeout_ms;
    spec.is_promise = true;
    struct task t = {.spec = task_spec_new(&spec), .state = TASK_SCHEDULED};
    task_release(&plain);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    return t;
}

static int complete(struct task *t, const char *body)
{
    struct task_outcome *o =
        task_outcome_new(&(struct task_outcome){.type = CONTENT_JSON,
                                                .body = (const unsigned char *)body,
                                                .body_len = strlen(body),
                                                .exit_code = -1});
    int rc = fixture_apply(&k, t, EVENT_RESOLVE, &(struct task_in){.outcome = o});
    task_outcome_unref(o);
    return rc;
}

START_TEST(test_store_timers_promise_is_completed_once)
{
    begin(_i);
    struct task t = make_promise(HOUR_MS), other, seen;
    task_copy(&other, &t);
    if (strcmp(k.backend, "memory") != 0)
        fixture_reopen(&k);
    ck_assert_int_eq(complete(&t, "{\"ok\":1}"), 0);
    ck_assert_int_eq(complete(&other, "2"), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_SUCCEEDED);
    ck_assert(seen.spec->is_promise);
    ck_assert_uint_eq(seen.outcome->body_len, 8);
    ck_assert_uint_eq(seen.attempt, 0);
    task_release(&seen);
    task_release(&other);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_timers_promise_times_out_and_lives_again)
{
    begin(_i);
    struct task t = make_promise(30), seen;
    wait_failed(t.spec->id, "timeout");
    ck_assert_int_eq(complete(&t, "1"), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_SCHEDULED); /* nobody may claim it */
    ck_assert_int_eq(seen.due_wall_ms, 0);
    wait_failed(t.spec->id, "timeout");
    task_release(&seen);
    task_release(&t);
    end();
}
END_TEST

/* ---- another life ---------------------------------------------------------------------------- */

START_TEST(test_store_timers_count_from_the_retry)
{
    begin(_i);
    struct task_id id = submit((struct task_times){.delay_ms = 1, .expires_in_ms = 30});
    wait_failed(id, "expired");
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_int_eq(t.state, TASK_QUEUED); /* without its delay */
    ck_assert_int_eq(t.due_wall_ms, 0);
    wait_failed(id, "expired");
    task_release(&t);
    id = submit((struct task_times){.deadline_ms = 30});
    wait_failed(id, "deadline");
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    wait_failed(id, "deadline");
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_timers_delayed_run_in_order_of_due_time,
        test_store_timers_steps_move_no_delay,
        test_store_timers_wall_time_follows_the_clock,
        test_store_timers_cancel_ends_what_has_not_begun,
        test_store_timers_batch_goes_in_with_its_times,
        test_store_timers_expire_unless_begun,
        test_store_timers_expire_when_given_back,
        test_store_timers_many_expire,
        test_store_timers_deadline_stops_what_runs,
        test_store_timers_deadline_ends_retries,
        test_store_timers_promise_is_completed_once,
        test_store_timers_promise_times_out_and_lives_again,
        test_store_timers_count_from_the_retry,
    };
    return fixture_run_on_all("store contract: timers", tests, FUT_COUNT(tests));
}
