/* The contract of store.h, on every backend: pages of tasks with their results, which end with a
 * number of tasks or of bytes. */
#include <check.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/session.h"
#include "tests/contract/fixture.h"
#include "tests/contract/members.h"

enum { N = 3 * MEMBERS_MAX }; /* more than what a database is asked for at first */

static struct fixture k;
static struct task_id ids[N], session;

/* A session that is closed, and whose N tasks have ended with ten bytes each. */
static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
    session = members_session(&k, 0);
    for (size_t n = 0; n < N; n += MEMBERS_MAX)
        ck_assert_int_eq(members_join(&k, session, "echo", MEMBERS_MAX, ids + n), 0);
    for (size_t n = 0; n < N; n++) {
        struct task t = fixture_claim_one(&k);
        ck_assert_int_eq(fixture_succeed(&k, &t, "ten bytes!"), 0);
        task_release(&t);
    }
    struct store_session_close o = {.id = session, .now_wall_ms = clock_wall_ms()};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_close, &o.op), 0);
}

static struct store_members members(uint32_t from, size_t limit, size_t max_bytes,
                                    struct task *tasks)
{
    struct store_members o = {.id = session,
                              .from = from,
                              .with_body = true,
                              .page = {.limit = limit, .max_bytes = max_bytes, .tasks = tasks}};
    ck_assert_int_eq(fixture_members(&k, &o), 0);
    for (size_t i = 0; i < o.page.n; i++)
        ck_assert(id_equal(tasks[i].spec->id, ids[from + i]));
    return o;
}

static struct store_session_ends ends(uint64_t after, size_t limit, size_t max_bytes,
                                      struct task *tasks)
{
    struct store_session_ends o = {
        .id = session,
        .after = after,
        .page = {.limit = limit, .max_bytes = max_bytes, .tasks = tasks}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_ends, &o.op), 0);
    for (size_t i = 0; i < o.page.n; i++)
        ck_assert(i == 0 ? tasks[i].seq > after : tasks[i].seq > tasks[i - 1].seq);
    return o;
}

START_TEST(test_store_pages_of_members_end_with_their_limit)
{
    struct task tasks[N];
    begin(_i);
    struct store_members o = members(0, N - 1, 0, tasks);
    ck_assert(o.page.n == N - 1 && o.page.bytes == 10 * (N - 1) && o.page.is_full);
    store_page_release(&o.page);
    o = members(1, N, 0, tasks);
    ck_assert(o.page.n == N - 1 && !o.page.is_full);
    store_page_release(&o.page);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_pages_of_members_end_with_their_bytes)
{
    struct task tasks[N];
    begin(_i);
    struct store_members o = members(0, N, 11, tasks);
    ck_assert(o.page.n == 2 && o.page.bytes == 20 && o.page.is_full);
    store_page_release(&o.page);
    o = members(2, N, 120, tasks);
    ck_assert(o.page.n == 12 && o.page.bytes == 120 && o.page.is_full);
    store_page_release(&o.page);
    o = members(N - 1, N, 11, tasks);
    ck_assert(o.page.n == 1 && o.page.bytes == 10 && !o.page.is_full);
    store_page_release(&o.page);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_pages_of_ends)
{
    struct task tasks[N];
    begin(_i);
    struct store_session_ends o = ends(0, N - 1, 0, tasks);
    ck_assert(o.page.n == N - 1 && o.page.is_full && !o.is_finished);
    uint64_t fourth = tasks[N - 5].seq; /* from the end */
    store_page_release(&o.page);
    o = ends(fourth, N, 21, tasks);
    ck_assert(o.page.n == 3 && o.page.bytes == 30 && o.page.is_full && !o.is_finished);
    uint64_t last_but_one = tasks[2].seq;
    store_page_release(&o.page);
    o = ends(last_but_one, N, 21, tasks);
    ck_assert_uint_eq(o.page.n, 1);
    ck_assert(!o.page.is_full && o.is_finished);
    store_page_release(&o.page);
    fixture_close(&k);
}
END_TEST

/* Those that are not there have their place in the page, and what has not ended is told as it is.
 */
START_TEST(test_store_pages_of_several_futures)
{
    struct task tasks[4];
    struct store_reported reported[4];
    begin(_i);
    struct task waiting = fixture_task(LANE_IO, "echo", "in");
    ck_assert_int_eq(fixture_submit_n(&k, &waiting, 1), 0);
    struct task_id asked[] = {ids[2], {ids[3].hi, ids[3].lo ^ 1}, waiting.spec->id, ids[0], ids[1]};
    struct store_get_several o = {.ids = asked,
                                  .n_ids = FUT_COUNT(asked),
                                  .page = {.limit = 4, .max_bytes = 21, .tasks = tasks},
                                  .reported = reported};
    ck_assert_int_eq(fixture_do(&k, &store_verb_get_several, &o.op), 0);
    ck_assert(o.page.n == 4 && o.page.bytes == 20 && o.page.is_full);
    ck_assert(id_equal(tasks[0].spec->id, ids[2]) && tasks[0].state == TASK_SUCCEEDED);
    ck_assert_mem_eq(tasks[0].outcome->body, "ten bytes!", 10);
    ck_assert_ptr_null(tasks[1].spec);
    ck_assert(id_equal(tasks[2].spec->id, waiting.spec->id) && tasks[2].state == TASK_QUEUED);
    ck_assert_uint_eq(reported[2].place, 1);
    ck_assert(id_equal(tasks[3].spec->id, ids[0]));
    for (size_t i = 0; i < 4; i++)
        store_reported_release(&reported[i]);
    store_page_release(&o.page);
    task_release(&waiting);
    o.ids = asked + 3;
    o.n_ids = 2;
    o.page.max_bytes = 10;
    ck_assert_int_eq(fixture_do(&k, &store_verb_get_several, &o.op), 0);
    ck_assert(o.page.n == 1 && o.page.is_full);
    store_reported_release(&reported[0]);
    store_page_release(&o.page);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_pages_of_members_end_with_their_limit,
        test_store_pages_of_members_end_with_their_bytes,
        test_store_pages_of_ends,
        test_store_pages_of_several_futures,
    };
    return fixture_run_on_all("store pages", tests, FUT_COUNT(tests));
}
