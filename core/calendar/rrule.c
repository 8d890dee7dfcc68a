#include "core/calendar/rrule.h"

#include <stdlib.h>
#include <string.h>

#include "core/calendar/civil.h"
#include "core/mem.h"

#define STEPS_MAX 200000 /* of one search within days */
#define YEAR_DAYS 366
#define SPAN_DAYS INT64_C(36600) /* of a search: a hundred years */

/* ---- does a day match? ------------------------------------------------------------------------
 */

/* A rule with what RFC 5545 takes from the start where the rule says nothing. */
static struct rrule complete(const struct rrule *rule, int64_t local_start)
{
    struct rrule r = *rule;
    int64_t days = civil_div(local_start, CIVIL_DAY_S);
    int second_of_day = (int)(local_start - days * CIVIL_DAY_S);
    struct civil date = civil_of_days(days);
    bool has_days = r.days | r.last_days | r.weekdays || r.n_nth;
    for (int i = 0; i < 6; i++)
        has_days = has_days || r.year_days[i] | r.last_year_days[i];
    bool has_weeks = r.weeks | r.last_weeks;
    if (!has_days && (r.freq == RRULE_WEEKLY || has_weeks))
        r.weekdays = 1u << civil_weekday(days);
    else if (!has_days && (r.freq == RRULE_MONTHLY || r.freq == RRULE_YEARLY))
        r.days = 1u << date.day;
    if (r.freq == RRULE_YEARLY && !has_days && !has_weeks && !r.months)
        r.months = 1u << date.month;
    if (!r.hours && r.freq >= RRULE_DAILY)
        r.hours = 1u << second_of_day / 3600;
    if (!r.minutes && r.freq >= RRULE_HOURLY)
        r.minutes = UINT64_C(1) << second_of_day / 60 % 60;
    if (!r.seconds && r.freq >= RRULE_MINUTELY)
        r.seconds = UINT64_C(1) << second_of_day % 60;
    return r;
}

/* The first day of the first week of a year: of four days or more. */
static int64_t first_week(int year, int week_start)
{
    int64_t first = civil_to_days(year, 1, 1);
    int into_week = (civil_weekday(first) - week_start + 7) % 7;
    return first - into_week + (into_week > 3 ? 7 : 0);
}

/* Whether a day is in one of the weeks of this year; the year's last days may be of the next one's
 * first week, which counts as week 1 there. */
static bool is_in_weeks(const struct rrule *r, int64_t days, int year)
{
    for (int y = year - 1; y <= year + 1; y++) {
        int64_t begin = first_week(y, r->week_start), end = first_week(y + 1, r->week_start);
        if (days < begin || days >= end)
            continue;
        int week = (int)((days - begin) / 7) + 1, count = (int)((end - begin) / 7);
        return (r->weeks >> week | r->last_weeks >> (count - week + 1)) & 1;
    }
    return false;
}

static bool is_nth(const struct rrule *r, int weekday, int index, int length)
{
    for (int i = 0; i < r->n_nth; i++) {
        int n = r->nth[i].n > 0 ? index / 7 + 1 : -((length - 1 - index) / 7 + 1);
        if (r->nth[i].weekday == weekday && r->nth[i].n == n)
            return true;
    }
    return false;
}

static bool has_any(const uint64_t bits[6])
{
    return bits[0] | bits[1] | bits[2] | bits[3] | bits[4] | bits[5];
}

static bool has_bit(const uint64_t bits[6], int i)
{
    return bits[i / 64] >> i % 64 & 1;
}

static bool matches_day(const struct rrule *r, int64_t days)
{
    struct civil date = civil_of_days(days);
    int length = civil_month_days(date.year, date.month), weekday = civil_weekday(days);
    int year_length = 365 + civil_is_leap(date.year);
    int year_day = (int)(days - civil_to_days(date.year, 1, 1));
    bool by_month = r->freq == RRULE_MONTHLY || r->months;
    if (r->months && !(r->months & 1u << date.month))
        return false;
    if ((r->weeks | r->last_weeks) && !is_in_weeks(r, days, date.year))
        return false;
    if ((r->days | r->last_days) && !(r->days & 1u << date.day) &&
        !(r->last_days & 1u << (length - date.day + 1)))
        return false;
    if ((has_any(r->year_days) || has_any(r->last_year_days)) &&
        !has_bit(r->year_days, year_day + 1) && !has_bit(r->last_year_days, year_length - year_day))
        return false;
    return (!r->weekdays && !r->n_nth) || r->weekdays & 1u << weekday ||
           is_nth(r, weekday, by_month ? date.day - 1 : year_day, by_month ? length : year_length);
}

/* ---- days and longer: local times -------------------------------------------------------------
 */

