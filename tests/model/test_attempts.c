/* claim x crash x cancel x finish x late result x drain, exhaustively, for one task. Next states
 * are those of core/task_state.c; the rest of the model is what storage/README.md promises: one
 * writer, changes as compare-and-set, answers after the commit. The mutants are the mistakes that
 * the promises are there against; each must be found. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "core/mem.h"
#include "core/task_state.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    NO_COMPARE,   /* changes are written whatever the task has become */
    NO_ATTEMPT,   /* compared by state alone */
    TELLS_EARLY,  /* a cancel is confirmed before its commit */
    RUNS_EARLY,   /* an attempt runs before it is counted */
    SHOWS_EARLY,  /* a result is shown before its commit */
    LOSES_FREELY, /* a daemon's death is not counted */
    FORGETS_LOST, /* what was running at a crash is left so */
};
static int mutant; /* enum mutant */

enum who { NOBODY, SCHEDULER, LATE, CANCELLER };
enum ended { NOT, RESULT, ERROR, CANCEL };

/* A change on its way through the writer. */
struct op {
    uint8_t who;
    uint8_t from_state, from_attempt, to_state, attempt, daemon_deaths;
    uint8_t ended;     /* enum ended, when to_state is final */
    uint8_t committed; /* 1: done, and its poster not yet told; 2: stale, likewise */
};

#define OPS 3
struct state {
    /* on disk */
    uint8_t state, attempt, daemon_deaths, ended, times_ended;
    /* in the daemon */
    struct op ops[OPS];
    uint8_t runs, is_ending;   /* the attempt that runs, 0 none; its end is posted */
    uint8_t late, late_deaths; /* an attempt that was given up, whose result may still come */
    uint8_t run_deaths;
    uint8_t wants_cancel; /* a client waits for the answer to its cancel */
    /* what is remembered outside */
    uint8_t shown, said_cancelled, deaths;
};
_Static_assert(sizeof(struct state) <= EXPLORE_STATE_MAX, "fits");

static struct task_spec *spec;

static struct task snapshot(int state, uint8_t attempt, uint8_t daemon_deaths)
{
    return (struct task){spec, .state = (enum task_state)state, .attempt = attempt,
                         .daemon_deaths = daemon_deaths};
}

/* ---- the writer ------------------------------------------------------------------------------ */

static bool post(struct state *s, enum who who, struct task from, enum task_event ev)
{
    struct task_change c;
    int i = 0;
    while (i < OPS && s->ops[i].who)
        i++;
    if (i == OPS || task_apply(&from, ev, NULL, &c) != 0)
        return false;
    bool is_final = task_state_is_final(c.to_state);
    enum ended ended = ev == EVENT_CANCEL ? CANCEL : ev == EVENT_SUCCEED ? RESULT : ERROR;
    s->ops[i] = (struct op){.who = (uint8_t)who,
                            .from_state = (uint8_t)c.from_state,
                            .from_attempt = (uint8_t)c.from_attempt,
                            .to_state = (uint8_t)c.to_state,
                            .attempt = (uint8_t)c.attempt,
                            .daemon_deaths = (uint8_t)c.daemon_deaths,
                            .ended = (uint8_t)(is_final ? ended : NOT)};
    return true;
}

static bool is_expected(const struct state *s, const struct op *o)
{
    return mutant == NO_COMPARE ||
           (s->state == o->from_state && (mutant == NO_ATTEMPT || s->attempt == o->from_attempt));
}

static void execute(struct state *s, struct op *o)
{
    o->committed = is_expected(s, o) ? 1 : 2;
    if (o->committed == 2)
        return;
    s->state = o->to_state;
    s->attempt = o->attempt;
    s->daemon_deaths = o->daemon_deaths;
    if (o->ended) {
        s->ended = o->ended;
        s->times_ended = s->times_ended ? 2 : 1;
    }
}

/* Everything that was posted, as one transaction; not while somebody must still be told. */
static bool commit(void *p)
{
    struct state *s = p;
    if (!s->ops[0].who || s->ops[0].committed)
        return false;
    for (int i = 0; i < OPS && s->ops[i].who; i++)
        execute(s, &s->ops[i]);
    return true;
}

