/* The contract of store.h, on every backend: what is said of queues and handlers, and how they
 * stand. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"

static struct fixture k;
static const struct pool_pause paused = {1, "me", "the third party is down"}, going_on = {0};

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

static bool is_kept(void)
{
    return strcmp(k.backend, "memory") != 0;
}

static struct task make(enum lane lane, const char *queue, const char *handler, const char *key,
                        int priority)
{
    struct task t = fixture_task(lane, handler, "x");
    struct task_spec spec = *t.spec;
    spec.queue = queue;
    spec.fair_key = key;
    spec.priority = priority;
    struct task_spec *fresh = task_spec_new(&spec); /* refers to the old one until then */
    task_spec_unref(t.spec);
    t.spec = fresh;
    return t;
}

static struct task_id submit(const char *queue, const char *handler, const char *key, int priority)
{
    struct task t = make(LANE_IO, queue, handler, key, priority);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static void submit_n(const char *queue, int n)
{
    for (int i = 0; i < n; i++)
        (void)submit(queue, "echo", NULL, 0);
}

static int set(const char *name, unsigned sets, const struct store_queue *is)
{
    return fixture_queue_set(&k, name, sets, is);
}

static void set_max(const char *name, uint32_t n)
{
    struct store_queue is = {.limit.max_running = n};
    ck_assert_int_eq(set(name, STORE_QUEUE_MAX_RUNNING, &is), 0);
}

static void set_weight(const char *name, double weight)
{
    struct store_queue is = {.weight = weight};
    ck_assert_int_eq(set(name, STORE_QUEUE_WEIGHT, &is), 0);
}

static void set_pause(const char *name, const struct pool_pause *p)
{
    ck_assert_int_eq(fixture_queue_pause(&k, name, p), 0);
}

static uint64_t pause_handler(const char *name, const struct pool_pause *p)
{
    uint64_t running;
    ck_assert_int_eq(fixture_handler_pause(&k, name, p, &running), 0);
    return running;
}

static int set_fair(const char *name, const struct store_fair_weight *fair, size_t n, bool is_all)
{
    struct store_queue_set o = {.fair = fair, .n_fair = n, .is_all_fair = is_all};
    (void)snprintf(o.queue.name, sizeof(o.queue.name), "%s", name);
    return fixture_do(&k, &store_verb_queue_set, &o.op);
}

static int drop(const char *name)
{
    struct store_queue_drop o = {.name = name};
    return fixture_do(&k, &store_verb_queue_drop, &o.op);
}

/* How the queue stands, with when its oldest came. */
static int look(const char *name, struct store_queue_status *out, int64_t *out_oldest)
{
    struct store_queue_list o = {.name = name};
    int rc = fixture_do(&k, &store_verb_queue_list, &o.op);
    if (rc == 0) {
        *out = o.queues[0];
        struct store_queue_oldest old = {.queues = out, .n = 1, .wall_ms = out_oldest};
        ck_assert_int_eq(fixture_do(&k, &store_verb_queue_oldest, &old.op), 0);
    }
    free(o.queues);
    free(o.fair);
    return rc;
}

static size_t claim_now(size_t max, struct task *tasks)
{
    return fixture_claim_now(&k, LANE_IO, max, tasks);
}

static void finish(struct task *t)
{
    ck_assert_int_eq(fixture_succeed(&k, t, "x"), 0);
    task_release(t);
}

static void finish_all(struct task *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        finish(&t[i]);
}

/* ---- pauses ---------------------------------------------------------------------------------- */

START_TEST(test_store_queue_paused_starts_nothing)
{
    begin(_i);
    struct task t[8];
    struct pool_pause p;
    submit_n("mail", 2);
    set_pause("mail", &paused);
    submit_n("mail", 1);
    submit_n(NULL, 2);
    ck_assert_uint_eq(claim_now(8, t), 2);
    ck_assert_ptr_null(t[0].spec->queue);
    ck_assert(store_paused(k.store, STORE_PAUSE_QUEUE, "mail", &p));
    ck_assert_str_eq(p.by, "me");
    ck_assert_str_eq(p.reason, "the third party is down");
    ck_assert(!store_paused(k.store, STORE_PAUSE_HANDLER, "mail", &p));
    set_pause("mail", &going_on);
    ck_assert(!store_paused(k.store, STORE_PAUSE_QUEUE, "mail", &p));
    ck_assert_uint_eq(claim_now(8, t + 2), 3);
    finish_all(t, 5);
    end();
}
END_TEST

/* A claim that waits takes no task of a paused queue, and takes one in the commit that lets it go
 * on. */
START_TEST(test_store_queue_pause_holds_for_claims_that_wait)
{
    begin(_i);
    struct task t[1];
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = t}};
    struct store_queue_status st;
    int64_t oldest;
    set_pause(TASK_QUEUE_DEFAULT, &paused);
    fixture_park(&k, &p);
    submit_n(NULL, 2);
    ck_assert_int_eq(look(TASK_QUEUE_DEFAULT, &st, &oldest), 0);
    ck_assert_uint_eq(st.live[LANE_IO][TASK_QUEUED], 2);
    set_pause(TASK_QUEUE_DEFAULT, &going_on);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 1);
    finish(&t[0]);
    end();
}
END_TEST

