#include "core/calendar/rrule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/calendar/civil.h"
#include "core/mem.h"

#define INTERVAL_MAX 100000
#define YEAR_DAYS 366

struct part {
    const char *name;
    const char *allowed;
    bool (*set)(struct rrule *r, const char *value);
};

/* Takes a whole number with a sign at *at, which goes behind it. */
static bool take_int(const char **at, int max, int *out)
{
    bool is_minus = **at == '-';
    int n = 0;
    if (**at == '-' || **at == '+')
        (*at)++;
    size_t digits = strspn(*at, "0123456789");
    if (digits < 1 || digits > 6)
        return false;
    for (; digits > 0; digits--)
        n = n * 10 + *(*at)++ - '0';
    *out = is_minus ? -n : n;
    return n <= max;
}

/* A list of numbers, each given to put. */
static bool read_list(struct rrule *r, const char *value, int max,
                      bool (*put)(struct rrule *r, int n))
{
    int n;
    do {
        if (!take_int(&value, max, &n) || !put(r, n))
            return false;
    } while (*value == ',' && value++);
    return !*value;
}

static bool set_freq(struct rrule *r, const char *value)
{
    static const char *const names[] = {"SECONDLY", "MINUTELY", "HOURLY", "DAILY",
                                        "WEEKLY",   "MONTHLY",  "YEARLY"};
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        if (strcasecmp(names[i], value) == 0) {
            r->freq = (enum rrule_freq)i;
            return true;
        }
    }
    return false;
}

static bool set_interval(struct rrule *r, const char *value)
{
    return take_int(&value, INTERVAL_MAX, &r->interval) && r->interval >= 1 && !*value;
}

static bool set_count(struct rrule *r, const char *value)
{
    return take_int(&value, RRULE_COUNT_MAX, &r->count) && r->count >= 1 && !*value;
}

/* The numbers of these many digits each, one behind the other. */
static bool take_digits(const char **at, const int *lengths, int n, int *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = 0;
        for (int k = 0; k < lengths[i]; k++, (*at)++) {
            if (**at < '0' || **at > '9')
                return false;
            out[i] = out[i] * 10 + (**at - '0');
        }
    }
    return true;
}

/* 20261224, 20261224T180000 or 20261224T180000Z. A day lasts until its end. */
static bool set_until(struct rrule *r, const char *value)
{
    static const int lengths[] = {4, 2, 2, 2, 2, 2};
    int v[6] = {0, 0, 0, 23, 59, 59};
    if (!take_digits(&value, lengths, 3, v))
        return false;
    if (*value && (*value++ != 'T' || !take_digits(&value, lengths + 3, 3, v + 3)))
        return false;
    bool is_utc = *value == 'Z';
    if (value[is_utc] || v[0] < 1 || v[1] < 1 || v[1] > 12 || v[2] < 1 ||
        v[2] > civil_month_days(v[0], v[1]) || v[3] > 23 || v[4] > 59 || v[5] > 59)
        return false;
    r->has_until = true;
    r->until_is_local = !is_utc;
    r->until = civil_to_days(v[0], v[1], v[2]) * CIVIL_DAY_S + v[3] * INT64_C(3600) +
               v[4] * INT64_C(60) + v[5];
    return true;
}

static bool put_second(struct rrule *r, int n)
{
    r->seconds |= UINT64_C(1) << (n & 63);
    return n >= 0;
}

static bool set_seconds(struct rrule *r, const char *value)
{
    return read_list(r, value, 59, put_second);
}

static bool put_minute(struct rrule *r, int n)
{
    r->minutes |= UINT64_C(1) << (n & 63);
    return n >= 0;
}

static bool set_minutes(struct rrule *r, const char *value)
{
    return read_list(r, value, 59, put_minute);
}

static bool put_hour(struct rrule *r, int n)
{
    r->hours |= 1u << (n & 31);
    return n >= 0;
}

