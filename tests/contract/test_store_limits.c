/* The contract of store.h, on every backend: how many tasks may run at once, or start in a time. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

static void define(const char *name, uint32_t max_running, bool per_key)
{
    struct store_limit l = {
        .per_key = per_key, .max_running = max_running, .rate_per_ms = 1000, .rate_burst = 1};
    (void)snprintf(l.name, sizeof(l.name), "%s", name);
    ck_assert_int_eq(fixture_limit_put(&k, &l), 0);
}

static void define_rate(const char *name, double tasks, int64_t per_ms, double burst)
{
    struct store_limit l = {.rate_tasks = tasks, .rate_per_ms = per_ms, .rate_burst = burst};
    (void)snprintf(l.name, sizeof(l.name), "%s", name);
    ck_assert_int_eq(fixture_limit_put(&k, &l), 0);
}

static struct task_id submit_to(const char *limits, const char *fair_key)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.limits = limits;
    spec.fair_key = fair_key;
    fixture_respec(&t, &spec);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static void submit_n(const char *limits, int n)
{
    for (int i = 0; i < n; i++)
        (void)submit_to(limits, NULL);
}

/* What a claim of `max` gets now: the claim is recalled, a transaction later, when it gets nothing.
 */
static size_t claim_now(size_t max, struct task *tasks)
{
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = max, .tasks = tasks}};
    struct store_limit_list o = {0};
    fixture_park(&k, &p);
    ck_assert_int_eq(fixture_limit_list(&k, NULL, &o), 0);
    free(o.limits);
    ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0);
    fixture_join(&p);
    return p.o.n;
}

static void finish(struct task *t)
{
    ck_assert_int_eq(fixture_succeed(&k, t, "x"), 0);
    task_release(t);
}

START_TEST(test_store_limit_lets_so_many_run)
{
    begin(_i);
    struct task t[10];
    define("api", 3, false);
    submit_n("api", 8);
    ck_assert_uint_eq(claim_now(10, t), 3);
    ck_assert_uint_eq(claim_now(10, t + 3), 0);
    finish(&t[0]);
    ck_assert_uint_eq(claim_now(10, t + 3), 1);
    for (int i = 1; i < 4; i++)
        finish(&t[i]);
    ck_assert_uint_eq(claim_now(2, t), 2);
    ck_assert_uint_eq(claim_now(10, t + 2), 1);
    for (int i = 0; i < 3; i++)
        finish(&t[i]);
    end();
}
END_TEST

/* A parked claim takes a task in the commit that brings it, and in the one that opens its limit. */
START_TEST(test_store_limit_holds_for_claims_that_wait)
{
    begin(_i);
    struct task first[1], rest[4];
    define("api", 1, false);
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = first}};
    fixture_park(&k, &p);
    submit_n("api", 1);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 1);
    struct fixture_parked q = {.o = {.lane = LANE_IO, .max = 4, .tasks = rest}};
    fixture_park(&k, &q);
    submit_n("api", 3);
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 3);
    finish(&first[0]);
    fixture_join(&q);
    ck_assert_uint_eq(q.o.n, 1);
    finish(&rest[0]);
    end();
}
END_TEST

START_TEST(test_store_limit_keeps_nobody_else_waiting)
{
    begin(_i);
    struct task t[8];
    define("api", 1, false);
    submit_n("api", 4);
    submit_n(NULL, 2);
    ck_assert_uint_eq(claim_now(8, t), 3);
    unsigned limited = 0;
    for (int i = 0; i < 3; i++) {
        limited += t[i].spec->limits != NULL;
        finish(&t[i]);
    }
    ck_assert_uint_eq(limited, 1);
    end();
}
END_TEST

