/* The store contract: waiting lines. Random walks of one queue against a model that looks through
 * everything each time: who is next by fairness key, priority, handler and age, whatever comes,
 * ends, is given back, is refused, or is found after a restart. FUT_WALK_STEPS and FUT_WALK_SEED
 * make longer and other walks. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/chance.h"

#define HANDLERS 3
#define KEYS 4
#define TASKS_MAX 8192
#define CLAIM_MAX 4
#define HOUR_MS 3600000

static const char *const handlers[HANDLERS] = {"a", "b", "c"};
static const char *const keys[KEYS] = {NULL, "x", "y", "z"};

struct model_task {
    struct task now;
    int handler, key;
    long order; /* of those with its priority in its line the lowest goes first */
};

static struct fixture k;
static struct model_task tasks[TASKS_MAX];
static size_t n_tasks;
static long order, served[HANDLERS], n_served, turn[KEYS], turn_now;
static uint64_t random_state;
static unsigned long claimed, skipped, refused, restarts, lives;

static unsigned pick(unsigned n)
{
    return (unsigned)chance_of(&random_state, n);
}

/* ---- the model ------------------------------------------------------------------------------- */

static bool waits(const struct model_task *t)
{
    return t->now.state == TASK_QUEUED;
}

static bool key_waits(int key)
{
    for (size_t i = 0; i < n_tasks; i++) {
        if (waits(&tasks[i]) && tasks[i].key == key)
            return true;
    }
    return false;
}

static long running_of(int handler)
{
    long n = 0;
    for (size_t i = 0; i < n_tasks; i++)
        n += tasks[i].now.state == TASK_RUNNING && tasks[i].handler == handler;
    return n;
}

/* Its key begins with what the others have now when it had no task that waits. */
static void comes(struct model_task *t, bool keeps_place)
{
    if (!key_waits(t->key) && turn[t->key] < turn_now)
        turn[t->key] = turn_now;
    if (!keeps_place)
        t->order = ++order;
}

static bool is_before_in_line(const struct model_task *a, const struct model_task *b)
{
    int x = a->now.spec->priority, y = b->now.spec->priority;
    return x != y ? x > y : a->order < b->order;
}

static struct model_task *first_of(int handler, int key)
{
    struct model_task *best = NULL;
    for (size_t i = 0; i < n_tasks; i++) {
        struct model_task *t = &tasks[i];
        if (waits(t) && t->handler == handler && t->key == key &&
            (!best || is_before_in_line(t, best)))
            best = t;
    }
    return best;
}

/* Is t, the first of its line, rightly taken instead of other, the first of its line? Lines of one
 * handler whose keys have had as much may go in any order. */
static bool may_go_before(const struct model_task *t, const struct model_task *other, bool is_sole)
{
    if (turn[t->key] != turn[other->key])
        return turn[t->key] < turn[other->key];
    if (!is_sole)
        return true;
    if (t->now.spec->priority != other->now.spec->priority)
        return t->now.spec->priority > other->now.spec->priority;
    long x = running_of(t->handler), y = running_of(other->handler);
    if (x != y)
        return x < y;
    return served[t->handler] != served[other->handler]
               ? served[t->handler] < served[other->handler]
               : t->order < other->order;
}

/* out: the handlers that the claim leaves out, as bits. */
static void expect_next(const struct model_task *t, unsigned out)
{
    struct model_task *firsts[HANDLERS * KEYS];
    size_t n = 0;
    bool is_sole = true; /* no other key has had as little as its */
    for (int h = 0; h < HANDLERS; h++) {
        for (int key = 0; key < KEYS; key++) {
            struct model_task *first = out & 1u << h ? NULL : first_of(h, key);
            if (!first)
                continue;
            firsts[n++] = first;
            is_sole = is_sole && (key == t->key || turn[key] != turn[t->key]);
        }
    }
    ck_assert(!(out & 1u << t->handler));
    ck_assert_ptr_eq(first_of(t->handler, t->key), t);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(firsts[i] == t || may_go_before(t, firsts[i], is_sole),
                      "%s of %s before %s of %s", handlers[t->handler],
                      keys[t->key] ? keys[t->key] : "nobody", handlers[firsts[i]->handler],
                      keys[firsts[i]->key] ? keys[firsts[i]->key] : "nobody");
}

