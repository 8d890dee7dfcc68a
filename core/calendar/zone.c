#include "core/calendar/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/calendar/civil.h"
#include "core/file.h"
#include "core/mem.h"

#define FOLDER "/usr/share/zoneinfo"
#define FILE_MAX (256u << 10)
#define HEADER 44 /* bytes */
#define HOUR_S 3600
#define OFFSET_MAX_S 93599 /* RFC 9636: an offset is less than 26 hours */

/* A day of the year on which an offset begins, by a rule of POSIX TZ. */
enum rule_form { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY };
struct zone_rule_day {
    enum rule_form form;
    int day; /* RULE_JULIAN: 1..365 without leap days; RULE_DAY: 0..365; RULE_WEEKDAY: 0..6 */
    int month, week; /* RULE_WEEKDAY; week 5 is the last */
    int32_t time;    /* seconds behind midnight, in what the clock shows before */
};

struct zone {
    int64_t *at;     /* n moments, ascending, */
    int32_t *offset; /* at which these offsets begin */
    size_t n;
    int32_t first;   /* the offset before all of them */
    bool has_footer; /* what holds behind them: */
    bool has_dst;
    int32_t std, dst;
    struct zone_rule_day dst_begin, dst_end;
};

/* ---- the footer: a rule of POSIX TZ -----------------------------------------------------------
 */

static bool take_char(const char **at, char c)
{
    bool is_there = **at == c;
    *at += is_there;
    return is_there;
}

static bool take_number(const char **at, int max, int *out)
{
    int n = 0;
    if (!isdigit((unsigned char)**at))
        return false;
    for (; isdigit((unsigned char)**at); (*at)++) {
        n = n * 10 + (**at - '0');
        if (n > max)
            return false;
    }
    *out = n;
    return true;
}

/* [+-]hh[:mm[:ss]] as seconds. */
static bool take_hours(const char **at, int max_hours, int32_t *out)
{
    bool is_minus = **at == '-';
    int h, m = 0, s = 0;
    if (**at == '-' || **at == '+')
        (*at)++;
    if (!take_number(at, max_hours, &h))
        return false;
    if (take_char(at, ':') &&
        (!take_number(at, 59, &m) || (take_char(at, ':') && !take_number(at, 59, &s))))
        return false;
    *out = (is_minus ? -1 : 1) * (h * HOUR_S + m * 60 + s);
    return true;
}

static bool take_name(const char **at)
{
    const char *begin = *at;
    if (take_char(at, '<')) {
        *at += strcspn(*at, ">");
        return take_char(at, '>');
    }
    while (isalpha((unsigned char)**at))
        (*at)++;
    return *at - begin >= 3;
}

static bool take_rule_day(const char **at, struct zone_rule_day *out)
{
    struct zone_rule_day d = {.form = RULE_DAY, .time = 2 * HOUR_S};
    bool ok;
    if (take_char(at, 'M')) {
        d.form = RULE_WEEKDAY;
        ok = take_number(at, 12, &d.month) && d.month >= 1 && take_char(at, '.') &&
             take_number(at, 5, &d.week) && d.week >= 1 && take_char(at, '.') &&
             take_number(at, 6, &d.day);
    } else if (take_char(at, 'J')) {
        d.form = RULE_JULIAN;
        ok = take_number(at, 365, &d.day) && d.day >= 1;
    } else {
        ok = take_number(at, 365, &d.day);
    }
    if (!ok || (take_char(at, '/') && !take_hours(at, 167, &d.time)))
        return false;
    *out = d;
    return true;
}

/* "CET-1CEST,M3.5.0,M10.5.0/3": offsets are west of UTC there. */
static bool read_footer(struct zone *z, const char *text)
{
    int32_t west;
    if (!*text)
        return true;
    if (!take_name(&text) || !take_hours(&text, 25, &west))
        return false;
    z->has_footer = true;
    z->std = -west;
    if (!*text)
        return true;
    z->has_dst = true;
    z->dst = z->std + HOUR_S;
    if (!take_name(&text))
        return false;
    if (*text != ',') {
        if (!take_hours(&text, 25, &west))
            return false;
        z->dst = -west;
    }
    return take_char(&text, ',') && take_rule_day(&text, &z->dst_begin) && take_char(&text, ',') &&
           take_rule_day(&text, &z->dst_end) && !*text;
}

/* ---- the file -------------------------------------------------------------------------------- */

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct tzif_head {
    size_t isut, isstd, leap, time, type, chars;
};

