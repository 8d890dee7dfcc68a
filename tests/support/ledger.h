/* ledger: what the daemon has acknowledged, kept outside of it, to be held against what is there
 * after a crash. Knows nothing but answers: an id that came with 202 must exist from then on; a
 * future that was shown as done must stay as it was shown, to the last byte. Each breach is printed
 * and counted. Any thread. */
#ifndef FUT_TESTS_SUPPORT_LEDGER_H
#define FUT_TESTS_SUPPORT_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/id.h"

enum ledger_kind {
    LEDGER_SHA256,  /* input: a string; the result is checked against a digest of our own */
    LEDGER_ECHO,    /* input: a number, which must come back */
    LEDGER_JOURNAL, /* the same by an exec handler that writes each of its runs down */
    LEDGER_SLEEPER, /* sleeps for ever, to be cancelled */
    LEDGER_LATER,   /* a number, by a handler that suspends itself for a moment */
    LEDGER_JOIN,    /* a number, by a handler that suspends itself until another future has ended */
};
#define LEDGER_KINDS 6

struct ledger;

/* An empty ledger; ledger_free frees and NULLs. */
struct ledger *ledger_new(void);
void ledger_free(struct ledger **l);

/* The body of POST /v1/tasks for a task of this kind; free() it. Not of LEDGER_JOIN. */
char *ledger_body(enum ledger_kind kind, uint64_t input);
/* Of LEDGER_JOIN, which waits for this future; free() it. */
char *ledger_join_body(uint64_t input, const char *id);
/* The daemon has answered 202 with this id. Returns its place. */
size_t ledger_add(struct ledger *l, enum ledger_kind kind, uint64_t input, const char *id);
/* The daemon has said that it is cancelled: it must never be anything else. */
void ledger_cancelled(struct ledger *l, size_t at);

/* From now on processes that run tasks are killed: a task may fail for that. */
void ledger_expect_deaths(struct ledger *l);

/* How many entries there are. */
size_t ledger_count(struct ledger *l);
/* The kind and the id of the entry at this place. */
enum ledger_kind ledger_entry(struct ledger *l, size_t at, char out_id[ID_TEXT_SIZE]);
/* The place of an id, or SIZE_MAX. */
size_t ledger_find(struct ledger *l, const char *id);
/* Has the daemon shown it as done, or said that it is cancelled? Asked before a request, since
 * answers to several clients may be looked at in another order than they were given. */
bool ledger_is_decided(struct ledger *l, size_t at);
/* The daemon shows this future: is it right, and what it was before? was_decided: before the
 * request.
 */
void ledger_check(struct ledger *l, size_t at, const json_t *future, bool was_decided);

/* Counts a broken promise and prints it. */
void ledger_breach(struct ledger *l, const char *fmt, ...) FUT_PRINTF(2, 3);

struct ledger_totals {
    size_t acknowledged, shown, breaches;
    size_t killed;    /* failed because their process was killed; ledger_expect_deaths */
    size_t suspended; /* times that one was seen suspended until a time */
    size_t worn_out;  /* failed by rule: the daemon died under more than TASK_DAEMON_DEATHS_MAX
                         attempts */
};
/* The totals so far. */
struct ledger_totals ledger_totals(struct ledger *l);

#endif
