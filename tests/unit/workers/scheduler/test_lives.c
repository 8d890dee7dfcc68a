/* A task that was cancelled and retried: a signal that was meant for one attempt must never reach
 * another one of the same task. */
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/house.h"

#define LIMIT_MS 20000

static void setup(void)
{
    house_build(2, 2);
}

static void teardown(void)
{
    house_raze();
}

static struct task get(struct task_id id)
{
    struct store_get get = {.id = id};
    ck_assert_int_eq(store_get(house.store, &get, house_op_done), 0);
    house_op_wait();
    ck_assert_int_eq(get.op.rc, 0);
    free((char *)(uintptr_t)get.note.message);
    return get.task;
}

struct expected {
    struct task_id id;
    enum task_state state;
};

static bool is_in_state(void *ctx)
{
    const struct expected *e = ctx;
    struct task t = get(e->id);
    bool is = t.state == e->state;
    task_release(&t);
    return is;
}

/* Fails by a check of its own, before the time limit of the case strikes. */
static void expect(struct task_id id, enum task_state state)
{
    struct expected e = {id, state};
    ck_assert_msg(wait_until(is_in_state, &e, LIMIT_MS), "the task does not become %s",
                  task_state_name(state));
}

static void revive(struct task_id id)
{
    struct store_revive o = {.task = get(id)};
    ck_assert_int_eq(task_apply(&o.task, EVENT_REVIVE, NULL, &o.change), 0);
    ck_assert_int_eq(store_revive(house.store, &o, house_op_done), 0);
    house_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&o.task);
}

/* ---- no attempt runs at the moment of the cancel ---- */

START_TEST(test_lives_cancel_in_backoff)
{
    struct task_id id = house_submit("later", LANE_IO, "", 10000, 1);
    expect(id, TASK_SCHEDULED);
    house_cancel_any(id);
    expect(id, TASK_CANCELLED);
    revive(id);
    expect(id, TASK_FAILED);
    struct task t = get(id);
    ck_assert_uint_eq(t.attempt, 3); /* with all its tries */
    task_release(&t);
}
END_TEST

static void pause_io(bool is_paused)
{
    struct pool_wish wish = {.sets_pause = true};
    wish.pause.since_wall_ms = is_paused ? clock_wall_ms() : 0;
    house.view.change(house.view.ctx, LANE_IO, &wish);
}

enum { MEMBERS = 50 };

static struct task_id submit_batch(struct task_id ids[MEMBERS])
{
    struct task tasks[MEMBERS];
    struct store_batch batch = {.id = id_new(), .total = MEMBERS};
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct task_spec spec = house_spec("echo", LANE_IO, "1", 10000, 0);
        spec.batch = batch.id;
        spec.batch_pos = i;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        ids[i] = spec.id;
    }
    struct store_submit o = {.tasks = tasks, .n = MEMBERS, .batch = &batch};
    ck_assert_int_eq(store_submit(house.store, &o, house_op_done), 0);
    house_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    for (int i = 0; i < MEMBERS; i++)
        task_release(&tasks[i]);
    return batch.id;
}

START_TEST(test_lives_cancel_of_a_queued_batch)
{
    struct task_id ids[MEMBERS];
    pause_io(true);
    struct store_batch_cancel o = {.id = submit_batch(ids)};
    ck_assert_int_eq(store_batch_cancel(house.store, &o, house_op_done), 0);
    house_op_wait();
    for (int i = 0; i < MEMBERS; i++)
        expect(ids[i], TASK_CANCELLED);
    for (int i = 0; i < MEMBERS; i++)
        revive(ids[i]);
    pause_io(false);
    for (int i = 0; i < MEMBERS; i++)
        expect(ids[i], TASK_SUCCEEDED);
}
END_TEST

/* The cancel and the end of the attempt meet; whichever comes first, the next life runs. */
START_TEST(test_lives_cancel_near_the_end)
{
    enum { TIMES = 200 };
    for (int i = 0; i < TIMES; i++) {
        struct task_id id = house_submit("echo", i % 2 ? LANE_IO : LANE_CPU, "1", 10000, 0);
        struct task t = get(id);
        if (t.state == TASK_SUCCEEDED || house_cancel_as(t) != 0)
            continue;
        expect(id, TASK_CANCELLED);
        revive(id);
        expect(id, TASK_SUCCEEDED);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lives");
    tcase_set_timeout(t, 90);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_lives_cancel_in_backoff);
    tcase_add_test(t, test_lives_cancel_of_a_queued_batch);
    tcase_add_test(t, test_lives_cancel_near_the_end);
    return suite_run_cases("lives", t, NULL);
}
