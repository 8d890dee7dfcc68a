/* schedules: tasks at times. The store keeps them; whoever fires them is of the daemon. */
#include <jansson.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/resources/schedule_in.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "api/text/params.h"
#include "core/calendar/civil.h"
#include "core/clock.h"
#include "core/json_walk.h"
#include "core/mem.h"
#include "core/number.h"

#define PATH "/v1/schedules/"
#define NEXT_SHOWN 5
#define DEFAULT_LIMIT 100
#define CHANGE_TRIES 1000

static void fail(struct request *r, int rc)
{
    struct problem p;
    if (rc == FUT_ERR_NOT_FOUND) {
        problem_set(&p, PROBLEM_UNKNOWN_SCHEDULE,
                    "No schedule is called \"%.64s\"; GET /v1/schedules lists them.",
                    r->captures[0]);
    } else if (rc == FUT_ERR_STATE) {
        problem_set(&p, PROBLEM_SCHEDULE_OF_FILE,
                    "The schedule \"%.64s\" comes from the file that FUTURED_SCHEDULES names: "
                    "change it there.",
                    r->captures[0]);
    } else if (rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_TOO_MANY_SCHEDULES, "There are %d schedules already.",
                    STORE_SCHEDULES_MAX);
        p.limit = STORE_SCHEDULES_MAX;
    } else {
        request_fail(r, rc);
        return;
    }
    request_problem(r, &p);
}

/* ---- as JSON --------------------------------------------------------------------------------- */

/* A time as the zone's clock shows it: "2026-11-27T02:30:00.000+01:00". */
static void write_local(struct buf *out, int64_t ms, const struct zone *z)
{
    char text[CLOCK_RFC3339_SIZE];
    int offset = zone_at(z, civil_div(ms, 1000)).offset;
    int minutes = (offset < 0 ? -offset : offset) / 60;
    clock_rfc3339(ms + offset * INT64_C(1000), text);
    text[strlen(text) - 1] = '\0'; /* the Z */
    json_out_comma(out);
    buf_printf(out, "\"%s%c%02d:%02d\"", text, offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

static void write_next(struct buf *out, const struct store_schedule *s,
                       const struct schedule_in *def)
{
    int64_t at = s->next_ms, due = s->due_ms;
    json_out_key(out, "next");
    buf_putc(out, '[');
    for (int i = 0; i < NEXT_SHOWN && !s->is_paused && at != STORE_SCHEDULE_NEVER; i++) {
        write_local(out, due, def->when.zone);
        schedule_in_next(def, s->name, at, &at, &due);
    }
    buf_putc(out, ']');
}

static void write_run(struct buf *out, const struct store_schedule_run *run)
{
    static const struct {
        const char *outcome, *reason;
    } kinds[STORE_RUN_KINDS] = {
        [STORE_RUN_FIRED] = {"fired", NULL},          [STORE_RUN_WAITING] = {"waiting", NULL},
        [STORE_RUN_OVERLAP] = {"skipped", "overlap"}, [STORE_RUN_MISSED] = {"skipped", "missed"},
        [STORE_RUN_REFUSED] = {"skipped", "refused"}, [STORE_RUN_PAUSED] = {"skipped", "paused"},
    };
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_time(out, "at", run->at_ms);
    if (run->to_ms != run->at_ms)
        json_out_time(out, "to", run->to_ms);
    json_out_str(out, "outcome", kinds[run->kind].outcome);
    if (kinds[run->kind].reason)
        json_out_str(out, "reason", kinds[run->kind].reason);
    json_out_time(out, "recorded_at", run->done_ms);
    json_out_bool(out, "manual", run->is_manual);
    if (run->id.hi) {
        char id[ID_TEXT_SIZE];
        id_format(run->id, id);
        json_out_str(out, "future", id);
        json_out_str(out, "state", run->has_future ? task_state_name(run->state) : NULL);
    }
    buf_putc(out, '}');
}

static void write_head(struct buf *out, const struct store_schedule *s)
{
    buf_putc(out, '{');
    json_out_str(out, "name", s->name);
    json_out_str(out, "source", s->is_from_file ? "file" : "api");
    json_out_bool(out, "paused", s->is_paused);
    json_out_time(out, "since", s->since_ms);
    json_out_key(out, "definition");
    buf_puts(out, s->text);
}

static void write_summary(struct buf *out, const struct store_schedule *s)
{
    bool is_due = !s->is_paused && s->due_ms != STORE_SCHEDULE_NEVER;
    json_out_comma(out);
    write_head(out, s);
    json_out_time(out, "next_at", is_due ? s->due_ms : 0);
    buf_putc(out, '}');
}

/* A definition that this version cannot read any more shows no times. */
static void write_schedule(struct buf *out, const struct store_schedule_get *o)
{
    struct schedule_in def;
    struct problem p;
    const struct store_schedule *s = &o->schedule;
    write_head(out, s);
    if (schedule_in_read(s->text, strlen(s->text), s->since_ms, &def, &p) == 0) {
        write_next(out, s, &def);
        schedule_in_release(&def);
    }
    json_out_key(out, "runs");
    buf_putc(out, '[');
    for (size_t i = 0; i < o->n_runs; i++)
        write_run(out, &o->runs[i]);
    buf_puts(out, "]}");
}

/* ---- reading one -------------------------------------------------------------------------------
 */

static void drop_get(struct request *r)
{
    store_schedule_release(&r->op.schedule_get.schedule);
}

static void read_one(struct request *r, request_step *next)
{
    request_drop_op(r);
    r->op.schedule_get = (struct store_schedule_get){
        .name = r->captures[0],
        .runs = arena_alloc(&r->arena, STORE_SCHEDULE_RUNS * sizeof(struct store_schedule_run))};
    request_post(r, &store_verb_schedule_get, drop_get, next);
}

static void show(struct request *r, unsigned status)
{
    if (r->op.base.rc != 0) {
        fail(r, r->op.base.rc);
        return;
    }
    write_schedule(&r->out, &r->op.schedule_get);
    request_reply_json(r, status);
}

static void shown(struct request *r)
{
    show(r, 200);
}

static void shown_as_new(struct request *r)
{
    request_add_location(r, PATH, r->captures[0]);
    show(r, 201);
}

void schedules_get(struct request *r)
{
    read_one(r, shown);
}

/* ---- PUT ------------------------------------------------------------------------------------- */

static void put(struct request *r)
{
    int rc = r->op.base.rc;
    bool is_new = r->op.schedules_put.added > 0;
    if (rc != 0)
        fail(r, rc);
    else
        read_one(r, is_new ? shown_as_new : shown);
}

/* 0, or FUT_ERR_INVAL with *p set. */
static int read_definition(struct request *r, int64_t now_ms, struct schedule_in *out,
                           struct problem *p)
{
    struct submission_rules rules = submission_check_rules(r);
    if (!schedule_in_name_ok(r->captures[0])) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "The name of a schedule must be 1 to %d of a-z A-Z 0-9 . _ - , and not begin "
                    "with a dot or dash.",
                    STORE_SCHEDULE_NAME_MAX);
        problem_set_field(p, "name");
        return FUT_ERR_INVAL;
    }
    if (r->body.len > STORE_SCHEDULE_TEXT_MAX) {
        problem_set(p, PROBLEM_BODY_TOO_LARGE, "The definition of a schedule has up to %u bytes.",
                    STORE_SCHEDULE_TEXT_MAX);
        p->limit = STORE_SCHEDULE_TEXT_MAX;
        return FUT_ERR_INVAL;
    }
    if (schedule_in_read(r->body.data, r->body.len, now_ms, out, p) != 0)
        return FUT_ERR_INVAL;
    if (schedule_in_check(out, &rules, now_ms, p) == 0)
        return 0;
    schedule_in_release(out);
    return FUT_ERR_INVAL;
}

