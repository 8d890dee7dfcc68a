/* next_times: reads lines "ZONE<TAB>FROM<TAB>UNTIL<TAB>KIND<TAB>TEXT" (seconds since 1970; KIND
 * cron or rrule, which starts at FROM) and prints the times of each in (FROM, UNTIL], seconds since
 * 1970, on one line. For tests/calendar/check.py, which computes them in another way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/calendar/recurrence.h"

static void complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "next_times: %s: %s\n", what, why);
    exit(1);
}

static void print_times(char *line)
{
    char *zone = strsep(&line, "\t"), *from = strsep(&line, "\t"), *until = strsep(&line, "\t"),
         *kind = strsep(&line, "\t");
    struct recurrence r = {.until_ms = INT64_MAX};
    struct fut_errbuf err = {""};
    if (!line)
        complain("a line", "has fewer than five fields");
    int64_t at = strtoll(from, NULL, 10) * 1000, end = strtoll(until, NULL, 10) * 1000;
    r.kind = strcmp(kind, "cron") == 0 ? RECURRENCE_CRON : RECURRENCE_RRULE;
    r.start_ms = r.kind == RECURRENCE_CRON ? INT64_MIN / 2 : at;
    if (zone_load(zone, &r.zone) != 0)
        complain(zone, "no such zone");
    if ((r.kind == RECURRENCE_CRON ? cron_parse(line, &r.cron, &err)
                                   : rrule_parse(line, &r.rrule, &err)) != 0)
        complain(line, err.text);
    while (recurrence_next(&r, at, &at) && at <= end)
        printf("%" PRId64 " ", at / 1000);
    printf("\n");
    zone_free(r.zone);
}

int main(void)
{
    char line[4096];
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        print_times(line);
    }
    return 0;
}