/* Where a search stands that looks for moments behind `after`. */
struct search {
    const struct rrule *r;
    const struct zone *z;
    int64_t start, local_start, after;
    int to_count;  /* of COUNT, those that are still to come; < 0: no end */
    int64_t found; /* the moment; INT64_MIN: none yet */
};

/* Takes the next time of the rule, in their order. True: the search is at its end. */
static bool offer(struct search *s, int64_t at, int64_t local)
{
    const struct rrule *r = s->r;
    if (at < s->start)
        return false;
    if (s->to_count == 0 || (r->has_until && (r->until_is_local ? local : at) > r->until))
        return true;
    if (s->to_count > 0)
        s->to_count--;
    if (at > s->after)
        s->found = at;
    return at > s->after;
}

/* The days of the period with this number since 1970. */
static void period_days(const struct rrule *r, int64_t number, int64_t *out_first, int *out_n)
{
    int year = (int)civil_div(number, r->freq == RRULE_MONTHLY ? 12 : 1);
    switch ((int)r->freq) {
    case RRULE_YEARLY:
        *out_first = civil_to_days(year, 1, 1);
        *out_n = 365 + civil_is_leap(year);
        break;
    case RRULE_MONTHLY:
        *out_first = civil_to_days(year, (int)(number - year * INT64_C(12)) + 1, 1);
        *out_n = civil_month_days(year, (int)(number - year * INT64_C(12)) + 1);
        break;
    case RRULE_WEEKLY: /* 1970-01-01 was a Thursday */
        *out_first = number * 7 - 4 + r->week_start;
        *out_n = 7;
        break;
    default: *out_first = number; *out_n = 1;
    }
}

static int64_t period_of(const struct rrule *r, int64_t days)
{
    struct civil date = civil_of_days(days);
    switch ((int)r->freq) {
    case RRULE_YEARLY: return date.year;
    case RRULE_MONTHLY: return date.year * INT64_C(12) + date.month - 1;
    case RRULE_WEEKLY: return civil_div(days + 4 - r->week_start, 7);
    default: return days;
    }
}

/* The times of a day, as seconds, in their order. */
struct day_times {
    int n;
    int32_t at[];
};

/* The caller's, free(). */
static struct day_times *list_times(const struct rrule *r)
{
    int n = __builtin_popcountll(r->hours) * __builtin_popcountll(r->minutes) *
            __builtin_popcountll(r->seconds);
    struct day_times *t = xmalloc(sizeof(*t) + (size_t)n * sizeof(*t->at));
    t->n = 0;
    for (int h = 0; h < 24; h++) {
        for (int m = 0; r->hours >> h & 1 && m < 60; m++) {
            for (int s = 0; r->minutes >> m & 1 && s < 60; s++) {
                if (r->seconds >> s & 1)
                    t->at[t->n++] = h * 3600 + m * 60 + s;
            }
        }
    }
    return t;
}

/* The positions of BYSETPOS among n, as bits of a rising list. */
static int pick_positions(const struct rrule *r, int64_t n, int64_t out[RRULE_LIST_MAX])
{
    int count = 0;
    for (int i = 0; i < r->n_positions; i++) {
        int64_t at = r->positions[i] > 0 ? r->positions[i] - 1 : n + r->positions[i];
        int place = count;
        if (at < 0 || at >= n)
            continue;
        while (place > 0 && out[place - 1] > at)
            place--;
        if (place > 0 && out[place - 1] == at)
            continue;
        memmove(out + place + 1, out + place, (size_t)(count - place) * sizeof(*out));
        out[place] = at;
        count++;
    }
    return count;
}

static bool offer_local(struct search *s, int64_t local)
{
    return offer(s, zone_first(s->z, local), local);
}

static bool offer_period(struct search *s, int64_t number, const struct day_times *times)
{
    int64_t days[YEAR_DAYS] = {0}, first, picked[RRULE_LIST_MAX];
    int n = 0, length;
    period_days(s->r, number, &first, &length);
    for (int i = 0; i < length; i++) {
        if (matches_day(s->r, first + i))
            days[n++] = (first + i) * CIVIL_DAY_S;
    }
    int n_picked = pick_positions(s->r, (int64_t)n * times->n, picked);
    for (int i = 0; i < n_picked; i++) {
        if (offer_local(s, days[picked[i] / times->n] + times->at[picked[i] % times->n]))
            return true;
    }
    for (int i = 0; !s->r->n_positions && i < n; i++) {
        for (int k = 0; k < times->n; k++) {
            if (offer_local(s, days[i] + times->at[k]))
                return true;
        }
    }
    return false;
}

