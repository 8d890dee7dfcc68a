/* rrule: a recurrence rule of RFC 5545 (`FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9,17`), and its times.
 *
 * A rule of days or longer names local times, counted from the start. One that recurs within days
 * (HOURLY, MINUTELY, SECONDLY) counts elapsed time from the start; what else it says filters by the
 * local time.
 *
 * libical has rules, too. It is not used because it cannot be bounded (a rule that never holds is
 * searched for seconds), because FREQ=HOURLY;INTERVAL=2;BYHOUR=1 from midnight on gives one o'clock
 * there, and because it brings 37 MB of ICU. Here each search ends after some thousand steps.
 * Pure; any thread. */
#ifndef FUT_CORE_CALENDAR_RRULE_H
#define FUT_CORE_CALENDAR_RRULE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/calendar/zone.h"
#include "core/err.h"

#define RRULE_TEXT_MAX 1024 /* bytes */
#define RRULE_LIST_MAX 32   /* values of BYDAY and of BYSETPOS */
#define RRULE_COUNT_MAX 10000

enum rrule_freq {
    RRULE_SECONDLY,
    RRULE_MINUTELY,
    RRULE_HOURLY,
    RRULE_DAILY,
    RRULE_WEEKLY,
    RRULE_MONTHLY,
    RRULE_YEARLY,
};

/* Bit i stands for the value i; 0: the part was not given. */
struct rrule {
    enum rrule_freq freq;
    int interval;
    int count;           /* 0: no end */
    bool has_until;      /* not behind */
    bool until_is_local; /* this local time, else this moment */
    int64_t until;       /* seconds since 1970 */
    uint64_t seconds, minutes, hours, months;
    uint64_t days, last_days;   /* of the month; the latter from its end: bit 1 the last */
    uint64_t weeks, last_weeks; /* of the year */
    uint64_t year_days[6], last_year_days[6];
    uint32_t weekdays; /* BYDAY without a number; 0 is Sunday */
    struct rrule_nth {
        int n, weekday; /* the n-th one; below 0 from the end */
    } nth[RRULE_LIST_MAX];
    int n_nth;
    int positions[RRULE_LIST_MAX]; /* BYSETPOS */
    int n_positions;
    int week_start;
};

/* FUT_ERR_INVAL: err says which part is wrong, and what it may be. */
FUT_MUST_CHECK int rrule_parse(const char *text, struct rrule *out, struct fut_errbuf *err);

/* The first time behind `after`, of those from start on (seconds since 1970, all of them). False:
 * there is none, or none within a hundred years. |start|, |after| up to 10^11. */
bool rrule_next(const struct rrule *r, const struct zone *z, int64_t start, int64_t after,
                int64_t *out);

#endif