START_TEST(test_store_queue_pause_outlasts_a_restart)
{
    begin(_i);
    struct task t[4];
    struct store_queue_status st;
    int64_t oldest;
    set_pause("mail", &paused);
    ck_assert_uint_eq(pause_handler("cpuburn", &paused), 0);
    submit_n("mail", 1);
    (void)submit(NULL, "cpuburn", NULL, 0);
    if (is_kept())
        fixture_reopen(&k);
    ck_assert_uint_eq(claim_now(4, t), 0);
    ck_assert_int_eq(look("mail", &st, &oldest), 0);
    ck_assert_int_eq(st.pause.since_wall_ms, 1);
    ck_assert_str_eq(st.pause.reason, paused.reason);
    set_pause("mail", &going_on);
    ck_assert_uint_eq(claim_now(4, t), 1);
    ck_assert_uint_eq(pause_handler("cpuburn", &going_on), 0);
    ck_assert_uint_eq(claim_now(4, t + 1), 1);
    if (is_kept())
        fixture_reopen(&k); /* what goes on is not paused again */
    submit_n("mail", 1);
    ck_assert_uint_ge(claim_now(1, t + 2), 1);
    for (size_t i = 0; i < 3; i++)
        task_release(&t[i]);
    end();
}
END_TEST

START_TEST(test_store_handler_paused_starts_nothing)
{
    begin(_i);
    struct task t[8], cpu = make(LANE_CPU, NULL, "a", NULL, 0);
    (void)submit(NULL, "a", NULL, 0);
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert_uint_eq(pause_handler("a", &paused), 1); /* what runs goes on */
    (void)submit(NULL, "a", NULL, 5);
    (void)submit("mail", "a", NULL, 0);
    (void)submit(NULL, "b", NULL, 0);
    (void)submit("mail", "b", NULL, 0);
    ck_assert_int_eq(fixture_submit_n(&k, &cpu, 1), 0);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_CPU, 8, t + 1), 0);
    ck_assert_uint_eq(claim_now(8, t + 1), 2);
    ck_assert_str_eq(t[1].spec->handler, "b");
    ck_assert_str_eq(t[2].spec->handler, "b");
    finish_all(t, 3);
    ck_assert_uint_eq(claim_now(8, t), 0);
    ck_assert_uint_eq(pause_handler("a", &going_on), 0);
    ck_assert_uint_eq(claim_now(8, t), 2);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_CPU, 8, t + 2), 1);
    finish_all(t, 3);
    task_release(&cpu);
    end();
}
END_TEST

/* ---- limits of a queue ----------------------------------------------------------------------- */

START_TEST(test_store_queue_lets_so_many_run)
{
    begin(_i);
    struct task t[10];
    struct store_limit_closed c;
    struct store_queue_status st;
    int64_t oldest;
    submit_n("api", 1);
    ck_assert_uint_eq(claim_now(1, t), 1); /* counts, although it runs already */
    set_max("api", 3);
    submit_n("api", 8);
    ck_assert(!store_queue_closed(k.store, "api", &c));
    ck_assert_uint_eq(claim_now(10, t + 1), 2);
    ck_assert_uint_eq(claim_now(10, t + 3), 0);
    ck_assert(store_queue_closed(k.store, "api", &c));
    ck_assert(c.is_full);
    ck_assert_uint_eq(c.max_running, 3);
    ck_assert_int_eq(look("api", &st, &oldest), 0);
    ck_assert(st.is_closed && st.queue.limit.max_running == 3);
    finish(&t[0]);
    ck_assert_uint_eq(claim_now(10, t), 1);
    finish_all(t, 3);
    set_max("api", 1);
    ck_assert_uint_eq(claim_now(10, t), 1);
    set_max("api", 0); /* any number */
    ck_assert_uint_eq(claim_now(10, t + 1), 4);
    ck_assert(!store_queue_closed(k.store, "api", &c));
    finish_all(t, 5);
    end();
}
END_TEST

