/* The daemon's API, and whatever else answers HTTP/1.1 with a Content-Length. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/load_script.h"
#include "tests/support/response.h"
#include "tests/support/text.h"

/* Of c->step. */
enum { POSTS, POLLS };

static void put_body(const struct load_config *cfg, struct buf *out)
{
    char *filler = text_repeat('x', cfg->body_bytes);
    if (cfg->raw) {
        buf_puts(out, filler);
        free(filler);
        return;
    }
    char *value = cfg->input ? text_printf("%s", cfg->input) : text_printf("\"%s\"", filler);
    buf_printf(out, "{\"handler\":\"%s\",", cfg->handler);
    if (cfg->lane)
        buf_printf(out, "\"lane\":\"%s\",", cfg->lane);
    buf_puts(out, cfg->mode == LOAD_BULK ? "\"inputs\":[" : "\"input\":");
    buf_puts(out, value);
    for (unsigned i = 1; cfg->mode == LOAD_BULK && i < cfg->bulk; i++) {
        buf_putc(out, ',');
        buf_puts(out, value);
    }
    buf_puts(out, cfg->mode == LOAD_BULK ? "]}" : "}");
    free(value);
    free(filler);
}

static void put_path(const struct load_config *cfg, struct buf *out)
{
    if (cfg->mode == LOAD_BULK)
        buf_puts(out, "/v1/batches");
    else if (!cfg->raw)
        buf_puts(out, "/v1/tasks");
    else
        buf_printf(out, "/v1/tasks/%s%s%s", cfg->handler, cfg->lane ? "?lane=" : "",
                   cfg->lane ? cfg->lane : "");
}

static void prepare(const struct load_config *cfg, struct buf *out)
{
    struct buf body = BUF_INIT;
    if (cfg->mode == LOAD_GET) {
        buf_printf(out, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", cfg->path, cfg->address);
        return;
    }
    put_body(cfg, &body);
    buf_puts(out, "POST ");
    put_path(cfg, out);
    buf_printf(out, " HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n", cfg->address,
               cfg->raw ? "text/plain" : "application/json");
    if (cfg->mode == LOAD_POST_WAIT)
        buf_printf(out, "Prefer: wait=%g\r\n", cfg->wait_s);
    buf_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
    buf_put(out, body.data, body.len);
    buf_release(&body);
}

static bool ask(const struct load_config *cfg, struct load_conn *c)
{
    if (c->step != POLLS)
        return false;
    buf_printf(&c->request, "GET /v1/futures/%s?wait=%g HTTP/1.1\r\nHost: %s\r\n\r\n", c->id,
               cfg->wait_s, cfg->address);
    return true;
}

static bool take_id(struct load_conn *c, const struct response *r)
{
    static const char prefix[] = "/v1/futures/";
    size_t len = 0;
    const char *location = response_header(r, "Location:", &len);
    const char *at = location ? memmem(location, len, prefix, sizeof(prefix) - 1) : NULL;
    if (at)
        (void)snprintf(c->id, sizeof(c->id), "%.36s", at + sizeof(prefix) - 1);
    return at != NULL;
}

/* A body may be megabytes: "done" stands near its beginning. */
static bool shows_done(const struct response *r)
{
    static const char done[] = "\"done\":true";
    size_t len = r->body_len < 1024 ? r->body_len : 1024;
    return memmem(r->body, len, done, sizeof(done) - 1) != NULL;
}

static enum load_taken take(const struct load_config *cfg, struct load_conn *c,
                            struct load_answer *out)
{
    struct response r;
    enum response_state s = response_parse(c->in.data, c->in.len, &r);
    if (s != RESPONSE_WHOLE)
        return s == RESPONSE_MORE ? LOAD_MORE : LOAD_BROKEN;
    *out = (struct load_answer){.status = r.status,
                                .close = r.close,
                                .waited = c->step == POLLS || cfg->mode == LOAD_POST_WAIT};
    out->done = out->waited && shows_done(&r);
    bool polls = cfg->mode == LOAD_POST_POLL && c->step == POSTS && take_id(c, &r);
    c->step = polls ? POLLS : POSTS;
    buf_consume(&c->in, r.total);
    return LOAD_WHOLE;
}

const struct load_script load_http = {
    .name = "http",
    .modes = {[LOAD_POST] = true,
              [LOAD_POST_WAIT] = true,
              [LOAD_POST_POLL] = true,
              [LOAD_BULK] = true,
              [LOAD_GET] = true},
    .prepare = prepare,
    .ask = ask,
    .take = take,
};
