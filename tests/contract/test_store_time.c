/* The contract of store.h, on every backend: retention, due times and the order of the queue, also
 * when the clock of the machine steps. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"

#define HOUR_MS 3600000LL

static struct fixture k;

static void end(void)
{
    clock_test_set(-1, -1);
    fixture_close(&k);
}

static bool is_there(struct task_id id)
{
    struct task t;
    int rc = fixture_get(&k, id, &t);
    if (rc == 0)
        task_release(&t);
    return rc == 0;
}

static struct task_id finish_new(void)
{
    struct task t;
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
    return id;
}

/* The clock on the wall steps; the monotonic one goes on. */
static void step(int64_t ms)
{
    clock_test_set(-1, clock_wall_ms() + ms);
}

/* ---- the clock ------------------------------------------------------------------------------- */

START_TEST(test_store_time_step_forward_expires_nothing)
{
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    struct task_id id = finish_new();
    step(2 * HOUR_MS);
    fixture_wait_looks(&k);
    ck_assert(is_there(id));
    end();
}
END_TEST

START_TEST(test_store_time_future_rows_stop_no_retention)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    step(24 * HOUR_MS);
    struct task_id ahead = finish_new();
    clock_test_set(-1, -1);
    struct task_id id = finish_new();
    fixture_wait_pruned(&k, 2);
    ck_assert(!is_there(ahead) && !is_there(id));
    end();
}
END_TEST

START_TEST(test_store_time_step_back_stretches_no_backoff)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 300}), 0);
    task_release(&t);
    step(-HOUR_MS);
    t = fixture_wait_state(&k, id, TASK_QUEUED);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_time_due_is_shown_by_the_wall)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    int64_t now = clock_wall_ms();
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = HOUR_MS}),
                     0);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_ge(t.due_wall_ms, now + HOUR_MS);
    ck_assert_int_le(t.due_wall_ms, clock_wall_ms() + HOUR_MS);
    task_release(&t);
    end();
}
END_TEST

/* ---- the order of the queue ------------------------------------------------------------------ */

static void expect_next(enum lane lane, struct task_id first, struct task_id second)
{
    struct task t[2];
    size_t n = fixture_claim(&k, lane, 2, t);
    ck_assert_uint_eq(n, 2);
    ck_assert(id_equal(t[0].spec->id, first));
    ck_assert(id_equal(t[1].spec->id, second));
    task_release(&t[0]);
    task_release(&t[1]);
}

START_TEST(test_store_time_retry_stands_behind_those_that_waited)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id retried = fixture_submit(&k, LANE_IO, "again");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    struct task_id fresh = fixture_submit(&k, LANE_IO, "first");
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 1}), 0);
    task_release(&t);
    t = fixture_wait_state(&k, retried, TASK_QUEUED);
    task_release(&t);
    struct store_reported reported;
    ck_assert_int_eq(fixture_get_reported(&k, retried, &reported), 0);
    ck_assert_uint_eq(reported.place, 2);
    store_reported_release(&reported);
    expect_next(LANE_IO, fresh, retried);
    end();
}
END_TEST

START_TEST(test_store_time_another_life_stands_behind_those_that_waited)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id revived = fixture_submit(&k, LANE_IO, "again");
    struct task_id fresh = fixture_submit(&k, LANE_IO, "first");
    ck_assert_int_eq(fixture_get(&k, revived, &t), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    expect_next(LANE_IO, fresh, revived);
    end();
}
END_TEST

START_TEST(test_store_time_callback_stands_behind_those_that_waited)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task plain[2] = {fixture_task(LANE_IO, "echo", "x"),
                            fixture_task(LANE_CPU, "tell", "y")};
    struct task_spec specs[2] = {*plain[0].spec, *plain[1].spec};
    specs[0].callback = specs[1].id;
    specs[1].after = specs[0].id;
    struct task two[2] = {{.spec = task_spec_new(&specs[0]), .state = TASK_QUEUED},
                          {.spec = task_spec_new(&specs[1]), .state = TASK_SCHEDULED}};
    struct task t;
    ck_assert_int_eq(fixture_submit_n(&k, two, 2), 0);
    struct task_id fresh = fixture_submit(&k, LANE_CPU, "first");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
    expect_next(LANE_CPU, fresh, specs[1].id);
    for (int i = 0; i < 2; i++) {
        task_release(&two[i]);
        task_release(&plain[i]);
    }
    end();
}
END_TEST

START_TEST(test_store_time_given_back_keeps_its_place)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id first = fixture_submit(&k, LANE_IO, "first");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    struct task_id second = fixture_submit(&k, LANE_IO, "second");
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RELEASE, NULL), 0);
    task_release(&t);
    expect_next(LANE_IO, first, second);
    end();
}
END_TEST

/* ---- retention ------------------------------------------------------------------------------- */