static bool set_hours(struct rrule *r, const char *value)
{
    return read_list(r, value, 23, put_hour);
}

static bool put_month(struct rrule *r, int n)
{
    r->months |= 1u << (n & 15);
    return n >= 1;
}

static bool set_months(struct rrule *r, const char *value)
{
    return read_list(r, value, 12, put_month);
}

static bool put_day(struct rrule *r, int n)
{
    *(n > 0 ? &r->days : &r->last_days) |= 1u << abs(n);
    return n != 0;
}

static bool set_days(struct rrule *r, const char *value)
{
    return read_list(r, value, 31, put_day);
}

static bool put_week(struct rrule *r, int n)
{
    *(n > 0 ? &r->weeks : &r->last_weeks) |= UINT64_C(1) << abs(n);
    return n != 0;
}

static bool set_weeks(struct rrule *r, const char *value)
{
    return read_list(r, value, 53, put_week);
}

static bool put_year_day(struct rrule *r, int n)
{
    uint64_t *bits = n > 0 ? r->year_days : r->last_year_days;
    bits[abs(n) / 64] |= UINT64_C(1) << abs(n) % 64;
    return n != 0;
}

static bool set_year_days(struct rrule *r, const char *value)
{
    return read_list(r, value, YEAR_DAYS, put_year_day);
}

static bool put_position(struct rrule *r, int n)
{
    if (n == 0 || r->n_positions == RRULE_LIST_MAX)
        return false;
    r->positions[r->n_positions++] = n;
    return true;
}

static bool set_positions(struct rrule *r, const char *value)
{
    return read_list(r, value, YEAR_DAYS, put_position);
}

static bool take_weekday(const char **at, int *out)
{
    static const char names[] = "SUMOTUWETHFRSA";
    for (int i = 0; i < 7; i++) {
        if (strncasecmp(*at, names + (size_t)i * 2, 2) == 0) {
            *at += 2;
            *out = i;
            return true;
        }
    }
    return false;
}

static bool set_weekdays(struct rrule *r, const char *value)
{
    do {
        int n = 0, weekday;
        bool has_number = !take_weekday(&value, &weekday);
        if (has_number && (!take_int(&value, 53, &n) || n == 0 || !take_weekday(&value, &weekday)))
            return false;
        if (!has_number)
            r->weekdays |= 1u << weekday;
        else if (r->n_nth == RRULE_LIST_MAX)
            return false;
        else
            r->nth[r->n_nth++] = (struct rrule_nth){n, weekday};
    } while (*value == ',' && value++);
    return !*value;
}

static bool set_week_start(struct rrule *r, const char *value)
{
    return take_weekday(&value, &r->week_start) && !*value;
}

static const struct part parts[] = {
    {"FREQ", "SECONDLY, MINUTELY, HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY", set_freq},
    {"INTERVAL", "a whole number from 1 to 100000", set_interval},
    {"COUNT", "a whole number from 1 to 10000", set_count},
    {"UNTIL", "a date or time like 20261224 or 20261224T180000Z", set_until},
    {"BYSECOND", "a list of 0 to 59", set_seconds},
    {"BYMINUTE", "a list of 0 to 59", set_minutes},
    {"BYHOUR", "a list of 0 to 23", set_hours},
    {"BYDAY", "a list of up to 32 weekdays like MO, 2TU (the second) or -1FR (the last)",
     set_weekdays},
    {"BYMONTHDAY", "a list of 1 to 31 or -31 to -1", set_days},
    {"BYYEARDAY", "a list of 1 to 366 or -366 to -1", set_year_days},
    {"BYWEEKNO", "a list of 1 to 53 or -53 to -1", set_weeks},
    {"BYMONTH", "a list of 1 to 12", set_months},
    {"BYSETPOS", "a list of up to 32 numbers, 1 to 366 or -366 to -1", set_positions},
    {"WKST", "MO, TU, WE, TH, FR, SA or SU", set_week_start},
};
#define PART_FREQ 1u
#define PART_COUNT (1u << 2)
#define PART_UNTIL (1u << 3)
#define PART_MONTHDAY (1u << 8)
#define PART_YEARDAY (1u << 9)
#define PART_WEEKNO (1u << 10)
#define PART_SETPOS (1u << 12)
#define PARTS_BY 0xFF0u /* BYSECOND to BYMONTH */