static void told_scheduler(struct state *s, const struct op *o)
{
    if (o->from_state == TASK_QUEUED) { /* a claim */
        if (o->committed == 1) {
            s->runs = o->attempt;
            s->run_deaths = o->daemon_deaths;
        }
        return;
    }
    s->runs = s->is_ending = s->run_deaths = 0; /* its end is written, or somebody else's is */
}

static bool answer(void *p)
{
    struct state *s = p;
    struct op o = s->ops[0];
    if (!o.who || !o.committed)
        return false;
    memmove(s->ops, s->ops + 1, sizeof(s->ops) - sizeof(*s->ops));
    s->ops[OPS - 1] = (struct op){0};
    if (o.who == SCHEDULER)
        told_scheduler(s, &o);
    if (o.who == CANCELLER && o.committed == 1) {
        s->said_cancelled = 1;
        s->wants_cancel = 0;
    } /* stale: it reads again and tries again */
    return true;
}

static bool due(void *p)
{
    struct state *s = p;
    struct task_move move;
    if (s->state != TASK_SCHEDULED || s->ops[0].committed)
        return false;
    FUT_MUST(task_move_of(TASK_SCHEDULED, EVENT_DUE, &move) == 0);
    s->state = (uint8_t)move.to;
    return true;
}

/* ---- the scheduler and its workers ----------------------------------------------------------- */

static bool has_posted(const struct state *s, enum who who)
{
    for (int i = 0; i < OPS; i++) {
        if (s->ops[i].who == who)
            return true;
    }
    return false;
}

/* A claim is decided by the writer, from what is there then. */
static bool claim(void *p)
{
    struct state *s = p;
    if (s->runs || has_posted(s, SCHEDULER) || s->state != TASK_QUEUED)
        return false;
    struct task t = snapshot(s->state, s->attempt, s->daemon_deaths);
    if (!post(s, SCHEDULER, t, EVENT_START))
        return false;
    if (mutant == RUNS_EARLY) {
        s->runs = s->attempt + 1;
        s->run_deaths = s->daemon_deaths;
    }
    return true;
}

static bool end_attempt(struct state *s, enum task_event ev)
{
    if (!s->runs || s->is_ending)
        return false;
    s->is_ending = 1;
    return post(s, SCHEDULER, snapshot(TASK_RUNNING, s->runs, s->run_deaths), ev);
}

static bool succeed(void *p)
{
    return end_attempt(p, EVENT_SUCCEED);
}

static bool give_error(void *p)
{
    return end_attempt(p, EVENT_FAIL);
}

static bool retry(void *p)
{
    return end_attempt(p, EVENT_RETRY);
}

static bool release(void *p)
{
    return end_attempt(p, EVENT_RELEASE);
}

static bool defer(void *p)
{
    return end_attempt(p, EVENT_DEFER);
}

/* Given up as temporary; its worker does not know that yet. */
static bool give_up(void *p)
{
    struct state *s = p;
    uint8_t attempt = s->runs, daemon_deaths = s->run_deaths;
    if (s->late || !end_attempt(s, EVENT_RETRY))
        return false;
    s->late = attempt;
    s->late_deaths = daemon_deaths;
    return true;
}

static bool late_result(void *p)
{
    struct state *s = p;
    struct task t = snapshot(TASK_RUNNING, s->late, s->late_deaths);
    if (!s->late)
        return false;
    s->late = s->late_deaths = 0;
    return post(s, LATE, t, EVENT_SUCCEED);
}

/* It hears that its task was cancelled, and stops the worker. */
static bool hear_cancel(void *p)
{
    struct state *s = p;
    if (!s->runs || s->is_ending || s->state != TASK_CANCELLED)
        return false;
    s->runs = s->run_deaths = 0;
    return true;
}

/* ---- clients --------------------------------------------------------------------------------- */

static bool ask_cancel(void *p)
{
    struct state *s = p;
    if (s->wants_cancel || s->said_cancelled)
        return false;
    s->wants_cancel = 1;
    return true;
}

static bool try_cancel(void *p)
{
    struct state *s = p;
    if (!s->wants_cancel || has_posted(s, CANCELLER))
        return false;
    if (task_state_is_final((enum task_state)s->state)) {
        s->wants_cancel = 0; /* 409: it is done already */
        return true;
    }
    if (!post(s, CANCELLER, snapshot(s->state, s->attempt, s->daemon_deaths), EVENT_CANCEL))
        return false;
    if (mutant == TELLS_EARLY)
        s->said_cancelled = 1;
    return true;
}

