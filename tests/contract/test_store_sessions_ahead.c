/* Sessions with max_running of which more are claimed than may run, on every backend. */
#include <check.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/node.h"
#include "storage/session.h"
#include "tests/contract/members.h"

static struct fixture k;

static size_t count_of(struct task_id session, const struct task *tasks, size_t n)
{
    size_t of = 0;
    for (size_t i = 0; i < n; i++)
        of += id_equal(tasks[i].spec->batch, session);
    return of;
}

static void expect_shown(struct task_id session, uint64_t running, uint64_t waiting)
{
    char limit[STORE_SESSION_LIMIT_SIZE];
    store_session_limit(session, limit);
    struct store_limit_list o = {.name = limit};
    ck_assert_int_eq(fixture_do(&k, &store_verb_limit_list, &o.op), 0);
    ck_assert_uint_eq(o.limits[0].use.running, running);
    ck_assert_uint_eq(o.limits[0].use.waiting, waiting);
    free(o.limits);
    free(o.keys);
}

/* Ends tasks of the session until so many are left; a claim gets none for them. */
static void end_down_to(struct task_id session, size_t n, struct task *tasks, size_t *n_tasks)
{
    struct task none[1];
    for (size_t i = 0; i < *n_tasks && count_of(session, tasks, *n_tasks) > n;) {
        if (!id_equal(tasks[i].spec->batch, session)) {
            i++;
            continue;
        }
        ck_assert_int_eq(fixture_succeed(&k, &tasks[i], "done"), 0);
        ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, none), 0);
        task_release(&tasks[i]);
        tasks[i] = tasks[--*n_tasks];
    }
}

/* Of all sessions together so many more than may run; among nodes none. */
START_TEST(test_store_sessions_are_claimed_ahead_where_that_is_said)
{
    fixture_open(&k, fixture_backends[_i]);
    size_t ahead = store_is_shared(k.store) ? 0 : 3;
    struct task_id ids[MEMBERS_MAX], first = members_session(&k, 2),
                                     second = members_session(&k, 1);
    struct task got[2 * MEMBERS_MAX];
    store_session_ahead(k.store, LANE_IO, 3);
    store_session_ahead(k.store, LANE_CPU, 5); /* another lane's */
    ck_assert_int_eq(members_join(&k, first, "echo", MEMBERS_MAX, ids), 0);
    ck_assert_int_eq(members_join(&k, second, "echo", MEMBERS_MAX, ids), 0);
    size_t n = fixture_claim_now(&k, LANE_IO, 2 * MEMBERS_MAX, got);
    ck_assert_uint_eq(n, 3 + ahead);
    ck_assert_uint_ge(count_of(first, got, n), 2);
    ck_assert_uint_ge(count_of(second, got, n), 1);
    expect_shown(first, 2, MEMBERS_MAX - 2);
    expect_shown(second, 1, MEMBERS_MAX - 1);
    store_session_ahead(k.store, LANE_IO, 0);
    end_down_to(first, 2, got, &n);
    end_down_to(second, 1, got, &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(fixture_succeed(&k, &got[0], "done"), 0);
    task_release(&got[0]);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 2 * MEMBERS_MAX, got), 1);
    for (size_t i = 0; i < n; i++)
        task_release(&got[i]);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_store_sessions_are_claimed_ahead_where_that_is_said};
    return fixture_run_on_all("store sessions ahead", tests, FUT_COUNT(tests));
}
