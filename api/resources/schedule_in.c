#include "api/resources/schedule_in.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/number.h"

#define JITTER_MAX_S 86400

struct reading {
    struct schedule_in *s;
    const char *text;
    size_t n;
    int patterns; /* how many of cron, every, rrule came */
    bool has_task;
};

bool schedule_in_name_ok(const char *name)
{
    return strlen(name) <= STORE_SCHEDULE_NAME_MAX && task_handler_name_ok(name);
}

/* ---- the fields ------------------------------------------------------------------------------ */

static int refuse_pattern(const struct json_in_field *f, const struct fut_errbuf *err,
                          struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\": %.500s.", f->name, err->text);
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

static int set_cron(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    struct fut_errbuf err = {""};
    d->patterns++;
    d->s->when.kind = RECURRENCE_CRON;
    return cron_parse(json_string_value(v), &d->s->when.cron, &err) == 0
               ? 0
               : refuse_pattern(f, &err, p);
}

static int set_rrule(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    struct fut_errbuf err = {""};
    d->patterns++;
    d->s->when.kind = RECURRENCE_RRULE;
    return rrule_parse(json_string_value(v), &d->s->when.rrule, &err) == 0
               ? 0
               : refuse_pattern(f, &err, p);
}

static int set_every(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double seconds = json_number_value(v);
    if (!(seconds >= 1 && seconds * 1000 <= (double)RECURRENCE_EVERY_MAX_MS))
        return json_in_bad_number(f, seconds, p);
    d->patterns++;
    d->s->when.kind = RECURRENCE_EVERY;
    d->s->when.every_ms = number_ms(seconds);
    return 0;
}

static int set_timezone(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (zone_load(json_string_value(v), &d->s->when.zone) != 0)
        return json_in_bad_value(f, json_string_value(v), p);
    return 0;
}

static int set_start(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!clock_parse_rfc3339(json_string_value(v), &d->s->when.start_ms))
        return json_in_bad_value(f, json_string_value(v), p);
    d->s->has_start = true;
    return 0;
}

static int set_until(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    if (!clock_parse_rfc3339(json_string_value(v), &d->s->when.until_ms))
        return json_in_bad_value(f, json_string_value(v), p);
    return 0;
}

static int set_jitter(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    double seconds = json_number_value(v);
    if (!(seconds >= 0 && seconds <= JITTER_MAX_S))
        return json_in_bad_number(f, seconds, p);
    d->s->jitter_ms = number_ms(seconds);
    return 0;
}

static int set_overlap(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    static const char *const names[] = {
        [STORE_OVERLAP_ALLOW] = "allow",
        [STORE_OVERLAP_SKIP] = "skip",
        [STORE_OVERLAP_QUEUE_ONE] = "queue_one",
        [STORE_OVERLAP_CANCEL] = "cancel_running",
    };
    struct reading *d = to;
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        if (strcmp(names[i], json_string_value(v)) == 0) {
            d->s->overlap = (enum store_overlap)i;
            return 0;
        }
    }
    return json_in_bad_value(f, json_string_value(v), p);
}

static int set_catch_up(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *word = json_string_value(v);
    const json_t *all = json_object_size(v) == 1 ? json_object_get(v, "all") : NULL;
    double n = json_number_value(all);
    if (word && (strcmp(word, "none") == 0 || strcmp(word, "last") == 0)) {
        d->s->catch_up = strcmp(word, "last") == 0;
        return 0;
    }
    if (!all || !(n >= 1 && n <= RECURRENCE_LAST_MAX) || n != (double)(int)n)
        return json_in_bad_value(f, word ? word : "this value", p);
    d->s->catch_up = (int)n;
    return 0;
}

