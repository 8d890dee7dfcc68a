/* A suspension x the ends of two futures x time x a worker's death x crash, exhaustively: what
 * storage/engine's verbs, wakes and cascades do with one task that is suspended for one future
 * after the other, with a time or without. Each rule is a transaction, so a crash comes between two
 * of them. The mutants are what may not be taken apart or left out; each must be found. */
#include <check.h>
#include <stdint.h>

#include "core/mem.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    LOOKS_BEFORE,   /* the future's state is read before the transaction that suspends */
    IN_MEMORY,      /* that an end has yet to wake somebody is not on disk */
    IN_TWO_COMMITS, /* the task is suspended in one transaction, what wakes it kept in the next */
    KEEPS_WAKES,    /* the next suspension leaves what the one before was to be woken by */
    WAKES_ANY,      /* an end that comes after the time queues what waits for something else */
    CHARGES,        /* a suspension counts as an attempt */
    ACKS_EARLY,     /* a checkpoint is acknowledged before its commit */
};
static int mutant; /* enum mutant */

enum task { QUEUED, RUNNING, SUSPENDED, BACKS_OFF, DONE };

#define FUTURES 2
#define SUSPENSIONS_MAX 3
#define DEATHS_MAX 2
#define NO_FUTURE FUTURES

struct state {
    /* on disk */
    uint8_t task; /* enum task */
    uint8_t attempt, has_time, unmet, saved;
    uint8_t is_pending[FUTURES], has_ended[FUTURES], follows[FUTURES];
    /* in the daemon */
    uint8_t has_looked, saw; /* at the future that it is to be suspended for */
    uint8_t half;            /* a suspension whose second commit has yet to come */
    uint8_t is_saving;       /* a checkpoint that was acknowledged and is not on disk */
    /* what is remembered outside */
    uint8_t waits_for; /* since its latest suspension; NO_FUTURE: nothing */
    uint8_t by_time;   /* its time has come */
    uint8_t backs_off; /* a retry waits for its time */
    uint8_t was_saved; /* that was acknowledged */
    uint8_t suspensions, deaths, fault;
};
_Static_assert(sizeof(struct state) <= EXPLORE_STATE_MAX, "fits");

static const char *const faults[] = {NULL, "it begins too early", "a retry waits for its time",
                                     "an acknowledged checkpoint comes back"};

/* ---- an attempt ------------------------------------------------------------------------------ */

static bool claim(void *p)
{
    struct state *s = p;
    if (s->task != QUEUED)
        return false;
    s->task = RUNNING;
    s->attempt++;
    if (s->waits_for != NO_FUTURE && !s->has_ended[s->waits_for] && !s->by_time)
        s->fault = 1;
    if (s->backs_off)
        s->fault = 2;
    if (s->was_saved && !s->saved)
        s->fault = 3;
    return true;
}

static bool save(void *p)
{
    struct state *s = p;
    if (s->task != RUNNING || s->saved || s->is_saving)
        return false;
    s->was_saved = 1;
    s->saved = mutant != ACKS_EARLY;
    s->is_saving = mutant == ACKS_EARLY;
    return true;
}

static bool commit_saved(void *p)
{
    struct state *s = p;
    if (!s->is_saving)
        return false;
    s->is_saving = 0;
    s->saved = 1;
    return true;
}

static bool is_suspending(const struct state *s)
{
    return s->task == RUNNING && s->was_saved && !s->is_saving && s->suspensions < SUSPENSIONS_MAX;
}

static bool look(struct state *s, uint8_t future)
{
    if (mutant != LOOKS_BEFORE || !is_suspending(s) || s->has_looked)
        return false;
    s->has_looked = (uint8_t)(future + 1);
    s->saw = s->has_ended[future];
    return true;
}

static bool look_at_0(void *p)
{
    return look(p, 0);
}

static bool look_at_1(void *p)
{
    return look(p, 1);
}

static void keep_wakes(struct state *s, bool has_ended)
{
    for (int i = 0; i < FUTURES && mutant != KEEPS_WAKES; i++)
        s->is_pending[i] = 0;
    s->unmet = !has_ended;
    if (!has_ended)
        s->is_pending[s->waits_for] = 1;
}

static bool suspend(struct state *s, uint8_t future, bool has_time)
{
    if (!is_suspending(s) || (mutant == LOOKS_BEFORE && s->has_looked != future + 1))
        return false;
    bool has_ended = mutant == LOOKS_BEFORE ? s->saw : s->has_ended[future];
    s->has_looked = s->saw = 0;
    s->suspensions++;
    s->waits_for = future;
    s->by_time = 0;
    s->has_time = has_time;
    s->attempt = (uint8_t)(s->attempt - (mutant != CHARGES));
    s->task = has_ended ? QUEUED : SUSPENDED;
    if (mutant == IN_TWO_COMMITS && !has_ended)
        s->half = 1;
    else
        keep_wakes(s, has_ended);
    return true;
}

static bool suspend_for_0(void *p)
{
    return suspend(p, 0, false);
}

static bool suspend_for_1(void *p)
{
    return suspend(p, 1, false);
}

