/* Waiters: linked before the read, woken exactly once, whoever comes first. */
#include <check.h>
#include <stdlib.h>

#include "api/http/waiters.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static struct waiters ws;
static atomic_int woken;

static void count(struct waiter *w)
{
    (void)w;
    (void)atomic_fetch_add(&woken, 1);
}

static bool open_for(struct waiter *w, struct waiter_link *links, size_t n, size_t need)
{
    return waiter_open(&ws, w, links, n, &(struct waiter_wish){.need = need, .wake = count});
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
    waiters_on_change(&ws, &(struct store_change){.id = id, .state = state, .task = task}, 1);
}

START_TEST(test_waiters_wake_once_with_the_snapshot)
{
    struct task_id id = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = id};
    struct task t = {.spec = task_spec_new(&(struct task_spec){.id = id, .handler = "h"}),
                     .state = TASK_SUCCEEDED};
    ck_assert(open_for(&w, &l, 1, 1));
    ck_assert(waiter_arm(&ws, &w));
    tell(id, TASK_RUNNING, &t);
    tell((struct task_id){id.hi, id.lo + 1}, TASK_SUCCEEDED, &t);
    ck_assert_int_eq(woken, 0);
    tell(id, TASK_SUCCEEDED, &t);
    tell(id, TASK_SUCCEEDED, &t);
    ck_assert_int_eq(woken, 1);
    ck_assert(!waiter_disarm(&ws, &w));
    waiter_unlink(&ws, &w);
    ck_assert(l.is_done && w.task.spec == t.spec);
    waiter_close(&ws, &w);
    waiter_close(&ws, &w);
    ck_assert_uint_eq(waiters_count(&ws), 0);
    task_release(&t);
}
END_TEST

/* What is read has to be read once more when nothing comes behind it. */
START_TEST(test_waiters_know_that_a_session_is_finished)
{
    struct waiter w = {0};
    struct waiter_link l = {.id = id_new()};
    struct store_change c = {.id = l.id, .state = TASK_RUNNING, .reported = true};
    bool is_done;
    ck_assert(
        waiter_open(&ws, &w, &l, 1, &(struct waiter_wish){.wants_news = true, .wake = count}));
    waiters_on_change(&ws, &c, 1);
    ck_assert(!waiter_is_finished(&ws, &w));
    c.session_ended = true; /* while the news of before are not taken yet */
    waiters_on_change(&ws, &c, 1);
    ck_assert(waiter_take_news(&ws, &w, &is_done) == &l);
    ck_assert(!is_done && waiter_is_finished(&ws, &w));
    waiter_close(&ws, &w);
}
END_TEST

START_TEST(test_waiters_do_not_sleep_when_it_happened_before)
{
    struct task_id id = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = id};
    ck_assert(open_for(&w, &l, 1, 1));
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
    ck_assert(open_for(&w, &l, 1, 1));
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
    ck_assert(open_for(&w, l, 3, 2));
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
    struct waiter w[4] = {{.is_open = false}};
    struct waiter_link l[4] = {{.id = id}, {.id = id}, {.id = id}, {.id = id}};
    for (int i = 0; i < 3; i++) {
        ck_assert(open_for(&w[i], &l[i], 1, 1));
        ck_assert(waiter_arm(&ws, &w[i]));
    }
    ck_assert(!open_for(&w[3], &l[3], 1, 1));
    tell(id, TASK_SUCCEEDED, NULL);
    ck_assert_int_eq(woken, 3); /* all of one future */
    for (int i = 0; i < 4; i++)
        waiter_close(&ws, &w[i]);
}
END_TEST

/* What ended before the read and what ended after the link come out as one row, by seq. */
START_TEST(test_waiters_news_are_in_order_of_completion)
{
    struct waiter w = {0};
    struct waiter_link l[4] = {
        {.id = id_new()}, {.id = id_new()}, {.id = id_new()}, {.id = id_new()}};
    struct task late = {.state = TASK_SUCCEEDED, .seq = 9},
                last = {.state = TASK_FAILED, .seq = 12};
    const struct store_brief read[4] = {
        {true, TASK_FAILED, 7}, {true, TASK_SUCCEEDED, 9}, {true, TASK_CANCELLED, 3}, {true, 0, 0}};
    const size_t order[] = {2, 0, 1, 3};
    bool is_done = false;
    ck_assert(waiter_open(&ws, &w, l, 4, &(struct waiter_wish){.wants_news = true, .wake = count}));
    tell(l[1].id, TASK_SUCCEEDED, &late);
    waiter_update(&ws, &w, read);
    tell(l[0].id, TASK_FAILED, &late); /* late news of what was read: not again */
    tell(l[3].id, TASK_FAILED, &last);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_ptr_eq(waiter_take_news(&ws, &w, &is_done), &l[order[i]]);
        ck_assert(is_done);
    }
    ck_assert_ptr_null(waiter_take_news(&ws, &w, &is_done));
    ck_assert(waiter_arm(&ws, &w) && waiter_disarm(&ws, &w));
    waiter_close(&ws, &w);
}
END_TEST

