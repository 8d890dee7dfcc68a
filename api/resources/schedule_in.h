/* schedule_in: what the definition of a schedule says: when it is due, what its task is, what
 * becomes of overlaps and of missed times. Read by one table, from requests, from the file of
 * schedules, and from the store. Any thread; schedule_in_read blocks for the file of a time zone,
 * which is small and local. */
#ifndef FUT_API_RESOURCES_SCHEDULE_IN_H
#define FUT_API_RESOURCES_SCHEDULE_IN_H

#include "api/resources/submission.h"
#include "core/calendar/recurrence.h"
#include "storage/schedule.h"

struct schedule_in {
    struct recurrence when;
    struct submission task;
    enum store_overlap overlap;
    int catch_up; /* so many missed times at most: 0 none, 1 the last one */
    int64_t jitter_ms;
    struct json_t *root; /* owned */
    bool has_start;
};

/* 1..STORE_SCHEDULE_NAME_MAX of a-z A-Z 0-9 . _ - , not beginning with a dot or dash. */
bool schedule_in_name_ok(const char *name);
/* Reads n bytes of text, borrowed until schedule_in_release. since_ms: when the definition came,
 * from where `every` and `rrule` count that have no start. 0, or FUT_ERR_INVAL with *p set and
 * nothing to release. */
FUT_MUST_CHECK int schedule_in_read(const char *text, size_t n, int64_t since_ms,
                                    struct schedule_in *out, struct problem *p);
/* Checks it as a new definition: its task against the rules, and that it is due at all behind
 * now_ms. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int schedule_in_check(const struct schedule_in *s,
                                     const struct submission_rules *rules, int64_t now_ms,
                                     struct problem *p);
void schedule_in_release(struct schedule_in *s);

/* The first time behind after_ms, and when it is due with its jitter, which depends on the name and
 * the time alone; STORE_SCHEDULE_NEVER both: there is none. */
void schedule_in_next(const struct schedule_in *s, const char *name, int64_t after_ms,
                      int64_t *out_next_ms, int64_t *out_due_ms);
/* When a time of the schedule is due, with its jitter. */
int64_t schedule_in_due(const struct schedule_in *s, const char *name, int64_t at_ms);

/* Makes the task of a firing, and the one of its callback, in out[0] and out[1]; *out_n: how many
 * there are, the caller's to release. FUT_ERR_INVAL with *p set: its handler is not known any more.
 */
FUT_MUST_CHECK int schedule_in_make(const struct schedule_in *s, const char *name,
                                    const struct submission_rules *rules, struct task out[2],
                                    size_t *out_n, struct problem *p);

#endif
