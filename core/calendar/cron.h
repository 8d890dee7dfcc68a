/* cron: the five fields of a crontab line, and the local times that they name. Fields: minute,
 * hour, day of the month, month, day of the week; each a list of numbers (or names: jan, mon) and
 * ranges with steps. Besides: `L` (the last day of the month), `5L` (its last Friday), `1#2` (its
 * second Monday), @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually. Sunday is 0
 * and 7.
 *
 * As in Vixie's cron, a day must match both day fields when one of them begins with `*`, and either
 * when none does. Pure; any thread. */
#ifndef FUT_CORE_CALENDAR_CRON_H
#define FUT_CORE_CALENDAR_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

#define CRON_TEXT_MAX 1024 /* bytes */

/* Bit i stands for the value i. */
struct cron {
    uint64_t minutes;
    uint32_t hours, days, months;
    uint32_t weekdays, last_weekdays;
    uint32_t nth_weekdays[5]; /* [0]: the first one of the month */
    bool last_day;
    bool any_day, any_weekday; /* the field begins with `*` */
    bool is_elapsed; /* the minute or the hour does: a pattern that recurs by the clock, rather than
                        a list of times of the day */
};

/* FUT_ERR_INVAL: err says which field is wrong, and what it may be. */
FUT_MUST_CHECK int cron_parse(const char *text, struct cron *out, struct fut_errbuf *err);
/* The first local time (seconds since 1970 as the clock shows them) from `from` on that matches.
 * False: there is none within 12 years, so there is none at all. |from| up to 10^11. */
bool cron_next(const struct cron *c, int64_t from, int64_t *out);

#endif
