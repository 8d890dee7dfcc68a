#include "api/resources/future_json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/resources/callback_task.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/utf8.h"

static void write_signal(struct buf *out, int signal)
{
    char name[24];
    const char *abbrev = sigabbrev_np(signal);
    if (abbrev)
        (void)snprintf(name, sizeof(name), "SIG%.16s", abbrev);
    else
        (void)snprintf(name, sizeof(name), "signal %d", signal);
    json_out_str(out, "signal", name);
}

/* What the attempt took, where somebody has measured it. */
static void write_costs(struct buf *out, const struct task_outcome *o)
{
    if (o->oom != TASK_OOM_UNKNOWN)
        json_out_bool(out, "killed_for_memory", o->oom == TASK_OOM_YES);
    if (!o->max_rss_kib)
        return;
    json_out_uint(out, "max_rss", o->max_rss_kib * 1024);
    json_out_seconds(out, "cpu_seconds", (int64_t)o->cpu_ms);
}

static void write_log(struct buf *out, const struct task_outcome *o)
{
    if (!o->log_len)
        return;
    json_out_key(out, "log");
    json_out_text(out, o->log, o->log_len);
}

static void write_base64(struct buf *out, const char *type, const struct task_outcome *o,
                         const struct task_outcome **bytes_behind)
{
    json_out_str(out, "content_type", type);
    if (bytes_behind) {
        *bytes_behind = o;
        return;
    }
    json_out_key(out, "base64");
    json_out_base64(out, o->body, o->body_len);
}

static void write_href(struct buf *out, const char *id, const char *what)
{
    json_out_key(out, "href");
    buf_puts(out, "\"/v1/futures/");
    buf_puts(out, id);
    buf_putc(out, '/');
    buf_puts(out, what);
    buf_putc(out, '"');
}

/* What the program gave with its failure. */
static void write_error_data(struct buf *out, const struct task_outcome *o, const char *id,
                             const struct task_outcome **bytes_behind)
{
    if (!id || !o->type)
        return;
    json_out_key(out, "data");
    buf_putc(out, '{');
    write_base64(out, o->type, o, bytes_behind);
    write_href(out, id, "error");
    buf_putc(out, '}');
}

static void write_error(struct buf *out, const struct task_outcome *o, const char *id,
                        const struct task_outcome **bytes_behind)
{
    buf_putc(out, '{');
    json_out_str(out, "code", o->code ? o->code : "unknown");
    if (o->message)
        json_out_str(out, "message", o->message);
    if (o->error_type)
        json_out_str(out, "type", o->error_type);
    if (o->exit_code >= 0)
        json_out_int(out, "exit_code", o->exit_code);
    if (o->signal > 0)
        write_signal(out, o->signal);
    write_costs(out, o);
    write_log(out, o);
    write_error_data(out, o, id, bytes_behind);
    buf_putc(out, '}');
}

void future_json_write_error(struct buf *out, const struct task_outcome *o, const char *id)
{
    write_error(out, o, id, NULL);
}

/* By its type and its bytes: text of another charset is not shown as if it were UTF-8. */
static bool is_text(const struct task_outcome *o, const char *type)
{
    const char *charset = strcasestr(type, "charset=");
    bool is_utf8 = !charset || strncasecmp(charset + 8, "utf-8", 5) == 0 ||
                   strncasecmp(charset + 8, "\"utf-8\"", 7) == 0 ||
                   strncasecmp(charset + 8, "us-ascii", 8) == 0;
    return strncasecmp(type, "text/", 5) == 0 && is_utf8 && utf8_ok(o->body, o->body_len);
}

static void write_result(struct buf *out, const struct task *t, const char *id,
                         const struct task_outcome **bytes_behind)
{
    const struct task_outcome *o = t->outcome;
    const char *type = o->type ? o->type : CONTENT_BYTES;
    json_out_key(out, "result");
    if (o->body_len && task_type_is_json(type)) {
        buf_put(out, o->body, o->body_len);
        return;
    }
    buf_putc(out, '{');
    if (is_text(o, type)) {
        json_out_str(out, "content_type", type);
        json_out_key(out, "text");
        json_out_text(out, (const char *)o->body, o->body_len);
    } else {
        write_base64(out, type, o, bytes_behind);
    }
    write_href(out, id, "result");
    buf_putc(out, '}');
}

