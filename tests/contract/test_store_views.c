/* The contract of store.h, on every backend: lists, retention, listeners, numbers, stopping. */
#include <check.h>
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

/* Claims one task and ends it. */
static void finish_one(enum task_event ev)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, ev, NULL), 0);
    task_release(&t);
}

static size_t list_count(unsigned states, int lane, const char *handler)
{
    struct task tasks[16];
    struct store_list o = {.filter = {.states = states, .lane = lane}, .limit = 16, .tasks = tasks};
    if (handler)
        ck_assert_int_eq(task_filter_set(&o.filter, "handler", handler, &(const char *){NULL}), 0);
    ck_assert_int_eq(fixture_list(&k, &o), 0);
    ck_assert_uint_eq(o.next, 0);
    for (size_t i = 0; i < o.n; i++)
        task_release(&tasks[i]);
    return o.n;
}

START_TEST(test_store_list_filters)
{
    begin(_i);
    for (int i = 0; i < 3; i++)
        (void)fixture_submit(&k, LANE_IO, "x");
    (void)fixture_submit(&k, LANE_CPU, "x");
    finish_one(EVENT_SUCCEED);
    finish_one(EVENT_FAIL);
    ck_assert_uint_eq(list_count(0, -1, NULL), 4);
    ck_assert_uint_eq(list_count(1u << TASK_QUEUED, -1, NULL), 2);
    ck_assert_uint_eq(list_count(1u << TASK_QUEUED, LANE_CPU, NULL), 1);
    ck_assert_uint_eq(list_count(1u << TASK_FAILED, -1, NULL), 1);
    ck_assert_uint_eq(list_count(1u << TASK_FAILED | 1u << TASK_QUEUED, -1, NULL), 3);
    ck_assert_uint_eq(list_count(0, -1, "echo"), 4);
    ck_assert_uint_eq(list_count(0, -1, "other"), 0);
    end();
}
END_TEST

START_TEST(test_store_list_pages_newest_first)
{
    begin(_i);
    struct task_id ids[5];
    struct task tasks[2];
    uint64_t before = 0;
    int seen = 0;
    for (int i = 0; i < 5; i++)
        ids[i] = fixture_submit(&k, LANE_IO, "x");
    do {
        struct store_list o = {
            .filter = task_filter_all, .before = before, .limit = 2, .tasks = tasks};
        ck_assert_int_eq(fixture_list(&k, &o), 0);
        for (size_t i = 0; i < o.n; i++) {
            ck_assert(id_equal(tasks[i].spec->id, ids[4 - seen]));
            task_release(&tasks[i]);
            seen++;
        }
        before = o.next;
    } while (before);
    ck_assert_int_eq(seen, 5);
    end();
}
END_TEST

START_TEST(test_store_prunes_after_retention)
{
    begin(_i);
    fixture_stop(&k);
    k.cfg.retention_ms = 1;
    fixture_reopen(&k);
    struct task_id kept = fixture_submit(&k, LANE_CPU, "unfinished");
    for (int i = 0; i < 5; i++)
        (void)fixture_submit(&k, LANE_IO, "x");
    for (int i = 0; i < 5; i++)
        finish_one(EVENT_SUCCEED);
    struct store_stats stats;
    int64_t deadline = clock_mono_ms() + 10000;
    do
        store_stats(k.store, &stats);
    while (stats.pruned < 5 && clock_mono_ms() < deadline);
    ck_assert_uint_eq(stats.pruned, 5);
    ck_assert_uint_eq(list_count(0, -1, NULL), 1);
    struct task t;
    ck_assert_int_eq(fixture_get(&k, kept, &t), 0);
    task_release(&t);
    end();
}
END_TEST

static struct {
    struct mutex mu;
    size_t n;
    enum task_state states[8];
    uint32_t result_len;
} heard = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

static void on_change(void *ctx, const struct store_change *changes, size_t n)
{
    (void)ctx;
    mutex_lock(&heard.mu);
    for (size_t i = 0; i < n && heard.n < 8; i++) {
        heard.states[heard.n++] = changes[i].state;
        if (changes[i].task && changes[i].task->outcome)
            heard.result_len = (uint32_t)changes[i].task->outcome->body_len;
    }
    mutex_unlock(&heard.mu);
}

