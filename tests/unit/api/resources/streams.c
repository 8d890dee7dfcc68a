#include "tests/unit/api/resources/streams.h"

void made_read(struct made *m, struct reply r)
{
    ck_assert_msg(r.status == 202, "%s%s", r.head, r.body ? r.body : "");
    (void)snprintf(m->batch, sizeof(m->batch), "%s", strstr(r.body, "\"id\":\"") + 6);
    m->n = 0;
    for (const char *at = strstr(r.body, "\"ids\":[") + 7; *at == '"' || *at == ',';) {
        at += *at == ',';
        ck_assert_uint_lt(m->n, MADE_MAX);
        (void)snprintf(m->ids[m->n++], ID_TEXT_SIZE, "%s", at + 1);
        at += ID_TEXT_SIZE + 1;
    }
    free(r.body);
}

void make_batch(const struct fixture *f, const char *json, struct made *out)
{
    made_read(out, ask(f, "POST /v1/batches", "", json));
}

void make_many(const struct fixture *f, const char *handler, int n, struct made *out)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"handler\":\"%s\",\"inputs\":[", handler);
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s%d", i ? "," : "", i);
    buf_puts(&b, "]}");
    make_batch(f, b.data, out);
    buf_release(&b);
}

void cancel_one(const struct fixture *f, const char *id)
{
    char line[128];
    expect(ask(f, line_of(line, sizeof(line), "POST /v1/futures/%s/cancel", id), "", ""), 200, NULL,
           NULL, NULL);
}

void write_ids(struct buf *out, const struct made *m, const char *more)
{
    out->len = 0;
    buf_puts(out, "{\"ids\":[");
    for (size_t i = 0; i < m->n; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", m->ids[i]);
    buf_printf(out, "]%s}", more);
}

int stream_open(const struct fixture *f, const char *line, const char *headers, const char *body)
{
    struct buf b = BUF_INIT;
    int fd = client_connect(f);
    buf_printf(&b, "%s HTTP/1.0\r\nHost: [::1]\r\n%s", line, headers);
    if (body)
        buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body ? body : "");
    client_send(fd, b.data, b.len);
    buf_release(&b);
    return fd;
}

int stream_batch(const struct fixture *f, const struct made *m, const char *what,
                 const char *headers)
{
    char line[128];
    return stream_open(f, line_of(line, sizeof(line), "GET /v1/batches/%s/%s", m->batch, what),
                       headers, NULL);
}

bool stream_until(int fd, struct buf *b, const char *text)
{
    char part[4096];
    for (;;) {
        if (text && b->len && strstr(b->data, text))
            return true;
        ssize_t n = recv(fd, part, sizeof(part), 0);
        ck_assert_msg(n >= 0, "the stream stands still after: %s", b->len ? b->data : "");
        if (n == 0)
            return !text;
        buf_put(b, part, (size_t)n);
    }
}

void stream_rest(int fd, struct buf *b)
{
    (void)stream_until(fd, b, NULL);
    ck_assert_int_eq(close(fd), 0);
}
