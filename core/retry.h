/* retry: after which ends an attempt is tried again, and when; and "retry_on" and "backoff", by
 * which a submission and a handler's entry say so. Pure: no I/O, no clock, no lock; any thread. How
 * many tries are left is the state machine's question. */
#ifndef FUT_CORE_RETRY_H
#define FUT_CORE_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct json_t;

/* Ends, as bits (of which code, says core/end_codes). Temporary failures are always tried again.
 * The numbers are stored. */
enum retry_end {
    RETRY_TEMPORARY = 1, /* the handler says "try again": exit 75 … */
    RETRY_EXIT = 2,      /* any other exit code */
    RETRY_SIGNAL = 4,    /* a signal, or the death of the worker process */
    RETRY_TIMEOUT = 8,
    RETRY_LIMIT = 16, /* cpu, memory, output, files, processes */
    RETRY_ERROR = 32, /* the handler reports an error of its own */
    RETRY_CRASH = 64, /* the death of the worker process */
};

#define RETRY_MAX_MS 86400000LL
#define RETRY_WORDS                                                                                \
    "\"temporary\", \"exit\", \"signal\", \"timeout\", \"limit\", \"error\", \"crash\""

/* Zeroed: nothing is said. */
struct retry_policy {
    unsigned on;      /* bits; 0: not said */
    int64_t first_ms; /* the wait after the first attempt, doubling; 0: not said */
    int64_t max_ms;   /* longest wait; 0: not said */
    bool says_jitter;
    unsigned jitter_percent; /* 0..100, of the wait: as much is added at random */
};

/* Bits of a word ("exit"); 0 when it is none. */
unsigned retry_end_parse(const char *word);
/* The i-th word, *out_end its bit; NULL: there are no more. */
const char *retry_end_word(size_t i, unsigned *out_end);
/* What `first` does not say, `second` says; what neither says is the default: temporary failures
 * and crashes of a worker process, 1 s doubling to 5 min, and up to a quarter of jitter. */
struct retry_policy retry_merge(const struct retry_policy *first,
                                const struct retry_policy *second);
bool retry_is_unsaid(const struct retry_policy *p);
/* How long to wait after so many tries (>= 1). p: merged. random: any number. */
int64_t retry_wait_ms(const struct retry_policy *p, uint32_t tries, uint32_t random);

/* ---- as JSON --------------------------------------------------------------------------------- */

/* What was wrong. All texts are literals but `unknown`. */
struct retry_json_error {
    const char *field;   /* "retry_on", "backoff", "backoff.first" … */
    const char *allowed; /* what it must be: "an array of …" */
    const char *unknown; /* a member of "backoff" that is not known, borrowed from the value; NULL:
                            it is the value of field that is wrong */
};

/* 0, or FUT_ERR_INVAL with *err set and *out untouched. value: any JSON value. What `out` says
 * already and the value does not mention stays. "temporary" is always among the ends. */
FUT_MUST_CHECK int retry_json_on(const struct json_t *value, struct retry_policy *out,
                                 struct retry_json_error *err);
/* Likewise. A first wait that is longer than the longest wait is refused. */
FUT_MUST_CHECK int retry_json_backoff(const struct json_t *value, struct retry_policy *out,
                                      struct retry_json_error *err);

#endif