START_TEST(test_store_queue_counts_right_after_a_restart)
{
    begin(_i);
    struct task t[4];
    set_max("api", 2);
    submit_n("api", 3);
    ck_assert_uint_eq(claim_now(4, t), 2);
    if (is_kept())
        fixture_reopen(&k); /* the two are given back */
    else
        finish_all(t, 2);
    ck_assert_uint_eq(claim_now(4, is_kept() ? t + 2 : t), is_kept() ? 2 : 1);
    for (int i = 0; i < (is_kept() ? 4 : 1); i++)
        task_release(&t[i]);
    end();
}
END_TEST

START_TEST(test_store_queue_rate_gives_back_evenly)
{
    begin(_i);
    struct task t[4];
    struct store_limit_closed c;
    struct store_queue is = {.limit = {.rate_tasks = 1, .rate_per_ms = 3600000, .rate_burst = 2}};
    ck_assert_int_eq(set("api", STORE_QUEUE_RATE, &is), 0);
    submit_n("api", 4);
    ck_assert_uint_eq(claim_now(4, t), 2);
    finish_all(t, 2);
    ck_assert(store_queue_closed(k.store, "api", &c));
    ck_assert(!c.is_full);
    ck_assert_int_gt(c.opens_wall_ms, clock_wall_ms() + 3000000);
    if (is_kept())
        fixture_reopen(&k); /* what is left of the rate is kept */
    ck_assert_uint_eq(claim_now(4, t), 0);
    is.limit = (struct store_limit){.rate_tasks = 1000, .rate_per_ms = 1000, .rate_burst = 2};
    ck_assert_int_eq(set("api", STORE_QUEUE_RATE, &is), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, t), 1);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, t + 1), 1);
    finish_all(t, 2);
    end();
}
END_TEST

/* ---- shares ---------------------------------------------------------------------------------- */

/* Slots are given by weight, also less than one in ten to a queue of little weight. */
START_TEST(test_store_queue_weights_share_the_slots)
{
    begin(_i);
    struct task t[1];
    int of_b = 0;
    set_weight("a", 9);
    set_weight("b", 0.5);
    submit_n("a", 60);
    submit_n("b", 60);
    for (int i = 0; i < 57; i++) {
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, t), 1);
        of_b += strcmp(t[0].spec->queue, "b") == 0;
        task_release(&t[0]); /* it runs on, so that each start costs as much */
    }
    ck_assert_int_ge(of_b, 2);
    ck_assert_int_le(of_b, 4);
    end();
}
END_TEST

START_TEST(test_store_queue_keys_have_weights)
{
    begin(_i);
    static const struct store_fair_weight weights[] = {{"x", 3}, {"a", 0.5}, {"gone", 2}};
    static const struct store_fair_weight none[] = {{"gone", 0}};
    struct store_queue_list o = {.name = "mail"};
    struct task t[1];
    int of_x = 0;
    ck_assert_int_eq(set_fair("mail", weights, 3, true), 0);
    ck_assert_int_eq(set_fair("mail", none, 1, false), 0);
    if (is_kept())
        fixture_reopen(&k);
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    ck_assert_uint_eq(o.n_fair, 2);
    ck_assert_str_eq(o.fair[0].key, "a");
    ck_assert_str_eq(o.fair[1].key, "x");
    ck_assert(o.fair[1].weight > 2.9);
    free(o.queues);
    free(o.fair);
    for (int i = 0; i < 40; i++) {
        (void)submit("mail", "echo", "x", 0);
        (void)submit("mail", "echo", "y", 0);
    }
    for (int i = 0; i < 40; i++) {
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, t), 1);
        of_x += strcmp(t[0].spec->fair_key, "x") == 0;
        finish(&t[0]);
    }
    ck_assert_int_ge(of_x, 29);
    ck_assert_int_le(of_x, 31);
    end();
}
END_TEST

START_TEST(test_store_queue_keys_have_so_many_weights)
{
    begin(_i);
    const size_t n = STORE_FAIR_WEIGHTS_MAX;
    struct store_fair_weight *many = xcalloc(n + 1, sizeof(*many));
    for (size_t i = 0; i <= n; i++) {
        (void)snprintf(many[i].key, sizeof(many[i].key), "%zu", i);
        many[i].weight = 2;
    }
    ck_assert_int_eq(set_fair("mail", many, n + 1, true), FUT_ERR_TOO_BIG);
    ck_assert_int_eq(set_fair("mail", many, n, true), 0);
    ck_assert_int_eq(set_fair("mail", many + n, 1, false), FUT_ERR_TOO_BIG);
    ck_assert_int_eq(set_fair("mail", many, n, false), 0);
    free(many);
    end();
}
END_TEST