START_TEST(test_store_limit_counts_each_key_apart)
{
    begin(_i);
    struct task t[8];
    define("tenant", 1, true);
    define("all", 3, false);
    submit_n("all\ntenant=a", 3);
    submit_n("all\ntenant=b", 3);
    submit_n("all\ntenant=c", 3);
    submit_n("all\ntenant=d", 3);
    size_t n = claim_now(8, t);
    ck_assert_uint_eq(n, 3); /* one each, and no fourth */
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(t[i].spec->limits, t[j].spec->limits);
    }
    struct store_limit_list o = {0};
    ck_assert_int_eq(fixture_limit_list(&k, "tenant", &o), 0);
    ck_assert_uint_eq(o.limits[0].use.running, 3);
    ck_assert_uint_eq(o.limits[0].use.waiting, 9);
    ck_assert_uint_eq(o.n_keys, 4);
    ck_assert_uint_eq(o.keys[0].waiting, 3); /* most wait for it */
    ck_assert(!o.keys[0].is_closed && o.keys[1].is_closed);
    free(o.limits);
    free(o.keys);
    for (size_t i = 0; i < n; i++)
        finish(&t[i]);
    end();
}
END_TEST

START_TEST(test_store_limit_counts_what_was_given_back_and_retried)
{
    begin(_i);
    struct task t[2];
    define("api", 1, false);
    submit_n("api", 2);
    ck_assert_uint_eq(claim_now(2, t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t[0], EVENT_RELEASE, NULL), 0);
    task_release(&t[0]);
    ck_assert_uint_eq(claim_now(2, t), 1);
    struct task_in in = {.due_in_ms = 100000};
    ck_assert_int_eq(fixture_apply(&k, &t[0], EVENT_RETRY, &in), 0);
    task_release(&t[0]);
    ck_assert_uint_eq(claim_now(2, t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t[0], EVENT_CANCEL, NULL), 0);
    task_release(&t[0]);
    ck_assert_uint_eq(claim_now(2, t), 0);
    end();
}
END_TEST

START_TEST(test_store_limit_changes_hold_at_once)
{
    begin(_i);
    struct task t[9];
    define("api", 1, false);
    submit_n("api", 9);
    ck_assert_uint_eq(claim_now(9, t), 1);
    define("api", 3, false);
    ck_assert_uint_eq(claim_now(9, t + 1), 2);
    define("api", 1, false); /* what runs goes on */
    finish(&t[0]);
    ck_assert_uint_eq(claim_now(9, t), 0);
    finish(&t[1]);
    finish(&t[2]);
    ck_assert_uint_eq(claim_now(9, t), 1);
    ck_assert_int_eq(fixture_limit_drop(&k, "api"), 0);
    ck_assert_int_eq(fixture_limit_drop(&k, "api"), FUT_ERR_NOT_FOUND);
    ck_assert_uint_eq(claim_now(9, t + 1), 5);
    for (int i = 0; i < 6; i++)
        finish(&t[i]);
    end();
}
END_TEST

START_TEST(test_store_limit_rate_gives_back_evenly)
{
    begin(_i);
    struct task t[10];
    define_rate("api", 10, 1000, 2); /* a token each 100 ms, two at once */
    submit_n("api", 6);
    int64_t began = clock_mono_ms();
    size_t n = 0;
    while (n < 6) {
        size_t more = fixture_claim(&k, LANE_IO, 10, t + n); /* waits until there is one */
        ck_assert_uint_gt(more, 0);
        n += more;
        ck_assert_int_ge(clock_mono_ms() - began, ((int64_t)n - 2) * 100 - 2);
    }
    for (size_t i = 0; i < n; i++)
        finish(&t[i]);
    end();
}
END_TEST

START_TEST(test_store_limit_rate_outlasts_a_restart)
{
    begin(_i);
    if (strcmp(k.backend, "memory") == 0) {
        end();
        return;
    }
    struct task t[4];
    define_rate("api", 1, 3600000, 2); /* two at once, then one an hour */
    submit_n("api", 4);
    ck_assert_uint_eq(claim_now(4, t), 2);
    finish(&t[0]);
    finish(&t[1]);
    fixture_reopen(&k);
    ck_assert_uint_eq(claim_now(4, t), 0);
    struct store_limit_list o = {0};
    ck_assert_int_eq(fixture_limit_list(&k, "api", &o), 0);
    ck_assert(o.limits[0].use.is_closed);
    ck_assert_int_gt(o.limits[0].use.opens_wall_ms, clock_wall_ms() + 3000000);
    free(o.limits);
    free(o.keys);
    end();
}
END_TEST