void schedules_put(struct request *r)
{
    struct schedule_in def;
    struct problem p;
    int64_t now_ms = clock_wall_ms();
    if (read_definition(r, now_ms, &def, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    size_t mark = json_walk_mark(r->body.data, r->body.len);
    struct store_schedule *s = arena_alloc(&r->arena, sizeof(*s));
    *s = (struct store_schedule){
        .text = arena_strndup(&r->arena, r->body.data + mark, r->body.len - mark),
        .since_ms = now_ms};
    memcpy(s->name, r->captures[0], strlen(r->captures[0]) + 1);
    schedule_in_next(&def, s->name, now_ms, &s->next_ms, &s->due_ms);
    schedule_in_release(&def);
    r->op.schedules_put = (struct store_schedules_put){.items = s, .n = 1};
    request_post(r, &store_verb_schedules_put, NULL, put);
}

/* ---- PATCH ----------------------------------------------------------------------------------- */

static void pause_read(struct request *r);

static int set_paused(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f;
    (void)p;
    *(int *)to = json_is_true(v);
    return 0;
}

/* *out: 0 or 1. 0, or FUT_ERR_INVAL with *p set. */
static int read_pause(const struct request *r, int *out, struct problem *p)
{
    static const struct json_in_field members[] = {
        {"paused", "true or false", JSON_IN_BOOL, false, 0, set_paused}};
    static const struct json_in_object object = {"a change of a schedule", "", members,
                                                 FUT_COUNT(members), 0};
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, p);
    *out = -1;
    int rc = root ? json_in_read(&object, root, out, p) : FUT_ERR_INVAL;
    json_decref(root);
    if (rc == 0 && *out < 0) {
        problem_set(p, PROBLEM_MISSING_FIELD, "\"paused\" is missing.");
        problem_set_field(p, "paused");
        rc = FUT_ERR_INVAL;
    }
    return rc;
}

static void paused(struct request *r)
{
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_STALE && ++r->tries < CHANGE_TRIES)
        read_one(r, pause_read);
    else if (rc != 0)
        fail(r, rc);
    else
        read_one(r, shown);
}

