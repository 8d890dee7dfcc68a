#include "core/calendar/cron.h"

#include <string.h>
#include <strings.h>

#include "core/calendar/civil.h"
#include "core/mem.h"

#define YEARS 12 /* 29 February is at most eight years away */

enum field_index { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_COUNT };

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

struct field {
    const char *name;
    int min, max;
    const char *const *names; /* of min and what follows; NULL: none */
    const char *allowed;
};

static const struct field fields[FIELD_COUNT] = {
    [FIELD_MINUTE] = {"minute", 0, 59, NULL, "0 to 59"},
    [FIELD_HOUR] = {"hour", 0, 23, NULL, "0 to 23"},
    [FIELD_DAY] = {"day of the month", 1, 31, NULL, "1 to 31, or L for the last one"},
    [FIELD_MONTH] = {"month", 1, 12, month_names, "1 to 12, or jan to dec"},
    [FIELD_WEEKDAY] = {"day of the week", 0, 7, weekday_names,
                       "0 to 7, or sun to sat, 5L for the last Friday, 1#2 for the second Monday"},
};

static const struct {
    const char *name, *text;
} nicknames[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* ---- reading --------------------------------------------------------------------------------- */

static int refuse(const struct field *f, const char *text, size_t n, struct fut_errbuf *err)
{
    return fut_fail(
        err, FUT_ERR_INVAL,
        "the %s is \"%.*s\": it must be *, or a list of numbers, ranges (1-5) and steps "
        "(*/5, 1-9/2) of %s",
        f->name, (int)(n < 64 ? n : 64), text, f->allowed);
}

/* A number or a name at *at, which goes behind it. */
static bool take_value(const struct field *f, const char **at, int *out)
{
    size_t digits = strspn(*at, "0123456789");
    int n = 0;
    for (size_t i = 0; i < digits && digits <= 3; i++)
        n = n * 10 + *(*at)++ - '0';
    if (digits > 0) {
        *out = n;
        return digits <= 3 && n >= f->min && n <= f->max;
    }
    for (int i = 0; f->names && f->names[i]; i++) {
        if (strncasecmp(*at, f->names[i], 3) == 0) {
            *at += 3;
            *out = f->min + i;
            return true;
        }
    }
    return false;
}

/* What stands behind the days of the week alone: `L` and `#n`. */
static bool take_suffix(const char **at, int weekday, struct cron *out)
{
    uint32_t bit = 1u << (weekday % 7);
    if (**at == 'L' || **at == 'l') {
        (*at)++;
        out->last_weekdays |= bit;
        return true;
    }
    if (**at != '#' || (*at)[1] < '1' || (*at)[1] > '5')
        return false;
    out->nth_weekdays[(*at)[1] - '1'] |= bit;
    *at += 2;
    return true;
}

/* One element of a list, which ends at a comma, a blank or the end. */
static bool take_element(const struct field *f, const char **at, struct cron *c, uint64_t *out_bits)
{
    int first = f->min, last = f->max == 7 ? 6 : f->max, step = 1;
    bool is_range = true;
    if (f == &fields[FIELD_DAY] && (**at == 'L' || **at == 'l')) {
        (*at)++;
        return c->last_day = true;
    }
    if (**at == '*') {
        (*at)++;
    } else {
        if (!take_value(f, at, &first))
            return false;
        if (f == &fields[FIELD_WEEKDAY] && take_suffix(at, first, c))
            return true;
        is_range = **at == '-';
        if (is_range) {
            (*at)++;
            if (!take_value(f, at, &last) || last < first)
                return false;
        }
    }
    if (**at == '/') {
        size_t digits = strspn(++*at, "0123456789");
        if (digits < 1 || digits > 2)
            return false;
        for (step = 0; digits > 0; digits--, (*at)++)
            step = step * 10 + (**at - '0');
    } else if (!is_range) {
        last = first;
    }
    for (int i = first; step > 0 && i <= last; i += step)
        *out_bits |= UINT64_C(1) << i;
    return step > 0;
}

static int read_field(const struct field *f, const char *text, size_t n, struct cron *c,
                      uint64_t *out_bits, struct fut_errbuf *err)
{
    const char *at = text;
    uint64_t bits = 0;
    bool ok = take_element(f, &at, c, &bits);
    while (ok && *at == ',') {
        at++;
        ok = take_element(f, &at, c, &bits);
    }
    if (!ok || at != text + n)
        return refuse(f, text, n, err);
    *out_bits = bits;
    return 0;
}

static const char *expand(const char *text)
{
    for (size_t i = 0; i < FUT_COUNT(nicknames); i++) {
        if (strcasecmp(nicknames[i].name, text) == 0)
            return nicknames[i].text;
    }
    return text;
}

int cron_parse(const char *text, struct cron *out, struct fut_errbuf *err)
{
    static const char blanks[] = " \t";
    uint64_t bits[FIELD_COUNT];
    const char *begins[FIELD_COUNT];
    struct cron c = {0};
    int n = 0;
    if (strlen(text) > CRON_TEXT_MAX)
        return fut_fail(err, FUT_ERR_INVAL, "it is longer than %d bytes", CRON_TEXT_MAX);
    text = expand(text);
    for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
        size_t len = strcspn(text, blanks);
        if (n < FIELD_COUNT) {
            int rc = read_field(&fields[n], text, len, &c, &bits[n], err);
            if (rc != 0)
                return rc;
            begins[n] = text;
        }
        n++;
        text += len;
    }
    if (n != FIELD_COUNT)
        return fut_fail(err, FUT_ERR_INVAL,
                        "there are %d fields: it must be five (minute, hour, day of the month, "
                        "month, day of the week), or @hourly, @daily, @weekly, @monthly or @yearly",
                        n);
    c.minutes = bits[FIELD_MINUTE];
    c.hours = (uint32_t)bits[FIELD_HOUR];
    c.days = (uint32_t)bits[FIELD_DAY];
    c.months = (uint32_t)bits[FIELD_MONTH];
    c.weekdays = (uint32_t)((bits[FIELD_WEEKDAY] | bits[FIELD_WEEKDAY] >> 7) & 0x7F);
    c.any_day = *begins[FIELD_DAY] == '*';
    c.any_weekday = *begins[FIELD_WEEKDAY] == '*';
    c.is_elapsed = *begins[FIELD_MINUTE] == '*' || *begins[FIELD_HOUR] == '*';
    *out = c;
    return 0;
}

