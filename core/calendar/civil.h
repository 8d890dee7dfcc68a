/* civil: dates of the proleptic Gregorian calendar as days since 1970-01-01. Pure; any thread. */
#ifndef FUT_CORE_CALENDAR_CIVIL_H
#define FUT_CORE_CALENDAR_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CIVIL_DAY_S INT64_C(86400)

struct civil {
    int year, month, day; /* month and day from 1 */
};

/* Rounds towards minus infinity; b > 0. */
static inline int64_t civil_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The days since 1970 of a date; month 1..12, day may lie outside of the month. */
static inline int64_t civil_to_days(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = civil_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static inline struct civil civil_of_days(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = civil_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct civil c = {.day = (int)(doy - (153 * mp + 2) / 5 + 1),
                      .month = (int)(mp < 10 ? mp + 3 : mp - 9)};
    c.year = (int)(yoe + era * 400 + (c.month <= 2));
    return c;
}

/* 0 is Sunday. */
static inline int civil_weekday(int64_t days)
{
    return (int)(days + 4 - civil_div(days + 4, 7) * 7);
}

static inline bool civil_is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static inline int civil_month_days(int year, int month)
{
    static const signed char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lengths[month - 1] + (month == 2 && civil_is_leap(year));
}

#endif
