/* Requests that wait for the store, exhaustively: what api/http/pending.c, serve.c and loop.c do
 * with two requests, of which one may be polled and the other is suspended: their commits, clients
 * that leave, a drain and the loop's end. The loop's thread, the store's writer, the clients and
 * main each take one step at a time, in every order. Each move of a request is held against the
 * table of api/http/request_state.c. The mutants are the orders and checks that the code must not
 * lose; each must be found. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "api/http/request_state.h"
#include "core/mem.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    FREES_POLLED,      /* a polled request is freed when its client has left */
    FORGETS_ABANDONED, /* what is ready is not asked whether its client has left meanwhile */
    SUSPENDS_POLLED,   /* after its long wait the library suspends it, but it stays polled */
    POLLS_TOO_MANY,    /* nobody asks how many are polled */
    RESUMES_POLLED,    /* the library is told to resume what it never suspended */
    TELLS_EARLY,       /* the writer tells before its commit */
    WAKES_IN_PLACE,    /* the writer lets go by itself, in place of the loop */
    RELEASES_POLLED,   /* a drain lets go of those that are polled */
    STOPS_OVER_POLLED, /* the loop's end asks for the suspended ones only */
};
static int mutant; /* enum mutant */

enum op { NO_OP, WITH_STORE, TOLD_EARLY, COMMITTED, TOLD };
enum client { HERE, LEFT, FORGOTTEN }; /* forgotten: the library has closed the connection */
enum drain { SERVING, RELEASE_WISHED, RELEASED, STOP_WISHED, STOP_GRANTED, STOPPED };

#define REQUESTS 2
#define POLLED_MAX 1

struct one {
    uint8_t state; /* enum request_state */
    uint8_t op, client;
    uint8_t is_suspended; /* in the library */
    uint8_t is_ready;     /* on the loop's list */
};

struct state {
    struct one r[REQUESTS];
    uint8_t drain, fault;
};

enum fault { FINE, NOT_ALLOWED, TWICE_READY, TOUCHED, NOT_SUSPENDED, EARLY, ENDED_POLLED };
static const char *const faults[] = {
    [NOT_ALLOWED] = "only moves of the table are made",
    [TWICE_READY] = "once on the ready list for each operation",
    [TOUCHED] = "nobody touches a request that is freed",
    [NOT_SUSPENDED] = "only what is suspended is resumed",
    [EARLY] = "an answer comes after its commit",
    [ENDED_POLLED] = "nobody is polled or suspended when the loop ends",
};

static void move(struct state *s, struct one *r, enum request_state to)
{
    if (!request_state_may((enum request_state)r->state, to))
        s->fault = NOT_ALLOWED;
    r->state = (uint8_t)to;
}

static bool is_polled(const struct one *r)
{
    return request_state_is_polled((enum request_state)r->state);
}

static unsigned count_polled(const struct state *s)
{
    return (unsigned)is_polled(&s->r[0]) + (unsigned)is_polled(&s->r[1]);
}

/* Between two steps of the loop: its thread is one. */
static bool is_between(const struct state *s)
{
    return s->drain != STOPPED && s->r[0].state != REQUEST_POSTED &&
           s->r[1].state != REQUEST_POSTED;
}

/* ---- the loop's thread: the library asks ----------------------------------------------------- */

static bool post(struct state *s, struct one *r)
{
    if (r->state != REQUEST_READING || r->client != HERE || !is_between(s))
        return false;
    move(s, r, REQUEST_RUNNING);
    move(s, r, REQUEST_POSTED);
    r->op = WITH_STORE; /* from here on the writer may be faster than the rest of the step */
    return true;
}

static bool poll(struct state *s, struct one *r)
{
    if (r->state != REQUEST_POSTED || (count_polled(s) == POLLED_MAX && mutant != POLLS_TOO_MANY))
        return false;
    move(s, r, REQUEST_POLLED);
    return true;
}

/* Also where one more could be polled: the body is not complete, or it is a stream. */
static bool suspend(struct state *s, struct one *r)
{
    if (r->state != REQUEST_POSTED)
        return false;
    move(s, r, REQUEST_SUSPENDED);
    r->is_suspended = 1;
    return true;
}

static bool poll_too_long(struct state *s, struct one *r)
{
    if (r->state != REQUEST_POLLED || r->is_suspended || !is_between(s))
        return false;
    if (mutant != SUSPENDS_POLLED)
        move(s, r, REQUEST_SUSPENDED);
    r->is_suspended = 1;
    return true;
}

static bool answer(struct state *s, struct one *r)
{
    if (r->state != REQUEST_RESUMED || r->client == FORGOTTEN || !is_between(s))
        return false;
    if (r->op < COMMITTED)
        s->fault = EARLY;
    move(s, r, REQUEST_RUNNING);
    move(s, r, REQUEST_ANSWERED);
    return true;
}

/* The library's last call for a request: its answer has left, or its client. */
static void complete(struct state *s, struct one *r)
{
    bool is_in_store = r->state == REQUEST_POLLED && mutant != FREES_POLLED;
    r->client = FORGOTTEN;
    move(s, r, is_in_store ? REQUEST_ABANDONED : REQUEST_ENDED);
}

