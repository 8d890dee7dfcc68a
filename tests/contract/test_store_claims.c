/* The store contract: claims that leave handlers out, and whose turn it is among handlers. */
#include <stdlib.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"

#define LONG_QUEUE 5000

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

struct parked {
    struct fixture_parked claim;
    struct task got[8];
};

/* handlers: those that it leaves out, or (is_only) the only ones that it takes. */
static void park(struct parked *p, size_t max, const char *const *handlers, size_t n, bool is_only)
{
    *p = (struct parked){.claim.o = {.lane = LANE_IO,
                                     .max = max,
                                     .tasks = p->got,
                                     .handlers = handlers,
                                     .n_handlers = n,
                                     .is_only = is_only}};
    fixture_park(&k, &p->claim);
}

static void join(struct parked *p)
{
    fixture_join(&p->claim);
    ck_assert_int_eq(p->claim.o.op.rc, 0);
}

static void release(struct parked *p)
{
    for (size_t i = 0; i < p->claim.o.n; i++)
        task_release(&p->got[i]);
}

static struct task_id submit(const char *handler)
{
    struct task t = fixture_task(LANE_IO, handler, "x");
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static void submit_many(const char *handler, size_t n)
{
    struct task *tasks = xcalloc(n, sizeof(*tasks));
    for (size_t i = 0; i < n; i++)
        tasks[i] = fixture_task(LANE_IO, handler, "x");
    ck_assert_int_eq(fixture_submit_n(&k, tasks, n), 0);
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
    free(tasks);
}

static const char *got(const struct parked *p, size_t i)
{
    ck_assert_uint_lt(i, p->claim.o.n);
    return p->got[i].spec->handler;
}

static const char *const not_a[] = {"a"};

/* The handler with the fewest running tasks, then the one that was served longest ago; within a
 * handler the oldest. */
START_TEST(test_claims_take_turns_among_handlers)
{
    begin(_i);
    static const char *const queue[] = {"a", "a", "a", "b", "c", "a", "b"};
    static const char *const order[] = {"a", "b", "c", "a", "b", "a", "a"};
    struct parked p;
    for (size_t i = 0; i < FUT_COUNT(queue); i++)
        (void)submit(queue[i]);
    park(&p, 7, NULL, 0, false);
    join(&p);
    ck_assert_uint_eq(p.claim.o.n, 7);
    for (size_t i = 0; i < FUT_COUNT(order); i++)
        ck_assert_str_eq(got(&p, i), order[i]);
    ck_assert(p.got[0].spec->id.hi < p.got[3].spec->id.hi);
    ck_assert(p.got[3].spec->id.hi < p.got[5].spec->id.hi);
    ck_assert(p.got[1].spec->id.hi < p.got[4].spec->id.hi);
    ck_assert_uint_eq(p.got[0].attempt, 1);
    release(&p);
    end();
}
END_TEST

/* Neither from the queue nor as it comes in; and a plain claim still finds it. */
START_TEST(test_claims_never_take_what_they_leave_out)
{
    begin(_i);
    struct parked p, q;
    struct task t[2];
    (void)submit("a");
    park(&p, 1, not_a, 1, false);
    struct task_id second = submit("a");
    ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0);
    join(&p);
    ck_assert_uint_eq(p.claim.o.n, 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, t), 2);
    ck_assert(id_equal(t[1].spec->id, second));
    task_release(&t[0]);
    task_release(&t[1]);
    park(&q, 1, not_a, 1, false); /* the queue is empty: straight from the submission */
    (void)submit("a");
    (void)submit("b");
    join(&q);
    ck_assert_str_eq(got(&q, 0), "b");
    release(&q);
    end();
}
END_TEST

START_TEST(test_claims_find_one_behind_a_long_queue_of_others)
{
    begin(_i);
    struct parked p, q;
    submit_many("a", LONG_QUEUE);
    struct task_id first = submit("b"), second = submit("b");
    park(&p, 1, not_a, 1, false);
    join(&p);
    ck_assert(id_equal(p.got[0].spec->id, first));
    park(&q, 1, not_a, 1, false);
    join(&q);
    ck_assert(id_equal(q.got[0].spec->id, second));
    release(&p);
    release(&q);
    end();
}
END_TEST

/* What comes back to its line is found. */
START_TEST(test_claims_find_what_came_back)
{
    begin(_i);
    struct parked p;
    (void)submit("b");
    submit_many("a", 20);
    (void)submit("b");
    for (int round = 0; round < 3; round++) {
        park(&p, 2, not_a, 1, false);
        join(&p);
        ck_assert_uint_eq(p.claim.o.n, 2);
        for (size_t i = 0; i < 2; i++) {
            ck_assert_str_eq(got(&p, i), "b");
            ck_assert_int_eq(fixture_apply(&k, &p.got[i], EVENT_RELEASE, &(struct task_in){0}), 0);
        }
        release(&p);
    }
    end();
}
END_TEST

START_TEST(test_claims_leave_out_all_others)
{
    begin(_i);
    static const char *const only_b[] = {"b"};
    struct parked p;
    submit_many("a", 3);
    (void)submit("b");
    submit_many("c", 3);
    park(&p, 4, only_b, 1, true);
    join(&p);
    ck_assert_uint_eq(p.claim.o.n, 1);
    ck_assert_str_eq(got(&p, 0), "b");
    release(&p);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_claims_take_turns_among_handlers,
        test_claims_never_take_what_they_leave_out,
        test_claims_find_one_behind_a_long_queue_of_others,
        test_claims_find_what_came_back,
        test_claims_leave_out_all_others,
    };
    return fixture_run_on_all("store contract: claims", tests, FUT_COUNT(tests));
}
