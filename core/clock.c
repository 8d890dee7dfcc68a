#include "core/clock.h"

#include <stdatomic.h>
#include <time.h>

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

/* Days since 1970 to a civil date (proleptic Gregorian): gmtime_r costs a lock and more time. */
static void civil(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

/* n digits of value, zeros in front, and one character behind them. */
static char *put_digits(char *to, int n, int value, char behind)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    to[n] = behind;
    return to + n + 1;
}

void clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
    int year, month, day;
    int64_t days = wall_ms / 86400000, rest = wall_ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    civil(days, &year, &month, &day);
    int sec = (int)(rest / 1000);
    out = put_digits(out, 4, year, '-');
    out = put_digits(out, 2, month, '-');
    out = put_digits(out, 2, day, 'T');
    out = put_digits(out, 2, sec / 3600, ':');
    out = put_digits(out, 2, sec / 60 % 60, ':');
    out = put_digits(out, 2, sec % 60, '.');
    *put_digits(out, 3, (int)(rest % 1000), 'Z') = '\0';
}

void clock_test_set(int64_t mono_us, int64_t wall_ms)
{
    atomic_store(&fake_mono_us, mono_us);
    atomic_store(&fake_wall_ms, wall_ms);
}
