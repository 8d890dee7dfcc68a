#include "api/resources/rows.h"

#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/many.h"
#include "api/text/json_out.h"

struct wait_many {
    struct many many; /* first: r->work is either */
    enum return_when when;
    int64_t timeout_ms;
};

/* In the order in which they were named. */
static void write_ids(struct buf *out, const char *key, const struct many *m, bool is_done)
{
    char id[ID_TEXT_SIZE];
    json_out_key(out, key);
    buf_putc(out, '[');
    for (size_t i = 0; i < m->n; i++) {
        if (m->links[i].is_done != is_done || m->links[i].is_gone)
            continue;
        id_format(m->links[i].id, id);
        json_out_comma(out);
        buf_putc(out, '"');
        buf_put(out, id, ID_TEXT_SIZE - 1);
        buf_putc(out, '"');
    }
    buf_putc(out, ']');
}

/* Enough is done, or the time is up, or the client left: the links know. */
static void reply(struct request *r)
{
    struct many *m = r->work;
    waiter_unlink(&r->api->waiters, &r->waiter);
    if (r->wait_refused)
        request_add_retry_after(r, 1);
    buf_reserve(&r->out, m->n * (ID_TEXT_SIZE + 2));
    buf_putc(&r->out, '{');
    write_ids(&r->out, "done", m, true);
    write_ids(&r->out, "not_done", m, false);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

static void read_all(struct request *r)
{
    struct wait_many *w = r->work;
    if (r->waiter.is_open)
        sleep_until_woken(r, w->timeout_ms, reply);
    else
        reply(r);
}

static void found(struct request *r)
{
    struct wait_many *w = r->work;
    struct waiter_wish wish = {
        .need = w->when == FIRST_COMPLETED && w->many.n ? 1 : w->many.n,
        .stops_at_failure = w->when == FIRST_EXCEPTION,
        .wake = request_wake,
    };
    if (w->timeout_ms && !atomic_load(&r->api->is_released))
        r->wait_refused = !many_open(r, &w->many, &wish);
    many_read(r, &w->many, read_all);
}

void wait_many_post(struct request *r)
{
    struct wait_many *w = arena_alloc(&r->arena, sizeof(*w));
    struct many_in in;
    struct problem p;
    int64_t max_ms = r->api->cfg.max_wait_ms;
    if (many_in_read(r->body.data, r->body.len, true, &in, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    r->work = w;
    w->when = in.when;
    w->timeout_ms = in.timeout_ms < 0 || in.timeout_ms > max_ms ? max_ms : in.timeout_ms;
    many_find(r, &w->many, &in, found);
    many_in_release(&in);
}
