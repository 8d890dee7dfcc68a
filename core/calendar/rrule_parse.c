#include "core/calendar/rrule.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/calendar/civil.h"
#include "core/mem.h"

struct part {
    const char *name;
    const char *allowed;
    bool (*set)(struct rrule *r, const struct part *p, const char *value);
    int min, max; /* of a number or of those of a list */
    size_t at,
        end_at; /* of the field in struct rrule; the bits of numbers below 0, 0: none are allowed */
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

static bool set_freq(struct rrule *r, const struct part *p, const char *value)
{
    (void)p;
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

static bool set_number(struct rrule *r, const struct part *p, const char *value)
{
    int *n = (int *)(void *)((char *)r + p->at);
    return take_int(&value, p->max, n) && *n >= p->min && !*value;
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
static bool set_until(struct rrule *r, const struct part *p, const char *value)
{
    (void)p;
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

/* A list of numbers, each of which is a bit. */
static bool set_bits(struct rrule *r, const struct part *p, const char *value)
{
    do {
        int n;
        if (!take_int(&value, p->max, &n) || (n < p->min && (n == 0 || !p->end_at)))
            return false;
        uint64_t *bits = (uint64_t *)(void *)((char *)r + (n < 0 ? p->end_at : p->at));
        bits[abs(n) / 64] |= UINT64_C(1) << abs(n) % 64;
    } while (*value == ',' && value++);
    return !*value;
}

static bool set_positions(struct rrule *r, const struct part *p, const char *value)
{
    do {
        int n;
        if (!take_int(&value, p->max, &n) || n == 0 || r->n_positions == RRULE_LIST_MAX)
            return false;
        r->positions[r->n_positions++] = n;
    } while (*value == ',' && value++);
    return !*value;
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

static bool set_weekdays(struct rrule *r, const struct part *p, const char *value)
{
    (void)p;
    do {
        int n = 0, weekday;
        bool has_number = !take_weekday(&value, &weekday);
        if (has_number &&
            (!take_int(&value, p->max, &n) || n == 0 || !take_weekday(&value, &weekday)))
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

static bool set_week_start(struct rrule *r, const struct part *p, const char *value)
{
    (void)p;
    return take_weekday(&value, &r->week_start) && !*value;
}

#define FIELD(name) offsetof(struct rrule, name)
static const struct part parts[] = {
    {"FREQ", "SECONDLY, MINUTELY, HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY", set_freq, 0, 0, 0, 0},
    {"INTERVAL", "a whole number from 1 to 100000", set_number, 1, 100000, FIELD(interval), 0},
    {"COUNT", "a whole number from 1 to 10000", set_number, 1, RRULE_COUNT_MAX, FIELD(count), 0},
    {"UNTIL", "a date or time like 20261224 or 20261224T180000Z", set_until, 0, 0, 0, 0},
    {"BYSECOND", "a list of 0 to 59", set_bits, 0, 59, FIELD(seconds), 0},
    {"BYMINUTE", "a list of 0 to 59", set_bits, 0, 59, FIELD(minutes), 0},
    {"BYHOUR", "a list of 0 to 23", set_bits, 0, 23, FIELD(hours), 0},
    {"BYDAY", "a list of up to 32 weekdays like MO, 2TU (the second) or -1FR (the last)",
     set_weekdays, 1, 53, 0, 0},
    {"BYMONTHDAY", "a list of 1 to 31 or -31 to -1", set_bits, 1, 31, FIELD(days),
     FIELD(last_days)},
    {"BYYEARDAY", "a list of 1 to 366 or -366 to -1", set_bits, 1, 366, FIELD(year_days),
     FIELD(last_year_days)},
    {"BYWEEKNO", "a list of 1 to 53 or -53 to -1", set_bits, 1, 53, FIELD(weeks),
     FIELD(last_weeks)},
    {"BYMONTH", "a list of 1 to 12", set_bits, 1, 12, FIELD(months), 0},
    {"BYSETPOS", "a list of up to 32 numbers, 1 to 366 or -366 to -1", set_positions, 1, 366, 0, 0},
    {"WKST", "MO, TU, WE, TH, FR, SA or SU", set_week_start, 0, 0, 0, 0},
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
        if (value && parts[i].set(r, &parts[i], value))
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
