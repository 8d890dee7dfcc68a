#include "api/resources/rows.h"

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"

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

static void write_handler(struct buf *b, const struct handler_info *h)
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
    buf_putc(b, '}');
}

void handler_list_get(struct request *r)
{
    const struct catalog *c = catalog_lend_to(&r->api->catalog, &r->catalog);
    buf_puts(&r->out, "{\"handlers\":[");
    for (size_t i = 0; i < c->n; i++) {
        if (!c->items[i].is_internal)
            write_handler(&r->out, &c->items[i]);
    }
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}
