/* When schedules are due: patterns, rules, summer time, and what is refused. The great mass of
 * times is compared with another implementation by tests/calendar/check.py. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/calendar/recurrence.h"
#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static int64_t ms_of(const char *text)
{
    int64_t ms;
    ck_assert_msg(clock_parse_rfc3339(text, &ms), "%s", text);
    return ms;
}

static struct recurrence open_cron(const char *zone, const char *text)
{
    struct recurrence r = {.kind = RECURRENCE_CRON, .until_ms = INT64_MAX};
    struct fut_errbuf err = {""};
    ck_assert_int_eq(zone_load(zone, &r.zone), 0);
    ck_assert_msg(cron_parse(text, &r.cron, &err) == 0, "%s: %s", text, err.text);
    return r;
}

static struct recurrence open_rule(const char *zone, const char *text, const char *start)
{
    struct recurrence r = {.kind = RECURRENCE_RRULE, .until_ms = INT64_MAX};
    struct fut_errbuf err = {""};
    ck_assert_int_eq(zone_load(zone, &r.zone), 0);
    ck_assert_msg(rrule_parse(text, &r.rrule, &err) == 0, "%s: %s", text, err.text);
    r.start_ms = ms_of(start);
    return r;
}

/* ---- times ----------------------------------------------------------------------------------- */