/* ---- the next time --------------------------------------------------------------------------- */

static bool matches_day(const struct cron *c, int64_t days, const struct civil *date)
{
    uint32_t weekday = 1u << civil_weekday(days);
    int length = civil_month_days(date->year, date->month);
    bool day = (c->days & 1u << date->day) || (c->last_day && date->day == length);
    bool in_week = (c->weekdays & weekday) || (c->nth_weekdays[(date->day - 1) / 7] & weekday) ||
                   ((c->last_weekdays & weekday) && date->day > length - 7);
    return c->any_day || c->any_weekday ? day && in_week : day || in_week;
}

/* The first minute of the day from `from` (0..1440) on that matches, or -1. */
static int next_minute(const struct cron *c, int from)
{
    for (int hour = from / 60, minute = from % 60; hour < 24; hour++, minute = 0) {
        if (!(c->hours & 1u << hour))
            continue;
        uint64_t rest = c->minutes >> minute;
        if (rest)
            return hour * 60 + minute + __builtin_ctzll(rest);
    }
    return -1;
}

bool cron_next(const struct cron *c, int64_t from, int64_t *out)
{
    int64_t minutes = civil_div(from + 59, 60), days = civil_div(minutes, 1440);
    int minute = (int)(minutes - days * 1440);
    int64_t end = days + YEARS * INT64_C(366);
    while (days < end) {
        struct civil date = civil_of_days(days);
        if (!(c->months & 1u << date.month)) {
            days += civil_month_days(date.year, date.month) - date.day + 1;
            minute = 0;
            continue;
        }
        int found = matches_day(c, days, &date) ? next_minute(c, minute) : -1;
        if (found >= 0) {
            *out = days * CIVIL_DAY_S + found * INT64_C(60);
            return true;
        }
        days++;
        minute = 0;
    }
    return false;
}