static void take_turn(struct model_task *t)
{
    if (turn[t->key] > turn_now)
        turn_now = turn[t->key];
    turn[t->key] = turn_now + 1;
    served[t->handler] = ++n_served;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static struct task make(int handler, int key, int priority)
{
    struct task t = fixture_task(LANE_IO, handlers[handler], "x");
    struct task_spec spec = *t.spec;
    spec.fair_key = keys[key];
    spec.priority = priority;
    spec.retries = 100;
    fixture_respec(&t, &spec);
    return t;
}

static struct model_task *add(void)
{
    static const int priorities[] = {0, 0, 0, 0, 1, -1, 100, -100, 7};
    struct model_task *t = &tasks[n_tasks];
    ck_assert_uint_lt(n_tasks, TASKS_MAX);
    t->handler = (int)pick(HANDLERS);
    t->key = (int)pick(KEYS);
    t->now = make(t->handler, t->key, priorities[pick(FUT_COUNT(priorities))]);
    return t;
}

static void submit(void)
{
    struct model_task *t = add();
    ck_assert_int_eq(fixture_submit_n(&k, &t->now, 1), 0);
    comes(t, false);
    n_tasks++;
}

/* The last of several has an id that is taken: none is there, and none was. */
static void submit_refused(void)
{
    struct task some[3];
    for (size_t i = 0; i < 3; i++)
        some[i] = make((int)pick(HANDLERS), (int)pick(KEYS), (int)pick(3));
    task_release(&some[2]);
    task_copy(&some[2], &tasks[pick((unsigned)n_tasks)].now);
    enum task_state kept = some[2].state;
    some[2].state = TASK_QUEUED;
    ck_assert_int_eq(fixture_submit_n(&k, some, 3), FUT_ERR_EXISTS);
    some[2].state = kept;
    for (size_t i = 0; i < 3; i++)
        task_release(&some[i]);
    refused++;
}

static struct model_task *find(struct task_id id)
{
    for (size_t i = 0; i < n_tasks; i++) {
        if (id_equal(tasks[i].now.spec->id, id))
            return &tasks[i];
    }
    ck_abort_msg("nobody knows it");
    return NULL;
}

static size_t count_waiting(unsigned out)
{
    size_t n = 0;
    for (size_t i = 0; i < n_tasks; i++)
        n += waits(&tasks[i]) && !(out & 1u << tasks[i].handler);
    return n;
}

static void claim(void)
{
    unsigned out = pick(2) ? 0 : pick(1u << HANDLERS);
    const char *names[HANDLERS];
    struct task got[CLAIM_MAX];
    struct fixture_parked p = {
        .o = {.lane = LANE_IO, .max = 1 + pick(CLAIM_MAX), .tasks = got, .handlers = names}};
    for (unsigned h = 0; h < HANDLERS; h++) {
        if (out & 1u << h)
            names[p.o.n_handlers++] = handlers[h];
    }
    size_t some = count_waiting(out), want = some < p.o.max ? some : p.o.max;
    fixture_park(&k, &p);
    if (!want)
        ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, want);
    skipped += count_waiting(0) > some;
    for (size_t i = 0; i < want; i++) {
        struct model_task *t = find(got[i].spec->id);
        expect_next(t, out);
        take_turn(t);
        task_release(&t->now);
        t->now = got[i];
        claimed++;
    }
}

static void apply(struct model_task *t, enum task_event ev)
{
    struct task_outcome *o = task_outcome_error("x", "x");
    struct task_in in = {.due_in_ms = HOUR_MS, .outcome = ev == EVENT_RELEASE ? NULL : o};
    enum task_state from = t->now.state;
    struct task_change c;
    if (task_apply(&t->now, ev, &in, &c) == 0 && ev != EVENT_START && ev != EVENT_REVIVE) {
        if (c.to_state == TASK_QUEUED)
            comes(t, from == TASK_RUNNING);
        ck_assert_int_eq(fixture_apply(&k, &t->now, ev, &in), 0);
    }
    task_outcome_unref(o);
}

static void revive(struct model_task *t)
{
    if (t->now.state != TASK_FAILED)
        return;
    comes(t, false);
    ck_assert_int_eq(fixture_revive(&k, &t->now), 0);
    lives++;
}

/* Nothing is known of who has had what. */
static void restart(void)
{
    if (strcmp(k.backend, "memory") == 0)
        return;
    for (size_t i = 0; i < n_tasks; i++) {
        if (tasks[i].now.state == TASK_RUNNING)
            apply(&tasks[i], EVENT_RELEASE);
    }
    fixture_reopen(&k);
    turn_now = n_served = 0;
    memset(turn, 0, sizeof(turn));
    memset(served, 0, sizeof(served));
    restarts++;
}