void future_json_limits(struct buf *out, const char *key, const char *text)
{
    struct task_limits named;
    if (!text || task_limits_read(text, &named) != 0 || !named.n)
        return;
    json_out_key(out, key);
    buf_putc(out, '[');
    for (size_t i = 0; i < named.n; i++) {
        const struct task_limit *l = &named.items[i];
        json_out_comma(out);
        if (!*l->key) {
            json_out_text(out, l->name, strlen(l->name));
            continue;
        }
        buf_putc(out, '{');
        json_out_str(out, "name", l->name);
        json_out_str(out, "key", l->key);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void write_needs(struct buf *out, const char *limits)
{
    struct task_needs needs;
    task_needs_read(limits, &needs);
    json_out_labels(out, "needs", &needs);
}

static void write_spec(struct buf *out, const struct task_spec *s)
{
    char id[ID_TEXT_SIZE];
    if (s->batch.hi) {
        id_format(s->batch, id);
        json_out_str(out, "batch", id);
    }
    if (s->name)
        json_out_str(out, "name", s->name);
    if (s->parent.hi) {
        id_format(s->parent, id);
        json_out_str(out, "parent", id);
    }
    future_json_limits(out, "limits", s->limits);
    if (task_needs_any(s->limits))
        write_needs(out, s->limits);
    if (s->unique)
        json_out_str(out, "unique", s->unique);
    if (s->once)
        json_out_bool(out, "once", true);
    if (s->schedule)
        json_out_str(out, "schedule", s->schedule);
    if (s->queue)
        json_out_str(out, "queue", s->queue);
    if (s->priority)
        json_out_int(out, "priority", s->priority);
    if (s->fair_key)
        json_out_str(out, "fair_key", s->fair_key);
    if (s->times.delay_ms)
        json_out_seconds(out, "delay", s->times.delay_ms);
    if (s->times.run_at_wall_ms)
        json_out_time(out, "run_at", s->times.run_at_wall_ms);
    if (s->times.expires_in_ms)
        json_out_seconds(out, "expires_in", s->times.expires_in_ms);
    if (s->times.deadline_ms)
        json_out_seconds(out, s->is_promise ? "timeout" : "deadline", s->times.deadline_ms);
    if (s->traceparent)
        json_out_str(out, "traceparent", s->traceparent);
}

/* Everything but the end, and the closing brace. */
static void write_head(struct buf *out, const struct task *t, char id[ID_TEXT_SIZE])
{
    id_format(t->spec->id, id);
    buf_reserve(out, 320);
    buf_putc(out, '{');
    json_out_plain(out, "id", id);
    json_out_plain(out, "handler", t->spec->handler);
    json_out_plain(out, "lane", lane_name(t->spec->lane));
    json_out_plain(out, "state", task_state_name(t->state));
    json_out_bool(out, "done", task_state_is_final(t->state));
    json_out_uint(out, "attempt", t->attempt);
    json_out_time(out, "created_at", t->spec->created_wall_ms);
    json_out_time(out, "started_at", t->started_wall_ms);
    json_out_time(out, "finished_at", t->finished_wall_ms);
    if (t->due_wall_ms)
        json_out_time(out, "due_at", t->due_wall_ms);
    write_spec(out, t->spec);
}

/* {"fraction","message"}, when there was a report. */
static void write_progress(struct buf *out, const struct store_reported *n)
{
    if (!n || (n->progress < 0 && !n->message))
        return;
    json_out_key(out, "progress");
    buf_putc(out, '{');
    if (n->progress >= 0) {
        json_out_key(out, "fraction");
        buf_printf(out, "%.6g", n->progress > 1 ? 1 : n->progress);
    }
    if (n->message)
        json_out_str(out, "message", n->message);
    buf_putc(out, '}');
}

/* What the next attempt goes on from. */
static void write_checkpoint(struct buf *out, const struct task_checkpoint *c, const char *id)
{
    if (!c)
        return;
    json_out_key(out, "checkpoint");
    buf_putc(out, '{');
    json_out_uint(out, "size", c->len);
    json_out_str(out, "content_type", c->type);
    json_out_uint(out, "attempt", c->attempt);
    json_out_time(out, "stored_at", c->stored_wall_ms);
    json_out_key(out, "href");
    buf_printf(out, "\"/v1/futures/%s/checkpoint\"}", id);
}

void future_json_write_callback(struct buf *out, const struct task *t)
{
    char id[ID_TEXT_SIZE];
    if (!t || !t->spec)
        return;
    id_format(t->spec->id, id);
    json_out_key(out, "callback");
    buf_putc(out, '{');
    json_out_str(out, "id", id);
    callback_task_write_url(out, t);
    json_out_str(out, "state", task_state_name(t->state));
    json_out_uint(out, "attempt", t->attempt);
    if (t->due_wall_ms)
        json_out_time(out, "due_at", t->due_wall_ms);
    if (t->state != TASK_SUCCEEDED && t->outcome) {
        json_out_key(out, "error");
        future_json_write_error(out, t->outcome, NULL);
    }
    buf_putc(out, '}');
}

static void write_attempt(struct buf *out, const struct store_attempt *a)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_uint(out, "attempt", a->attempt);
    json_out_str(out, "state", task_state_name(a->state));
    json_out_time(out, "started_at", a->started_wall_ms);
    json_out_time(out, "finished_at", a->finished_wall_ms);
    if (a->outcome && a->outcome->code) {
        json_out_key(out, "error");
        future_json_write_error(out, a->outcome, NULL);
    }
    buf_putc(out, '}');
}

/* How the task has ended is its last attempt's end, unless it was cancelled between two. */
static void write_attempts(struct buf *out, const struct future_view *v)
{
    const struct task *t = v->task;
    if (!v->n_attempts)
        return;
    json_out_key(out, "attempts");
    buf_putc(out, '[');
    for (size_t i = 0; i < v->n_attempts; i++)
        write_attempt(out, &v->attempts[i]);
    if (task_state_is_final(t->state) && t->attempt > v->attempts[v->n_attempts - 1].attempt)
        write_attempt(out, &(struct store_attempt){.attempt = t->attempt,
                                                   .state = t->state,
                                                   .started_wall_ms = t->started_wall_ms,
                                                   .finished_wall_ms = t->finished_wall_ms,
                                                   .outcome = t->outcome});
    buf_putc(out, ']');
}

/* ---- chosen members -------------------------------------------------------------------------- */

enum field {
    F_ID,
    F_HANDLER,
    F_LANE,
    F_STATE,
    F_DONE,
    F_ATTEMPT,
    F_CREATED,
    F_STARTED,
    F_FINISHED,
    F_RESULT,
    F_LOG,
    F_ERROR,
    F_COUNT
};

static const char *const field_names[F_COUNT] = {
    [F_ID] = "id",
    [F_HANDLER] = "handler",
    [F_LANE] = "lane",
    [F_STATE] = "state",
    [F_DONE] = "done",
    [F_ATTEMPT] = "attempt",
    [F_CREATED] = "created_at",
    [F_STARTED] = "started_at",
    [F_FINISHED] = "finished_at",
    [F_RESULT] = "result",
    [F_LOG] = "log",
    [F_ERROR] = "error",
};

static unsigned field_bit(const char *name, size_t n)
{
    for (unsigned i = 0; i < F_COUNT; i++)
        if (strlen(field_names[i]) == n && memcmp(field_names[i], name, n) == 0)
            return 1u << i;
    return 0;
}

bool future_json_fields(const char *text, unsigned *out)
{
    unsigned all = 1u << F_ID;
    for (;;) {
        size_t n = strcspn(text, ",");
        unsigned bit = field_bit(text, n);
        if (!bit)
            return false;
        all |= bit;
        if (!text[n])
            break;
        text += n + 1;
    }
    *out = all;
    return true;
}

static void write_chosen_head(struct buf *out, const struct task *t, unsigned fields,
                              const char *id)
{
    json_out_str(out, field_names[F_ID], id);
    if (fields & 1u << F_HANDLER)
        json_out_str(out, field_names[F_HANDLER], t->spec->handler);
    if (fields & 1u << F_LANE)
        json_out_str(out, field_names[F_LANE], lane_name(t->spec->lane));
    if (fields & 1u << F_STATE)
        json_out_str(out, field_names[F_STATE], task_state_name(t->state));
    if (fields & 1u << F_DONE)
        json_out_bool(out, field_names[F_DONE], task_state_is_final(t->state));
    if (fields & 1u << F_ATTEMPT)
        json_out_uint(out, field_names[F_ATTEMPT], t->attempt);
    if (fields & 1u << F_CREATED)
        json_out_time(out, field_names[F_CREATED], t->spec->created_wall_ms);
    if (fields & 1u << F_STARTED)
        json_out_time(out, field_names[F_STARTED], t->started_wall_ms);
    if (fields & 1u << F_FINISHED)
        json_out_time(out, field_names[F_FINISHED], t->finished_wall_ms);
}

static void write_chosen(struct buf *out, const struct future_view *v)
{
    const struct task *t = v->task;
    char id[ID_TEXT_SIZE];
    id_format(t->spec->id, id);
    buf_putc(out, '{');
    write_chosen_head(out, t, v->fields, id);
    if (t->state == TASK_SUCCEEDED && t->outcome) {
        if (v->fields & 1u << F_RESULT)
            write_result(out, t, id, v->bytes_behind);
        if (v->fields & 1u << F_LOG)
            write_log(out, t->outcome);
    } else if (task_state_is_final(t->state) && t->outcome && v->fields & 1u << F_ERROR) {
        json_out_key(out, field_names[F_ERROR]);
        write_error(out, t->outcome, id, v->bytes_behind);
    }
    if (v->timed_out)
        json_out_bool(out, "timed_out", true);
    buf_putc(out, '}');
}

/* ---- all members ----------------------------------------------------------------------------- */

void future_json_write_view(struct buf *out, const struct future_view *v)
{
    const struct task *t = v->task;
    char id[ID_TEXT_SIZE];
    if (v->fields) {
        write_chosen(out, v);
        return;
    }
    write_head(out, t, id);
    write_progress(out, v->reported);
    write_checkpoint(out, t->checkpoint, id);
    future_json_write_callback(out, v->callback);
    if (v->scene)
        waiting_for_write(out, t, v->scene);
    write_attempts(out, v);
    if (t->state == TASK_SUCCEEDED && t->outcome) {
        write_result(out, t, id, v->bytes_behind);
        write_log(out, t->outcome);
    } else if (task_state_is_final(t->state) && t->outcome) {
        json_out_key(out, "error");
        write_error(out, t->outcome, id, v->bytes_behind);
    }
    if (v->timed_out)
        json_out_bool(out, "timed_out", true);
    buf_putc(out, '}');
}

void future_json_write_done(struct buf *out, const struct event_out *form,
                            const struct future_view *v)
{
    struct buf json = BUF_INIT;
    struct future_view view = *v;
    const struct task_outcome *bytes = NULL;
    view.bytes_behind = form->is_framed ? &bytes : NULL;
    future_json_write_view(&json, &view);
    event_out_write(out, form, "done", v->task->seq, json.data, json.len);
    if (bytes)
        event_out_add_bytes(out, bytes->body, bytes->body_len);
    buf_release(&json);
}

void future_json_write(struct buf *out, const struct task *t)
{
    future_json_write_view(out, &(struct future_view){.task = t});
}

void future_json_write_summary(struct buf *out, const struct task *t,
                               const struct waiting_scene *scene)
{
    char id[ID_TEXT_SIZE];
    write_head(out, t, id);
    if (scene)
        waiting_for_write(out, t, scene);
    if (task_state_is_final(t->state) && t->state != TASK_SUCCEEDED && t->outcome) {
        struct task_outcome brief = *t->outcome;
        brief.log_len = 0;
        json_out_key(out, "error");
        future_json_write_error(out, &brief, NULL);
    }
    buf_putc(out, '}');
}

void future_json_counts(struct buf *out, const uint64_t counts[TASK_STATE_COUNT])
{
    json_out_key(out, "counts");
    buf_putc(out, '{');
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        json_out_uint(out, task_state_name((enum task_state)i), counts[i]);
    buf_putc(out, '}');
}