static bool look(void *p)
{
    struct state *s = p;
    uint8_t seen = s->ended;
    for (int i = 0; i < OPS && mutant == SHOWS_EARLY && !seen; i++)
        seen = s->ops[i].ended;
    if (!seen || s->shown)
        return false;
    s->shown = seen;
    return true;
}

/* ---- the daemon dies and comes back ---------------------------------------------------------- */

static bool crash(void *p)
{
    struct state *s = p;
    struct task_change c;
    struct task t = snapshot(s->state, s->attempt, s->daemon_deaths);
    memset(s->ops, 0, sizeof(s->ops));
    s->runs = s->is_ending = s->run_deaths = s->late = s->late_deaths = s->wants_cancel = 0;
    if (s->state != TASK_RUNNING || mutant == FORGETS_LOST)
        return true;
    s->deaths++;
    FUT_MUST(task_apply(&t, EVENT_LOSE, NULL, &c) == 0);
    s->state = (uint8_t)c.to_state;
    s->attempt = (uint8_t)(mutant == LOSES_FREELY ? c.attempt - 1 : c.attempt);
    s->daemon_deaths = (uint8_t)(mutant == LOSES_FREELY ? c.daemon_deaths - 1 : c.daemon_deaths);
    if (task_state_is_final(c.to_state)) {
        s->ended = ERROR;
        s->times_ended = s->times_ended ? 2 : 1;
    }
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *broken(const void *p)
{
    const struct state *s = p;
    bool is_final = task_state_is_final((enum task_state)s->state);
    if (s->times_ended != is_final)
        return "an outcome is recorded once, and then the task is done";
    if (s->shown && s->shown != s->ended)
        return "what was shown stays";
    if (s->said_cancelled && s->state != TASK_CANCELLED)
        return "a confirmed cancel stays";
    if (s->runs && !s->is_ending &&
        (s->attempt != s->runs || (s->state != TASK_RUNNING && !is_final)))
        return "what runs is what is counted on disk";
    if (s->state == TASK_RUNNING && !s->runs && !has_posted(s, SCHEDULER))
        return "what is running on disk is run by somebody";
    if (s->deaths > TASK_DAEMON_DEATHS_MAX + 1)
        return "a task that kills the daemon is stopped";
    if (s->attempt > spec->retries + 1 + s->daemon_deaths)
        return "no attempt beyond its retries";
    return NULL;
}

static bool is_end(const void *p)
{
    const struct state *s = p;
    return task_state_is_final((enum task_state)s->state) && !s->runs && !s->ops[0].who;
}

static void begin(void *p)
{
    ((struct state *)p)->state = TASK_QUEUED;
}

static const struct explore_rule rules[] = {
    {"commit", commit},         {"answer", answer},           {"due", due},
    {"claim", claim},           {"succeed", succeed},         {"fail", give_error},
    {"retry", retry},           {"release", release},         {"defer", defer},
    {"give up", give_up},       {"late result", late_result}, {"hear cancel", hear_cancel},
    {"ask cancel", ask_cancel}, {"try cancel", try_cancel},   {"look", look},
    {"crash", crash},
};

static const struct explore_model model = {
    sizeof(struct state), rules, FUT_COUNT(rules), begin, broken, is_end,
};

static const struct explore_mutant mutants[] = {
    {NO_COMPARE, "an outcome is recorded once, and then the task is done"},
    {NO_ATTEMPT, "what runs is what is counted on disk"},
    {TELLS_EARLY, "a confirmed cancel stays"},
    {RUNS_EARLY, "what runs is what is counted on disk"},
    {SHOWS_EARLY, "what was shown stays"},
    {LOSES_FREELY, "a task that kills the daemon is stopped"},
    {FORGETS_LOST, "what is running on disk is run by somebody"},
};

int main(void)
{
    spec = task_spec_new(
        &(struct task_spec){.id = {5, 6}, .handler = "h", .input_type = "t", .retries = 1});
    int rc = explore_suite("model_attempts", &model, 1000, &mutant, mutants, FUT_COUNT(mutants));
    task_spec_unref(spec);
    return rc;
}