static void step(void)
{
    static const enum task_event events[] = {EVENT_SUCCEED, EVENT_FAIL,   EVENT_FAIL, EVENT_RELEASE,
                                             EVENT_RETRY,   EVENT_CANCEL, EVENT_DUE};
    struct model_task *t = &tasks[pick((unsigned)n_tasks)];
    unsigned what = pick(200);
    if (what < 50)
        submit();
    else if (what < 55)
        submit_refused();
    else if (what < 110)
        claim();
    else if (what < 112)
        restart();
    else if (what < 130)
        revive(t);
    else
        apply(t, events[pick(FUT_COUNT(events))]);
}

START_TEST(test_lines_serve_as_the_model_says)
{
    long steps = fixture_setting("FUT_WALK_STEPS", 1500);
    random_state = (uint64_t)fixture_setting("FUT_WALK_SEED", 14);
    fixture_open(&k, fixture_backends[_i]);
    struct task one = make(0, 0, 0); /* while it is unfinished the queue forgets nobody */
    struct task_change c;
    ck_assert_int_eq(fixture_submit_n(&k, &one, 1), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &tasks[0].now), 1);
    ck_assert_int_eq(task_apply(&tasks[0].now, EVENT_RETRY, NULL, &c), 0);
    ck_assert_int_eq(
        fixture_apply(&k, &tasks[0].now, EVENT_RETRY, &(struct task_in){.due_in_ms = HOUR_MS}), 0);
    task_release(&one);
    task_release(&tasks[0].now);
    take_turn(&tasks[0]);
    submit();
    for (long i = 0; i < steps; i++)
        step();
    ck_assert_uint_gt(claimed, 0); /* each kind of thing did happen */
    ck_assert_uint_gt(skipped, 0);
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(lives, 0);
    ck_assert(restarts > 0 || strcmp(k.backend, "memory") == 0);
    for (size_t i = 0; i < n_tasks; i++)
        task_release(&tasks[i].now);
    fixture_close(&k);
}
END_TEST

/* A claim that waits takes what comes in unless it leaves that out, also while others wait. */
START_TEST(test_lines_give_past_what_is_skipped)
{
    static const char *const not_a[] = {"a"};
    struct task got[1], a = make(0, 0, 0), b = make(1, 0, 0);
    struct fixture_parked p = {
        .o = {.lane = LANE_IO, .max = 1, .tasks = got, .handlers = not_a, .n_handlers = 1}};
    fixture_open(&k, fixture_backends[_i]);
    ck_assert_int_eq(fixture_submit_n(&k, &a, 1), 0);
    fixture_park(&k, &p);
    ck_assert_int_eq(fixture_submit_n(&k, &b, 1), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 1);
    ck_assert(id_equal(got[0].spec->id, b.spec->id));
    task_release(&got[0]);
    task_release(&a);
    task_release(&b);
    fixture_close(&k);
}
END_TEST

#define CROWD 2000

/* However many tasks one key has, the first of another waits for one turn at most. */
START_TEST(test_lines_of_a_crowd_keep_nobody_waiting)
{
    struct task *crowd = xcalloc(CROWD, sizeof(*crowd)), got[3], one = make(0, 2, 0);
    fixture_open(&k, fixture_backends[_i]);
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = make(0, 1, 0);
    ck_assert_int_eq(fixture_submit_n(&k, crowd, CROWD), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 3, got), 3);
    for (size_t i = 0; i < 3; i++)
        task_release(&got[i]);
    ck_assert_int_eq(fixture_submit_n(&k, &one, 1), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, got), 1);
    ck_assert(id_equal(got[0].spec->id, one.spec->id));
    task_release(&got[0]);
    task_release(&one);
    for (size_t i = 0; i < CROWD; i++)
        task_release(&crowd[i]);
    free(crowd);
    fixture_close(&k);
}
END_TEST

static struct task in_queue(const char *queue)
{
    struct task t = make(0, 0, 0);
    struct task_spec spec = *t.spec;
    spec.queue = queue;
    fixture_respec(&t, &spec);
    return t;
}

/* However many tasks a queue has, another's come in turn with them, and one that comes later does
 * not make up for the time before. */
START_TEST(test_lines_of_queues_share_the_slots)
{
    struct task t, got[8];
    fixture_open(&k, fixture_backends[_i]);
    for (int i = 0; i < 20; i++) {
        t = in_queue(i < 10 ? NULL : "b");
        if (i == 10) /* the default queue has had two turns before b comes */
            ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, got), 2);
        ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
        task_release(&t);
    }
    size_t of_b = 0;
    for (size_t i = 2; i < FUT_COUNT(got); i++) {
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &got[i]), 1);
        of_b += got[i].spec->queue != NULL;
    }
    ck_assert_uint_ge(of_b, 3);
    ck_assert_uint_le(of_b, 4);
    for (size_t i = 0; i < FUT_COUNT(got); i++)
        task_release(&got[i]);
    fixture_close(&k);
}
END_TEST

