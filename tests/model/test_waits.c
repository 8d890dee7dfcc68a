/* suspend x resume x drain, exhaustively, for one long-poll: what api/resources/wait.c, waiters.c
 * and http_loop.c do with one request, one future, its end, a deadline or hang-up, and a drain. The
 * request's thread, the store's reader and writer, and main each take one step at a time, in every
 * order. The mutants are the orders and checks that the code must not lose; each must be found. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    READS_FIRST,     /* the future is read before the waiter is linked */
    ARMS_BLINDLY,    /* armed without a look at what was seen since the link */
    NEVER_DISARMS,   /* a deadline resumes without taking the waiter's right to wake */
    WISHES_FIRST,    /* main wakes the sleepers before it says that nobody is to fall asleep */
    SLEEPS_ANYWAY,   /* nobody asks whether a drain has begun before falling asleep */
    RESUMES_AT_ONCE, /* the writer resumes by itself, in place of the request's own loop */
    STOPS_BLINDLY,   /* the loop ends although somebody is suspended */
};
static int mutant; /* enum mutant */

enum place { NEW, LINKED, ASKED, ASKED_ASLEEP, READ, ARMED, ASLEEP, WOKEN, ANSWERED };
enum writer { IDLE, COMMITTED, WAKES, TOLD };
enum reader { NO_READ, TO_READ, HAS_READ, READ_TOLD };
enum drain { SERVING, RELEASED, WISHED, GRANTED, STOPPED };

struct state {
    uint8_t place;                  /* of the request */
    uint8_t is_suspended;           /* as the HTTP library sees it */
    uint8_t is_linked, armed, seen; /* the waiter */
    uint8_t is_ready;               /* on the loop's list */
    uint8_t has_timer;
    uint8_t reader, read_done; /* the read that is under way, and what it found */
    uint8_t writer;            /* at the task's end */
    uint8_t is_released, drain;
    uint8_t fault;
};

enum fault { FINE, TWICE_READY, NOT_SUSPENDED, UNLINKED_ARMED, ENDED_SUSPENDED };
static const char *const faults[] = {
    [TWICE_READY] = "once on the ready list for each sleep",
    [NOT_SUSPENDED] = "only what is suspended is resumed",
    [UNLINKED_ARMED] = "who is armed stays linked",
    [ENDED_SUSPENDED] = "nobody is suspended when the loop ends",
};

static bool push_ready(struct state *s)
{
    if (s->is_ready)
        s->fault = TWICE_READY;
    s->is_ready = 1;
    return true;
}

/* ---- the request, on its loop's thread ------------------------------------------------------- */

static bool link_waiter(void *p)
{
    struct state *s = p;
    enum place from = mutant == READS_FIRST ? READ : NEW;
    if (s->place != from || s->is_linked)
        return false;
    s->is_linked = 1;
    s->place = mutant == READS_FIRST ? READ : LINKED;
    return true;
}

static bool ask(void *p)
{
    struct state *s = p;
    if (s->place != (mutant == READS_FIRST ? NEW : LINKED))
        return false;
    s->place = ASKED;
    s->reader = TO_READ; /* from here on the reader may be faster than the suspend */
    return true;
}

static bool suspend_asking(void *p)
{
    struct state *s = p;
    if (s->place != ASKED)
        return false;
    s->place = ASKED_ASLEEP;
    s->is_suspended = 1;
    return true;
}

static void answer_now(struct state *s)
{
    if (s->armed)
        s->fault = UNLINKED_ARMED;
    s->is_linked = 0;
    s->place = ANSWERED;
}

/* The step after the read: done is the answer; else it arms, when nothing was seen since. */
static bool decide(void *p)
{
    struct state *s = p;
    if (s->place != READ || (mutant == READS_FIRST && !s->is_linked))
        return false;
    if (s->read_done) {
        answer_now(s);
    } else if (s->is_released && mutant != SLEEPS_ANYWAY) {
        s->place = WOKEN;
    } else if (s->seen && mutant != ARMS_BLINDLY) {
        s->place = WOKEN;
    } else {
        s->armed = 1;
        s->place = ARMED;
    }
    return true;
}

static bool fall_asleep(void *p)
{
    struct state *s = p;
    if (s->place != ARMED)
        return false;
    s->place = ASLEEP;
    s->has_timer = s->is_suspended = 1;
    return true;
}

static void resume(struct state *s)
{
    if (!s->is_suspended)
        s->fault = NOT_SUSPENDED;
    s->is_suspended = s->has_timer = 0;
    s->place = s->place == ASKED_ASLEEP ? READ : WOKEN;
}

/* Between two steps of the request: its thread is one. */
static bool is_between(const struct state *s)
{
    return s->drain != STOPPED && s->place != ASKED && s->place != ARMED;
}

static bool resume_ready(void *p)
{
    struct state *s = p;
    if (!s->is_ready || !is_between(s))
        return false;
    s->is_ready = 0;
    resume(s);
    return true;
}

