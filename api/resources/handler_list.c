/* handler_list: the programs that tasks can name; and pauses of these. */
#include "api/resources/rows.h"

#include <jansson.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/future_json.h"
#include "api/resources/settings.h"
#include "api/resources/wait.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/mem.h"

static void open_object(struct buf *b, const char *key)
{
    json_out_key(b, key);
    buf_putc(b, '{');
}

static void write_count(struct buf *b, const char *key, uint64_t n)
{
    if (n)
        json_out_uint(b, key, n);
}

/* As in the handlers file; what is not limited is not there. */
static void write_limits(struct buf *b, const struct limits *l)
{
    open_object(b, "limits");
    if (l->cpu_ms)
        json_out_seconds(b, "cpu", l->cpu_ms);
    write_count(b, "memory", l->memory_bytes);
    write_count(b, "output", l->output_bytes);
    write_count(b, "files", l->files);
    write_count(b, "processes", l->processes);
    buf_putc(b, '}');
}

static void write_ends(struct buf *b, unsigned on)
{
    const char *word;
    unsigned end;
    json_out_key(b, "retry_on");
    buf_putc(b, '[');
    for (size_t i = 0; (word = retry_end_word(i, &end)) != NULL; i++) {
        if (!(on & end))
            continue;
        json_out_comma(b);
        json_out_text(b, word, strlen(word));
    }
    buf_putc(b, ']');
}

/* What holds for a task that says nothing of it. */
static void write_policy(struct buf *b, const struct retry_policy *said)
{
    static const struct retry_policy unsaid;
    struct retry_policy p = retry_merge(said, &unsaid);
    write_ends(b, p.on);
    open_object(b, "backoff");
    json_out_seconds(b, "first", p.first_ms);
    json_out_seconds(b, "max", p.max_ms);
    json_out_key(b, "jitter");
    buf_printf(b, "%g", p.jitter_percent / 100.0);
    buf_putc(b, '}');
}

/* The members, without a brace at the end. */
static void write_handler(struct buf *b, const struct handler_info *h,
                          const struct pool_pause *pause)
{
    json_out_comma(b);
    buf_putc(b, '{');
    json_out_str(b, "name", h->name);
    json_out_str(b, "kind", h->kind);
    json_out_str(b, "description", h->description);
    json_out_str(b, "lane", lane_name(h->lane));
    json_out_bool(b, "any_lane", h->any_lane);
    if (h->takes_code)
        json_out_str(b, "scope", auth_scope_name(AUTH_CODE));
    json_out_seconds(b, "timeout", h->timeout_ms);
    json_out_uint(b, "retries", h->retries);
    write_policy(b, &h->retry);
    write_limits(b, &h->limits);
    json_out_str(b, "queue", h->queue ? h->queue : TASK_QUEUE_DEFAULT);
    future_json_limits(b, "task_limits", h->task_limits);
    settings_write_pause(b, pause);
}

/* Since when its program does not start, and how its last process ended. */
static void write_broken(struct buf *b, const struct pool_view *pools, const char *handler)
{
    struct pool_broken broken;
    if (!pools->broken || !pools->broken(pools->ctx, handler, &broken))
        return;
    json_out_time(b, "broken_at", broken.since_wall_ms);
    json_out_str(b, "last_words", broken.words);
}

void handler_list_get(struct request *r)
{
    const struct catalog *c = catalog_lend_to(&r->api->catalog, &r->catalog);
    buf_puts(&r->out, "{\"handlers\":[");
    for (size_t i = 0; i < c->n; i++) {
        struct pool_pause pause = {.since_wall_ms = 0};
        if (c->items[i].is_internal)
            continue;
        (void)store_paused(r->api->cfg.store, STORE_PAUSE_HANDLER, c->items[i].name, &pause);
        write_handler(&r->out, &c->items[i], &pause);
        write_broken(&r->out, &r->api->cfg.pools, c->items[i].name);
        buf_putc(&r->out, '}');
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

/* ---- pausing --------------------------------------------------------------------------------- */

static int set_paused(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    settings_read_paused(to, v);
    return 0;
}

static int set_reason(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    return settings_read_reason(to, f, v, p);
}

static const struct json_in_field members[] = {
    {"paused", "true or false", JSON_IN_BOOL, false, 0, set_paused},
    {"reason", "a string of at most 200 bytes", JSON_IN_STRING, false, 0, set_reason},
};

static int read_pause(const struct request *r, struct settings_pause *out, struct problem *p)
{
    static const struct json_in_object object = {"a change of a handler", "", members,
                                                 FUT_COUNT(members), 0};
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, p);
    int rc = root ? json_in_read(&object, root, out, p) : FUT_ERR_INVAL;
    json_decref(root);
    if (rc == 0)
        rc = settings_finish_pause(r, out, p);
    if (rc != 0 || out->is_said)
        return rc;
    problem_set(p, PROBLEM_MISSING_FIELD, "The body must have \"paused\".");
    problem_set_field(p, "paused");
    return FUT_ERR_INVAL;
}

static void paused(struct request *r);

static void woken(struct request *r)
{
    waiter_unlink(&r->api->waiters, &r->waiter);
    r->wait_ms = 0;
    request_large(r)->handler_pause =
        (struct store_handler_pause){.name = r->captures[0], .only_looks = true};
    request_large_post(r, &store_verb_handler_pause, NULL, paused);
}

static void paused(struct request *r)
{
    const struct store_handler_pause *o = &r->large->handler_pause;
    const struct catalog *c = catalog_lend_to(&r->api->catalog, &r->catalog);
    struct problem p;
    int64_t remaining = r->wait_until_mono_ms - clock_mono_ms();
    if (o->op.rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_TOO_MANY, "There are %d paused handlers already.",
                    STORE_QUEUES_MAX);
        p.limit = STORE_QUEUES_MAX;
        request_problem(r, &p);
    } else if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
    } else if (o->running && r->wait_ms && r->waiter.is_open) {
        sleep_until_woken(r, remaining > 0 ? remaining : 0, woken);
    } else {
        wait_add_headers(r);
        write_handler(&r->out, catalog_find_public(c, r->captures[0]), &o->pause);
        json_out_uint(&r->out, "running", o->running);
        buf_putc(&r->out, '}');
        request_reply_json(r, 200);
    }
}

void handler_list_patch(struct request *r)
{
    const struct catalog *c = catalog_lend_to(&r->api->catalog, &r->catalog);
    struct settings_pause pause = {.is_said = false};
    struct problem p;
    if (!wait_parse(r))
        return;
    if (!catalog_find_public(c, r->captures[0])) {
        problem_set(&p, PROBLEM_UNKNOWN_HANDLER,
                    "No handler is called \"%.64s\"; GET /v1/handlers lists them.", r->captures[0]);
        request_problem(r, &p);
        return;
    }
    if (read_pause(r, &pause, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    if (pause.is_paused)
        wait_open(r, store_pause_id(STORE_PAUSE_HANDLER, r->captures[0]));
    else
        r->wait_ms = 0;
    request_large(r)->handler_pause =
        (struct store_handler_pause){.name = r->captures[0], .pause = pause.is};
    request_large_post(r, &store_verb_handler_pause, NULL, paused);
}