static bool end(struct state *s, struct one *r)
{
    bool is_begun =
        r->state == REQUEST_POLLED || r->state == REQUEST_RESUMED || r->state == REQUEST_ANSWERED;
    if (!is_begun || r->client == FORGOTTEN || r->is_suspended || !is_between(s))
        return false;
    if (r->state != REQUEST_ANSWERED && r->client != LEFT)
        return false;
    complete(s, r);
    return true;
}

/* ---- the loop's thread: the ready list ------------------------------------------------------- */

static void let_go(struct state *s, struct one *r)
{
    bool was_polled = is_polled(r);
    if (r->state == REQUEST_ABANDONED && mutant != FORGETS_ABANDONED) {
        move(s, r, REQUEST_ENDED);
        return;
    }
    move(s, r, REQUEST_RESUMED);
    if (was_polled && mutant != RESUMES_POLLED)
        return;
    if (!r->is_suspended)
        s->fault = NOT_SUSPENDED;
    r->is_suspended = 0;
}

static bool take_ready(struct state *s, struct one *r)
{
    if (!r->is_ready || !is_between(s))
        return false;
    r->is_ready = 0;
    if (r->state == REQUEST_ENDED)
        s->fault = TOUCHED;
    else
        let_go(s, r);
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
    if (r->state == REQUEST_ENDED || r->is_ready)
        s->fault = r->is_ready ? TWICE_READY : TOUCHED;
    r->op = mutant == TELLS_EARLY ? TOLD_EARLY : TOLD;
    if (mutant != WAKES_IN_PLACE)
        r->is_ready = 1;
    else if (is_polled(r) || r->is_suspended)
        let_go(s, r);
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
    for (size_t i = 0; i < REQUESTS && mutant == RELEASES_POLLED; i++) {
        if (is_polled(&s->r[i]))
            let_go(s, &s->r[i]);
    }
    s->drain++;
    return true;
}

/* The library closes what is still open: answers that nobody takes any more. */
static bool stop(void *p)
{
    struct state *s = p;
    if (s->drain != STOP_GRANTED || !is_between(s) ||
        (count_polled(s) && mutant != STOPS_OVER_POLLED))
        return false;
    for (size_t i = 0; i < REQUESTS; i++) {
        if (s->r[i].is_suspended || (s->r[i].state == REQUEST_RESUMED && s->r[i].client == HERE))
            return false; /* the loop runs its rounds first */
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        if (is_polled(&s->r[i]))
            s->fault = ENDED_POLLED;
        else if (s->r[i].state != REQUEST_READING && s->r[i].client != FORGOTTEN)
            complete(s, &s->r[i]);
    }
    s->drain = STOPPED;
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static const char *broken_one(const struct one *r)
{
    bool is_with_store = r->op == WITH_STORE || r->op == COMMITTED;
    if (r->state == REQUEST_ENDED && (is_with_store || r->is_ready))
        return "a request is kept while the store has it";
    if ((r->state == REQUEST_POLLED || r->state == REQUEST_SUSPENDED) && r->op == TOLD &&
        !r->is_ready)
        return "nobody waits when its commit was told";
    if (r->is_suspended != request_state_is_suspended((enum request_state)r->state))
        return "the library suspends those whose state says so";
    return NULL;
}

static const char *broken(const void *p)
{
    const struct state *s = p;
    if (s->fault)
        return faults[s->fault];
    if (count_polled(s) > POLLED_MAX)
        return "no more are polled than may be";
    const char *why = broken_one(&s->r[0]);
    return why ? why : broken_one(&s->r[1]);
}

/* Nothing is left behind: what was begun is freed. */
static bool is_end(const void *p)
{
    const struct state *s = p;
    for (size_t i = 0; i < REQUESTS; i++) {
        if (s->r[i].state != REQUEST_READING && s->r[i].state != REQUEST_ENDED)
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
EACH(poll)
EACH(suspend)
EACH(poll_too_long)
EACH(answer)
EACH(end)
EACH(take_ready)
EACH(commit)
EACH(tell)
EACH(leave)

static const struct explore_rule rules[] = {
    {"post", post_0},
    {"post 2", post_1},
    {"poll", poll_0},
    {"poll 2", poll_1},
    {"suspend", suspend_0},
    {"suspend 2", suspend_1},
    {"polled too long", poll_too_long_0},
    {"polled too long 2", poll_too_long_1},
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
    {FREES_POLLED, "only moves of the table are made"},
    {FORGETS_ABANDONED, "only moves of the table are made"},
    {SUSPENDS_POLLED, "the library suspends those whose state says so"},
    {POLLS_TOO_MANY, "no more are polled than may be"},
    {RESUMES_POLLED, "only what is suspended is resumed"},
    {TELLS_EARLY, "an answer comes after its commit"},
    {WAKES_IN_PLACE, "nobody waits when its commit was told"},
    {RELEASES_POLLED, "an answer comes after its commit"},
    {STOPS_OVER_POLLED, "nobody is polled or suspended when the loop ends"},
};

int main(void)
{
    return explore_suite("model_pending", &model, 1000, &mutant, mutants, FUT_COUNT(mutants));
}