static bool suspend_for_0_until(void *p)
{
    return suspend(p, 0, true);
}

static bool suspend_for_1_until(void *p)
{
    return suspend(p, 1, true);
}

static bool second_half(void *p)
{
    struct state *s = p;
    if (!s->half)
        return false;
    s->half = 0;
    keep_wakes(s, false);
    return true;
}

static bool succeed(void *p)
{
    struct state *s = p;
    if (s->task != RUNNING || s->is_saving)
        return false;
    s->task = DONE;
    return true;
}

/* ---- what wakes it --------------------------------------------------------------------------- */

static bool end_of(struct state *s, uint8_t future)
{
    if (s->has_ended[future])
        return false;
    s->has_ended[future] = 1;
    s->follows[future] = s->is_pending[future];
    return true;
}

static bool end_0(void *p)
{
    return end_of(p, 0);
}

static bool end_1(void *p)
{
    return end_of(p, 1);
}

/* The step of a cascade. */
static bool follow(struct state *s, uint8_t future)
{
    if (!s->follows[future])
        return false;
    s->follows[future] = 0;
    if (!s->is_pending[future])
        return true;
    s->is_pending[future] = 0;
    bool is_met = s->task == SUSPENDED && s->unmet && --s->unmet == 0;
    if (is_met || (mutant == WAKES_ANY && s->task == BACKS_OFF))
        s->task = QUEUED;
    return true;
}

static bool follow_0(void *p)
{
    return follow(p, 0);
}

static bool follow_1(void *p)
{
    return follow(p, 1);
}

/* The suspension's time comes, or that of the retry. */
static bool due(void *p)
{
    struct state *s = p;
    if (s->task != BACKS_OFF && !(s->task == SUSPENDED && s->has_time && !s->half))
        return false;
    s->by_time |= s->task == SUSPENDED;
    s->backs_off = 0;
    s->unmet = 0;
    s->task = QUEUED;
    return true;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static void lose_attempt(struct state *s)
{
    s->has_looked = s->saw = s->is_saving = 0;
    s->deaths++;
}

static bool kill_worker(void *p)
{
    struct state *s = p;
    if (s->task != RUNNING || s->deaths == DEATHS_MAX)
        return false;
    if (s->is_saving) /* the daemon lives, and commits it */
        s->saved = 1;
    lose_attempt(s);
    s->task = BACKS_OFF;
    s->backs_off = 1;
    return true;
}

static bool crash(void *p)
{
    struct state *s = p;
    bool loses =
        s->half || s->is_saving || (mutant == IN_MEMORY && (s->follows[0] || s->follows[1]));
    if (s->deaths == DEATHS_MAX || (s->task != RUNNING && !loses))
        return false;
    s->half = 0;
    for (int i = 0; i < FUTURES && mutant == IN_MEMORY; i++)
        s->follows[i] = 0;
    if (s->task == RUNNING) {
        lose_attempt(s);
        s->task = QUEUED;
    }
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *broken(const void *p)
{
    const struct state *s = p;
    bool is_quiet = !s->follows[0] && !s->follows[1] && !s->half;
    bool counts = s->task == RUNNING || s->task == DONE;
    if (s->fault)
        return faults[s->fault];
    if (s->attempt != s->deaths + counts)
        return "a suspension is not charged";
    if (is_quiet && s->task == SUSPENDED && !s->has_time && s->has_ended[s->waits_for])
        return "no wake-up is lost";
    return NULL;
}

static bool is_end(const void *p)
{
    return ((const struct state *)p)->task == DONE;
}

static void begin(void *p)
{
    ((struct state *)p)->waits_for = NO_FUTURE;
}

static const struct explore_rule rules[] = {
    {"claim", claim},
    {"save", save},
    {"commit what was saved", commit_saved},
    {"look at 0", look_at_0},
    {"look at 1", look_at_1},
    {"suspend for 0", suspend_for_0},
    {"suspend for 1", suspend_for_1},
    {"suspend for 0 or a time", suspend_for_0_until},
    {"suspend for 1 or a time", suspend_for_1_until},
    {"keep what wakes it", second_half},
    {"succeed", succeed},
    {"end 0", end_0},
    {"end 1", end_1},
    {"follow the end of 0", follow_0},
    {"follow the end of 1", follow_1},
    {"its time comes", due},
    {"kill the worker", kill_worker},
    {"crash", crash},
};

static const struct explore_model model = {
    sizeof(struct state), rules, FUT_COUNT(rules), begin, broken, is_end,
};

static const struct explore_mutant mutants[] = {
    {LOOKS_BEFORE, "no wake-up is lost"},
    {IN_MEMORY, "no wake-up is lost"},
    {IN_TWO_COMMITS, "no wake-up is lost"},
    {KEEPS_WAKES, "it begins too early"},
    {WAKES_ANY, "a retry waits for its time"},
    {CHARGES, "a suspension is not charged"},
    {ACKS_EARLY, "an acknowledged checkpoint comes back"},
};

int main(void)
{
    return explore_suite("model: suspend", &model, 1000, &mutant, mutants, FUT_COUNT(mutants));
}