/* Its own complaint names the member with "task." before it. */
static int set_task(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct reading *d = to;
    const char *bytes;
    char field[sizeof(p->field)];
    size_t n;
    (void)v;
    json_text_find_member(d->text, d->n, f->name, &bytes, &n);
    d->has_task = submission_read(bytes, n, &d->s->task, p) == 0;
    if (d->has_task && submission_check_refs(&d->s->task, p) == 0)
        return 0;
    (void)snprintf(field, sizeof(field), "task%s%.60s", *p->field ? "." : "", p->field);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static const struct json_in_field fields[] = {
    {"cron", "five fields (minute, hour, day of the month, month, day of the week) or @daily …",
     JSON_IN_STRING, false, 0, set_cron},
    {"every", "a number of seconds from 1 to 31622400", JSON_IN_NUMBER, false, 0, set_every},
    {"rrule", "a recurrence rule of RFC 5545", JSON_IN_STRING, false, 0, set_rrule},
    {"timezone", "a time zone that tzdata knows, such as \"Europe/Berlin\" or \"UTC\"",
     JSON_IN_STRING, true, 0, set_timezone},
    {"start", "a time of RFC 3339, such as \"2026-12-01T09:00:00+01:00\"", JSON_IN_STRING, true, 0,
     set_start},
    {"until", "a time of RFC 3339, such as \"2026-12-31T23:59:59Z\"", JSON_IN_STRING, true, 0,
     set_until},
    {"jitter", "a number of seconds from 0 to 86400", JSON_IN_NUMBER, true, 0, set_jitter},
    {"task", "an object as POST /v1/tasks takes it", JSON_IN_OBJECT, false, 0, set_task},
    {"overlap", "\"allow\", \"skip\", \"queue_one\" or \"cancel_running\"", JSON_IN_STRING, true, 0,
     set_overlap},
    {"catch_up", "\"none\", \"last\" or {\"all\": 1 to 1000}", JSON_IN_ANY, true, 0, set_catch_up},
};

/* ---- reading --------------------------------------------------------------------------------- */

static int refuse_whole(enum problem_code code, const char *field, const char *why,
                        struct problem *p)
{
    problem_set(p, code, "%s", why);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static int check_members(const struct reading *d, struct problem *p)
{
    const struct recurrence *when = &d->s->when;
    if (d->patterns == 0)
        return refuse_whole(PROBLEM_MISSING_FIELD, "cron",
                            "\"cron\", \"every\" or \"rrule\" is missing; it says when.", p);
    if (d->patterns > 1)
        return refuse_whole(PROBLEM_INVALID_VALUE, "cron",
                            "Only one of \"cron\", \"every\" and \"rrule\" may be given.", p);
    if (!d->has_task)
        return refuse_whole(PROBLEM_MISSING_FIELD, "task",
                            "\"task\" is missing; it is what POST /v1/tasks takes.", p);
    if (d->s->has_start && when->until_ms <= when->start_ms)
        return refuse_whole(PROBLEM_INVALID_VALUE, "until", "\"until\" must be behind \"start\".",
                            p);
    return 0;
}

int schedule_in_read(const char *text, size_t n, int64_t since_ms, struct schedule_in *out,
                     struct problem *p)
{
    static const struct json_in_object object = {"a schedule", "", fields, FUT_COUNT(fields), 0};
    struct schedule_in s = {.when = {.start_ms = since_ms, .until_ms = INT64_MAX}, .catch_up = 1};
    struct reading d = {.s = &s, .text = n ? text : "", .n = n};
    s.root = json_text_parse(d.text, n, p);
    if (!s.root)
        return FUT_ERR_INVAL;
    int rc = json_in_read(&object, s.root, &d, p);
    if (rc == 0)
        rc = check_members(&d, p);
    if (rc == 0 && !s.when.zone)
        rc = zone_load("UTC", &s.when.zone);
    if (rc != 0) {
        schedule_in_release(&s);
        return FUT_ERR_INVAL;
    }
    s.when.start_is_first = s.has_start;
    *out = s;
    return 0;
}

int schedule_in_check(const struct schedule_in *s, const struct submission_rules *rules,
                      int64_t now_ms, struct problem *p)
{
    const struct handler_info *h;
    int64_t next;
    if (submission_check(&s->task, rules, false, &h, p) != 0) {
        char field[sizeof(p->field)];
        (void)snprintf(field, sizeof(field), "task.%.60s", p->field);
        problem_set_field(p, field);
        return FUT_ERR_INVAL;
    }
    if (s->task.session.hi)
        return refuse_whole(PROBLEM_INVALID_VALUE, "task.session",
                            "A schedule outlives any session: its tasks cannot be of one.", p);
    if (s->task.after)
        return refuse_whole(PROBLEM_INVALID_VALUE, "task.after",
                            "The tasks of a schedule wait for no others: each time is a new one.",
                            p);
    if (recurrence_next(&s->when, now_ms, &next))
        return 0;
    return refuse_whole(PROBLEM_INVALID_VALUE,
                        s->when.kind == RECURRENCE_CRON    ? "cron"
                        : s->when.kind == RECURRENCE_EVERY ? "every"
                                                           : "rrule",
                        "The schedule is never due from now on.", p);
}

void schedule_in_release(struct schedule_in *s)
{
    submission_release(&s->task);
    zone_free(s->when.zone);
    json_decref(s->root);
    *s = (struct schedule_in){0};
}

/* ---- what follows from it ---------------------------------------------------------------------
 */

int64_t schedule_in_due(const struct schedule_in *s, const char *name, int64_t at_ms)
{
    uint64_t hash = hash_number(hash_text(HASH_START, name), (uint64_t)at_ms);
    return at_ms + (int64_t)((hash ^ hash >> 32) % (uint64_t)(s->jitter_ms + 1));
}

void schedule_in_next(const struct schedule_in *s, const char *name, int64_t after_ms,
                      int64_t *out_next_ms, int64_t *out_due_ms)
{
    if (recurrence_next(&s->when, after_ms, out_next_ms))
        *out_due_ms = schedule_in_due(s, name, *out_next_ms);
    else
        *out_next_ms = *out_due_ms = STORE_SCHEDULE_NEVER;
}

int schedule_in_make(const struct schedule_in *s, const char *name,
                     const struct submission_rules *rules, struct task out[2], size_t *out_n,
                     struct problem *p)
{
    const struct handler_info *h;
    struct submission_frame frame = {.store = rules->store,
                                     .id = id_new(),
                                     .created_wall_ms = clock_wall_ms(),
                                     .schedule = name};
    if (submission_check(&s->task, rules, false, &h, p) != 0)
        return FUT_ERR_INVAL;
    submission_task_make(&s->task, h, &frame, &out[0], &out[1]);
    *out_n = out[1].spec ? 2 : 1;
    return 0;
}
