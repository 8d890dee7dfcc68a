/* request_state: where a request stands, and which way it may go from there. Pure; any thread. */
#ifndef FUT_API_HTTP_REQUEST_STATE_H
#define FUT_API_HTTP_REQUEST_STATE_H

#include <stdbool.h>

enum request_state {
    REQUEST_READING,   /* its head is here and the library reads its body, if it has one */
    REQUEST_RUNNING,   /* one of its steps runs */
    REQUEST_POSTED,    /* the step has posted a store operation and not yet returned */
    REQUEST_POLLED,    /* waits for the store; the library asks for its answer in each round */
    REQUEST_SUSPENDED, /* waits for the store; the library looks away until it is resumed */
    REQUEST_DROWSY,    /* the step has asked for a sleep and not yet returned */
    REQUEST_ASLEEP,    /* its waiter is armed; suspended until it is woken, late or hung up */
    REQUEST_WAKING,    /* as before, but its waiter has fired: it is on its way to the ready list */
    REQUEST_RESUMED,   /* what it waited for has come: the library calls for its next step */
    REQUEST_STREAMING, /* the reader of its stream takes what the last step wrote */
    REQUEST_STREAM_ENDED,  /* nothing comes behind what the last step wrote */
    REQUEST_STREAM_BROKEN, /* the stream breaks off: its connection closes without an end */
    REQUEST_ANSWERED,      /* its answer is whole; the library sends it */
    REQUEST_ABANDONED, /* its client left while it was polled; the store still has its operation */
    REQUEST_ENDED,     /* everything it had is let go */
};
#define REQUEST_STATE_COUNT (REQUEST_ENDED + 1)

/* Says the table whether a request may move from one state to the other. */
bool request_state_may(enum request_state from, enum request_state to);
/* Is its connection suspended in the library, so that only a resume brings it on? */
bool request_state_is_suspended(enum request_state s);
/* Does the library ask for it in each round, or would if its client were still there? */
bool request_state_is_polled(enum request_state s);
/* Has a step given the whole of what the library is to send first? */
bool request_state_is_answered(enum request_state s);
/* "reading", "running" … for the log and for tests. */
const char *request_state_name(enum request_state s);

#endif
