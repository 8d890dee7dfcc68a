/* sessions: tasks of one program, which are added to while it runs. */
#include "api/resources/sessions.h"

#include <jansson.h>
#include <stdio.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/resources/future_json.h"
#include "api/resources/listing.h"
#include "api/resources/rows.h"
#include "api/resources/session_in.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"

bool sessions_read_id(struct request *r, struct task_id *out)
{
    if (id_parse(r->captures[0], out))
        return true;
    sessions_fail(r, FUT_ERR_NOT_FOUND);
    return false;
}

void sessions_fail(struct request *r, int rc)
{
    struct problem p;
    switch (rc) {
    case FUT_ERR_NOT_FOUND:
        problem_set(&p, PROBLEM_UNKNOWN_SESSION,
                    "No session has this id; it may have expired with its futures.");
        break;
    case FUT_ERR_CONFLICT:
        problem_set(&p, PROBLEM_SESSION_BROKEN,
                    "The init of the session has failed, and so do all of its tasks; nothing was "
                    "stored.");
        break;
    case FUT_ERR_STATE:
        problem_set(&p, PROBLEM_SESSION_CLOSED, "The session is closed; nothing was stored.");
        break;
    case FUT_ERR_INVAL:
        problem_set(&p, PROBLEM_INVALID_VALUE,
                    "\"handler\" must be that of the session; nothing was stored.");
        problem_set_field(&p, "handler");
        break;
    default: request_fail(r, rc); return;
    }
    request_problem(r, &p);
}

bool sessions_find_limit(struct request *r, struct task_id id, char out[STORE_SESSION_LIMIT_SIZE])
{
    bool per_key;
    store_session_limit(id, out);
    return store_limit_find(r->api->cfg.store, out, &per_key) && !per_key;
}

/* ---- POST, GET, DELETE, cancel ------------------------------------------------------------- */

/* What is claimed ahead of its turn waits. */
static void write_counts(struct request *r, const struct store_batch *b, uint32_t max_running)
{
    uint64_t counts[TASK_STATE_COUNT];
    memcpy(counts, b->counts, sizeof(counts));
    if (max_running && counts[TASK_RUNNING] > max_running) {
        counts[TASK_QUEUED] += counts[TASK_RUNNING] - max_running;
        counts[TASK_RUNNING] = max_running;
    }
    future_json_counts(&r->out, counts);
}

static void write_session(struct request *r, const struct store_session *s,
                          const struct store_batch *b)
{
    char id[ID_TEXT_SIZE], limit[STORE_SESSION_LIMIT_SIZE];
    id_format(s->id, id);
    store_session_limit(s->id, limit);
    uint32_t max_running = store_limit_max_running(r->api->cfg.store, limit);
    json_out_comma(&r->out);
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "id", id);
    json_out_str(&r->out, "handler", s->handler);
    if (max_running)
        json_out_uint(&r->out, "max_running", max_running);
    if (s->max_tasks)
        json_out_uint(&r->out, "max_tasks", s->max_tasks);
    if (s->has_init)
        json_out_bool(&r->out, "init", true);
    if (s->on_disconnect != STORE_KEEP) {
        json_out_str(&r->out, "on_disconnect", session_in_on_disconnect(s->on_disconnect));
        json_out_seconds(&r->out, "grace", s->grace_ms);
        json_out_time(&r->out, "disconnected_at", s->disconnected_wall_ms);
    }
    if (s->broken[0])
        json_out_str(&r->out, "broken", s->broken);
    json_out_bool(&r->out, "closed", s->closed_wall_ms != 0);
    json_out_uint(&r->out, "total", s->total);
    json_out_uint(&r->out, "unfinished", s->unfinished);
    if (b)
        write_counts(r, b, max_running);
    json_out_time(&r->out, "created_at", s->created_wall_ms);
    json_out_time(&r->out, "closed_at", s->closed_wall_ms);
    buf_putc(&r->out, '}');
}

