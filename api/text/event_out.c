#include "api/text/event_out.h"

#include <inttypes.h>
#include <string.h>

#define RETRY_MS 1000 /* how soon a browser comes back */
#define SSE_TYPE "text/event-stream"
#define NDJSON_TYPE "application/x-ndjson"

void event_out_choose(struct event_out *e, const char *accept)
{
    e->is_framed = accept && strstr(accept, FRAMES_TYPE);
    e->is_ndjson =
        e->is_framed || (accept && strstr(accept, NDJSON_TYPE) && !strstr(accept, SSE_TYPE));
}

const char *event_out_type(const struct event_out *e)
{
    if (e->is_framed)
        return FRAMES_TYPE;
    return e->is_ndjson ? NDJSON_TYPE : SSE_TYPE;
}

void event_out_begin(struct buf *out, const struct event_out *e)
{
    if (!e->is_ndjson)
        buf_printf(out, "retry: %d\n\n", RETRY_MS);
}

static void replace_all(char *text, size_t n, char old, char new)
{
    char *end = text + n;
    for (char *at = text; (at = memchr(at, old, (size_t)(end - at))); at++)
        *at = new;
}

void event_out_one_line(struct buf *out, const char *json, size_t n)
{
    size_t from = out->len;
    buf_put(out, json, n);
    replace_all(out->data + from, n, '\n', ' ');
    replace_all(out->data + from, n, '\r', ' ');
}

void event_out_write(struct buf *out, const struct event_out *e, const char *name, uint64_t id,
                     const char *json, size_t n)
{
    buf_reserve(out, n + 96);
    buf_printf(out, e->is_ndjson ? "{\"event\":\"%s\"" : "event: %s\n", name);
    if (id)
        buf_printf(out, e->is_ndjson ? ",\"id\":%" PRIu64 : "id: %" PRIu64 "\n", id);
    buf_puts(out, e->is_ndjson ? ",\"data\":" : "data: ");
    event_out_one_line(out, json, n);
    buf_puts(out, e->is_ndjson ? "}\n" : "\n\n");
}

void event_out_add_bytes(struct buf *out, const void *bytes, size_t n)
{
    out->len -= sizeof("}\n") - 1;
    buf_printf(out, ",\"bytes\":%zu}\n", n);
    buf_put(out, bytes, n);
}

void event_out_keep_alive(struct buf *out, const struct event_out *e)
{
    buf_puts(out, e->is_ndjson ? "{\"event\":\"keep-alive\"}\n" : ": keep-alive\n\n");
}
