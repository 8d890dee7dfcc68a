/* held requests, exhaustively: what api/http/held.c, http.c and http_loop.c do with two requests
 * whose operations are with the store, of which one may be held and the other is suspended: their
 * commits, clients that leave, a drain and the loop's end. The loop's thread, the store's writer,
 * the clients and main each take one step at a time, in every order. The mutants are the orders and
 * checks that the code must not lose; each must be found. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "core/mem.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    FREES_HELD,      /* a held request is freed when its client has left */
    FORGETS_GONE,    /* who let go does not ask whether the client has left meanwhile */
    SUSPENDS_HELD,   /* after its long wait it is suspended and stays held */
    MISCOUNTS,       /* the same, but it stays counted */
    HOLDS_TOO_MANY,  /* nobody asks whether there is room */
    RESUMES_HELD,    /* the library is told to resume what it never suspended */
    TELLS_EARLY,     /* the writer tells before its commit */
    WAKES_IN_PLACE,  /* the writer lets go by itself, in place of the loop */
    RELEASES_HELD,   /* a drain lets go of those that are held */
    STOPS_OVER_HELD, /* the loop's end asks for the suspended ones only */
};
static int mutant; /* enum mutant */

enum place { NEW, POSTED, WAITS, LET_GO, ANSWERED, FREED };
enum op { NO_OP, WITH_STORE, TOLD_EARLY, COMMITTED, TOLD };
enum client { HERE, LEFT, FORGOTTEN }; /* forgotten: the library has closed the connection */
enum drain { SERVING, RELEASE_WISHED, RELEASED, STOP_WISHED, STOP_GRANTED, STOPPED };

#define REQUESTS 2
#define HELD_MAX 1

struct one {
    uint8_t place, op, client;
    uint8_t is_held, is_gone, is_suspended;
    uint8_t is_ready; /* on the loop's list */
};

struct state {
    struct one r[REQUESTS];
    uint8_t held; /* as the loop counts them */
    uint8_t drain, fault;
};

enum fault { FINE, TWICE_READY, TOUCHED, NOT_SUSPENDED, EARLY, ENDED_HELD };
static const char *const faults[] = {
    [TWICE_READY] = "once on the ready list for each operation",
    [TOUCHED] = "nobody touches a request that is freed",
    [NOT_SUSPENDED] = "only what is suspended is resumed",
    [EARLY] = "an answer comes after its commit",
    [ENDED_HELD] = "nobody is held or suspended when the loop ends",
};

/* Between two steps of the loop: its thread is one. */
static bool is_between(const struct state *s)
{
    return s->drain != STOPPED && s->r[0].place != POSTED && s->r[1].place != POSTED;
}

static void let_go(struct state *s, struct one *r)
{
    r->is_held = 0;
    s->held--;
    r->place = r->is_gone && mutant != FORGETS_GONE ? FREED : LET_GO;
}

/* ---- the loop's thread: the library asks ----------------------------------------------------- */

static bool post(struct state *s, struct one *r)
{
    if (r->place != NEW || r->client != HERE || !is_between(s))
        return false;
    r->place = POSTED;
    r->op = WITH_STORE; /* from here on the writer may be faster than the rest of the step */
    return true;
}

static bool hold(struct state *s, struct one *r)
{
    if (r->place != POSTED || (s->held == HELD_MAX && mutant != HOLDS_TOO_MANY))
        return false;
    r->place = WAITS;
    r->is_held = 1;
    s->held++;
    return true;
}

/* Also where there is room: the body is not complete, or it is a stream. */
static bool suspend(struct state *s, struct one *r)
{
    (void)s;
    if (r->place != POSTED)
        return false;
    r->place = WAITS;
    r->is_suspended = 1;
    return true;
}

static bool hold_too_long(struct state *s, struct one *r)
{
    if (!r->is_held || r->is_suspended || r->client == FORGOTTEN || !is_between(s))
        return false;
    r->is_held = mutant == SUSPENDS_HELD;
    if (mutant != SUSPENDS_HELD && mutant != MISCOUNTS)
        s->held--;
    r->is_suspended = 1;
    return true;
}

static bool answer(struct state *s, struct one *r)
{
    if (r->place != LET_GO || r->client == FORGOTTEN || r->is_suspended || !is_between(s))
        return false;
    if (r->op < COMMITTED)
        s->fault = EARLY;
    r->place = ANSWERED;
    return true;
}

/* The library's last call for a request: its answer has left, or its client. */
static void complete(struct one *r)
{
    r->client = FORGOTTEN;
    if (r->is_held && mutant != FREES_HELD)
        r->is_gone = 1;
    else
        r->place = FREED;
}

static bool end(struct state *s, struct one *r)
{
    bool is_begun = r->place >= WAITS && r->place != FREED;
    if (!is_begun || r->client == FORGOTTEN || r->is_suspended || !is_between(s))
        return false;
    if (r->place != ANSWERED && r->client != LEFT)
        return false;
    complete(r);
    return true;
}

/* ---- the loop's thread: the ready list ------------------------------------------------------- */

static void resume(struct state *s, struct one *r)
{
    if (!r->is_suspended)
        s->fault = NOT_SUSPENDED;
    r->is_suspended = 0;
    r->place = LET_GO;
}

static bool take_ready(struct state *s, struct one *r)
{
    if (!r->is_ready || !is_between(s))
        return false;
    r->is_ready = 0;
    if (r->place == FREED)
        s->fault = TOUCHED;
    else if (r->is_held && mutant != RESUMES_HELD)
        let_go(s, r);
    else
        resume(s, r);
    return true;
}

/* ---- the writer and the clients -------------------------------------------------------------- */