static const struct {
    const char *zone, *text, *after;
    const char *next[3]; /* NULL: no more */
} crons[] = {
    {"UTC",
     "*/20 * * * *",
     "2026-11-27T10:00:00Z",
     {"2026-11-27T10:20:00Z", "2026-11-27T10:40:00Z", "2026-11-27T11:00:00Z"}},
    {"UTC",
     "@hourly",
     "2026-12-31T23:00:00Z",
     {"2027-01-01T00:00:00Z", "2027-01-01T01:00:00Z", "2027-01-01T02:00:00Z"}},
    {"UTC",
     "0 0 29 2 *",
     "2096-02-29T00:00:00Z",
     {"2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z", "2112-02-29T00:00:00Z"}},
    {"UTC",
     "0 9 1 * MON",
     "2026-11-27T00:00:00Z", /* either day */
     {"2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z", "2026-12-07T09:00:00Z"}},
    {"UTC",
     "0 9 */10 * MON",
     "2026-11-27T00:00:00Z", /* begins with *: both */
     {"2026-12-21T09:00:00Z", "2027-01-11T09:00:00Z", "2027-02-01T09:00:00Z"}},
    {"UTC",
     "0 9 L * *",
     "2026-11-27T00:00:00Z",
     {"2026-11-30T09:00:00Z", "2026-12-31T09:00:00Z", "2027-01-31T09:00:00Z"}},
    {"UTC",
     "0 9 * * 5L",
     "2026-11-27T10:00:00Z",
     {"2026-12-25T09:00:00Z", "2027-01-29T09:00:00Z", "2027-02-26T09:00:00Z"}},
    {"UTC",
     "0 9 * * tue#5",
     "2026-11-27T10:00:00Z",
     {"2026-12-29T09:00:00Z", "2027-03-30T09:00:00Z", "2027-06-29T09:00:00Z"}},
    {"UTC", "0 0 31 2 *", "2026-11-27T00:00:00Z", {NULL}},
    /* The clock jumps from 2:00 to 3:00: the daily time is due at that moment. */
    {"Europe/Berlin",
     "30 2 * * *",
     "2026-03-28T12:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"}},
    {"Europe/Berlin",
     "10,20,30 2 * * *",
     "2026-03-28T12:00:00Z", /* three that are missing: once */
     {"2026-03-29T01:00:00Z", "2026-03-30T00:10:00Z", "2026-03-30T00:20:00Z"}},
    /* 2:30 comes twice: the first one. */
    {"Europe/Berlin",
     "30 2 * * *",
     "2026-10-24T12:00:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"}},
    {"Europe/Berlin",
     "30 2 * * *",
     "2026-10-25T01:15:00Z", /* within the second hour */
     {"2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z", "2026-10-28T01:30:00Z"}},
    {"Europe/Berlin",
     "30 * * * *",
     "2026-10-25T00:00:00Z", /* elapsed time */
     {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
    {"Europe/Berlin",
     "*/30 2 * * *",
     "2026-03-28T12:00:00Z", /* no such hour that day */
     {"2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:00:00Z"}},
    {"Europe/Berlin", "* 2 * 3 0L", "2026-01-01T00:00:00Z", {NULL}}, /* in that hour alone */
    {"Europe/Dublin",
     "30 1 * * *",
     "2026-03-28T12:00:00Z", /* negative summer time in tzdata */
     {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"}},
    {"Australia/Lord_Howe",
     "15 2 * * *",
     "2026-10-03T00:00:00Z", /* half an hour */
     {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z", "2026-10-05T15:15:00Z"}},
    {"Pacific/Apia",
     "0 9 * * *",
     "2011-12-29T20:00:00Z", /* a day that never was */
     {"2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"}},
    {"America/New_York",
     "0 0 1 1 *",
     "2499-01-01T00:00:00Z", /* by the rule behind the table */
     {"2499-01-01T05:00:00Z", "2500-01-01T05:00:00Z", "2501-01-01T05:00:00Z"}},
};

static void check_next(const struct recurrence *r, const char *after, const char *const next[3])
{
    int64_t at = ms_of(after);
    for (int i = 0; i < 3; i++) {
        char text[CLOCK_RFC3339_SIZE];
        bool found = recurrence_next(r, at, &at);
        ck_assert_int_eq(found, next[i] != NULL);
        if (!found)
            return;
        clock_rfc3339(at, text);
        ck_assert_msg(at == ms_of(next[i]), "after %s: %s, not %s", after, text, next[i]);
    }
}

START_TEST(test_calendar_cron_times)
{
    struct recurrence r = open_cron(crons[_i].zone, crons[_i].text);
    check_next(&r, crons[_i].after, crons[_i].next);
    zone_free(r.zone);
}
END_TEST

static const struct {
    const char *zone, *text, *start, *after;
    const char *next[3];
} rules[] = {
    {"Europe/Berlin",
     "RRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
     "2026-03-01T08:00:00Z",
     "2026-03-28T12:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"}},
    {"Europe/Berlin",
     "FREQ=HOURLY;INTERVAL=12",
     "2026-03-28T11:00:00Z",
     "2026-03-28T11:00:00Z",
     {"2026-03-28T23:00:00Z", "2026-03-29T11:00:00Z", "2026-03-29T23:00:00Z"}},
    {"UTC",
     "FREQ=HOURLY;INTERVAL=2;BYHOUR=1",
     "2026-01-01T00:00:00Z",
     "2026-01-01T00:00:00Z",
     {NULL}}, /* libical gives one o'clock */
    {"UTC",
     "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=1",
     "2026-01-01T00:00:00Z",
     "2026-01-01T00:00:00Z",
     {NULL}},
    {"UTC",
     "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
     "2026-01-01T00:00:00Z",
     "2026-01-01T00:00:00Z",
     {NULL}},
    {"UTC",
     "FREQ=YEARLY;BYWEEKNO=20",
     "2026-01-01T06:00:00Z",
     "2026-01-02T00:00:00Z", /* Thursday */
     {"2026-05-14T06:00:00Z", "2027-05-20T06:00:00Z", "2028-05-18T06:00:00Z"}},
    {"UTC",
     "FREQ=DAILY;COUNT=2",
     "2026-01-01T06:00:00Z",
     "2025-01-01T00:00:00Z",
     {"2026-01-01T06:00:00Z", "2026-01-02T06:00:00Z", NULL}},
    {"UTC",
     "FREQ=DAILY;UNTIL=20260102",
     "2026-01-01T06:00:00Z",
     "2026-01-01T06:00:00Z",
     {"2026-01-02T06:00:00Z", NULL}},
    {"Asia/Tokyo",
     "FREQ=DAILY;UNTIL=20260102T210000Z",
     "2025-12-31T21:00:00Z",
     "2026-01-01T00:00:00Z",
     {"2026-01-01T21:00:00Z", "2026-01-02T21:00:00Z", NULL}},
    {"UTC",
     "freq=monthly;byday=mo,tu,we,th,fr;bysetpos=-1",
     "2026-01-01T17:00:00Z",
     "2026-01-30T16:00:00Z",
     {"2026-01-30T17:00:00Z", "2026-02-27T17:00:00Z", "2026-03-31T17:00:00Z"}},
};

START_TEST(test_calendar_rule_times)
{
    struct recurrence r = open_rule(rules[_i].zone, rules[_i].text, rules[_i].start);
    check_next(&r, rules[_i].after, rules[_i].next);
    zone_free(r.zone);
}
END_TEST

START_TEST(test_calendar_every_counts_from_its_start)
{
    struct recurrence r = {
        .kind = RECURRENCE_EVERY, .every_ms = 1500, .start_ms = 10000, .until_ms = 14000};
    int64_t at;
    ck_assert(recurrence_next(&r, 0, &at) && at == 11500);
    ck_assert(recurrence_next(&r, 11499, &at) && at == 11500);
    ck_assert(recurrence_next(&r, 11500, &at) && at == 13000);
    ck_assert(!recurrence_next(&r, 13000, &at));
    r.start_is_first = true;
    ck_assert(recurrence_next(&r, 0, &at) && at == 10000);
}
END_TEST

START_TEST(test_calendar_last_times)
{
    struct recurrence r = {.kind = RECURRENCE_EVERY, .every_ms = 1000, .until_ms = INT64_MAX};
    int64_t out[RECURRENCE_LAST_MAX], year = INT64_C(31536000000);
    bool more;
    ck_assert_int_eq(recurrence_last(&r, 0, 500, 3, out, &more), 0);
    ck_assert(!more);
    ck_assert_int_eq(recurrence_last(&r, 0, 2500, 3, out, &more), 2);
    ck_assert(!more && out[0] == 1000 && out[1] == 2000);
    ck_assert_int_eq(recurrence_last(&r, 0, 3000, 3, out, &more), 3);
    ck_assert(!more && out[0] == 1000 && out[2] == 3000);
    ck_assert_int_eq(recurrence_last(&r, 0, year, 3, out, &more), 3);
    ck_assert(more && out[0] == year - 2000 && out[2] == year);
    ck_assert_int_eq(recurrence_last(&r, 0, year, 1, out, &more), 1);
    ck_assert(more && out[0] == year);
    r = open_cron("UTC", "0 0 1 1 *");
    ck_assert_int_eq(recurrence_last(&r, 0, ms_of("2026-06-01T00:00:00Z"), 1000, out, &more), 56);
    ck_assert(!more && out[55] == ms_of("2026-01-01T00:00:00Z"));
    zone_free(r.zone);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------- */

static const struct {
    const char *text, *why; /* NULL: fine */
} cron_texts[] = {
    {"* * * * *", NULL},
    {"  1,2-5/2\t*/3 L JAN-mar,12 SUN,1#1,5L ", NULL},
    {"@daily", NULL},
    {"", "five"},
    {"* * * *", "five"},
    {"* * * * * *", "five"},
    {"@reboot", "minute"},
    {"60 * * * *", "minute"},
    {"70 * * * *", "minute"},
    {"5x * * * *", "minute"},
    {"1, * * * *", "minute"},
    {",1 * * * *", "minute"},
    {"1,,2 * * * *", "minute"},
    {"-1 * * * *", "minute"},
    {"*/0 * * * *", "minute"},
    {"*/ * * * *", "minute"},
    {"*/100 * * * *", "minute"},
    {"9-3 * * * *", "minute"},
    {"1- * * * *", "minute"},
    {"99999999999999999999 * * * *", "minute"},
    {"0 24 * * *", "hour"},
    {"0 0 0 * *", "day of the month"},
    {"0 0 32 * *", "day of the month"},
    {"0 0 LW * *", "day of the month"},
    {"0 0 * 13 *", "month"},
    {"0 0 * janu *", "month"},
    {"0 0 * * 8", "day of the week"},
    {"0 0 * * 1#6", "day of the week"},
    {"0 0 * * L", "day of the week"},
};

START_TEST(test_calendar_cron_refusals)
{
    struct cron c;
    struct fut_errbuf err = {""};
    int rc = cron_parse(cron_texts[_i].text, &c, &err);
    ck_assert_int_eq(rc, cron_texts[_i].why ? FUT_ERR_INVAL : 0);
    ck_assert_msg(!cron_texts[_i].why || strstr(err.text, cron_texts[_i].why), "%s: %s",
                  cron_texts[_i].text, err.text);
}
END_TEST

static const struct {
    const char *text, *why;
} rule_texts[] = {
    {"FREQ=DAILY", NULL},
    {"INTERVAL=2;FREQ=WEEKLY;BYDAY=MO;WKST=SU", NULL},
    {"", "not known"},
    {"INTERVAL=2", "FREQ is missing"},
    {"FREQ=DAILY;", "not known"},
    {"FREQ=FORTNIGHTLY", "FREQ must be"},
    {"FREQ", "FREQ must be"},
    {"FREQ=DAILY;FREQ=DAILY", "twice"},
    {"FREQ=DAILY;INTERVAL=0", "INTERVAL"},
    {"FREQ=DAILY;INTERVAL=1000000", "INTERVAL"},
    {"FREQ=DAILY;COUNT=10001", "COUNT"},
    {"FREQ=DAILY;COUNT=2;UNTIL=20260101", "do not go together"},
    {"FREQ=DAILY;UNTIL=20260230", "UNTIL"},
    {"FREQ=DAILY;UNTIL=20260101T250000Z", "UNTIL"},
    {"FREQ=DAILY;UNTIL=20260101T0000", "UNTIL"},
    {"FREQ=DAILY;UNTIL=tomorrow", "UNTIL"},
    {"FREQ=DAILY;BYHOUR=24", "BYHOUR"},
    {"FREQ=DAILY;BYHOUR=-1", "BYHOUR"},
    {"FREQ=DAILY;BYHOUR=1,", "BYHOUR"},
    {"FREQ=DAILY;BYSECOND=60", "BYSECOND"},
    {"FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"},
    {"FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY"},
    {"FREQ=YEARLY;BYMONTH=0", "BYMONTH"},
    {"FREQ=DAILY;BYDAY=XX", "BYDAY"},
    {"FREQ=DAILY;BYDAY=1MO", "BYDAY"},
    {"FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"},
    {"FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY"},
    {"FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO"},
    {"FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"},
    {"FREQ=DAILY;RSCALE=HEBREW", "not known"},
};

START_TEST(test_calendar_rule_refusals)
{
    struct rrule r;
    struct fut_errbuf err = {""};
    int rc = rrule_parse(rule_texts[_i].text, &r, &err);
    ck_assert_int_eq(rc, rule_texts[_i].why ? FUT_ERR_INVAL : 0);
    ck_assert_msg(!rule_texts[_i].why || strstr(err.text, rule_texts[_i].why), "%s: %s",
                  rule_texts[_i].text, err.text);
}
END_TEST

static const char *const no_zones[] = {"",
                                       "Europe/Berlin/",
                                       "Europe",
                                       "Mars/Olympus",
                                       "../../etc/passwd",
                                       "/etc/localtime",
                                       "tzdata.zi",
                                       "right/Europe/Berlin",
                                       "Europe/Berlin Europe/Berlin"};

START_TEST(test_calendar_unknown_zones)
{
    struct zone *z;
    ck_assert_int_eq(zone_load(no_zones[_i], &z), FUT_ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_calendar_cron_times, FUT_COUNT(crons)},
        {test_calendar_rule_times, FUT_COUNT(rules)},
        {test_calendar_every_counts_from_its_start, 0},
        {test_calendar_last_times, 0},
        {test_calendar_cron_refusals, FUT_COUNT(cron_texts)},
        {test_calendar_rule_refusals, FUT_COUNT(rule_texts)},
        {test_calendar_unknown_zones, FUT_COUNT(no_zones)},
    };
    return suite_run_rows("calendar", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
