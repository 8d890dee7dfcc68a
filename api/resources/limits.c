/* limits: how many tasks may run at once, or start in a time. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/resources/settings.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/id.h"
#include "core/mem.h"
#include "core/number.h"
#include "storage/session.h"

#define CLOSE_MAX_S (30 * 86400.0)

/* ---- what is asked for ----------------------------------------------------------------------- */

struct asked {
    struct settings_limit limit;
    double close_s; /* < 0: not said */
    char key[TASK_LIMIT_KEY_MAX + 1];
};

static int set_per_key(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    (void)f, (void)p;
    a->limit.is.per_key = json_is_true(v);
    return 0;
}

static int set_key(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    if (!task_limit_key_ok(json_string_value(v)))
        return json_in_bad_value(f, "this text", p);
    memcpy(a->key, json_string_value(v), json_string_length(v) + 1);
    return 0;
}

static int set_close(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    a->close_s = json_number_value(v);
    return a->close_s >= 0 && a->close_s <= CLOSE_MAX_S ? 0 : json_in_bad_number(f, a->close_s, p);
}

#define OF_LIMIT 1u
#define OF_CLOSE 2u

static const struct json_in_field members[] = {
    {"max_running", SETTINGS_MAX_RUNNING, JSON_IN_ANY, false, OF_LIMIT, settings_set_max},
    {"rate", SETTINGS_RATE, JSON_IN_ANY, false, OF_LIMIT, settings_set_rate},
    {"per_key", "true or false", JSON_IN_BOOL, false, OF_LIMIT, set_per_key},
    {"seconds", "a number from 0 (open it) to 2592000", JSON_IN_NUMBER, false, OF_CLOSE, set_close},
    {"key", "a string of 1 to 64 bytes", JSON_IN_STRING, false, OF_CLOSE, set_key},
};

static bool read_body(struct request *r, unsigned tags, struct asked *a)
{
    struct json_in_object object = {tags == OF_LIMIT ? "a limit" : "a closing", "", members,
                                    FUT_COUNT(members), tags};
    struct problem p;
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, &p);
    int rc = root ? json_in_read(&object, root, a, &p) : FUT_ERR_INVAL;
    json_decref(root);
    if (rc != 0)
        request_problem(r, &p);
    return rc == 0;
}

/* ---- as JSON --------------------------------------------------------------------------------- */

static void write_use(struct buf *out, const struct store_limit_use *u)
{
    json_out_uint(out, "running", u->running);
    json_out_uint(out, "waiting", u->waiting);
    json_out_bool(out, "closed", u->is_closed);
    json_out_time(out, "opens_at", u->opens_wall_ms);
}

static void write_limit(struct buf *out, const struct store_limit_status *s)
{
    json_out_str(out, "name", s->limit.name);
    settings_write_limit(out, &s->limit);
    json_out_bool(out, "per_key", s->limit.per_key);
    write_use(out, &s->use);
    json_out_uint(out, "keys_in_use", s->keys);
}