/* A batch of two on the cpu lane, and its members. */
static struct task_id submit_pair(const struct store_key *key, struct task_id ids[2])
{
    struct store_batch batch = {.id = id_new(), .total = 2, .created_wall_ms = clock_wall_ms()};
    struct task tasks[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct task plain = fixture_task(LANE_CPU, "echo", "member");
        struct task_spec spec = *plain.spec;
        spec.batch = batch.id;
        spec.batch_pos = i;
        ids[i] = spec.id;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        task_release(&plain);
    }
    struct store_submit o = {.tasks = tasks, .n = 2, .batch = &batch, .key = key};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    for (int i = 0; i < 2; i++)
        task_release(&tasks[i]);
    return o.submitted == STORE_NEW ? batch.id : o.existing;
}

static void finish_member(void)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
}

START_TEST(test_store_time_members_count_from_the_end_of_their_batch)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    struct task_id ids[2], batch = submit_pair(NULL, ids);
    finish_member();
    (void)finish_new();
    fixture_wait_pruned(&k, 1); /* the other one, which ended later */
    ck_assert(is_there(ids[0]));
    finish_member();
    fixture_wait_pruned(&k, 3);
    ck_assert(!is_there(ids[0]) && !is_there(ids[1]));
    struct store_batch_get o = {.id = batch};
    ck_assert_int_eq(fixture_batch_get(&k, &o), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

/* A batch of one that failed, and was told of, and one that waits. */
static struct task_id submit_told(struct task *out_callback, struct task *out_member)
{
    struct store_batch batch = {.id = id_new(), .total = 2, .created_wall_ms = clock_wall_ms()};
    struct task plain[3], tasks[3];
    for (uint32_t i = 0; i < 3; i++) {
        plain[i] =
            i < 2 ? fixture_task(LANE_CPU, "echo", "member") : fixture_task(LANE_IO, "tell", "{}");
        struct task_spec spec = *plain[i].spec;
        spec.batch = i < 2 ? batch.id : spec.batch;
        spec.batch_pos = i;
        if (i == 0)
            spec.callback = out_callback->spec->id;
        if (i == 2)
            spec.id = out_callback->spec->id;
        if (i == 2)
            spec.after = tasks[0].spec->id;
        tasks[i] = (struct task){.spec = task_spec_new(&spec),
                                 .state = i < 2 ? TASK_QUEUED : TASK_SCHEDULED};
    }
    struct store_submit o = {.tasks = tasks, .n = 3, .batch = &batch};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, out_member), 1);
    ck_assert(id_equal(out_member->spec->id, tasks[0].spec->id));
    ck_assert_int_eq(fixture_apply(&k, out_member, EVENT_FAIL, NULL), 0);
    struct task_id id = tasks[0].spec->id;
    for (int i = 0; i < 3; i++) {
        task_release(&plain[i]);
        task_release(&tasks[i]);
    }
    return id;
}

static void finish_callback(struct task_id id)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
}

/* Its end was told, and the retention over, long before the batch ended; another life is told all
 * the same. */
START_TEST(test_store_time_callback_is_kept_with_its_future)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    struct task callback = fixture_task(LANE_IO, "tell", "{}"), member, again;
    struct task_id id = submit_told(&callback, &member);
    finish_callback(callback.spec->id);
    (void)finish_new();
    fixture_wait_pruned(&k, 1); /* the other one, which ended later */
    ck_assert(is_there(callback.spec->id));
    ck_assert_int_eq(fixture_revive(&k, &member), 0);
    ck_assert_int_eq(fixture_get(&k, id, &again), 0);
    ck_assert(!id_equal(again.spec->callback, callback.spec->id));
    fixture_wait_pruned(&k, 2); /* it is not the callback of anything any more */
    finish_member();
    finish_member();
    finish_callback(again.spec->callback);
    fixture_wait_pruned(&k, 5);
    task_release(&again);
    task_release(&member);
    task_release(&callback);
    end();
}
END_TEST

START_TEST(test_store_time_a_member_that_lives_again_keeps_its_batch)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id ids[2], batch = submit_pair(NULL, ids);
    finish_member();
    ck_assert_int_eq(fixture_get(&k, ids[1], &t), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    if (strcmp(k.backend, "memory") != 0) { /* which a restart empties */
        fixture_stop(&k);
        k.cfg.retention_ms = 1;
        fixture_reopen(&k);
        (void)finish_new();
        fixture_wait_pruned(&k, 1);
        ck_assert(is_there(ids[0]));
        finish_member();
        fixture_wait_pruned(&k, 3);
        struct store_batch_get o = {.id = batch};
        ck_assert_int_eq(fixture_batch_get(&k, &o), FUT_ERR_NOT_FOUND);
    }
    end();
}
END_TEST

