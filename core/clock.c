#include "core/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/calendar/civil.h"

#define SECOND_LEN (sizeof("2026-11-28T12:34:56.") - 1)

static _Atomic int64_t fake_mono_us = -1;
static _Atomic int64_t fake_wall_ms = -1;

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    int64_t fake = atomic_load_explicit(&fake_mono_us, memory_order_relaxed);
    return fake >= 0 ? fake : read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    int64_t fake = atomic_load_explicit(&fake_wall_ms, memory_order_relaxed);
    return fake >= 0 ? fake : read_us(CLOCK_REALTIME) / 1000;
}

/* n digits of value, zeros in front, and one character behind them. */
static char *put_digits(char *to, int n, int value, char behind)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    to[n] = behind;
    return to + n + 1;
}

static void write_second(int64_t second, char *out)
{
    int64_t days = civil_div(second, CIVIL_DAY_S);
    struct civil date = civil_of_days(days);
    int sec = (int)(second - days * CIVIL_DAY_S);
    out = put_digits(out, 4, date.year, '-');
    out = put_digits(out, 2, date.month, '-');
    out = put_digits(out, 2, date.day, 'T');
    out = put_digits(out, 2, sec / 3600, ':');
    out = put_digits(out, 2, sec / 60 % 60, ':');
    (void)put_digits(out, 2, sec % 60, '.');
}

/* Most times that are written are of the same second as the one before. */
void clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
    static _Thread_local struct {
        int64_t second;
        char text[SECOND_LEN];
        bool is_set;
    } last;
    int64_t second = civil_div(wall_ms, 1000);
    if (!last.is_set || last.second != second)
        write_second(second, last.text);
    last.second = second;
    last.is_set = true;
    memcpy(out, last.text, SECOND_LEN);
    *put_digits(out + SECOND_LEN, 3, (int)(wall_ms - second * 1000), 'Z') = '\0';
}

/* ---- reading a time ---------------------------------------------------------------------------
 */

/* n digits at *at, which goes behind them; -1: there are not so many. */
static int take_digits(const char **at, int n)
{
    int value = 0;
    for (; n > 0; n--, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool take_one_of(const char **at, const char *allowed)
{
    bool is_there = **at && strchr(allowed, **at);
    *at += is_there;
    return is_there;
}

/* "2026-11-22" as days since 1970. */
static bool take_date(const char **at, int64_t *out_days)
{
    int year = take_digits(at, 4);
    bool ok = year >= 0 && take_one_of(at, "-");
    int month = ok ? take_digits(at, 2) : -1;
    ok = month >= 1 && month <= 12 && take_one_of(at, "-");
    int day = ok ? take_digits(at, 2) : -1;
    if (day < 1 || day > civil_month_days(year, month))
        return false;
    *out_days = civil_to_days(year, month, day);
    return true;
}

/* "10:00:00" with or without a fraction, as milliseconds since midnight. */
static bool take_time(const char **at, int64_t *out_ms)
{
    int hour = take_digits(at, 2);
    int minute = hour >= 0 && take_one_of(at, ":") ? take_digits(at, 2) : -1;
    int second = minute >= 0 && take_one_of(at, ":") ? take_digits(at, 2) : -1;
    int64_t ms = 0;
    if (second < 0 || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take_one_of(at, ".")) {
        int64_t place = 100;
        if (**at < '0' || **at > '9')
            return false;
        for (; **at >= '0' && **at <= '9'; (*at)++, place /= 10)
            ms += (**at - '0') * place;
    }
    *out_ms = (hour * INT64_C(3600) + minute * INT64_C(60) + second) * 1000 + ms;
    return true;
}

/* "Z" or "+02:00". */
static bool take_offset(const char **at, int64_t *out_ms)
{
    bool is_west = **at == '-';
    *out_ms = 0;
    if (take_one_of(at, "Zz"))
        return true;
    int hour = take_one_of(at, "+-") ? take_digits(at, 2) : -1;
    int minute = hour >= 0 && take_one_of(at, ":") ? take_digits(at, 2) : -1;
    if (minute < 0 || hour > 23 || minute > 59)
        return false;
    *out_ms = (is_west ? -1 : 1) * (hour * INT64_C(60) + minute) * 60000;
    return true;
}

bool clock_parse_rfc3339(const char *text, int64_t *out_wall_ms)
{
    int64_t days, ms, offset_ms;
    if (!take_date(&text, &days) || !take_one_of(&text, "Tt ") || !take_time(&text, &ms) ||
        !take_offset(&text, &offset_ms) || *text)
        return false;
    *out_wall_ms = days * 86400000 + ms - offset_ms;
    return true;
}

void clock_test_set(int64_t mono_us, int64_t wall_ms)
{
    atomic_store(&fake_mono_us, mono_us);
    atomic_store(&fake_wall_ms, wall_ms);
}
