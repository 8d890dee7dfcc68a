/* operations: one change of many futures, which the store carries out in steps, and failures in
 * groups. */
#include <stdlib.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/rows.h"
#include "api/resources/wait.h"
#include "api/text/filter_in.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"

#define PATH "/v1/operations/"
#define SUMMARY_MAX 100 /* groups of failures when no limit is given */

static const char *const names[STORE_BULK_KINDS] = {
    [STORE_BULK_CANCEL] = "cancel", [STORE_BULK_RETRY] = "retry", [STORE_BULK_DELETE] = "delete"};

/* ---- as JSON --------------------------------------------------------------------------------- */

/* The members that it says, each as text. */
static void write_filter(struct buf *out, const struct task_filter *f)
{
    struct buf text = BUF_INIT;
    json_out_key(out, "filter");
    buf_putc(out, '{');
    task_filter_write(&text, f);
    for (char *at = text.len ? text.data : NULL, *next; at; at = next) {
        char *value = at + strcspn(at, "=");
        next = strchr(at, '&');
        if (next)
            *next++ = '\0';
        if (*value)
            *value++ = '\0';
        json_out_str(out, at, value);
    }
    buf_putc(out, '}');
    buf_release(&text);
}

/* Where it has got to, as the time of submission of what is looked at next. */
static int64_t reached_ms(const struct store_bulk *b)
{
    return b->finished_wall_ms ? 0 : (int64_t)(b->next >> 16);
}

static void write_bulk(struct buf *out, const struct store_bulk *b)
{
    char id[ID_TEXT_SIZE];
    id_format(b->id, id);
    buf_putc(out, '{');
    json_out_str(out, "id", id);
    json_out_str(out, "operation", names[b->kind]);
    write_filter(out, &b->filter);
    json_out_bool(out, "dry_run", b->is_dry);
    json_out_bool(out, "done", b->finished_wall_ms != 0);
    json_out_bool(out, "cancelled", b->is_stopped);
    json_out_uint(out, "seen", b->seen);
    json_out_uint(out, "matched", b->matched);
    json_out_uint(out, "changed", b->is_dry ? 0 : b->changed);
    json_out_uint(out, "refused", b->refused);
    json_out_time(out, "reached", reached_ms(b));
    json_out_str(out, "by", b->by);
    json_out_time(out, "created_at", b->created_wall_ms);
    json_out_time(out, "finished_at", b->finished_wall_ms);
    buf_putc(out, '}');
}

static void reply(struct request *r, const struct store_bulk *b)
{
    wait_add_headers(r);
    write_bulk(&r->out, b);
    request_reply_json(r, b->finished_wall_ms || r->method != METHOD_POST ? 200 : 202);
}

/* ---- waiting for the end --------------------------------------------------------------------- */

static void fail(struct request *r, int rc)
{
    struct problem p;
    if (rc == FUT_ERR_NOT_FOUND) {
        problem_set(&p, PROBLEM_UNKNOWN_OPERATION, "No operation on many futures has this id.");
        request_problem(r, &p);
    } else {
        request_fail(r, rc);
    }
}

static void reread(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        reply(r, &r->large->bulk_get.bulk);
}

static void woken(struct request *r)
{
    struct task_id id = r->link.id;
    waiter_unlink(&r->api->waiters, &r->waiter);
    request_large(r)->bulk_get = (struct store_bulk_get){.id = id};
    request_large_post(r, &store_verb_bulk_get, NULL, reread);
}

static void reply_or_wait(struct request *r, const struct store_bulk *b)
{
    int64_t remaining = r->wait_until_mono_ms - clock_mono_ms();
    if (r->waiter.is_open && !b->finished_wall_ms)
        sleep_until_woken(r, remaining > 0 ? remaining : 0, woken);
    else
        reply(r, b);
}

/* ---- POST /v1/futures/cancel, retry, delete ------------------------------------------------- */

static void started(struct request *r)
{
    struct problem p;
    char id[ID_TEXT_SIZE];
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_BUSY, "%d operations on many futures go on already.",
                    STORE_BULKS_MAX);
        p.limit = STORE_BULKS_MAX;
        p.retry_after_s = 1;
        request_problem(r, &p);
        return;
    }
    if (rc != 0) {
        request_fail(r, rc);
        return;
    }
    id_format(r->large->bulk_start.bulk.id, id);
    request_add_location(r, PATH, id);
    reply_or_wait(r, &r->large->bulk_start.bulk);
}

static void begin(struct request *r, enum store_bulk_kind kind, const struct filter_in *in)
{
    struct store_bulk b = {
        .id = id_new(), .kind = kind, .is_dry = in->is_dry, .filter = in->filter};
    request_write_client(r, b.by, sizeof(b.by));
    wait_open(r, b.id);
    request_large(r)->bulk_start = (struct store_bulk_start){.bulk = b};
    request_large_post(r, &store_verb_bulk_start, NULL, started);
}