/* Its end is taken, but it was given another life: waited for again, whether its second end comes
 * before the second read or after it. */
START_TEST(test_waiters_reopened_wait_for_the_next_end)
{
    bool late = _i, done = false;
    struct waiter w = {0};
    struct waiter_link l = {.id = id_new()};
    struct waiter_wish wish = {.wants_news = true, .wake = count};
    struct store_brief brief = {
        .found = true, .state = late ? TASK_RUNNING : TASK_FAILED, .seq = 9};
    ck_assert(waiter_open(&ws, &w, &l, 1, &wish));
    tell(l.id, TASK_FAILED, NULL);
    ck_assert_ptr_eq(waiter_take_news(&ws, &w, &done), &l);
    ck_assert(done && w.seen == 1);
    waiter_reopen(&ws, &l);
    ck_assert(!l.is_done && w.seen == 0);
    if (!late)
        tell(l.id, TASK_FAILED, NULL);
    waiter_update_one(&ws, &l, &brief);
    ck_assert(waiter_arm(&ws, &w) == late);
    if (late)
        tell(l.id, TASK_SUCCEEDED, NULL);
    ck_assert_int_eq(woken, late);
    ck_assert_ptr_eq(waiter_take_news(&ws, &w, &done), &l);
    ck_assert(done && w.seen == 1);
    ck_assert_ptr_null(waiter_take_news(&ws, &w, &done));
    waiter_close(&ws, &w);
}
END_TEST

static void tell_member(struct task_id session, struct store_change c)
{
    c.batch = session;
    waiters_on_change(&ws, &c, 1);
}

static void expect_member(struct waiter *w, struct task_id id, enum waiter_event event)
{
    struct waiter_member m;
    ck_assert(waiter_take_member(&ws, w, &m));
    ck_assert(id_equal(m.id, id));
    ck_assert_int_eq(m.event, event);
}

/* Of its session alone, what it wants alone, and text for a log once until it is looked at. */
START_TEST(test_waiters_follow_members)
{
    struct task_id id = id_new(), session = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = session};
    struct waiter_members members = {.events = 1u << WAITER_STARTED | 1u << WAITER_REPORTED};
    struct waiter_wish wish = {.wants_news = true, .members = &members, .wake = count};
    struct waiter_member m;
    ck_assert(waiter_open(&ws, &w, &l, 1, &wish));
    ck_assert(waiter_arm(&ws, &w));
    tell_member(session, (struct store_change){.id = id, .state = TASK_QUEUED, .is_new = true});
    tell_member(session, (struct store_change){.id = id, .state = TASK_SCHEDULED});
    tell_member(session, (struct store_change){.id = id, .state = TASK_SUCCEEDED});
    tell_member(id_new(), (struct store_change){.id = id, .state = TASK_RUNNING});
    tell_member((struct task_id){0}, (struct store_change){.id = id, .state = TASK_RUNNING});
    ck_assert_int_eq(woken, 0);
    tell_member(session, (struct store_change){.id = id, .state = TASK_RUNNING});
    ck_assert_int_eq(woken, 1);
    tell_member(session, (struct store_change){.id = id, .state = TASK_RUNNING, .reported = true});
    tell_member(session, (struct store_change){.id = id, .state = TASK_RUNNING, .reported = true});
    ck_assert(!waiter_arm(&ws, &w));
    expect_member(&w, id, WAITER_STARTED);
    expect_member(&w, id, WAITER_REPORTED);
    ck_assert(!waiter_take_member(&ws, &w, &m));
    tell_member(session, (struct store_change){.id = id, .state = TASK_RUNNING, .reported = true});
    expect_member(&w, id, WAITER_REPORTED);
    ck_assert_uint_eq(waiter_take_missed(&ws, &w), 0);
    waiter_close(&ws, &w);
    ck_assert_uint_eq(ws.followers, 0);
}
END_TEST

