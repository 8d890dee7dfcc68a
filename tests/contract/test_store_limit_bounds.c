/* How many limits there may be, and how many of their keys in use: what is refused then, and what
 * still goes. On backends that can be told to fail. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/fault.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"

static const char *const backends[] = {"fault+memory", "fault+sqlite"};
#define IS_KEPT(i) ((i) == 1)

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, backends[i]);
}

/* ---- keys ------------------------------------------------------------------------------------ */

#define KEYS_PER_TASK TASK_LIMITS_MAX
#define TASKS (STORE_LIMIT_KEYS_MAX / KEYS_PER_TASK)
_Static_assert(TASKS *KEYS_PER_TASK == STORE_LIMIT_KEYS_MAX, "no key is free");

static struct task limited(const char *limits)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.limits = limits;
    fixture_respec(&t, &spec);
    return t;
}

static int submit(const char *limits)
{
    struct task t = limited(limits);
    int rc = fixture_submit_n(&k, &t, 1);
    task_release(&t);
    return rc;
}

/* One batch whose tasks name so many keys, each another one. */
static int fill(size_t n_tasks, struct task_id batch)
{
    struct store_batch b = {.id = batch, .total = (uint32_t)n_tasks};
    struct task *all = xcalloc(n_tasks, sizeof(*all));
    for (uint32_t i = 0; i < n_tasks; i++) {
        char limits[64];
        (void)snprintf(limits, sizeof(limits), "a=%u\nb=%u\nc=%u\nd=%u", i, i, i, i);
        all[i] = limited(limits);
        struct task_spec spec = *all[i].spec;
        spec.batch = batch;
        spec.batch_pos = i;
        fixture_respec(&all[i], &spec);
    }
    int rc = fixture_submit_batch(&k, all, n_tasks, &b);
    for (size_t i = 0; i < n_tasks; i++)
        task_release(&all[i]);
    free(all);
    return rc;
}

static void define(const char *name, uint32_t max_running)
{
    struct store_limit l = {
        .per_key = true, .max_running = max_running, .rate_per_ms = 1000, .rate_burst = 1};
    (void)snprintf(l.name, sizeof(l.name), "%s", name);
    ck_assert_int_eq(fixture_limit_put(&k, &l), 0);
}

static int limit_queue(uint32_t max_running)
{
    struct store_queue q = {
        .limit = {.max_running = max_running, .rate_per_ms = 1000, .rate_burst = 1}};
    return fixture_queue_set(&k, "mail", STORE_QUEUE_MAX_RUNNING, &q);
}

/* What needs a key of its own is refused; what has its key is not. */
static void expect_no_key_is_free(void)
{
    uint64_t queued = fixture_stats(&k).live[LANE_IO][TASK_QUEUED];
    ck_assert_int_eq(submit("a=more"), FUT_ERR_AGAIN);
    ck_assert_int_eq(submit("a=1\nb=more"), FUT_ERR_AGAIN);
    ck_assert_int_eq(fixture_limit_close(&k, "a", "more", 1000), FUT_ERR_AGAIN);
    ck_assert_uint_eq(fixture_stats(&k).live[LANE_IO][TASK_QUEUED], queued);
    ck_assert_int_eq(submit("a=1\nb=2"), 0);
    ck_assert_int_eq(submit(NULL), 0);
    ck_assert_int_eq(fixture_limit_close(&k, "a", "1", 0), 0);
}

/* Keys become free a few commits after the end of their tasks. */
static bool is_accepted(void *limits)
{
    int rc = submit(limits);
    ck_assert(rc == 0 || rc == FUT_ERR_AGAIN);
    return rc == 0;
}

START_TEST(test_store_limit_keys_have_a_bound)
{
    begin(_i);
    struct task_id batch = id_new(), more = id_new();
    define("a", 1);
    ck_assert_int_eq(fill(TASKS, batch), 0);
    expect_no_key_is_free();
    ck_assert_int_eq(limit_queue(3), FUT_ERR_AGAIN);
    struct task_id other = id_new();
    struct store_batch b = {.id = other, .total = 1};
    struct task t = limited("c=more");
    struct task_spec spec = *t.spec;
    spec.batch = other;
    fixture_respec(&t, &spec);
    ck_assert_int_eq(fixture_submit_batch(&k, &t, 1, &b), FUT_ERR_AGAIN);
    struct store_batch_get get = {.id = other};
    ck_assert_int_eq(fixture_batch_get(&k, &get), FUT_ERR_NOT_FOUND);
    task_release(&t);
    if (IS_KEPT(_i)) {
        fixture_reopen(&k);
        expect_no_key_is_free();
    }
    ck_assert_int_eq(fixture_batch_cancel(&k, batch), 0);
    ck_assert_msg(wait_until(is_accepted, (void *)(uintptr_t) "a=more", WAIT_LONG_MS),
                  "no key becomes free");
    ck_assert_int_eq(fill(100, more), 0);
    fixture_close(&k);
}
END_TEST