static bool commit(struct state *s, struct one *r)
{
    (void)s;
    if (r->op != WITH_STORE)
        return false;
    r->op = COMMITTED;
    return true;
}

static bool tell(struct state *s, struct one *r)
{
    enum op from = mutant == TELLS_EARLY ? WITH_STORE : COMMITTED;
    if (r->op != from)
        return false;
    if (r->place == FREED || r->is_ready)
        s->fault = r->is_ready ? TWICE_READY : TOUCHED;
    r->op = mutant == TELLS_EARLY ? TOLD_EARLY : TOLD;
    if (mutant != WAKES_IN_PLACE)
        r->is_ready = 1;
    else if (r->is_held)
        let_go(s, r);
    else if (r->is_suspended)
        resume(s, r);
    return true;
}

static bool leave(struct state *s, struct one *r)
{
    (void)s;
    if (r->client != HERE)
        return false;
    r->client = LEFT;
    return true;
}

/* ---- main, and what the loop grants ---------------------------------------------------------- */

static bool wish(void *p)
{
    struct state *s = p;
    if (s->drain != SERVING && s->drain != RELEASED)
        return false;
    s->drain++;
    return true;
}

/* A drain wakes those who sleep for a future's end; who waits for the store goes on waiting. */
static bool grant(void *p)
{
    struct state *s = p;
    if ((s->drain != RELEASE_WISHED && s->drain != STOP_WISHED) || !is_between(s))
        return false;
    for (size_t i = 0; i < REQUESTS && mutant == RELEASES_HELD; i++) {
        if (s->r[i].is_held)
            let_go(s, &s->r[i]);
    }
    s->drain++;
    return true;
}

/* The library closes what is still open: answers that nobody takes any more. */
static bool stop(void *p)
{
    struct state *s = p;
    if (s->drain != STOP_GRANTED || !is_between(s) || (s->held && mutant != STOPS_OVER_HELD))
        return false;
    for (size_t i = 0; i < REQUESTS; i++) {
        if (s->r[i].is_suspended || (s->r[i].place == LET_GO && s->r[i].client == HERE))
            return false; /* the loop runs its rounds first */
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        if (s->r[i].is_held)
            s->fault = ENDED_HELD;
        if (s->r[i].place != NEW && s->r[i].client != FORGOTTEN)
            complete(&s->r[i]);
    }
    s->drain = STOPPED;
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *broken_one(const struct one *r)
{
    bool is_with_store = r->op == WITH_STORE || r->op == COMMITTED;
    if (r->place == FREED && (is_with_store || r->is_ready))
        return "a request is kept while the store has it";
    if (r->place == WAITS && r->op == TOLD && !r->is_ready)
        return "nobody waits when its commit was told";
    return NULL;
}

static const char *broken(const void *p)
{
    const struct state *s = p;
    if (s->fault)
        return faults[s->fault];
    if (s->held != s->r[0].is_held + s->r[1].is_held)
        return "the count is of those that are held";
    if (s->held > HELD_MAX)
        return "no more are held than there is room for";
    const char *why = broken_one(&s->r[0]);
    return why ? why : broken_one(&s->r[1]);
}

/* Nothing is left behind: what was begun is freed. */
static bool is_end(const void *p)
{
    const struct state *s = p;
    for (size_t i = 0; i < REQUESTS; i++) {
        if (s->r[i].place != NEW && s->r[i].place != FREED)
            return false;
    }
    return s->drain == STOPPED;
}

static void begin(void *p)
{
    (void)p;
}

#define EACH(rule)                                                                                 \
    static bool rule##_0(void *p)                                                                  \
    {                                                                                              \
        return rule(p, &((struct state *)p)->r[0]);                                                \
    }                                                                                              \
    static bool rule##_1(void *p)                                                                  \
    {                                                                                              \
        return rule(p, &((struct state *)p)->r[1]);                                                \
    }
EACH(post)
EACH(hold)
EACH(suspend)
EACH(hold_too_long)
EACH(answer)
EACH(end)
EACH(take_ready)
EACH(commit)
EACH(tell)
EACH(leave)

static const struct explore_rule rules[] = {
    {"post", post_0},
    {"post 2", post_1},
    {"hold", hold_0},
    {"hold 2", hold_1},
    {"suspend", suspend_0},
    {"suspend 2", suspend_1},
    {"held too long", hold_too_long_0},
    {"held too long 2", hold_too_long_1},
    {"answer", answer_0},
    {"answer 2", answer_1},
    {"end", end_0},
    {"end 2", end_1},
    {"ready", take_ready_0},
    {"ready 2", take_ready_1},
    {"commit", commit_0},
    {"commit 2", commit_1},
    {"tell", tell_0},
    {"tell 2", tell_1},
    {"leave", leave_0},
    {"leave 2", leave_1},
    {"wish", wish},
    {"grant", grant},
    {"stop", stop},
};

static const struct explore_model model = {
    sizeof(struct state), rules, FUT_COUNT(rules), begin, broken, is_end,
};

static const struct explore_mutant mutants[] = {
    {FREES_HELD, "a request is kept while the store has it"},
    {FORGETS_GONE, "no way to an end"},
    {SUSPENDS_HELD, "no way to an end"},
    {MISCOUNTS, "the count is of those that are held"},
    {HOLDS_TOO_MANY, "no more are held than there is room for"},
    {RESUMES_HELD, "only what is suspended is resumed"},
    {TELLS_EARLY, "an answer comes after its commit"},
    {WAKES_IN_PLACE, "nobody waits when its commit was told"},
    {RELEASES_HELD, "an answer comes after its commit"},
    {STOPS_OVER_HELD, "nobody is held or suspended when the loop ends"},
};

int main(void)
{
    return explore_suite("model_held", &model, 1000, &mutant, mutants, FUT_COUNT(mutants));
}
