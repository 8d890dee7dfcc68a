/* Whoever comes late changes nothing: the state may be the same again, the attempt is not. */
#include "core/mem.h"
#include "tests/contract/fixture.h"

/* A running task, and the snapshot of a worker that still believes in the attempt before. */
static struct task begin_again(struct fixture *k, enum task_event ev, struct task *out_late)
{
    struct task t;
    (void)fixture_submit(k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(k, LANE_IO, 1, &t), 1);
    task_copy(out_late, &t);
    ck_assert_int_eq(fixture_apply(k, &t, ev, &(struct task_in){.due_in_ms = 1}), 0);
    task_release(&t);
    ck_assert_uint_eq(fixture_claim(k, LANE_IO, 1, &t), 1);
    ck_assert_uint_eq(t.attempt, 2);
    return t;
}

static const enum task_event again[] = {EVENT_LOSE, EVENT_RETRY},
                             late_ends[] = {EVENT_SUCCEED, EVENT_FAIL, EVENT_RELEASE, EVENT_LOSE,
                                            EVENT_CANCEL};

START_TEST(test_store_worker_of_an_earlier_attempt_is_stale)
{
    struct fixture k;
    fixture_open(&k, fixture_backends[_i]);
    for (size_t i = 0; i < FUT_COUNT(again) * FUT_COUNT(late_ends); i++) {
        struct task late, seen;
        struct task now = begin_again(&k, again[i % FUT_COUNT(again)], &late);
        enum task_event end = late_ends[i / FUT_COUNT(again)];
        ck_assert_int_eq(fixture_apply(&k, &late, end, &(struct task_in){0}), FUT_ERR_STALE);
        ck_assert_int_eq(fixture_get(&k, now.spec->id, &seen), 0);
        ck_assert_int_eq(seen.state, TASK_RUNNING);
        ck_assert_uint_eq(seen.attempt, 2);
        ck_assert_int_eq(fixture_succeed(&k, &now, "right"), 0);
        task_release(&seen);
        task_release(&late);
        task_release(&now);
    }
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_store_worker_of_an_earlier_attempt_is_stale};
    return fixture_run_on_all("store contract: stale", tests, FUT_COUNT(tests));
}