/* Tasks that ran when the daemon died are given back, and are not counted twice. */
START_TEST(test_store_limit_counts_right_after_a_crash)
{
    begin(_i);
    if (strcmp(k.backend, "memory") == 0) {
        end();
        return;
    }
    struct task t[4];
    define("api", 2, false);
    submit_n("api", 4);
    ck_assert_uint_eq(claim_now(4, t), 2);
    task_release(&t[0]);
    task_release(&t[1]);
    fixture_reopen(&k);
    ck_assert_uint_eq(claim_now(4, t), 2);
    finish(&t[0]);
    ck_assert_uint_eq(claim_now(4, t), 1);
    finish(&t[0]);
    finish(&t[1]);
    end();
}
END_TEST

START_TEST(test_store_limit_can_be_closed_for_a_time)
{
    begin(_i);
    struct task t[4];
    define("api", 4, false);
    submit_n("api", 2);
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 60000), 0);
    ck_assert_uint_eq(claim_now(4, t), 0);
    struct store_limit_closed c;
    ck_assert(store_limit_closed(k.store, "api", &c));
    ck_assert(c.is_shut && !c.is_full);
    ck_assert_int_gt(c.opens_wall_ms, clock_wall_ms() + 30000);
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 0), 0);
    ck_assert(!store_limit_closed(k.store, "api", &c));
    ck_assert_uint_eq(claim_now(1, t), 1);
    finish(&t[0]);
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 50), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, t), 1); /* time opens it */
    finish(&t[0]);
    ck_assert_int_eq(fixture_limit_close(&k, "nobody", "", 50), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

static int apply_and_close(struct task *t, enum task_event ev, const char *name, int64_t for_ms)
{
    struct task_limit limit = {{0}, {0}};
    struct store_apply o = {.task = *t, .closes = &limit, .closes_for_ms = for_ms};
    (void)snprintf(limit.name, sizeof(limit.name), "%s", name);
    ck_assert_int_eq(task_apply(t, ev, &(struct task_in){.due_in_ms = for_ms}, &o.change), 0);
    int rc = fixture_do(&k, &store_verb_apply, &o.op);
    *t = o.task;
    return rc;
}

/* One commit ends the attempt and closes the limit: nothing starts between them. */
START_TEST(test_store_limit_is_closed_with_the_end_of_an_attempt)
{
    begin(_i);
    struct task t[4];
    struct store_limit_closed c;
    define("api", 1, false);
    define("other", 1, false);
    submit_n("api", 3);
    struct task first;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &first), 1);
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 4, .tasks = t}};
    fixture_park(&k, &p);
    ck_assert_int_eq(apply_and_close(&first, EVENT_RELEASE, "api", 600000), 0);
    ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 0);
    ck_assert_uint_eq(first.attempt, 0);
    ck_assert(store_limit_closed(k.store, "api", &c) && c.is_shut);
    if (strcmp(fixture_backends[_i], "sqlite") == 0) {
        fixture_reopen(&k);
        ck_assert(store_limit_closed(k.store, "api\nother", &c) && c.is_shut);
        ck_assert_uint_eq(claim_now(4, t), 0);
    }
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 0), 0);
    ck_assert_uint_eq(claim_now(4, t), 1);
    ck_assert(id_equal(t[0].spec->id, first.spec->id)); /* it has kept its place */
    /* A shorter time does not open it earlier; what is not defined is not closed. */
    ck_assert_int_eq(fixture_limit_close(&k, "api", "", 600000), 0);
    ck_assert_int_eq(apply_and_close(&t[0], EVENT_RELEASE, "api", 1), 0);
    ck_assert_uint_eq(claim_now(4, t + 1), 0);
    ck_assert_int_eq(fixture_limit_drop(&k, "api"), 0); /* nothing holds its tasks any more */
    task_release(&t[0]);
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert_int_eq(apply_and_close(&t[0], EVENT_SUCCEED, "api", 600000), 0);
    ck_assert(!store_limit_closed(k.store, "api", &c));
    task_release(&t[0]);
    task_release(&first);
    end();
}
END_TEST

