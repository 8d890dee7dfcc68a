/* A cron pattern, a rule of RFC 5545, or the bytes of a TZif file, by the first byte: c, r, z.
 * Times ascend, a search ends, and the parts of a zone join without a gap. */
#include <stdlib.h>
#include <string.h>

#include "core/calendar/recurrence.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1795776000) /* 2026-11-27 */

static struct zone *berlin(void)
{
    static struct zone *zone;
    if (!zone)
        FUT_MUST(zone_load("Europe/Berlin", &zone) == 0);
    return zone;
}

static void try_times(const struct recurrence *r)
{
    int64_t at = r->start_ms, next;
    for (int i = 0; i < 3 && recurrence_next(r, at, &next); i++) {
        FUT_ASSERT(next > at);
        at = next;
    }
}

static void try_cron(const char *text)
{
    struct recurrence r = {
        .kind = RECURRENCE_CRON, .zone = berlin(), .start_ms = NOW * 1000, .until_ms = INT64_MAX};
    int64_t local;
    if (cron_parse(text, &r.cron, NULL) != 0)
        return;
    if (cron_next(&r.cron, NOW, &local))
        FUT_ASSERT(local >= NOW && local % 60 == 0);
    try_times(&r);
}

static void try_rule(const char *text)
{
    struct recurrence r = {
        .kind = RECURRENCE_RRULE, .zone = berlin(), .start_ms = NOW * 1000, .until_ms = INT64_MAX};
    if (rrule_parse(text, &r.rrule, NULL) == 0)
        try_times(&r);
}

static void try_zone(const uint8_t *data, size_t n)
{
    struct zone *z;
    int64_t t = -NOW;
    if (zone_read(data, n, &z) != 0)
        return;
    for (int i = 0; i < 1000 && t < 4 * NOW; i++) {
        struct zone_part part = zone_at(z, t);
        FUT_ASSERT(part.begin <= t && t < part.end);
        (void)zone_first(z, t);
        t = part.end;
    }
    zone_free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    if (*data == 'z') {
        try_zone(data + 1, n - 1);
        return 0;
    }
    char *text = fuzz_text(data + 1, n - 1);
    if (*data == 'c')
        try_cron(text);
    else
        try_rule(text);
    free(text);
    return 0;
}