static void opened(struct request *r)
{
    static const char path[] = "/v1/sessions/";
    struct problem p;
    char id[ID_TEXT_SIZE];
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_TOO_MANY,
                    "There are as many limits as there may be, and this session needs one.");
        problem_set_field(&p, "max_running");
        p.limit = STORE_LIMITS_MAX;
        request_problem(r, &p);
        return;
    }
    if (rc != 0) {
        request_fail(r, rc);
        return;
    }
    struct store_session *s = &r->large->session_open.session;
    if (r->large->session_open.init) {
        s->has_init = true;
        s->max_tasks = r->large->session_open.init->max_tasks;
    }
    id_format(s->id, id);
    request_add_location(r, path, id);
    write_session(r, s, NULL);
    request_reply_json(r, 201);
}

static void drop_init(struct request *r)
{
    task_init_unref(r->large->session_open.init);
    r->large->session_open.init = NULL;
}

void sessions_post(struct request *r)
{
    struct problem p;
    if (session_in_read(r, &request_large(r)->session_open, &p) == 0)
        request_large_post(r, &store_verb_session_open, drop_init, opened);
    else
        request_problem(r, &p);
}

/* What was read of it while its batch is read; r->work. */
static void counted(struct request *r)
{
    const struct store_session *s = r->work;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    write_session(r, s, &r->op.batch_get.batch);
    request_reply_json(r, 200);
}

static void found(struct request *r)
{
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    struct store_session *s = arena_alloc(&r->arena, sizeof(*s));
    *s = r->large->session_get.session;
    r->work = s;
    request_batch_get(r, s->id, counted);
}

static void get(struct request *r, struct task_id id, request_step *next)
{
    request_large(r)->session_get = (struct store_session_get){.id = id};
    request_large_post(r, &store_verb_session_get, NULL, next);
}

void sessions_get(struct request *r)
{
    struct task_id id;
    if (sessions_read_id(r, &id))
        get(r, id, found);
}

static void closed(struct request *r)
{
    struct task_id id = r->op.session_close.id;
    if (r->op.base.rc != 0)
        sessions_fail(r, r->op.base.rc);
    else
        get(r, id, found);
}

void sessions_delete(struct request *r)
{
    struct task_id id;
    if (!sessions_read_id(r, &id))
        return;
    r->op.session_close = (struct store_session_close){.id = id, .now_wall_ms = clock_wall_ms()};
    request_post(r, &store_verb_session_close, NULL, closed);
}

static void cancelled(struct request *r)
{
    struct task_id id = r->op.batch_cancel.id;
    if (r->op.base.rc != 0)
        sessions_fail(r, r->op.base.rc);
    else
        get(r, id, found);
}

/* Its tasks are those of the batch with its id. */
static void cancel_found(struct request *r)
{
    struct task_id id = r->large->session_get.id;
    if (r->op.base.rc != 0) {
        sessions_fail(r, r->op.base.rc);
        return;
    }
    r->op.batch_cancel =
        (struct store_batch_cancel){.id = id, .spares_running = !*(const bool *)r->work};
    request_post(r, &store_verb_batch_cancel, NULL, cancelled);
}

void sessions_cancel(struct request *r)
{
    struct task_id id;
    bool *also_running = arena_alloc(&r->arena, sizeof(*also_running));
    *also_running = true;
    r->work = also_running;
    if (sessions_read_id(r, &id) && request_read_flag(r, "running", also_running))
        get(r, id, cancel_found);
}

static void listed(struct request *r)
{
    const struct store_session_list *o = &r->op.session_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"sessions\":[");
    for (size_t i = 0; i < o->n; i++)
        write_session(r, &o->sessions[i], NULL);
    buf_putc(&r->out, ']');
    listing_end_page(r, "/v1/sessions", o->next);
}

void sessions_list(struct request *r)
{
    struct store_session_list o = {0};
    if (!listing_read_page(r, &o.before, &o.limit))
        return;
    o.sessions = arena_alloc(&r->arena, o.limit * sizeof(*o.sessions));
    r->op.session_list = o;
    request_post(r, &store_verb_session_list, NULL, listed);
}