/* What RFC 5545 (3.3.10) does not allow together. */
static int check_parts(const struct rrule *r, unsigned came, struct fut_errbuf *err)
{
    if (!(came & PART_FREQ))
        return fut_fail(err, FUT_ERR_INVAL, "FREQ is missing: it must be %s", parts[0].allowed);
    if (came & PART_COUNT && came & PART_UNTIL)
        return fut_fail(err, FUT_ERR_INVAL, "COUNT and UNTIL do not go together");
    if (came & PART_WEEKNO && r->freq != RRULE_YEARLY)
        return fut_fail(err, FUT_ERR_INVAL, "BYWEEKNO goes with FREQ=YEARLY only");
    if (came & PART_YEARDAY && r->freq >= RRULE_DAILY && r->freq != RRULE_YEARLY)
        return fut_fail(err, FUT_ERR_INVAL, "BYYEARDAY does not go with DAILY, WEEKLY or MONTHLY");
    if (came & PART_MONTHDAY && r->freq == RRULE_WEEKLY)
        return fut_fail(err, FUT_ERR_INVAL, "BYMONTHDAY does not go with FREQ=WEEKLY");
    if (r->n_nth && (r->freq < RRULE_MONTHLY || came & PART_WEEKNO))
        return fut_fail(err, FUT_ERR_INVAL,
                        "BYDAY may have numbers with FREQ=MONTHLY, and with FREQ=YEARLY without "
                        "BYWEEKNO");
    if (came & PART_SETPOS && !(came & PARTS_BY))
        return fut_fail(err, FUT_ERR_INVAL, "BYSETPOS goes with another BY… part only");
    return 0;
}

static int read_part(struct rrule *r, char *text, unsigned *came, struct fut_errbuf *err)
{
    char *value = strchr(text, '=');
    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < FUT_COUNT(parts); i++) {
        if (strcasecmp(parts[i].name, text) != 0)
            continue;
        if (*came & 1u << i)
            return fut_fail(err, FUT_ERR_INVAL, "%s came twice", parts[i].name);
        *came |= 1u << i;
        if (value && parts[i].set(r, value))
            return 0;
        return fut_fail(err, FUT_ERR_INVAL, "%s must be %s, not \"%.64s\"", parts[i].name,
                        parts[i].allowed, value ? value : "");
    }
    return fut_fail(err, FUT_ERR_INVAL,
                    "\"%.64s\" is not known: parts are FREQ, INTERVAL, COUNT, UNTIL, BYSECOND, "
                    "BYMINUTE, BYHOUR, BYDAY, BYMONTHDAY, BYYEARDAY, BYWEEKNO, BYMONTH, BYSETPOS, "
                    "WKST",
                    text);
}

int rrule_parse(const char *text, struct rrule *out, struct fut_errbuf *err)
{
    struct rrule r = {.interval = 1, .week_start = 1};
    unsigned came = 0;
    char copy[RRULE_TEXT_MAX + 1];
    if (strncasecmp(text, "RRULE:", 6) == 0)
        text += 6;
    if (strlen(text) > RRULE_TEXT_MAX)
        return fut_fail(err, FUT_ERR_INVAL, "it is longer than %d bytes", RRULE_TEXT_MAX);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (char *rest = copy, *part; (part = strsep(&rest, ";")) != NULL;) {
        int rc = read_part(&r, part, &came, err);
        if (rc != 0)
            return rc;
    }
    int rc = check_parts(&r, came, err);
    if (rc == 0)
        *out = r;
    return rc;
}