/* Many more than one step, of which each deletes some hundred. */
START_TEST(test_store_time_retention_keeps_up)
{
    enum { N = 1500, STEP = 500 };
    static struct task tasks[STEP];
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    for (int i = 0; i < N; i += STEP) {
        for (int j = 0; j < STEP; j++)
            tasks[j] = fixture_task(LANE_IO, "echo", "x");
        ck_assert_int_eq(fixture_submit_n(&k, tasks, STEP), 0);
        for (int j = 0; j < STEP; j++) {
            ck_assert_int_eq(fixture_apply(&k, &tasks[j], EVENT_CANCEL, NULL), 0);
            task_release(&tasks[j]);
        }
    }
    fixture_wait_pruned(&k, N);
    end();
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

static struct store_submit submit_keyed(const char *key, const char *unique)
{
    struct task t = fixture_unique(unique);
    struct store_key sk = {.key = key, .fingerprint = {1}};
    struct store_submit o = {.tasks = &t, .n = 1, .key = key ? &sk : NULL};
    o.op.rc = fixture_submit_op(&k, &o);
    if (o.submitted == STORE_NEW)
        o.existing = t.spec->id;
    task_release(&t);
    return o;
}

START_TEST(test_store_time_key_lives_as_long_as_its_future)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    struct task_id first = submit_keyed("key", NULL).existing;
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    (void)finish_new();
    fixture_wait_pruned(&k, 1); /* older keys would have gone with it */
    struct store_submit o = submit_keyed("key", NULL);
    ck_assert_int_eq(o.submitted, STORE_REPLAYED);
    ck_assert(id_equal(o.existing, first));
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
    fixture_wait_pruned(&k, 2);
    ck_assert_int_eq(submit_keyed("key", NULL).submitted, STORE_NEW);
    end();
}
END_TEST

START_TEST(test_store_time_key_goes_with_a_deleted_future)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task_id first = submit_keyed("key", NULL).existing;
    struct task t;
    ck_assert_int_eq(fixture_get(&k, first, &t), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    task_release(&t);
    ck_assert_int_eq(submit_keyed("key", NULL).submitted, STORE_REPLAYED);
    ck_assert_int_eq(fixture_delete(&k, first), 0);
    struct store_submit o = submit_keyed("key", NULL);
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_NEW);
    end();
}
END_TEST

START_TEST(test_store_time_key_goes_with_the_last_member)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct store_key key = {.key = "batch", .fingerprint = {2}};
    struct task_id ids[2], other[2], batch = submit_pair(&key, ids);
    ck_assert(id_equal(submit_pair(&key, other), batch));
    for (int i = 0; i < 2; i++) {
        finish_member();
        ck_assert_int_eq(fixture_delete(&k, ids[i]), 0);
        ck_assert_int_eq(id_equal(submit_pair(&key, other), batch), i == 0);
    }
    struct store_batch_get o = {.id = batch};
    ck_assert_int_eq(fixture_batch_get(&k, &o), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_time_key_of_one_that_coalesced)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    struct task t;
    struct task_id first = submit_keyed(NULL, "nightly").existing;
    struct store_submit o = submit_keyed("key", "nightly");
    ck_assert_int_eq(o.submitted, STORE_COALESCED);
    ck_assert(id_equal(o.existing, first));
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
    o = submit_keyed("key", "nightly"); /* the unique key is free by now */
    ck_assert_int_eq(o.submitted, STORE_REPLAYED);
    ck_assert(id_equal(o.existing, first));
    end();
}
END_TEST

START_TEST(test_store_time_known_key_is_answered_by_a_full_queue)
{
    fixture_open_retaining(&k, fixture_backends[_i], 0);
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    fixture_reopen(&k);
    struct task_id first = submit_keyed("key", "nightly").existing;
    ck_assert_int_eq(submit_keyed("other", NULL).op.rc, FUT_ERR_FULL);
    struct store_submit o = submit_keyed("key", "nightly");
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_REPLAYED);
    ck_assert(id_equal(o.existing, first));
    o = submit_keyed(NULL, "nightly");
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_COALESCED);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_time_step_forward_expires_nothing,
        test_store_time_future_rows_stop_no_retention,
        test_store_time_step_back_stretches_no_backoff,
        test_store_time_due_is_shown_by_the_wall,
        test_store_time_retry_stands_behind_those_that_waited,
        test_store_time_another_life_stands_behind_those_that_waited,
        test_store_time_callback_stands_behind_those_that_waited,
        test_store_time_given_back_keeps_its_place,
        test_store_time_members_count_from_the_end_of_their_batch,
        test_store_time_callback_is_kept_with_its_future,
        test_store_time_a_member_that_lives_again_keeps_its_batch,
        test_store_time_retention_keeps_up,
        test_store_time_key_lives_as_long_as_its_future,
        test_store_time_key_goes_with_a_deleted_future,
        test_store_time_key_goes_with_the_last_member,
        test_store_time_key_of_one_that_coalesced,
        test_store_time_known_key_is_answered_by_a_full_queue,
    };
    return fixture_run_on_all("store contract: time", tests, FUT_COUNT(tests));
}