START_TEST(test_store_tells_listeners_after_commit)
{
    fixture_open(&k, fixture_backends[_i]);
    fixture_stop(&k);
    struct fut_errbuf err;
    ck_assert_int_eq(store_open(&k.cfg, &k.store, &err), 0);
    store_listen(k.store, on_change, NULL);
    store_start(k.store);
    heard.n = 0;
    (void)fixture_submit(&k, LANE_IO, "x");
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "four"), 0);
    task_release(&t);
    mutex_lock(&heard.mu);
    ck_assert_uint_eq(heard.n, 3);
    ck_assert_int_eq(heard.states[0], TASK_QUEUED);
    ck_assert_int_eq(heard.states[1], TASK_RUNNING);
    ck_assert_int_eq(heard.states[2], TASK_SUCCEEDED);
    ck_assert_uint_eq(heard.result_len, 4);
    mutex_unlock(&heard.mu);
    end();
}
END_TEST

START_TEST(test_store_refuses_after_stop)
{
    begin(_i);
    struct task t = fixture_task(LANE_IO, "echo", "x");
    store_stop(k.store);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), FUT_ERR_CLOSED);
    store_close(&k.store);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_counts_what_is_live)
{
    begin(_i);
    struct store_stats s;
    struct task t;
    (void)fixture_submit(&k, LANE_IO, "1");
    (void)fixture_submit(&k, LANE_IO, "2");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    store_stats(k.store, &s);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_QUEUED], 1);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    store_stats(k.store, &s);
    ck_assert_uint_eq(s.live[LANE_IO][TASK_RUNNING], 0);
    ck_assert_uint_eq(s.finished[TASK_SUCCEEDED], 1);
    ck_assert_uint_eq(s.submitted, 2);
    ck_assert_uint_eq(s.claimed, 1);
    task_release(&t);
    end();
}
END_TEST

static uint32_t place_of(struct task_id id)
{
    struct store_reported reported = {0};
    ck_assert_int_eq(fixture_get_reported(&k, id, &reported), 0);
    uint32_t place = reported.place;
    store_reported_release(&reported);
    return place;
}

START_TEST(test_store_get_tells_the_place_in_the_queue)
{
    begin(_i);
    struct task_id ids[4];
    struct task t;
    for (int i = 0; i < 4; i++) {
        ids[i] = fixture_submit(&k, LANE_CPU, "x");
        (void)fixture_submit(&k, LANE_IO, "of another queue");
    }
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(place_of(ids[i]), i + 1);
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &t), 1);
    ck_assert_uint_eq(place_of(ids[0]), 0); /* it runs */
    ck_assert_uint_eq(place_of(ids[3]), 3);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RELEASE, &(struct task_in){0}), 0);
    ck_assert_uint_eq(place_of(ids[0]), 1); /* back where it was */
    ck_assert_uint_eq(place_of(ids[3]), 4);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_place_is_counted_up_to_a_limit)
{
    enum { MANY = STORE_PLACE_MAX + 2 };
    static struct task tasks[MANY];
    begin(_i);
    for (int i = 0; i < MANY; i++)
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
    ck_assert_int_eq(fixture_submit_n(&k, tasks, MANY), 0);
    ck_assert_uint_eq(place_of(tasks[STORE_PLACE_MAX - 1].spec->id), STORE_PLACE_MAX);
    ck_assert_uint_eq(place_of(tasks[STORE_PLACE_MAX].spec->id), STORE_PLACE_MAX + 1);
    ck_assert_uint_eq(place_of(tasks[MANY - 1].spec->id), STORE_PLACE_MAX + 1);
    for (int i = 0; i < MANY; i++)
        task_release(&tasks[i]);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_get_tells_the_place_in_the_queue,
        test_store_place_is_counted_up_to_a_limit,
        test_store_list_filters,
        test_store_list_pages_newest_first,
        test_store_prunes_after_retention,
        test_store_tells_listeners_after_commit,
        test_store_refuses_after_stop,
        test_store_counts_what_is_live,
    };
    return fixture_run_on_all("store contract: views", tests, FUT_COUNT(tests));
}