/* Goes on with the next time from now: those in between were not missed. */
static void pause_read(struct request *r)
{
    const struct store_schedule *s = &r->op.schedule_get.schedule;
    struct schedule_in def;
    struct problem p;
    const int *is_paused = r->work;
    if (r->op.base.rc != 0) {
        fail(r, r->op.base.rc);
        return;
    }
    struct store_schedule_pause o = {.name = r->captures[0],
                                     .revision = s->revision,
                                     .is_paused = *is_paused != 0,
                                     .next_ms = STORE_SCHEDULE_NEVER,
                                     .due_ms = STORE_SCHEDULE_NEVER};
    if (schedule_in_read(s->text, strlen(s->text), s->since_ms, &def, &p) == 0) {
        schedule_in_next(&def, o.name, clock_wall_ms(), &o.next_ms, &o.due_ms);
        schedule_in_release(&def);
    }
    request_drop_op(r);
    r->op.schedule_pause = o;
    request_post(r, &store_verb_schedule_pause, NULL, paused);
}

void schedules_patch(struct request *r)
{
    struct problem p;
    int *is_paused = arena_alloc(&r->arena, sizeof(*is_paused));
    if (read_pause(r, is_paused, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    r->work = is_paused;
    read_one(r, pause_read);
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

static void removed(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        request_reply_empty(r, 204);
}

void schedules_delete(struct request *r)
{
    r->op.schedule_remove = (struct store_schedule_remove){.name = r->captures[0]};
    request_post(r, &store_verb_schedule_remove, NULL, removed);
}

/* ---- POST …/run ------------------------------------------------------------------------------ */

static void ran(struct request *r)
{
    char id[ID_TEXT_SIZE];
    struct problem p;
    const struct store_schedule_fire *o = &r->op.schedule_fire;
    if (o->op.rc == FUT_ERR_FULL) {
        request_fail(r, o->op.rc); /* the queue */
    } else if (o->op.rc != 0) {
        fail(r, o->op.rc);
    } else if (o->run.kind != STORE_RUN_FIRED) {
        problem_set(&p, PROBLEM_CONFLICT,
                    "An unfinished task has the \"unique\" key of this one; nothing was started.");
        request_problem(r, &p);
    } else {
        id_format(o->run.id, id);
        request_add_location(r, "/v1/futures/", id);
        buf_putc(&r->out, '{');
        json_out_str(&r->out, "id", id);
        json_out_str(&r->out, "schedule", r->captures[0]);
        buf_putc(&r->out, '}');
        request_reply_json(r, 202);
    }
}

/* r->task and r->callback own what the operation borrows. */
static void run_read(struct request *r)
{
    struct store_schedule *s = &r->op.schedule_get.schedule;
    struct submission_rules rules = submission_check_rules(r);
    struct schedule_in def;
    struct problem p;
    struct task *tasks = arena_alloc(&r->arena, 2 * sizeof(*tasks));
    size_t n = 0;
    if (r->op.base.rc != 0) {
        fail(r, r->op.base.rc);
        return;
    }
    int rc = schedule_in_read(s->text, strlen(s->text), s->since_ms, &def, &p);
    if (rc == 0) {
        rc = schedule_in_make(&def, s->name, &rules, tasks, &n, &p);
        schedule_in_release(&def);
    }
    if (rc != 0) {
        request_problem(r, &p);
        return;
    }
    struct task callback = tasks[1];
    r->task = tasks[0];
    request_take_callback(r, &callback);
    request_drop_op(r);
    r->op.schedule_fire = (struct store_schedule_fire){.kind = STORE_FIRE_NOW,
                                                       .name = r->captures[0],
                                                       .at_ms = clock_wall_ms(),
                                                       .tasks = tasks,
                                                       .n = n};
    request_post(r, &store_verb_schedule_fire, NULL, ran);
}

void schedules_run(struct request *r)
{
    read_one(r, run_read);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void drop_list(struct request *r)
{
    for (size_t i = 0; i < r->op.schedule_list.n; i++)
        store_schedule_release(&r->op.schedule_list.items[i]);
}

static void listed(struct request *r)
{
    const struct store_schedule_list *o = &r->op.schedule_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"schedules\":[");
    for (size_t i = 0; i < o->n; i++)
        write_summary(&r->out, &o->items[i]);
    buf_putc(&r->out, ']');
    json_out_str(&r->out, "next_cursor", o->is_more ? o->items[o->n - 1].name : NULL);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

void schedules_list(struct request *r)
{
    const char *limit_text = request_arg(r, "limit"), *cursor = request_arg(r, "cursor");
    uint64_t limit = DEFAULT_LIMIT;
    if (limit_text && (!number_parse_uint(limit_text, STORE_LIST_MAX, &limit) || limit < 1)) {
        (void)request_refuse_arg(r, "limit", "a whole number from 1 to 1000");
        return;
    }
    if (cursor && !schedule_in_name_ok(cursor)) {
        (void)request_refuse_arg(r, "cursor", "a next_cursor as a page of this list gave it");
        return;
    }
    r->op.schedule_list = (struct store_schedule_list){
        .after = cursor ? cursor : "",
        .limit = (size_t)limit,
        .items = arena_alloc(&r->arena, (size_t)limit * sizeof(struct store_schedule))};
    request_post(r, &store_verb_schedule_list, drop_list, listed);
}
