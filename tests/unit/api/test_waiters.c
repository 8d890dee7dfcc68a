/* Waiters: linked before the read, woken exactly once, whoever comes first. */
#include <check.h>
#include <stdlib.h>

#include "api/waiters.h"
#include "core/mem.h"

static struct waiters ws;
static atomic_int woken;

static void count(struct waiter *w)
{
    (void)w;
    (void)atomic_fetch_add(&woken, 1);
}

static void setup(void)
{
    waiters_init(&ws, 3);
    atomic_store(&woken, 0);
}

static void teardown(void)
{
    waiters_release(&ws);
}

static void tell(struct task_id id, enum task_state state, const struct task *task)
{
    waiters_on_change(&ws, &(struct store_change){id, state, task}, 1);
}

START_TEST(test_waiters_wake_once_with_the_snapshot)
{
    struct task_id id = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = id};
    struct task t = {.spec = task_spec_new(&(struct task_spec){.id = id, .handler = "h"}),
                     .state = TASK_SUCCEEDED};
    ck_assert(waiter_open(&ws, &w, &l, 1, 1, count));
    ck_assert(waiter_arm(&ws, &w));
    tell(id, TASK_RUNNING, &t);
    tell((struct task_id){id.hi, id.lo + 1}, TASK_SUCCEEDED, &t);
    ck_assert_int_eq(woken, 0);
    tell(id, TASK_SUCCEEDED, &t);
    tell(id, TASK_SUCCEEDED, &t);
    ck_assert_int_eq(woken, 1);
    ck_assert(!waiter_disarm(&ws, &w));
    waiter_unlink(&ws, &w);
    ck_assert(l.is_done && l.task.spec == t.spec);
    waiter_close(&ws, &w);
    waiter_close(&ws, &w);
    ck_assert_uint_eq(waiters_count(&ws), 0);
    task_release(&t);
}
END_TEST

START_TEST(test_waiters_do_not_sleep_when_it_happened_before)
{
    struct task_id id = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = id};
    ck_assert(waiter_open(&ws, &w, &l, 1, 1, count));
    tell(id, TASK_CANCELLED, NULL);
    ck_assert(!waiter_arm(&ws, &w));
    ck_assert_int_eq(woken, 0);
    waiter_close(&ws, &w);
}
END_TEST

START_TEST(test_waiters_disarmed_are_not_woken)
{
    struct task_id id = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = id};
    ck_assert(waiter_open(&ws, &w, &l, 1, 1, count));
    ck_assert(waiter_arm(&ws, &w));
    ck_assert(waiter_disarm(&ws, &w));
    tell(id, TASK_SUCCEEDED, NULL);
    ck_assert_int_eq(woken, 0);
    waiter_close(&ws, &w);
}
END_TEST

START_TEST(test_waiters_wait_for_as_many_as_needed)
{
    struct waiter w = {0};
    struct waiter_link l[3] = {{.id = id_new()}, {.id = id_new()}, {.id = id_new()}};
    ck_assert(waiter_open(&ws, &w, l, 3, 2, count));
    ck_assert(waiter_arm(&ws, &w));
    tell(l[2].id, TASK_FAILED, NULL);
    ck_assert_int_eq(woken, 0);
    tell(l[0].id, TASK_SUCCEEDED, NULL);
    ck_assert_int_eq(woken, 1);
    waiter_unlink(&ws, &w);
    ck_assert(l[0].is_done && !l[1].is_done && l[2].is_done);
    waiter_close(&ws, &w);
}
END_TEST

START_TEST(test_waiters_are_limited)
{
    struct task_id id = id_new();
    struct waiter w[4] = {{0}};
    struct waiter_link l[4] = {{.id = id}, {.id = id}, {.id = id}, {.id = id}};
    for (int i = 0; i < 3; i++) {
        ck_assert(waiter_open(&ws, &w[i], &l[i], 1, 1, count));
        ck_assert(waiter_arm(&ws, &w[i]));
    }
    ck_assert(!waiter_open(&ws, &w[3], &l[3], 1, 1, count));
    tell(id, TASK_SUCCEEDED, NULL);
    ck_assert_int_eq(woken, 3); /* all of one future */
    for (int i = 0; i < 4; i++)
        waiter_close(&ws, &w[i]);
}
END_TEST

struct race {
    struct task_id ids[64];
    atomic_int round, told;
};

static void *teller(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < 64; i++) {
        while (atomic_load(&race->round) <= i)
            ;
        tell(race->ids[i], TASK_SUCCEEDED, NULL);
        atomic_store(&race->told, i + 1);
    }
    return NULL;
}

/* Link, arm and the change at the same moment: either arm sees it or the wake-up comes, and a
 * disarm that lost means that it came; never both, never neither. */
START_TEST(test_waiters_never_lose_or_double_a_wake_up)
{
    struct race race = {.round = 0};
    pthread_t t;
    for (int i = 0; i < 64; i++)
        race.ids[i] = id_new();
    thread_start(&t, "teller", teller, &race);
    for (int i = 0; i < 64; i++) {
        struct waiter w = {0};
        struct waiter_link l = {.id = race.ids[i]};
        int before = atomic_load(&woken);
        ck_assert(waiter_open(&ws, &w, &l, 1, 1, count));
        atomic_store(&race.round, i + 1);
        bool armed = waiter_arm(&ws, &w);
        bool disarmed = i % 2 && armed && waiter_disarm(&ws, &w);
        while (atomic_load(&race.told) <= i)
            ;
        ck_assert_int_eq(atomic_load(&woken) - before, armed && !disarmed);
        waiter_close(&ws, &w);
    }
    thread_join(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("waiters");
    TCase *t = tcase_create("waiters");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_waiters_wake_once_with_the_snapshot);
    tcase_add_test(t, test_waiters_do_not_sleep_when_it_happened_before);
    tcase_add_test(t, test_waiters_disarmed_are_not_woken);
    tcase_add_test(t, test_waiters_wait_for_as_many_as_needed);
    tcase_add_test(t, test_waiters_are_limited);
    tcase_add_test(t, test_waiters_never_lose_or_double_a_wake_up);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
