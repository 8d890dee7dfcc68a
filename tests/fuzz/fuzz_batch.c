/* The body of POST /v1/batches. The first byte chooses: JSON, or lines or frames that come in
 * pieces; in whatever pieces these come, the answer is that for the whole. */
#include <stdlib.h>
#include <string.h>

#include "api/resources/submission.h"
#include "api/text/batch_in.h"
#include "tests/fuzz/fuzz.h"

#define LINE_MAX_BYTES 4096

struct seen {
    size_t n;
    uint64_t sum; /* of what was handed over */
    struct submission shared;
    struct submission framed; /* its bytes are yet to come */
    char *head;               /* the text of that */
};

static void add(struct seen *s, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->sum = (s->sum ^ (unsigned char)bytes[i]) * 1099511628211u;
}

static void add_submission(struct seen *s, const struct submission *in)
{
    FUT_ASSERT(in->handler && in->input_type);
    s->n++;
    add(s, in->handler, strlen(in->handler) + 1);
    if (in->input)
        add(s, in->input, in->input_len);
}

static int take_callback(void *ctx, const struct json_t *value, struct problem *p)
{
    const char *url = NULL;
    int rc = submission_read_callback(value, &url, p);
    if (rc == 0)
        add(ctx, url, strlen(url));
    return rc;
}

static int take_then(void *ctx, const char *text, size_t n, struct problem *p)
{
    struct submission s;
    (void)ctx;
    if (submission_read_then(text, n, &s, p) != 0)
        return FUT_ERR_INVAL;
    submission_release(&s);
    return 0;
}

static int take_task(void *ctx, const char *text, size_t n, struct problem *p)
{
    struct submission in;
    if (submission_read(text, n, &in, p) != 0)
        return FUT_ERR_INVAL;
    add_submission(ctx, &in);
    submission_release(&in);
    return 0;
}

static int take_shared(void *ctx, const struct json_t *members, struct problem *p)
{
    struct seen *s = ctx;
    return submission_read_shared(members, &s->shared, p);
}

static int take_input(void *ctx, const struct json_t *value, const char *text, size_t n,
                      struct problem *p)
{
    struct seen *s = ctx;
    (void)p;
    submission_input_set(&s->shared, value, text, n);
    add_submission(s, &s->shared);
    return 0;
}

static int take_head(void *ctx, const char *text, size_t n, size_t *out_bytes, struct problem *p)
{
    struct seen *s = ctx;
    free(s->head);
    s->head = fuzz_bytes((const uint8_t *)text, n);
    if (submission_read_frame(s->head, n, &s->framed, p) != 0)
        return FUT_ERR_INVAL;
    if (s->framed.has_bytes) {
        FUT_ASSERT(!s->framed.input);
        *out_bytes = s->framed.n_bytes;
        return 0;
    }
    add_submission(s, &s->framed);
    submission_release(&s->framed);
    return 0;
}

static int take_bytes(void *ctx, const char *bytes, size_t n, struct problem *p)
{
    struct seen *s = ctx;
    FUT_ASSERT(n == s->framed.n_bytes);
    int rc = submission_input_bytes(&s->framed, bytes, n, p);
    if (rc == 0)
        add_submission(s, &s->framed);
    submission_release(&s->framed);
    return rc;
}

static const struct batch_in_taker taker = {.callback = take_callback,
                                            .then = take_then,
                                            .task = take_task,
                                            .shared = take_shared,
                                            .input = take_input,
                                            .head = take_head,
                                            .bytes = take_bytes};

static int read_lines(const char *text, size_t n, size_t piece, bool is_framed, struct seen *s,
                      struct problem *p)
{
    struct buf rest = BUF_INIT;
    struct batch_lines l = {.in = {.taker = &taker, .ctx = s},
                            .rest = &rest,
                            .max_line_bytes = LINE_MAX_BYTES,
                            .is_framed = is_framed};
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        char *copy = fuzz_bytes((const uint8_t *)text + at, len);
        rc = batch_in_put(&l, copy, len, p);
        free(copy);
    }
    if (rc == 0)
        rc = batch_in_end(&l, p);
    FUT_ASSERT(l.in.n == s->n);
    submission_release(&s->framed);
    free(s->head);
    buf_release(&rest);
    return rc;
}

static void try_lines(const char *text, size_t n, size_t piece, bool is_framed)
{
    struct problem p, q;
    struct seen whole = {0}, parts = {0};
    int rc = read_lines(text, n, n ? n : 1, is_framed, &whole, &p);
    FUT_MUST(read_lines(text, n, piece, is_framed, &parts, &q) == rc);
    FUT_ASSERT(whole.n == parts.n && whole.sum == parts.sum);
    if (rc == 0)
        return;
    fuzz_check_problem(&p);
    FUT_ASSERT(p.code == q.code && strcmp(p.detail, q.detail) == 0 && p.line == q.line);
}

static void try_json(const char *text, size_t n)
{
    struct problem p;
    struct seen s = {0};
    struct batch_in b = {.taker = &taker, .ctx = &s};
    int rc = batch_in_json(text, n, &b, &p);
    FUT_ASSERT(b.n == s.n && b.n <= BATCH_IN_MAX);
    if (rc == 0)
        FUT_ASSERT(b.n > 0);
    else
        fuzz_check_problem(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char *text = fuzz_bytes(data + 1, n - 1);
    if (data[0] == '{' || data[0] == 'J')
        try_json(text, n - 1);
    else
        try_lines(text, n - 1, (size_t)data[0] % 32 + 1, data[0] % 64 >= 32);
    free(text);
    return 0;
}
