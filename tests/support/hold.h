/* hold: long-polls by the ten thousand in one thread: opened, held, hung up on, collected. That the
 * daemon holds them is not guessed: it is asked (/v1/stats, http.waiters) until it counts as many.
 * There must be no other waiters. One owner, one thread; misfortune ends the test by fail(). */
#ifndef FUT_TESTS_SUPPORT_HOLD_H
#define FUT_TESTS_SUPPORT_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold;

struct hold_config {
    const char *address;    /* "127.0.0.1:8420" */
    const char *const *ids; /* futures to wait for, each connection the next one of them */
    size_t n_ids;           /* at least 1 */
    double wait_s;
    const char *expect; /* what a right answer (200) contains */
};

struct hold_report {
    size_t asked, answered;
    size_t right;        /* answered with 200 and what is expected; the others are in `wrong` */
    size_t disconnected; /* the daemon closed the connection without an answer */
    size_t unanswered;   /* when the time was over */
    int wrong;           /* status of the latest answer that was not right */
    int64_t last_mono_us;
};

/* Raises this process's limit of descriptors (and what daemons started afterwards inherit) for n
 * connections. How many of the n are possible. */
size_t hold_possible(size_t n);

/* cfg and what it points to are read until hold_free. */
struct hold *hold_new(const struct hold_config *cfg);
/* Hangs up on whatever is still held. */
void hold_free(struct hold **h);

/* Opens n more. Returns when the daemon holds them all; false when it does not within a minute. */
bool hold_add(struct hold *h, size_t n);
/* Hangs up on the n oldest, every second one with a reset. Returns when the daemon has noticed. */
bool hold_drop(struct hold *h, size_t n);
/* Waits for the answers of all that are held; they are held no more. */
void hold_collect(struct hold *h, int timeout_ms, struct hold_report *out);
/* Waits until the daemon counts what is held here, neither more nor less. */
bool hold_agrees(struct hold *h);
size_t hold_count(const struct hold *h);

#endif
