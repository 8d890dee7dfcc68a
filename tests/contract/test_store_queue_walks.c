/* The store contract: random walks of queues and handlers against a model that counts: pauses,
 * limits, weights, tasks, claims, ends and restarts. Each claim gets as many as the model says, of
 * what may start. FUT_WALK_STEPS and FUT_WALK_SEED make longer and other walks. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"

#define QUEUES 3
#define HANDLERS 2
#define RUNNING_MAX 256
#define CLAIM_MAX 5

static const struct pool_pause paused = {1, "me", ""}, going_on = {0};
static const char *const queue_names[QUEUES] = {TASK_QUEUE_DEFAULT, "a", "b"};
static const char *const handler_names[HANDLERS] = {"f", "g"};

static struct fixture k;
static struct {
    unsigned most, running, waiting[HANDLERS];
    bool is_paused;
} queues[QUEUES];
static bool handlers_paused[HANDLERS];
static struct task running[RUNNING_MAX];
static size_t n_running, restarts, refused;
static unsigned random_state;

static unsigned pick(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % n;
}

static unsigned setting(const char *name, unsigned preset)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : preset;
}

static size_t queue_of(const struct task *t)
{
    return !t->spec->queue ? 0 : t->spec->queue[0] == 'a' ? 1 : 2;
}

static size_t handler_of(const struct task *t)
{
    return t->spec->handler[0] == 'f' ? 0 : 1;
}

static size_t may_start(void)
{
    size_t n = 0;
    for (size_t q = 0; q < QUEUES; q++) {
        unsigned some = 0, most = queues[q].most, more = most - queues[q].running;
        for (size_t h = 0; h < HANDLERS; h++)
            some += handlers_paused[h] ? 0 : queues[q].waiting[h];
        if (queues[q].is_paused || (most && queues[q].running >= most))
            some = 0;
        n += most && some > more ? more : some;
    }
    return n;
}

static void submit(size_t q, size_t h)
{
    struct task t = fixture_task(LANE_IO, handler_names[h], "x");
    struct task_spec spec = *t.spec;
    spec.queue = q ? queue_names[q] : NULL;
    spec.priority = (int)pick(3);
    struct task_spec *fresh = task_spec_new(&spec); /* refers to the old one until then */
    task_spec_unref(t.spec);
    t.spec = fresh;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    queues[q].waiting[h]++;
}

static void claim(void)
{
    size_t max = 1 + pick(CLAIM_MAX), may = may_start();
    ck_assert_uint_le(n_running + max, RUNNING_MAX);
    size_t got = fixture_claim_now(&k, LANE_IO, max, running + n_running);
    ck_assert_uint_eq(got, may < max ? may : max);
    refused += got < max;
    for (; got > 0; got--, n_running++) {
        size_t q = queue_of(&running[n_running]), h = handler_of(&running[n_running]);
        ck_assert(!queues[q].is_paused && !handlers_paused[h]);
        queues[q].waiting[h]--;
        queues[q].running++;
        ck_assert(!queues[q].most || queues[q].running <= queues[q].most);
    }
}

static void end_one(void)
{
    if (n_running == 0)
        return;
    struct task *t = &running[pick((unsigned)n_running)];
    queues[queue_of(t)].running--;
    ck_assert_int_eq(fixture_succeed(&k, t, "x"), 0);
    task_release(t);
    *t = running[--n_running];
}

static void set_limits(size_t q, bool yes)
{
    queues[q].most = yes ? 1 + pick(4) : 0;
    struct store_queue is = {.weight = yes ? 3 : 0.25, .limit.max_running = queues[q].most};
    ck_assert_int_eq(
        fixture_queue_set(&k, queue_names[q], STORE_QUEUE_WEIGHT | STORE_QUEUE_MAX_RUNNING, &is),
        0);
}

/* What runs is given back; by its attempt when it would not live through another death. */
static void restart(void)
{
    if (strcmp(k.backend, "memory") == 0)
        return;
    for (; n_running > 0; n_running--) {
        struct task *t = &running[n_running - 1];
        queues[queue_of(t)].waiting[handler_of(t)]++;
        queues[queue_of(t)].running--;
        if (t->daemon_deaths)
            ck_assert_int_eq(fixture_apply(&k, t, EVENT_RELEASE, &(struct task_in){0}), 0);
        task_release(t);
    }
    fixture_reopen(&k);
    restarts++;
}

static void step(void)
{
    size_t q = pick(QUEUES), h = pick(HANDLERS);
    bool yes = pick(2);
    unsigned what = pick(40);
    uint64_t n;
    if (what < 13) {
        submit(q, h);
    } else if (what < 24) {
        claim();
    } else if (what < 33) {
        end_one();
    } else if (what < 35) {
        queues[q].is_paused = yes;
        ck_assert_int_eq(fixture_queue_pause(&k, queue_names[q], yes ? &paused : &going_on), 0);
    } else if (what < 37) {
        handlers_paused[h] = yes;
        ck_assert_int_eq(fixture_handler_pause(&k, handler_names[h], yes ? &paused : &going_on, &n),
                         0);
    } else if (what < 39) {
        set_limits(q, yes);
    } else {
        restart();
    }
}

START_TEST(test_store_queue_walks)
{
    unsigned steps = setting("FUT_WALK_STEPS", 600);
    random_state = setting("FUT_WALK_SEED", 14);
    fixture_open(&k, fixture_backends[_i]);
    memset(queues, 0, sizeof(queues));
    memset(handlers_paused, 0, sizeof(handlers_paused));
    n_running = restarts = refused = 0;
    for (unsigned i = 0; i < steps; i++)
        step();
    ck_assert_uint_gt(refused, 0);
    ck_assert(restarts > 0 || strcmp(k.backend, "memory") == 0);
    for (size_t i = 0; i < n_running; i++)
        task_release(&running[i]);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_store_queue_walks};
    return fixture_run_on_all("store contract: walks of queues", tests, FUT_COUNT(tests));
}