static void pass_ms(int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    while (clock_mono_ms() < until)
        ;
}

/* ---- ageing ---------------------------------------------------------------------------------- */

/* One second of waiting is worth a point: what is a little older and 1 point less goes behind, what
 * has waited longer than the difference goes before. */
START_TEST(test_store_queue_priorities_age)
{
    begin(_i);
    struct store_queue is = {.age_after_ms = 1};
    struct task t[3];
    struct task_id old = submit("mail", "echo", NULL, -3), high, low;
    ck_assert_int_eq(set("aged", STORE_QUEUE_AGE, &is), 0);
    low = submit("aged", "echo", NULL, -3);
    pass_ms(20);
    high = submit("aged", "echo", NULL, 3); /* 6 points, and more than 20 ms later */
    (void)submit("mail", "echo", NULL, 3);
    set_pause("mail", &paused);
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert(id_equal(t[0].spec->id, low));
    ck_assert_uint_eq(claim_now(1, t + 1), 1);
    ck_assert(id_equal(t[1].spec->id, high));
    set_pause("mail", &going_on);
    ck_assert_uint_eq(claim_now(1, t + 2), 1); /* elsewhere priorities are strict */
    ck_assert(!id_equal(t[2].spec->id, old));
    finish_all(t, 3);
    is.age_after_ms = 3600000;
    ck_assert_int_eq(set("aged", STORE_QUEUE_AGE, &is), 0);
    set_pause("mail", &paused);
    (void)submit("aged", "a", NULL, 1);
    high = submit("aged", "b", NULL, 2); /* of another handler */
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert(id_equal(t[0].spec->id, high));
    finish(&t[0]);
    end();
}
END_TEST

/* What waited when the ageing came keeps its place, until it is cancelled and lives again. */
START_TEST(test_store_queue_ageing_places_nobody_anew)
{
    begin(_i);
    struct store_queue is = {.age_after_ms = 1};
    struct task t[2], old;
    struct task_id low = submit("aged", "echo", NULL, -1), next;
    ck_assert_int_eq(set("aged", STORE_QUEUE_AGE, &is), 0);
    pass_ms(5);
    next = submit("aged", "echo", NULL, 0);
    ck_assert_uint_eq(claim_now(1, t), 1);
    ck_assert(id_equal(t[0].spec->id, next));
    ck_assert_int_eq(fixture_get(&k, low, &old), 0);
    ck_assert_int_eq(fixture_apply(&k, &old, EVENT_CANCEL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &old), 0);
    pass_ms(5);
    (void)submit("aged", "echo", NULL, 0);
    ck_assert_uint_eq(claim_now(1, t + 1), 1);
    ck_assert(id_equal(t[1].spec->id, low));
    finish_all(t, 2);
    task_release(&old);
    end();
}
END_TEST

/* ---- what is shown --------------------------------------------------------------------------- */