/* n: the bytes that are there. *out_size: of the block behind the header. */
static bool read_head(const unsigned char *p, size_t n, size_t time_size, struct tzif_head *out,
                      size_t *out_size)
{
    if (n < HEADER || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
        return false;
    struct tzif_head h = {get_u32(p + 20), get_u32(p + 24), get_u32(p + 28),
                          get_u32(p + 32), get_u32(p + 36), get_u32(p + 40)};
    if (h.isut > 256 || h.isstd > 256 || h.leap > FILE_MAX || h.time > FILE_MAX || h.type > 256 ||
        h.chars > FILE_MAX)
        return false;
    *out_size = h.time * (time_size + 1) + h.type * 6 + h.chars + h.leap * (time_size + 4) +
                h.isstd + h.isut;
    *out = h;
    return n - HEADER >= *out_size;
}

/* The table of times: moments, the type that begins at each, the types. */
static bool read_table(struct zone *z, const unsigned char *p, const struct tzif_head *h)
{
    const unsigned char *types = p + h->time * 8, *infos = types + h->time;
    z->n = h->time;
    z->at = xcalloc(h->time + 1, sizeof(*z->at));
    z->offset = xcalloc(h->time + 1, sizeof(*z->offset));
    for (size_t i = 0; i < h->type; i++) {
        int32_t offset = (int32_t)get_u32(infos + i * 6);
        if (offset > OFFSET_MAX_S || offset < -OFFSET_MAX_S)
            return false;
    }
    for (size_t i = 0; i < h->time; i++) {
        z->at[i] = (int64_t)((uint64_t)get_u32(p + i * 8) << 32 | get_u32(p + i * 8 + 4));
        if (types[i] >= h->type || (i && z->at[i] <= z->at[i - 1]))
            return false;
        z->offset[i] = (int32_t)get_u32(infos + (size_t)types[i] * 6);
    }
    z->first = (int32_t)get_u32(infos);
    return true;
}

static bool read_zone(struct zone *z, const unsigned char *p, size_t n)
{
    struct tzif_head h;
    size_t size;
    char footer[128];
    if (!read_head(p, n, 4, &h, &size)) /* times of 32 bits: for old readers */
        return false;
    p += HEADER + size;
    n -= HEADER + size;
    if (!read_head(p, n, 8, &h, &size) || h.type == 0 || h.leap != 0 || /* "right/…": not UTC */
        !read_table(z, p + HEADER, &h))
        return false;
    p += HEADER + size;
    n -= HEADER + size;
    const unsigned char *end = n && *p == '\n' ? memchr(p + 1, '\n', n - 1) : NULL;
    if (!end || (size_t)(end - p) > sizeof(footer))
        return false;
    size_t len = (size_t)(end - p) - 1;
    memcpy(footer, p + 1, len);
    footer[len] = '\0';
    return strlen(footer) == len && read_footer(z, footer);
}

int zone_read(const unsigned char *bytes, size_t n, struct zone **out)
{
    struct zone *z = xnew(struct zone);
    if (!read_zone(z, bytes, n)) {
        zone_free(z);
        return FUT_ERR_INVAL;
    }
    *out = z;
    return 0;
}

static bool name_is_ok(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= ZONE_NAME_MAX && *name != '/' && !strstr(name, "..") &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

int zone_load(const char *name, struct zone **out)
{
    const char *folder = getenv("TZDIR");
    char path[512];
    struct buf bytes = BUF_INIT;
    if (!name_is_ok(name))
        return FUT_ERR_NOT_FOUND;
    if (strcmp(name, "UTC") == 0) {
        *out = xnew(struct zone);
        return 0;
    }
    int n = snprintf(path, sizeof(path), "%s/%s", folder && *folder ? folder : FOLDER, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return FUT_ERR_NOT_FOUND;
    int rc = file_read_regular(path, FILE_MAX, &bytes, NULL);
    if (rc == 0)
        rc = zone_read((const unsigned char *)bytes.data, bytes.len, out);
    buf_release(&bytes);
    return rc == 0 ? 0 : FUT_ERR_NOT_FOUND;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

/* ---- what holds when ------------------------------------------------------------------------- */

/* The local midnight of the rule's day. */
static int64_t rule_day_of(const struct zone_rule_day *d, int year)
{
    int64_t first = civil_to_days(year, 1, 1);
    if (d->form == RULE_DAY)
        return first + d->day;
    if (d->form == RULE_JULIAN)
        return first + d->day - 1 + (civil_is_leap(year) && d->day >= 60);
    first = civil_to_days(year, d->month, 1);
    int day = (d->day - civil_weekday(first) + 7) % 7 + (d->week - 1) * 7;
    return first + (day >= civil_month_days(year, d->month) ? day - 7 : day);
}

/* Two moments a year, of three years: the third one is on both sides of any t of the middle one. */
static struct zone_part rule_part(const struct zone *z, int64_t t)
{
    int year = civil_of_days(civil_div(t + z->std, CIVIL_DAY_S)).year;
    struct zone_part part = {INT64_MIN, INT64_MAX, z->std};
    for (int y = year - 1; y <= year + 1; y++) {
        int64_t end = rule_day_of(&z->dst_end, y) * CIVIL_DAY_S + z->dst_end.time - z->dst;
        int64_t begin = rule_day_of(&z->dst_begin, y) * CIVIL_DAY_S + z->dst_begin.time - z->std;
        if (end <= t && end >= part.begin) {
            part.begin = end;
            part.offset = z->std;
        }
        if (begin <= t && begin >= part.begin) {
            part.begin = begin;
            part.offset = z->dst;
        }
        if (end > t && end < part.end)
            part.end = end;
        if (begin > t && begin < part.end)
            part.end = begin;
    }
    return part;
}

/* Behind the table. */
static struct zone_part last_part(const struct zone *z, int64_t t)
{
    int64_t begin = z->n ? z->at[z->n - 1] : INT64_MIN;
    int32_t offset = z->n ? z->offset[z->n - 1] : z->first;
    if (!z->has_dst)
        return (struct zone_part){begin, INT64_MAX, z->has_footer ? z->std : offset};
    struct zone_part part = rule_part(z, t);
    if (part.begin < begin)
        part.begin = begin;
    return part;
}

struct zone_part zone_at(const struct zone *z, int64_t t)
{
    size_t low = 0, high = z->n; /* at[low - 1] <= t < at[high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->at[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->n)
        return last_part(z, t);
    return (struct zone_part){low ? z->at[low - 1] : INT64_MIN, z->at[low],
                              low ? z->offset[low - 1] : z->first};
}

int64_t zone_first(const struct zone *z, int64_t local)
{
    struct zone_part part = zone_at(z, local - 2 * CIVIL_DAY_S);
    while (local - part.offset >= part.end)
        part = zone_at(z, part.end);
    return local - part.offset >= part.begin ? local - part.offset : part.begin;
}
