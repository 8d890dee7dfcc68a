#include "api/resources/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/futures.h"
#include "api/resources/wait.h"
#include "api/text/params.h"
#include "core/clock.h"
#include "core/number.h"

static void read_log(struct request *r);

static bool read_from(struct request *r)
{
    struct problem p;
    const char *text = request_arg(r, "from");
    if (!text || number_parse_uint(text, INT64_MAX, &r->log_from))
        return true;
    problem_set(&p, PROBLEM_INVALID_PARAMETER,
                "\"from\" must be an offset in bytes, not \"%.64s\".", text);
    problem_set_parameter(&p, "from");
    request_problem(r, &p);
    return false;
}

static void add_offset(struct request *r, const char *name, uint64_t at)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRIu64, at);
    request_add_header(r, name, arena_strndup(&r->arena, text, (size_t)n));
}

static void reply(struct request *r)
{
    const struct store_log *o = &r->op.log;
    buf_put(&r->out, o->log ? o->log : "", o->log_len);
    add_offset(r, "Futured-Log-Begin", o->begin);
    add_offset(r, "Futured-Log-Next", o->log_len ? o->begin + o->log_len : r->log_from);
    request_add_header(r, "Futured-State", task_state_name(o->state));
    request_add_header(r, "Cache-Control", "no-cache");
    request_add_sandbox(r);
    wait_add_headers(r);
    request_reply_bytes(r, 200, CONTENT_TEXT, r->out.data, r->out.len);
}

/* Something was reported, or the task ended, or the time is over. */
static void woken(struct request *r)
{
    bool is_done;
    while (waiter_take_news(&r->api->waiters, &r->waiter, &is_done))
        ;
    read_log(r);
}

/* A report without text leaves the log as it was: then it sleeps on. */
static void got_log(struct request *r)
{
    struct store_log *o = &r->op.log;
    int64_t remaining = r->wait_until_mono_ms - clock_mono_ms();
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    bool may_grow = !o->log_len && !task_state_is_final(o->state) && r->waiter.is_open;
    if (may_grow && remaining > 0 && !r->is_hung_up && !atomic_load(&r->api->is_released))
        sleep_until_woken(r, remaining, woken);
    else
        reply(r);
}

static void drop_log(struct request *r)
{
    store_reported_release(&r->op.log.reported);
    free(r->op.log.log);
    r->op.log.log = NULL;
}

static void read_log(struct request *r)
{
    request_drop_op(r);
    r->op.log = (struct store_log){.id = r->link.id, .from = r->log_from};
    request_post(r, &store_verb_log, drop_log, got_log);
}

void future_log_get(struct request *r)
{
    struct task_id id;
    if (!futures_read_id(r, &id) || !wait_parse(r) || !read_from(r))
        return;
    r->watches = true;
    r->link.id = id; /* also when it does not wait */
    wait_open(r, id);
    read_log(r);
}