/* What is shut is told before what is full. */
START_TEST(test_store_limit_that_is_shut_is_told_first)
{
    begin(_i);
    struct store_limit_closed c;
    struct task t[1];
    define("a", 1, false);
    define("b", 9, false);
    submit_n("a\nb", 2);
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert(store_limit_closed(k.store, "a\nb", &c));
    ck_assert_str_eq(c.name, "a");
    ck_assert_int_eq(fixture_limit_close(&k, "b", "", 600000), 0);
    ck_assert(store_limit_closed(k.store, "a\nb", &c) && c.is_shut);
    ck_assert_str_eq(c.name, "b");
    finish(&t[0]);
    end();
}
END_TEST

START_TEST(test_store_limit_is_defined_after_its_tasks_came)
{
    begin(_i);
    struct task t[4];
    submit_n("late", 3);
    define("late", 1, false);
    ck_assert_uint_eq(claim_now(4, t), 1);
    finish(&t[0]);
    end();
}
END_TEST

#define KEYS 300

START_TEST(test_store_limit_keys_come_and_go)
{
    begin(_i);
    struct task t[KEYS];
    char limits[32];
    define("tenant", 1, true);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(limits, sizeof(limits), "tenant=%d", i);
        (void)submit_to(limits, NULL);
    }
    size_t n = 0;
    while (n < KEYS)
        n += fixture_claim(&k, LANE_IO, KEYS, t + n);
    for (int i = 0; i < KEYS; i++)
        finish(&t[i]);
    struct store_limit_list o = {0};
    int64_t deadline = clock_mono_ms() + 10000;
    do {
        free(o.limits);
        free(o.keys);
        (void)submit_to(NULL, NULL); /* so that the writer has a commit to tidy with */
        ck_assert_int_eq(fixture_limit_list(&k, "tenant", &o), 0);
    } while (o.limits[0].keys && clock_mono_ms() < deadline);
    ck_assert_uint_eq(o.limits[0].keys, 0);
    free(o.limits);
    free(o.keys);
    end();
}
END_TEST

/* A reference model of counting: random submissions, claims and ends under three limits. */
START_TEST(test_store_limits_random_walk)
{
    begin(_i);
    static const char *const texts[] = {NULL,    "a",     "a\nb",    "b\nkey=1",
                                        "key=1", "key=2", "a\nkey=2"};
    static const char *const names[] = {"a", "b", "key=1", "key=2"};
    static const unsigned most[] = {3, 2, 1, 1};
    struct task running[64];
    size_t n = 0;
    unsigned seed = 7;
    define("a", 3, false);
    define("b", 2, false);
    define("key", 1, true);
    for (int step = 0; step < 600; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned dice = seed >> 16;
        if (dice % 3 == 0) {
            (void)submit_to(texts[dice / 3 % FUT_COUNT(texts)], dice % 2 ? "x" : NULL);
        } else if (dice % 3 == 1 && n < 32) {
            n += claim_now(1 + dice % 4, running + n);
        } else if (n) {
            size_t at = dice / 3 % n;
            finish(&running[at]);
            running[at] = running[--n];
        }
        for (size_t l = 0; l < FUT_COUNT(names); l++) {
            unsigned count = 0;
            for (size_t i = 0; i < n; i++)
                count += running[i].spec->limits && strstr(running[i].spec->limits, names[l]);
            ck_assert_uint_le(count, most[l]);
        }
    }
    while (n || claim_now(8, running)) { /* all of it ends: nothing is stuck */
        n = n ? n : 1;
        for (size_t i = 0; i < n; i++) {
            if (running[i].spec)
                finish(&running[i]);
        }
        n = claim_now(8, running);
    }
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], 0);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_limit_lets_so_many_run,
        test_store_limit_holds_for_claims_that_wait,
        test_store_limit_keeps_nobody_else_waiting,
        test_store_limit_counts_each_key_apart,
        test_store_limit_counts_what_was_given_back_and_retried,
        test_store_limit_changes_hold_at_once,
        test_store_limit_rate_gives_back_evenly,
        test_store_limit_rate_outlasts_a_restart,
        test_store_limit_counts_right_after_a_crash,
        test_store_limit_can_be_closed_for_a_time,
        test_store_limit_is_closed_with_the_end_of_an_attempt,
        test_store_limit_that_is_shut_is_told_first,
        test_store_limit_is_defined_after_its_tasks_came,
        test_store_limit_keys_come_and_go,
        test_store_limits_random_walk,
    };
    return fixture_run_on_all("store contract: limits", tests, FUT_COUNT(tests));
}
