/* The worker protocol. As a line: what is read is within its limits, and written again it reads as
 * the same. As a stream through a socket, in pieces (the first byte says how long): the messages
 * are those of the whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/fd.h"
#include "tests/fuzz/fuzz.h"
#include "workers/wire/wire_stream.h"

#define MAX_PAYLOAD 512

struct seen {
    size_t n;
    uint64_t sum; /* of verbs, ids and payloads */
};

static void check_head(const struct wire_head *h)
{
    FUT_ASSERT((unsigned)h->verb < WIRE_VERB_COUNT && wire_verb_name(h->verb));
    FUT_ASSERT(h->id <= WIRE_ID_MAX && h->bytes <= WIRE_ID_MAX);
    FUT_ASSERT(h->fraction == -1 || (h->fraction >= 0 && h->fraction <= 1));
    FUT_ASSERT(h->retry >= -1 && h->retry <= 1);
    FUT_ASSERT(h->concurrency <= WIRE_ID_MAX); /* who takes the HELLO has a limit of its own */
    FUT_ASSERT(!h->kind || strlen(h->kind) <= WIRE_KIND_MAX);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void try_again(const struct wire_head *h)
{
    struct buf line = BUF_INIT;
    struct wire_head again;
    if (wire_put(&line, h) == 0) {
        FUT_ASSERT(line.len <= WIRE_LINE_MAX && line.data[line.len - 1] == '\n');
        line.data[--line.len] = '\0';
        FUT_MUST(wire_parse(line.data, line.len, &again) == 0);
        FUT_ASSERT(again.verb == h->verb && again.id == h->id && again.bytes == h->bytes);
        FUT_ASSERT(is_same(again.type, h->type) && is_same(again.kind, h->kind));
    }
    buf_release(&line);
}

static void try_line(const uint8_t *data, size_t n)
{
    struct wire_head head;
    const uint8_t *nl = n ? memchr(data, '\n', n) : NULL;
    size_t len = nl ? (size_t)(nl - data) : n;
    char *line = fuzz_text(data, len);
    if (len < WIRE_LINE_MAX && wire_parse(line, len, &head) == 0) {
        check_head(&head);
        try_again(&head);
    }
    free(line);
}

static void add(struct seen *s, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->sum = (s->sum ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

/* All messages that are there now; FUT_ERR_AGAIN when no more is. */
static int take(struct wire_stream *s, struct seen *seen)
{
    struct wire_message m;
    int rc;
    while ((rc = wire_stream_next(s, &m)) == 0) {
        check_head(&m.head);
        seen->n++;
        add(seen, &m.head.verb, sizeof(m.head.verb));
        add(seen, &m.head.id, sizeof(m.head.id));
        if (m.payload)
            add(seen, m.payload, m.head.bytes);
        FUT_ASSERT(m.too_long == (m.head.bytes > MAX_PAYLOAD) || m.head.fd);
    }
    return rc;
}

static int read_stream(const uint8_t *data, size_t n, size_t piece, struct seen *seen)
{
    int ends[2], rc = FUT_ERR_AGAIN;
    struct wire_stream s;
    FUT_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    wire_stream_init(&s, ends[0], MAX_PAYLOAD);
    for (size_t at = 0; at < n && rc == FUT_ERR_AGAIN; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        FUT_MUST(send(ends[1], data + at, len, MSG_NOSIGNAL) == (ssize_t)len);
        while (rc == FUT_ERR_AGAIN && wire_stream_read(&s, MSG_DONTWAIT) == 0)
            rc = take(&s, seen);
    }
    wire_stream_release(&s);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seen whole = {0}, parts = {0};
    if (n == 0)
        return 0;
    try_line(data + 1, n - 1);
    int rc = read_stream(data + 1, n - 1, n, &whole);
    FUT_MUST(read_stream(data + 1, n - 1, (size_t)data[0] % 64 + 1, &parts) == rc);
    FUT_ASSERT(whole.n == parts.n && whole.sum == parts.sum);
    return 0;
}