static void write_keys(struct buf *out, const struct store_limit_list *o)
{
    json_out_key(out, "keys");
    buf_putc(out, '[');
    for (size_t i = 0; i < o->n_keys; i++) {
        json_out_comma(out);
        buf_putc(out, '{');
        json_out_str(out, "key", o->keys[i].key);
        write_use(out, &o->keys[i]);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* ---- reading --------------------------------------------------------------------------------- */

static void fail(struct request *r, int rc)
{
    struct problem p;
    if (rc == FUT_ERR_NOT_FOUND) {
        problem_set(&p, PROBLEM_UNKNOWN_LIMIT,
                    "No limit is called \"%.64s\"; GET /v1/limits lists them.", r->captures[0]);
        request_problem(r, &p);
    } else {
        request_fail(r, rc);
    }
}

static void drop_list(struct request *r)
{
    free(r->op.limit_list.limits);
    free(r->op.limit_list.keys);
}

static void read_one(struct request *r, request_step *next)
{
    request_drop_op(r);
    r->op.limit_list = (struct store_limit_list){.name = r->captures[0]};
    request_post(r, &store_verb_limit_list, drop_list, next);
}

static void got(struct request *r)
{
    const struct store_limit_list *o = &r->op.limit_list;
    if (o->op.rc != 0) {
        fail(r, o->op.rc);
        return;
    }
    buf_putc(&r->out, '{');
    write_limit(&r->out, &o->limits[0]);
    write_keys(&r->out, o);
    buf_putc(&r->out, '}');
    request_reply_json(r, r->work ? 201 : 200);
}

static bool check_name(struct request *r)
{
    if (task_limit_name_ok(r->captures[0]))
        return true;
    fail(r, FUT_ERR_NOT_FOUND);
    return false;
}

void limits_get(struct request *r)
{
    if (check_name(r))
        read_one(r, got);
}

static void listed(struct request *r)
{
    const struct store_limit_list *o = &r->op.limit_list;
    if (o->op.rc != 0) {
        fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"limits\":[");
    for (size_t i = 0; i < o->n; i++) {
        json_out_comma(&r->out);
        buf_putc(&r->out, '{');
        write_limit(&r->out, &o->limits[i]);
        buf_putc(&r->out, '}');
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

void limits_list(struct request *r)
{
    r->op.limit_list = (struct store_limit_list){.name = NULL};
    request_post(r, &store_verb_limit_list, drop_list, listed);
}

/* ---- changing -------------------------------------------------------------------------------- */

static void was_put(struct request *r)
{
    struct problem p;
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_FULL) {
        problem_set(&p, PROBLEM_TOO_MANY, "There are %d limits already, the most there may be.",
                    STORE_LIMITS_MAX);
        p.limit = STORE_LIMITS_MAX;
        request_problem(r, &p);
    } else if (rc != 0) {
        fail(r, rc);
    } else {
        r->work = r->op.limit_put.is_new ? r : NULL; /* 201 */
        read_one(r, got);
    }
}

static void put(struct request *r, const struct asked *a)
{
    struct problem p;
    if (!a->limit.is.max_running && a->limit.is.rate_tasks <= 0) {
        problem_set(&p, PROBLEM_MISSING_FIELD,
                    "A limit must have \"max_running\" or \"rate\", or both; DELETE removes it.");
        problem_set_field(&p, "max_running");
        request_problem(r, &p);
        return;
    }
    r->op.limit_put = (struct store_limit_put){.limit = a->limit.is};
    request_post(r, &store_verb_limit_put, NULL, was_put);
}

/* A session's own limit comes and goes with it. False: answered. */
static bool may_change(struct request *r)
{
    size_t n = strlen(STORE_SESSION_LIMIT);
    struct task_id id;
    struct problem p;
    if (strncmp(r->captures[0], STORE_SESSION_LIMIT, n) != 0 || !id_parse(r->captures[0] + n, &id))
        return true;
    problem_set(&p, PROBLEM_CONFLICT,
                "This limit is that session's own: it is set when the session opens, and goes with "
                "it.");
    request_problem(r, &p);
    return false;
}

void limits_put(struct request *r)
{
    struct asked a = {.limit.is = {.rate_per_ms = 1000, .rate_burst = 1}};
    struct problem p;
    if (!task_limit_name_ok(r->captures[0])) {
        problem_set(&p, PROBLEM_INVALID_PATH,
                    "A limit's name has 1 to 64 of a-z A-Z 0-9 . _ : and -.");
        request_problem(r, &p);
        return;
    }
    memcpy(a.limit.is.name, r->captures[0], strlen(r->captures[0]) + 1);
    if (may_change(r) && read_body(r, OF_LIMIT, &a))
        put(r, &a);
}

/* What the body does not name stays. */
static void patch_read(struct request *r)
{
    struct asked a = {.close_s = -1};
    const struct store_limit_list *o = &r->op.limit_list;
    if (o->op.rc != 0) {
        fail(r, o->op.rc);
        return;
    }
    a.limit.is = o->limits[0].limit;
    request_drop_op(r);
    if (read_body(r, OF_LIMIT, &a))
        put(r, &a);
}

void limits_patch(struct request *r)
{
    if (check_name(r) && may_change(r))
        read_one(r, patch_read);
}

static void dropped(struct request *r)
{
    if (r->op.base.rc != 0)
        fail(r, r->op.base.rc);
    else
        request_reply_empty(r, 204);
}

void limits_delete(struct request *r)
{
    if (!check_name(r) || !may_change(r))
        return;
    r->op.limit_drop = (struct store_limit_drop){.name = r->captures[0]};
    request_post(r, &store_verb_limit_drop, NULL, dropped);
}

static void closed(struct request *r)
{
    if (r->op.base.rc != 0) {
        fail(r, r->op.base.rc);
        return;
    }
    read_one(r, got);
}

void limits_close(struct request *r)
{
    struct asked a = {.close_s = -1};
    struct problem p;
    if (!check_name(r) || !read_body(r, OF_CLOSE, &a))
        return;
    if (a.close_s < 0) {
        problem_set(&p, PROBLEM_MISSING_FIELD, "The body must have \"seconds\".");
        problem_set_field(&p, "seconds");
        request_problem(r, &p);
        return;
    }
    r->op.limit_close = (struct store_limit_close){.for_ms = number_ms(a.close_s)};
    memcpy(r->op.limit_close.key.name, r->captures[0], strlen(r->captures[0]) + 1);
    memcpy(r->op.limit_close.key.key, a.key, sizeof(a.key));
    request_post(r, &store_verb_limit_close, NULL, closed);
}