/* Of whatever batch they are, and until they are done; not the members of a batch of that id. */
START_TEST(test_waiters_follow_linked_futures)
{
    struct task_id batch = id_new();
    struct waiter w = {0};
    struct waiter_link l[2] = {{.id = id_new()}, {.id = id_new()}};
    struct waiter_members members = {.events = 1u << WAITER_STARTED | 1u << WAITER_WAITING,
                                     .of_links = true};
    struct waiter_wish wish = {.wants_news = true, .members = &members, .wake = count};
    struct waiter_member m;
    bool is_done;
    ck_assert(waiter_open(&ws, &w, l, 2, &wish));
    ck_assert(waiter_arm(&ws, &w));
    tell_member(batch, (struct store_change){.id = id_new(), .state = TASK_RUNNING});
    tell_member(l[0].id, (struct store_change){.id = id_new(), .state = TASK_RUNNING});
    ck_assert_int_eq(woken, 0);
    tell_member(batch, (struct store_change){.id = l[1].id, .state = TASK_RUNNING});
    ck_assert_int_eq(woken, 1);
    tell_member((struct task_id){0}, (struct store_change){.id = l[0].id, .state = TASK_SCHEDULED});
    expect_member(&w, l[1].id, WAITER_STARTED);
    expect_member(&w, l[0].id, WAITER_WAITING);
    tell_member(batch, (struct store_change){.id = l[1].id, .state = TASK_SUCCEEDED});
    tell_member(batch, (struct store_change){.id = l[1].id, .state = TASK_QUEUED});
    ck_assert(!waiter_take_member(&ws, &w, &m));
    ck_assert(waiter_take_news(&ws, &w, &is_done) == &l[1] && is_done);
    waiter_close(&ws, &w);
    ck_assert_uint_eq(ws.followers, 0);
}
END_TEST

START_TEST(test_waiters_follow_as_many_members_as_there_is_space_for)
{
    struct task_id ids[WAITER_MEMBERS_MAX + 3], session = id_new();
    struct waiter w = {0};
    struct waiter_link l = {.id = session};
    struct waiter_members members = {.events = 1u << WAITER_STARTED};
    struct waiter_wish wish = {.wants_news = true, .members = &members, .wake = count};
    struct waiter_member m;
    ck_assert(waiter_open(&ws, &w, &l, 1, &wish));
    for (size_t i = 0; i < FUT_COUNT(ids); i++) {
        ids[i] = id_new();
        tell_member(session, (struct store_change){.id = ids[i], .state = TASK_RUNNING});
    }
    ck_assert_uint_eq(waiter_take_missed(&ws, &w), 3);
    ck_assert_uint_eq(waiter_take_missed(&ws, &w), 0);
    for (size_t i = 3; i < FUT_COUNT(ids); i++)
        expect_member(&w, ids[i], WAITER_STARTED);
    ck_assert(!waiter_take_member(&ws, &w, &m));
    waiter_close(&ws, &w);
}
END_TEST

START_TEST(test_waiters_by_the_ten_thousand_on_one_future)
{
    enum { N = 10000 };
    struct waiters many;
    struct task_id id = id_new();
    struct waiter *w = xcalloc(N, sizeof(*w));
    struct waiter_link *l = xcalloc(N, sizeof(*l));
    waiters_init(&many, N);
    for (size_t i = 0; i < N; i++) {
        l[i].id = id;
        ck_assert(
            waiter_open(&many, &w[i], &l[i], 1, &(struct waiter_wish){.need = 1, .wake = count}));
        ck_assert(waiter_arm(&many, &w[i]));
    }
    for (size_t i = 0; i < N; i += 2) { /* half of them leave, each in constant time */
        ck_assert(waiter_disarm(&many, &w[i]));
        waiter_close(&many, &w[i]);
    }
    waiters_on_change(&many, &(struct store_change){.id = id, .state = TASK_SUCCEEDED}, 1);
    ck_assert_int_eq(woken, N / 2);
    for (size_t i = 1; i < N; i += 2)
        waiter_close(&many, &w[i]);
    waiters_release(&many);
    free(w);
    free(l);
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
        ck_assert(open_for(&w, &l, 1, 1));
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
    TCase *t = suite_case("waiters", 30, setup, teardown);
    tcase_add_test(t, test_waiters_wake_once_with_the_snapshot);
    tcase_add_test(t, test_waiters_know_that_a_session_is_finished);
    tcase_add_test(t, test_waiters_do_not_sleep_when_it_happened_before);
    tcase_add_test(t, test_waiters_disarmed_are_not_woken);
    tcase_add_test(t, test_waiters_wait_for_as_many_as_needed);
    tcase_add_test(t, test_waiters_are_limited);
    tcase_add_test(t, test_waiters_news_are_in_order_of_completion);
    tcase_add_test(t, test_waiters_follow_members);
    tcase_add_test(t, test_waiters_follow_linked_futures);
    tcase_add_test(t, test_waiters_follow_as_many_members_as_there_is_space_for);
    tcase_add_loop_test(t, test_waiters_reopened_wait_for_the_next_end, 0, 2);
    tcase_add_test(t, test_waiters_by_the_ten_thousand_on_one_future);
    tcase_add_test(t, test_waiters_never_lose_or_double_a_wake_up);
    return suite_run_cases("waiters", t, NULL);
}