#define QUEUES_MAX 10000

/* One queue too many is refused with all that came with it; once others are empty there is a place.
 */
START_TEST(test_lines_of_queues_have_a_limit)
{
    struct task *many = xcalloc(QUEUES_MAX + 1, sizeof(*many)), got;
    char name[16];
    fixture_open(&k, fixture_backends[_i]);
    for (size_t i = 0; i <= QUEUES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "q%zu", i);
        many[i] = in_queue(name);
    }
    ck_assert_int_eq(fixture_submit_n(&k, many, QUEUES_MAX + 1), FUT_ERR_TOO_BIG);
    ck_assert_int_eq(fixture_submit_n(&k, many, QUEUES_MAX), 0);
    ck_assert_int_eq(fixture_submit_n(&k, &many[QUEUES_MAX], 1), FUT_ERR_TOO_BIG);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &got), 1);
    ck_assert_int_eq(fixture_succeed(&k, &got, "x"), 0);
    ck_assert_int_eq(fixture_submit_n(&k, &many[QUEUES_MAX], 1), 0);
    task_release(&got);
    for (size_t i = 0; i <= QUEUES_MAX; i++)
        task_release(&many[i]);
    free(many);
    fixture_close(&k);
}
END_TEST

static struct task of_key(size_t key)
{
    char text[32];
    struct task t = make(0, 0, 0);
    struct task_spec spec = *t.spec;
    (void)snprintf(text, sizeof(text), "%zu", key);
    spec.fair_key = text;
    fixture_respec(&t, &spec);
    return t;
}

static double cpu_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void submit_keys(size_t n, size_t n_keys)
{
    struct task some[1000];
    for (size_t i = 0; i < n;) {
        size_t m = 0;
        for (; m < FUT_COUNT(some) && i < n; m++, i++)
            some[m] = of_key(i % n_keys);
        ck_assert_int_eq(fixture_submit_n(&k, some, m), 0);
        for (size_t j = 0; j < m; j++)
            task_release(&some[j]);
    }
}

static void claim_keys(size_t n, unsigned *times)
{
    struct task got[50];
    for (size_t i = 0; i < n;) {
        size_t m = fixture_claim(&k, LANE_IO, FUT_COUNT(got), got);
        ck_assert_uint_eq(m, FUT_COUNT(got));
        i += m;
        for (size_t j = 0; j < m; j++) {
            times[strtoul(got[j].spec->fair_key, NULL, 10)]++;
            task_release(&got[j]);
        }
    }
}

/* Each of many keys is served once a round. FUT_LINES_TASKS queues so many and prints the CPU time
 * of each task's submission and claim, with FUT_LINES_KEYS keys (a divisor or a multiple of 50). */
START_TEST(test_lines_serve_each_key_once_a_round)
{
    size_t n_keys = (size_t)fixture_setting("FUT_LINES_KEYS", 250);
    size_t n = (size_t)fixture_setting("FUT_LINES_TASKS", 750),
           rounds = n < 5000 ? 2 : 1 + 5000 / n_keys;
    unsigned *times = xcalloc(n_keys, sizeof(*times));
    fixture_open(&k, fixture_backends[_i]);
    double began = cpu_us();
    submit_keys(n, n_keys);
    double queued = cpu_us();
    claim_keys(rounds * n_keys / 50 * 50, times);
    double claimed_at = cpu_us();
    for (size_t i = 0; n_keys % 50 == 0 && i < n_keys; i++)
        ck_assert_uint_eq(times[i], rounds);
    if (getenv("FUT_LINES_TASKS"))
        printf("%s: %zu keys, %zu tasks: submission %.1f us, claim %.1f us each\n", k.backend,
               n_keys, n, (queued - began) / (double)n,
               (claimed_at - queued) / (double)(rounds * n_keys / 50 * 50));
    free(times);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_lines_serve_as_the_model_says,        test_lines_give_past_what_is_skipped,
        test_lines_of_a_crowd_keep_nobody_waiting, test_lines_serve_each_key_once_a_round,
        test_lines_of_queues_share_the_slots,      test_lines_of_queues_have_a_limit,
    };
    return fixture_run_on_all("store contract: lines", tests, FUT_COUNT(tests));
}
