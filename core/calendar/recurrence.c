#include "core/calendar/recurrence.h"

#include <string.h>

#include "core/calendar/civil.h"
#include "core/mem.h"

#define TIME_MAX_MS INT64_C(100000000000000) /* beyond the year 5000 */
#define SPAN_S (36600 * CIVIL_DAY_S)         /* of a search */

/* ---- cron ------------------------------------------------------------------------------------ */

/* Whenever the clock shows it: part by part of the zone, as long as one offset holds. */
static bool next_elapsed(const struct recurrence *r, int64_t after, int64_t *out)
{
    int64_t t = after + 1, local;
    while (t < after + SPAN_S) { /* what lies in missing hours only is never due */
        struct zone_part part = zone_at(r->zone, t);
        if (!cron_next(&r->cron, t + part.offset, &local))
            return false;
        if (local - part.offset < part.end) {
            *out = local - part.offset;
            return true;
        }
        t = part.end;
    }
    return false;
}

/* A list of times of the day: each once. */
static bool next_listed(const struct recurrence *r, int64_t after, int64_t *out)
{
    int64_t local = after + zone_at(r->zone, after).offset;
    while (cron_next(&r->cron, local, &local)) {
        *out = zone_first(r->zone, local);
        if (*out > after)
            return true;
        local += 60;
    }
    return false;
}

/* ---- all kinds ------------------------------------------------------------------------------- */

static bool next_cron(const struct recurrence *r, int64_t after_ms, int64_t *out_ms)
{
    int64_t found, after = civil_div(after_ms, 1000);
    if (after_ms < r->start_ms)
        after = civil_div(r->start_ms - 1, 1000);
    bool is_there =
        r->cron.is_elapsed ? next_elapsed(r, after, &found) : next_listed(r, after, &found);
    if (is_there)
        *out_ms = found * 1000;
    return is_there;
}

static bool next_every(const struct recurrence *r, int64_t after_ms, int64_t *out_ms)
{
    int64_t first = r->start_ms + (r->start_is_first ? 0 : r->every_ms);
    *out_ms =
        after_ms < first ? first : first + ((after_ms - first) / r->every_ms + 1) * r->every_ms;
    return true;
}

/* The start counts in whole seconds. */
static bool next_rrule(const struct recurrence *r, int64_t after_ms, int64_t *out_ms)
{
    int64_t found;
    if (!rrule_next(&r->rrule, r->zone, civil_div(r->start_ms, 1000), civil_div(after_ms, 1000),
                    &found))
        return false;
    *out_ms = found * 1000;
    return true;
}

bool recurrence_next(const struct recurrence *r, int64_t after_ms, int64_t *out_ms)
{
    static bool (*const by_kind[])(const struct recurrence *, int64_t, int64_t *) = {
        [RECURRENCE_CRON] = next_cron,
        [RECURRENCE_EVERY] = next_every,
        [RECURRENCE_RRULE] = next_rrule,
    };
    int64_t found;
    if (after_ms > TIME_MAX_MS || after_ms < -TIME_MAX_MS || !by_kind[r->kind](r, after_ms, &found))
        return false;
    if (found > r->until_ms)
        return false;
    *out_ms = found;
    return true;
}

/* A window that ends at until_ms, and grows until it has enough. */
int recurrence_last(const struct recurrence *r, int64_t after_ms, int64_t until_ms, int n,
                    int64_t *out, bool *out_more)
{
    int64_t window = 60000, begin;
    int count;
    FUT_ASSERT(n >= 1 && n <= RECURRENCE_LAST_MAX);
    do {
        count = 0;
        begin = until_ms - after_ms > window ? until_ms - window : after_ms;
        for (int64_t at = begin; recurrence_next(r, at, &at) && at <= until_ms; count++) {
            if (count >= n)
                memmove(out, out + 1, (size_t)(n - 1) * sizeof(*out));
            out[count < n ? count : n - 1] = at;
        }
        window *= 4;
    } while (count < n && begin > after_ms);
    int64_t first;
    *out_more =
        count > n || (begin > after_ms && recurrence_next(r, after_ms, &first) && first < out[0]);
    return count < n ? count : n;
}