static void start(struct request *r, enum store_bulk_kind kind)
{
    struct filter_in in;
    struct problem p;
    if (!wait_parse(r))
        return;
    if (filter_in_read(r->body.data, r->body.len, store_bulk_states(kind), &in, &p) == 0)
        begin(r, kind, &in);
    else
        request_problem(r, &p);
}

void operations_purge_queue(struct request *r, const char *queue, bool is_dry)
{
    const char *allowed;
    struct filter_in in = {.filter = task_filter_all, .is_dry = is_dry};
    if (!wait_parse(r))
        return;
    FUT_MUST(task_filter_set(&in.filter, "queue", queue, &allowed) == 0);
    in.filter.states = 1u << TASK_SCHEDULED | 1u << TASK_QUEUED;
    begin(r, STORE_BULK_CANCEL, &in);
}

void operations_cancel_futures(struct request *r)
{
    start(r, STORE_BULK_CANCEL);
}

void operations_retry_futures(struct request *r)
{
    start(r, STORE_BULK_RETRY);
}

void operations_delete_futures(struct request *r)
{
    start(r, STORE_BULK_DELETE);
}

/* ---- /v1/operations -------------------------------------------------------------------------- */

static bool read_id(struct request *r, struct task_id *out)
{
    struct problem p;
    if (id_parse(r->captures[0], out))
        return true;
    problem_set(&p, PROBLEM_UNKNOWN_OPERATION, "No operation on many futures has the id \"%.64s\".",
                r->captures[0]);
    request_problem(r, &p);
    return false;
}

static void got(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        reply_or_wait(r, &r->large->bulk_get.bulk);
}

void operations_get(struct request *r)
{
    struct task_id id;
    if (!read_id(r, &id) || !wait_parse(r))
        return;
    wait_open(r, id);
    request_large(r)->bulk_get = (struct store_bulk_get){.id = id};
    request_large_post(r, &store_verb_bulk_get, NULL, got);
}

static void stopped(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        reply(r, &r->large->bulk_stop.bulk);
}

void operations_cancel(struct request *r)
{
    struct task_id id;
    if (!read_id(r, &id))
        return;
    request_large(r)->bulk_stop = (struct store_bulk_stop){.id = id};
    request_large_post(r, &store_verb_bulk_stop, NULL, stopped);
}

static void drop_list(struct request *r)
{
    free(r->op.bulk_list.bulks);
}

static void listed(struct request *r)
{
    const struct store_bulk_list *o = &r->op.bulk_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"operations\":[");
    for (size_t i = 0; i < o->n; i++) {
        json_out_comma(&r->out);
        write_bulk(&r->out, &o->bulks[i]);
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

void operations_list(struct request *r)
{
    r->op.bulk_list = (struct store_bulk_list){0};
    request_post(r, &store_verb_bulk_list, drop_list, listed);
}

/* ---- GET /v1/failures ------------------------------------------------------------------------ */

static void write_failure(struct buf *out, const struct store_failure *g)
{
    char id[ID_TEXT_SIZE];
    id_format(g->example, id);
    buf_putc(out, '{');
    json_out_str(out, "handler", g->handler);
    json_out_str(out, "code", g->code);
    json_out_uint(out, "count", g->n);
    json_out_time(out, "first_at", g->first_wall_ms);
    json_out_time(out, "last_at", g->last_wall_ms);
    json_out_str(out, "example", id);
    json_out_str(out, "message", g->message);
    buf_putc(out, '}');
}

static void drop_failures(struct request *r)
{
    free(r->large->failures.groups);
}

static void grouped(struct request *r)
{
    const struct store_failures *o = &r->large->failures;
    size_t limit = (size_t)(uintptr_t)r->work;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"failures\":[");
    for (size_t i = 0; i < o->n && i < limit; i++) {
        json_out_comma(&r->out);
        write_failure(&r->out, &o->groups[i]);
    }
    buf_putc(&r->out, ']');
    json_out_uint(&r->out, "groups", o->n);
    json_out_bool(&r->out, "complete", o->is_all && o->n <= limit);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

void operations_failures(struct request *r)
{
    const char *text = request_arg(r, "limit");
    uint64_t limit = SUMMARY_MAX;
    struct store_failures o = {.groups = NULL};
    if (text && (!number_parse_uint(text, STORE_FAILURES_MAX, &limit) || limit < 1)) {
        (void)request_refuse_arg(r, "limit", "a whole number from 1 to 1000");
        return;
    }
    if (!request_read_filter(r, &o.filter))
        return;
    r->work = (void *)(uintptr_t)limit;
    request_large(r)->failures = o;
    request_large_post(r, &store_verb_failures, drop_failures, grouped);
}
