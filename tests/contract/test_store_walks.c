/* Long random walks over many tasks at once: whatever comes in whatever order (also changes
 * computed from snapshots that are out of date, deletes, and restarts with tasks running), the
 * store holds what the pure state machine says. FUT_WALK_STEPS and FUT_WALK_SEED make longer and
 * other ones. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/chance.h"

#define TASKS 24
#define HOUR_MS 3600000

struct walker {
    struct task now;   /* what the pure function says */
    struct task stale; /* a snapshot of some time before; spec NULL: none yet */
};

static struct fixture k;
static struct walker walkers[TASKS];
static uint64_t random_state;
static unsigned long tried, stale, refused, restarts, ended;

static unsigned pick(unsigned n)
{
    return (unsigned)chance_of(&random_state, n);
}

static void submit(struct walker *w)
{
    task_release(&w->now);
    task_release(&w->stale);
    w->now = fixture_task(LANE_IO, "echo", "walk");
    w->stale = (struct task){0};
    ck_assert_int_eq(fixture_submit_n(&k, &w->now, 1), 0);
}

static void expect(struct walker *w)
{
    struct task seen;
    ck_assert_int_eq(fixture_get(&k, w->now.spec->id, &seen), 0);
    ck_assert_str_eq(task_state_name(seen.state), task_state_name(w->now.state));
    ck_assert_uint_eq(seen.attempt, w->now.attempt);
    ck_assert_uint_eq(seen.daemon_deaths, w->now.daemon_deaths);
    task_release(&seen);
}

static void follow(struct task *t, const struct task_change *c)
{
    t->state = c->to_state;
    t->attempt = c->attempt;
    t->daemon_deaths = c->daemon_deaths;
}

static void remember(struct walker *w)
{
    if (pick(3) == 0) {
        task_release(&w->stale);
        task_copy(&w->stale, &w->now);
    }
}

/* An event from the snapshot of now, and sometimes from an old one. */
static void apply(struct walker *w, enum task_event ev)
{
    bool is_old = w->stale.spec && pick(2);
    struct task from = {0};
    struct task_change c;
    struct task_in in = {.due_in_ms = HOUR_MS};
    task_copy(&from, is_old ? &w->stale : &w->now);
    bool fits = from.state == w->now.state && from.attempt == w->now.attempt;
    int want = task_apply(&from, ev, &in, &c);
    if (want == 0 && !fits)
        want = FUT_ERR_STALE;
    if (want == 0 && from.daemon_deaths != w->now.daemon_deaths)
        want = FUT_ERR_AGAIN; /* cannot be: a lost attempt is followed by another number */
    int rc = fixture_apply(&k, &from, ev, &in);
    task_release(&from);
    ck_assert_int_eq(rc, want);
    tried++;
    stale += rc == FUT_ERR_STALE;
    refused += rc == FUT_ERR_STATE;
    if (rc != 0)
        return;
    follow(&w->now, &c);
    ended += task_state_is_final(c.to_state);
}

static struct walker *find(struct task_id id)
{
    for (int i = 0; i < TASKS; i++) {
        if (id_equal(walkers[i].now.spec->id, id))
            return &walkers[i];
    }
    ck_abort_msg("a task that nobody submitted");
    return NULL;
}

static bool has_queued(void)
{
    for (int i = 0; i < TASKS; i++) {
        if (walkers[i].now.state == TASK_QUEUED)
            return true;
    }
    return false;
}

static void claim(void)
{
    struct task got[4];
    if (!has_queued())
        return; /* it would wait for ever */
    size_t n = fixture_claim(&k, LANE_IO, 1 + pick(4), got);
    ck_assert_uint_gt(n, 0);
    for (size_t i = 0; i < n; i++) {
        struct task_change c;
        struct walker *w = find(got[i].spec->id);
        ck_assert_int_eq(task_apply(&w->now, EVENT_START, NULL, &c), 0);
        remember(w);
        follow(&w->now, &c);
        ck_assert_uint_eq(got[i].attempt, w->now.attempt);
        task_release(&got[i]);
        expect(w);
    }
}

static void restart(void)
{
    if (strcmp(k.backend, "memory") == 0)
        return; /* it forgets all */
    fixture_reopen(&k);
    restarts++;
    for (int i = 0; i < TASKS; i++) {
        struct task_change c;
        if (walkers[i].now.state == TASK_RUNNING) {
            ck_assert_int_eq(task_apply(&walkers[i].now, EVENT_LOSE, NULL, &c), 0);
            follow(&walkers[i].now, &c);
        }
        expect(&walkers[i]);
    }
}

static void delete (struct walker *w)
{
    bool is_done = task_state_is_final(w->now.state);
    ck_assert_int_eq(fixture_delete(&k, w->now.spec->id), is_done ? 0 : FUT_ERR_STATE);
    if (is_done)
        submit(w);
}

static void step(void)
{
    struct walker *w = &walkers[pick(TASKS)];
    unsigned what = pick(100);
    if (what < 20)
        claim();
    else if (what < 21)
        restart();
    else if (what < 30)
        delete (w);
    else if (what < 35 && task_state_is_final(w->now.state))
        submit(w);
    else {
        remember(w);
        apply(w, (enum task_event)pick(TASK_EVENT_COUNT));
    }
    expect(w);
}

START_TEST(test_store_walks_as_the_pure_function_says)
{
    long steps = fixture_setting("FUT_WALK_STEPS", 1500);
    random_state = (uint64_t)fixture_setting("FUT_WALK_SEED", 20);
    fixture_open(&k, fixture_backends[_i]);
    for (int i = 0; i < TASKS; i++)
        submit(&walkers[i]);
    for (long i = 0; i < steps; i++)
        step();
    ck_assert_uint_gt(stale, 0); /* each kind of thing did happen */
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(ended, 0);
    ck_assert(restarts > 0 || strcmp(k.backend, "memory") == 0);
    for (int i = 0; i < TASKS; i++) {
        task_release(&walkers[i].now);
        task_release(&walkers[i].stale);
    }
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_store_walks_as_the_pure_function_says};
    return fixture_run_on_all("store contract: walks", tests, FUT_COUNT(tests));
}
