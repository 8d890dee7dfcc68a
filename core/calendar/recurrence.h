/* recurrence: when a schedule is due: a cron pattern, a number of seconds, or a rule of RFC 5545,
 * in a time zone, from a start to an end.
 *
 * Summer time: a time of the day that the clock jumps over is due at the moment of the jump, and
 * one that comes twice is due the first time. A cron pattern whose minute or hour begins with `*`,
 * and a rule that recurs within days, follow elapsed time: they are due whenever the clock shows
 * what they say, in both of two equal hours, and not in an hour that is missing.
 * Pure; any thread. */
#ifndef FUT_CORE_CALENDAR_RECURRENCE_H
#define FUT_CORE_CALENDAR_RECURRENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/calendar/cron.h"
#include "core/calendar/rrule.h"
#include "core/calendar/zone.h"

#define RECURRENCE_EVERY_MAX_MS INT64_C(31622400000) /* 366 days */

enum recurrence_kind { RECURRENCE_CRON, RECURRENCE_EVERY, RECURRENCE_RRULE };

struct recurrence {
    enum recurrence_kind kind;
    struct cron cron;
    int64_t every_ms;
    struct rrule rrule;
    struct zone *zone;   /* NULL: UTC, for `every` alone */
    int64_t start_ms;    /* none before; every and rules count from there */
    bool start_is_first; /* of `every`: start_ms itself is one */
    int64_t until_ms;    /* none behind; INT64_MAX: no end */
};

/* The first time behind after_ms, in milliseconds since 1970. False: there is none any more. */
bool recurrence_next(const struct recurrence *r, int64_t after_ms, int64_t *out_ms);
/* Of the times in (after_ms, until_ms], the last n (1..RECURRENCE_LAST_MAX) in their order. Returns
 * how many there are in out. *out_more: there are earlier ones. */
#define RECURRENCE_LAST_MAX 1000
int recurrence_last(const struct recurrence *r, int64_t after_ms, int64_t until_ms, int n,
                    int64_t *out, bool *out_more);

#endif