START_TEST(test_store_queue_tells_how_it_stands)
{
    begin(_i);
    struct task t[4];
    struct store_queue_status st;
    int64_t oldest = -1, before = clock_wall_ms();
    ck_assert_int_eq(look("mail", &st, &oldest), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(look(TASK_QUEUE_DEFAULT, &st, &oldest), 0);
    ck_assert_int_eq(oldest, 0);
    ck_assert(st.queue.weight > 0.99 && st.queue.weight < 1.01);
    (void)submit("mail", "echo", NULL, 5);
    int64_t low_at = clock_wall_ms();
    (void)submit("mail", "echo", NULL, -5);
    ck_assert_uint_eq(claim_now(1, t), 1);
    while (clock_wall_ms() <= low_at + 5)
        ;
    (void)submit("mail", "echo", NULL, 5);
    ck_assert_int_eq(look("mail", &st, &oldest), 0);
    ck_assert_uint_eq(st.live[LANE_IO][TASK_QUEUED], 2);
    ck_assert_uint_eq(st.live[LANE_IO][TASK_RUNNING], 1);
    ck_assert_uint_eq(st.live[LANE_CPU][TASK_QUEUED], 0);
    ck_assert_int_ge(oldest, before); /* of the low priority */
    ck_assert_int_le(oldest, low_at + 5);
    ck_assert_uint_eq(st.starts, 1);
    ck_assert_int_ge(st.wait_p95_ms, 0);
    ck_assert_int_lt(st.wait_p95_ms, 60000);
    ck_assert(st.started_per_s > 0);
    ck_assert_uint_eq(claim_now(4, t + 1), 2);
    ck_assert_int_eq(look("mail", &st, &oldest), 0);
    ck_assert_int_eq(oldest, 0);
    ck_assert_int_ge(st.wait_p95_ms, 5);
    finish_all(t, 3);
    end();
}
END_TEST

/* What runs does so on this node, the only one; a queue of which nothing runs has no node. */
START_TEST(test_store_queues_tell_where_they_run)
{
    begin(_i);
    struct task t[4];
    struct store_queue_list all = {.limit = 10};
    struct store_node_list nodes = {.n = 0};
    submit_n("mail", 3);
    (void)submit(NULL, "echo", NULL, 0);
    set_weight("idle", 2);
    ck_assert_uint_eq(claim_now(4, t), 4);
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &all.op), 0);
    ck_assert_uint_eq(all.n, 3);
    ck_assert_int_eq(fixture_do(&k, &store_verb_node_list, &nodes.op), 0);
    struct store_queue_nodes o = {.queues = all.queues, .n = all.n};
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_nodes, &o.op), 0);
    ck_assert_uint_eq(o.n_nodes, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(o.nodes[i].queue, i * 2); /* default, idle, mail */
        ck_assert_str_eq(o.nodes[i].name, nodes.nodes[0].name);
        ck_assert_uint_eq(o.nodes[i].running[LANE_IO], i ? 3 : 1);
        ck_assert_uint_eq(o.nodes[i].running[LANE_CPU], 0);
    }
    free(o.nodes);
    free(all.queues);
    store_node_list_release(&nodes);
    finish_all(t, 4);
    end();
}
END_TEST

START_TEST(test_store_queues_are_listed_by_name)
{
    begin(_i);
    struct store_queue_list o = {.limit = 2};
    submit_n("b", 1);
    set_weight("c", 2);
    set_pause("a", &paused);
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    ck_assert_uint_eq(o.n, 2);
    ck_assert(o.has_more);
    ck_assert_str_eq(o.queues[0].queue.name, "a");
    ck_assert_str_eq(o.queues[1].queue.name, "b");
    free(o.queues);
    o = (struct store_queue_list){.after = "b", .limit = 5};
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_list, &o.op), 0);
    ck_assert_uint_eq(o.n, 2);
    ck_assert(!o.has_more);
    ck_assert_str_eq(o.queues[0].queue.name, "c");
    ck_assert_str_eq(o.queues[1].queue.name, TASK_QUEUE_DEFAULT);
    free(o.queues);
    end();
}
END_TEST

/* What was said goes, tasks stay; a queue without either is gone. */
START_TEST(test_store_queue_dropped_goes_on)
{
    begin(_i);
    struct task t[4];
    struct store_queue_status st;
    int64_t oldest;
    static const struct store_fair_weight weights[] = {{"x", 3}};
    set_max("mail", 1);
    set_weight("mail", 7);
    set_pause("mail", &paused);
    ck_assert_int_eq(set_fair("mail", weights, 1, false), 0);
    submit_n("mail", 2);
    ck_assert_int_eq(drop("mail"), 0);
    if (is_kept())
        fixture_reopen(&k);
    ck_assert_int_eq(look("mail", &st, &oldest), 0);
    ck_assert(st.queue.weight < 1.01 && st.queue.limit.max_running == 0);
    ck_assert_int_eq(st.pause.since_wall_ms, 0);
    ck_assert_uint_eq(claim_now(4, t), 2);
    finish_all(t, 2);
    submit_n(NULL, 1); /* a commit that tidies */
    ck_assert_int_eq(look("mail", &st, &oldest), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(drop("mail"), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_queue_paused_starts_nothing,
        test_store_queue_pause_holds_for_claims_that_wait,
        test_store_queue_pause_outlasts_a_restart,
        test_store_handler_paused_starts_nothing,
        test_store_queue_lets_so_many_run,
        test_store_queue_counts_right_after_a_restart,
        test_store_queue_rate_gives_back_evenly,
        test_store_queue_weights_share_the_slots,
        test_store_queue_keys_have_weights,
        test_store_queue_keys_have_so_many_weights,
        test_store_queue_priorities_age,
        test_store_queue_ageing_places_nobody_anew,
        test_store_queue_tells_how_it_stands,
        test_store_queues_tell_where_they_run,
        test_store_queues_are_listed_by_name,
        test_store_queue_dropped_goes_on,
    };
    return fixture_run_on_all("store contract: queues", tests, FUT_COUNT(tests));
}