static void wake_early(struct state *s)
{
    if (s->armed || mutant == NEVER_DISARMS) {
        s->armed = mutant == NEVER_DISARMS ? s->armed : 0;
        resume(s);
    } else {
        s->has_timer = 0; /* its wake-up is on the way */
    }
}

static bool time_out_or_hang_up(void *p)
{
    struct state *s = p;
    if (!s->has_timer || !is_between(s))
        return false;
    wake_early(s);
    return true;
}

static bool answer(void *p)
{
    struct state *s = p;
    if (s->place != WOKEN)
        return false;
    answer_now(s);
    return true;
}

/* ---- the store's threads --------------------------------------------------------------------- */

static bool read_it(void *p)
{
    struct state *s = p;
    if (s->reader != TO_READ)
        return false;
    s->reader = HAS_READ;
    s->read_done = s->writer != IDLE;
    return true;
}

static bool read_done(void *p)
{
    struct state *s = p;
    if (s->reader != HAS_READ)
        return false;
    s->reader = READ_TOLD;
    return push_ready(s);
}

static bool commit(void *p)
{
    struct state *s = p;
    if (s->writer != IDLE)
        return false;
    s->writer = COMMITTED;
    return true;
}

/* With the waiters' mutex held. */
static bool tell_waiters(void *p)
{
    struct state *s = p;
    if (s->writer != COMMITTED)
        return false;
    s->writer = TOLD;
    if (s->is_linked) {
        s->is_linked = 0;
        s->seen = 1;
        s->writer = s->armed ? WAKES : TOLD;
        s->armed = 0;
    }
    return true;
}

static bool wake(void *p)
{
    struct state *s = p;
    if (s->writer != WAKES)
        return false;
    s->writer = TOLD;
    if (mutant != RESUMES_AT_ONCE)
        return push_ready(s);
    resume(s);
    return true;
}

/* ---- the drain ------------------------------------------------------------------------------- */

static bool release(void *p)
{
    struct state *s = p;
    if (s->is_released || (mutant == WISHES_FIRST && s->drain < WISHED))
        return false;
    s->is_released = 1;
    if (s->drain == SERVING)
        s->drain = RELEASED;
    return true;
}

static bool wish(void *p)
{
    struct state *s = p;
    if (s->drain != (mutant == WISHES_FIRST ? SERVING : RELEASED))
        return false;
    s->drain = WISHED;
    return true;
}

static bool grant(void *p)
{
    struct state *s = p;
    if (s->drain != WISHED || !is_between(s))
        return false;
    s->drain = GRANTED;
    if (s->has_timer)
        wake_early(s);
    return true;
}

static bool stop(void *p)
{
    struct state *s = p;
    if (s->drain != GRANTED || !is_between(s) || (s->is_suspended && mutant != STOPS_BLINDLY))
        return false;
    if (s->place != ANSWERED && s->place != NEW && !s->is_suspended)
        return false; /* the loop runs its steps first */
    s->drain = STOPPED;
    if (s->is_suspended)
        s->fault = ENDED_SUSPENDED;
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *broken(const void *p)
{
    const struct state *s = p;
    bool sleeps = s->place == ASLEEP && s->armed && !s->is_ready;
    if (s->fault)
        return faults[s->fault];
    if (sleeps && s->writer == TOLD)
        return "nobody sleeps when the end was told";
    if (sleeps && s->drain >= GRANTED && s->is_released)
        return "nobody sleeps through a drain";
    return NULL;
}

static bool is_end(const void *p)
{
    const struct state *s = p;
    return s->drain == STOPPED || s->place == ANSWERED;
}

static void begin(void *p)
{
    (void)p;
}

static const struct explore_rule rules[] = {
    {"link", link_waiter},
    {"ask", ask},
    {"suspend", suspend_asking},
    {"read", read_it},
    {"read told", read_done},
    {"resume", resume_ready},
    {"decide", decide},
    {"fall asleep", fall_asleep},
    {"time-out or hang-up", time_out_or_hang_up},
    {"answer", answer},
    {"commit", commit},
    {"tell waiters", tell_waiters},
    {"wake", wake},
    {"release", release},
    {"wish", wish},
    {"grant", grant},
    {"stop", stop},
};

static const struct explore_model model = {
    sizeof(struct state), rules, FUT_COUNT(rules), begin, broken, is_end,
};

static const struct explore_mutant mutants[] = {
    {READS_FIRST, "nobody sleeps when the end was told"},
    {ARMS_BLINDLY, "nobody sleeps when the end was told"},
    {NEVER_DISARMS, "who is armed stays linked"},
    {WISHES_FIRST, "nobody sleeps through a drain"},
    {SLEEPS_ANYWAY, "nobody sleeps through a drain"},
    {RESUMES_AT_ONCE, "only what is suspended is resumed"},
    {STOPS_BLINDLY, "nobody is suspended when the loop ends"},
};

int main(void)
{
    return explore_suite("model_waits", &model, 200, &mutant, mutants, FUT_COUNT(mutants));
}