static bool is_healthy(void *unused)
{
    (void)unused;
    return fixture_stats(&k).health == 0;
}

/* The limits of a queue and of a name are removed by a commit that fails: they are there as before,
 * with their keys, although no other key is free. */
START_TEST(test_store_limit_is_there_again_with_all_keys_in_use)
{
    begin(_i);
    struct task first[2];
    ck_assert_int_eq(limit_queue(1), 0);
    define("a", 1);
    ck_assert_int_eq(fill(TASKS - 1, id_new()), 0);
    ck_assert_int_eq(submit("a=w\nb=w\nc=w"), 0); /* the queue has one as well */
    expect_no_key_is_free();
    ck_assert_int_eq(submit("a=1"), 0);
    struct store_queue_drop drop = {.name = "mail"};
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_drop, &drop.op), FUT_ERR_IO);
    ck_assert(wait_until(is_healthy, NULL, WAIT_LONG_MS));
    store_fault_arm(STORE_FAULT_COMMIT, 0, 1, FUT_ERR_IO);
    ck_assert_int_eq(fixture_limit_drop(&k, "a"), FUT_ERR_IO);
    ck_assert(wait_until(is_healthy, NULL, WAIT_LONG_MS));
    struct store_limit_list o = {0};
    ck_assert_int_eq(fixture_limit_list(&k, "a", &o), 0);
    ck_assert_uint_eq(o.limits[0].keys, TASKS);
    free(o.limits);
    free(o.keys);
    expect_no_key_is_free();
    for (int i = 0; i < 2; i++) { /* and they hold */
        struct task t = fixture_task(LANE_CPU, "echo", "x");
        struct task_spec spec = *t.spec;
        spec.queue = "mail";
        fixture_respec(&t, &spec);
        ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
        task_release(&t);
    }
    ck_assert(fixture_claim_now(&k, LANE_CPU, 2, first) == 1);
    task_release(&first[0]);
    fixture_close(&k);
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

static struct fixture_wait put_wait = {
    {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_COND_INITIALIZER}, false};
static size_t unanswered; /* guarded by put_wait.mu */

static void was_put(struct store_op *op)
{
    ck_assert_int_eq(op->rc, 0);
    mutex_lock(&put_wait.mu);
    unanswered--;
    cond_signal(&put_wait.cond);
    mutex_unlock(&put_wait.mu);
}

START_TEST(test_store_limits_have_a_bound)
{
    begin(_i);
    struct store_limit_put *all = xcalloc(STORE_LIMITS_MAX, sizeof(*all));
    struct store_limit more = {
        .name = "more", .max_running = 1, .rate_per_ms = 1000, .rate_burst = 1};
    unanswered = 0;
    for (size_t i = 0; i < STORE_LIMITS_MAX; i++) {
        all[i].limit = more;
        (void)snprintf(all[i].limit.name, sizeof(more.name), "l%05zu", i);
        mutex_lock(&put_wait.mu);
        unanswered++;
        while (unanswered > 1000)
            cond_wait(&put_wait.cond, &put_wait.mu);
        mutex_unlock(&put_wait.mu);
        ck_assert_int_eq(store_post(k.store, &store_verb_limit_put, &all[i].op, was_put), 0);
    }
    mutex_lock(&put_wait.mu);
    while (unanswered)
        cond_wait(&put_wait.cond, &put_wait.mu);
    mutex_unlock(&put_wait.mu);
    free(all);
    ck_assert_int_eq(fixture_limit_put(&k, &more), FUT_ERR_FULL);
    (void)snprintf(more.name, sizeof(more.name), "l00007"); /* it is there */
    more.max_running = 7;
    ck_assert_int_eq(fixture_limit_put(&k, &more), 0);
    if (IS_KEPT(_i))
        fixture_reopen(&k);
    (void)snprintf(more.name, sizeof(more.name), "more");
    ck_assert_int_eq(fixture_limit_put(&k, &more), FUT_ERR_FULL);
    ck_assert_int_eq(fixture_limit_drop(&k, "l09999"), 0);
    ck_assert_int_eq(fixture_limit_put(&k, &more), 0);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("bounds", SUITE_TIMEOUT_S, NULL, NULL);
    int n = (int)FUT_COUNT(backends);
    tcase_add_loop_test(tc, test_store_limit_keys_have_a_bound, 0, n);
    tcase_add_loop_test(tc, test_store_limit_is_there_again_with_all_keys_in_use, 0, n);
    tcase_add_loop_test(tc, test_store_limits_have_a_bound, 0, n);
    return suite_run_cases("store contract: bounds of limits", tc, NULL);
}