/* A period before `after` is looked at again only where COUNT counts. */
static void search_days(struct search *s)
{
    struct day_times *times = list_times(s->r);
    int64_t local = s->after + zone_at(s->z, s->after).offset;
    int64_t first = period_of(s->r, civil_div(s->local_start, CIVIL_DAY_S)), number = first;
    if (local < s->local_start)
        local = s->local_start;
    int64_t today = period_of(s->r, civil_div(local, CIVIL_DAY_S));
    int64_t end = period_of(s->r, civil_div(local, CIVIL_DAY_S) + SPAN_DAYS);
    if (s->to_count < 0)
        number += (today - first) / s->r->interval * s->r->interval;
    while (number <= end && !offer_period(s, number, times))
        number += s->r->interval;
    free(times);
}

/* ---- within days: elapsed time --------------------------------------------------------------- */

/* The moments of one unit that match, in their order. */
struct unit {
    int64_t at[3600], local[3600];
    int n;
};

static void try_moment(const struct search *s, int64_t at, struct unit *out)
{
    int64_t local = at + zone_at(s->z, at).offset, day = civil_div(local, CIVIL_DAY_S);
    int hour = (int)((local - day * CIVIL_DAY_S) / 3600);
    if ((s->r->hours && !(s->r->hours >> hour & 1)) || !matches_day(s->r, day))
        return;
    out->at[out->n] = at;
    out->local[out->n++] = local;
}

/* The parts that name minutes and seconds: they expand an hour and a minute, and filter what is no
 * longer. local: what the clock shows at the unit's begin. */
static void list_unit(const struct search *s, int64_t begin, int64_t local, struct unit *out)
{
    enum rrule_freq freq = s->r->freq;
    int minutes = freq == RRULE_HOURLY ? 60 : 1, seconds = freq == RRULE_SECONDLY ? 1 : 60;
    int minute = (int)(civil_div(local, 60) - civil_div(local, 3600) * 60);
    int second = (int)(local - civil_div(local, 60) * 60);
    out->n = 0;
    for (int m = 0; m < minutes; m++) {
        if (s->r->minutes && !(s->r->minutes >> (minutes > 1 ? m : minute) & 1))
            continue;
        for (int i = 0; i < seconds; i++) {
            if (!s->r->seconds || s->r->seconds >> (seconds > 1 ? i : second) & 1)
                try_moment(s, begin + m * INT64_C(60) + i, out);
        }
    }
}

/* The search goes on at the second moment: nothing before can match. */
static bool offer_unit(struct search *s, int64_t begin, int64_t length, struct unit *unit,
                       int64_t *out_skip)
{
    int64_t local = begin + zone_at(s->z, begin).offset, day = civil_div(local, CIVIL_DAY_S);
    int64_t picked[RRULE_LIST_MAX];
    if (!matches_day(s->r, day) && local + length <= (day + 1) * CIVIL_DAY_S) {
        *out_skip = zone_first(s->z, (day + 1) * CIVIL_DAY_S) - length;
        return false;
    }
    list_unit(s, begin, local, unit);
    int n_picked = pick_positions(s->r, unit->n, picked);
    for (int i = 0; i < (s->r->n_positions ? n_picked : unit->n); i++) {
        int64_t k = s->r->n_positions ? picked[i] : i;
        if (offer(s, unit->at[k], unit->local[k]))
            return true;
    }
    return false;
}

static void search_units(struct search *s)
{
    int64_t length = s->r->freq == RRULE_HOURLY ? 3600 : s->r->freq == RRULE_MINUTELY ? 60 : 1;
    int64_t shift = s->local_start - s->start, step = length * s->r->interval;
    int64_t first = civil_div(s->local_start, length) * length - shift, at = first;
    struct unit *unit = xmalloc(sizeof(*unit));
    if (s->to_count < 0 && s->after > first)
        at += (s->after - first) / step * step;
    int64_t end = at + SPAN_DAYS * CIVIL_DAY_S;
    for (int i = 0; i < STEPS_MAX && at <= end; i++) {
        int64_t skip = at;
        if (offer_unit(s, at, length, unit, &skip))
            break;
        int64_t steps = (skip - at) / step; /* rounded down: to the unit that holds it */
        at += steps > 1 ? steps * step : step;
    }
    free(unit);
}

bool rrule_next(const struct rrule *rule, const struct zone *z, int64_t start, int64_t after,
                int64_t *out)
{
    int64_t local_start = start + zone_at(z, start).offset;
    struct rrule r = complete(rule, local_start);
    struct search s = {.r = &r,
                       .z = z,
                       .start = start,
                       .local_start = local_start,
                       .after = after < start ? start - 1 : after,
                       .to_count = r.count ? r.count : -1,
                       .found = INT64_MIN};
    if (r.freq >= RRULE_DAILY)
        search_days(&s);
    else
        search_units(&s);
    if (s.found == INT64_MIN)
        return false;
    *out = s.found;
    return true;
}
