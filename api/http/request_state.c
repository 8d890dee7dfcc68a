#include "api/http/request_state.h"

#define BIT(s) (1u << (s))
#define ANSWERS                                                                                    \
    (BIT(REQUEST_STREAMING) | BIT(REQUEST_STREAM_ENDED) | BIT(REQUEST_STREAM_BROKEN) |             \
     BIT(REQUEST_ANSWERED))

static const struct {
    const char *name;
    unsigned next; /* the states that it may move to */
} states[REQUEST_STATE_COUNT] = {
    /* A refusal may come before the body; a client may leave in the middle of it. */
    [REQUEST_READING] = {"reading", BIT(REQUEST_RUNNING) | BIT(REQUEST_ENDED)},
    [REQUEST_RUNNING] = {"running", BIT(REQUEST_POSTED) | BIT(REQUEST_DROWSY) | ANSWERS},
    /* Back when the store does not take the operation: the step goes on without it. */
    [REQUEST_POSTED] = {"posted",
                        BIT(REQUEST_RUNNING) | BIT(REQUEST_POLLED) | BIT(REQUEST_SUSPENDED)},
    [REQUEST_POLLED] = {"polled",
                        BIT(REQUEST_RESUMED) | BIT(REQUEST_SUSPENDED) | BIT(REQUEST_ABANDONED)},
    [REQUEST_SUSPENDED] = {"suspended", BIT(REQUEST_RESUMED)},
    /* Straight on when what it would wait for has come already; the client of a stream may leave
     * before the reader has taken what was written. */
    [REQUEST_DROWSY] = {"drowsy", BIT(REQUEST_RUNNING) | BIT(REQUEST_ASLEEP) | BIT(REQUEST_ENDED)},
    [REQUEST_ASLEEP] = {"asleep", BIT(REQUEST_RESUMED) | BIT(REQUEST_WAKING)},
    [REQUEST_WAKING] = {"waking", BIT(REQUEST_RESUMED)},
    [REQUEST_RESUMED] = {"resumed", BIT(REQUEST_RUNNING) | BIT(REQUEST_ENDED)},
    [REQUEST_STREAMING] = {"streaming", BIT(REQUEST_RUNNING) | BIT(REQUEST_ENDED)},
    [REQUEST_STREAM_ENDED] = {"stream_ended", BIT(REQUEST_ENDED)},
    [REQUEST_STREAM_BROKEN] = {"stream_broken", BIT(REQUEST_ENDED)},
    /* Again running when there is no memory for its answer: the refusal takes its place. */
    [REQUEST_ANSWERED] = {"answered", BIT(REQUEST_RUNNING) | BIT(REQUEST_ENDED)},
    [REQUEST_ABANDONED] = {"abandoned", BIT(REQUEST_ENDED)},
    [REQUEST_ENDED] = {"ended", 0},
};

bool request_state_may(enum request_state from, enum request_state to)
{
    return states[from].next & BIT(to);
}

bool request_state_is_suspended(enum request_state s)
{
    return s == REQUEST_SUSPENDED || s == REQUEST_ASLEEP || s == REQUEST_WAKING;
}

bool request_state_is_polled(enum request_state s)
{
    return s == REQUEST_POLLED || s == REQUEST_ABANDONED;
}

bool request_state_is_answered(enum request_state s)
{
    return ANSWERS & BIT(s);
}

const char *request_state_name(enum request_state s)
{
    return states[s].name;
}
