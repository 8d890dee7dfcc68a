#include "workers/wire.h"

#define MAGIC 0x31545546u /* "FUT1" */

/* ---- encoding ---- */

static void put_uint(struct buf *out, uint64_t v, size_t bytes)
{
    unsigned char raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(v >> (8 * i));
    buf_put(out, raw, bytes);
}

static void put_string(struct buf *out, const char *s)
{
    size_t n = strlen(s);
    put_uint(out, n, 2);
    buf_put(out, s, n + 1);
}

static void put_bytes(struct buf *out, const void *bytes, size_t n)
{
    put_uint(out, n, 4);
    buf_put(out, bytes, n);
}

static size_t begin(struct buf *out, enum wire_type type)
{
    size_t at = out->len;
    put_uint(out, 0, WIRE_HEAD_BYTES);
    put_uint(out, (uint64_t)type, 1);
    return at;
}

static void end(struct buf *out, size_t at)
{
    size_t n = out->len - at - WIRE_HEAD_BYTES;
    for (size_t i = 0; i < WIRE_HEAD_BYTES; i++)
        out->data[at + i] = (char)(unsigned char)(n >> (8 * i));
}

static bool fits(size_t payload, const char *const *strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(strings[i]) > WIRE_STRING_MAX - 64)
            return false;
    }
    return payload <= WIRE_FRAME_MAX - WIRE_SLACK_BYTES;
}

void wire_put_hello(struct buf *out)
{
    size_t at = begin(out, WIRE_HELLO);
    put_uint(out, MAGIC, 4);
    put_uint(out, WIRE_VERSION, 2);
    end(out, at);
}

int wire_put_run(struct buf *out, const struct wire_run *run)
{
    const char *strings[] = {run->handler, run->input_type};
    if (!fits(run->input_len, strings, 2))
        return FUT_ERR_TOO_BIG;
    buf_reserve(out, run->input_len + 512);
    size_t at = begin(out, WIRE_RUN);
    put_uint(out, run->seq, 8);
    put_uint(out, run->max_result_bytes, 8);
    put_string(out, run->handler);
    put_string(out, run->input_type);
    put_bytes(out, run->input, run->input_len);
    end(out, at);
    return 0;
}

int wire_put_result(struct buf *out, const struct wire_result *r)
{
    const char *strings[] = {r->type, r->code, r->message};
    if (!fits(r->body_len, strings, 3))
        return FUT_ERR_TOO_BIG;
    buf_reserve(out, r->body_len + 512);
    size_t at = begin(out, WIRE_RESULT);
    put_uint(out, r->seq, 8);
    put_uint(out, (uint64_t)r->class, 1);
    put_string(out, r->type);
    put_string(out, r->code);
    put_string(out, r->message);
    put_bytes(out, r->body, r->body_len);
    end(out, at);
    return 0;
}

int wire_put_progress(struct buf *out, const struct wire_progress *p)
{
    uint64_t bits;
    if (!fits(0, &p->message, 1))
        return FUT_ERR_TOO_BIG;
    memcpy(&bits, &p->fraction, sizeof(bits));
    size_t at = begin(out, WIRE_PROGRESS);
    put_uint(out, p->seq, 8);
    put_uint(out, bits, 8);
    put_string(out, p->message);
    end(out, at);
    return 0;
}

int wire_put_log(struct buf *out, const struct wire_log *l)
{
    if (!fits(l->len, NULL, 0))
        return FUT_ERR_TOO_BIG;
    size_t at = begin(out, WIRE_LOG);
    put_uint(out, l->seq, 8);
    put_bytes(out, l->bytes, l->len);
    end(out, at);
    return 0;
}

/* ---- decoding ---- */

/* A reader that turns bad once and stays so: callers check at the end. */
struct reader {
    const unsigned char *p;
    size_t left;
    bool bad;
};

static const unsigned char *get(struct reader *r, size_t n)
{
    if (r->bad || r->left < n) {
        r->bad = true;
        return NULL;
    }
    const unsigned char *at = r->p;
    r->p += n;
    r->left -= n;
    return at;
}

static uint64_t get_uint(struct reader *r, size_t bytes)
{
    const unsigned char *raw = get(r, bytes);
    uint64_t v = 0;
    for (size_t i = 0; raw && i < bytes; i++)
        v |= (uint64_t)raw[i] << (8 * i);
    return v;
}

static const char *get_string(struct reader *r)
{
    size_t n = (size_t)get_uint(r, 2);
    const char *s = (const char *)get(r, n + 1);
    if (!s || n > WIRE_STRING_MAX || strnlen(s, n + 1) != n) {
        r->bad = true;
        return "";
    }
    return s;
}

static const unsigned char *get_bytes(struct reader *r, size_t *n)
{
    *n = (size_t)get_uint(r, 4);
    return get(r, *n);
}

static void decode_hello(struct reader *r, struct wire_frame *f)
{
    if (get_uint(r, 4) != MAGIC)
        r->bad = true;
    f->as.hello.version = (uint16_t)get_uint(r, 2);
}

static void decode_run(struct reader *r, struct wire_frame *f)
{
    struct wire_run *run = &f->as.run;
    run->seq = get_uint(r, 8);
    run->max_result_bytes = get_uint(r, 8);
    run->handler = get_string(r);
    run->input_type = get_string(r);
    run->input = get_bytes(r, &run->input_len);
}

static void decode_result(struct reader *r, struct wire_frame *f)
{
    struct wire_result *res = &f->as.result;
    res->seq = get_uint(r, 8);
    uint64_t class = get_uint(r, 1);
    if (class < RUN_SUCCESS || class > RUN_TEMPORARY)
        r->bad = true;
    res->class = (enum run_class) class;
    res->type = get_string(r);
    res->code = get_string(r);
    res->message = get_string(r);
    res->body = get_bytes(r, &res->body_len);
}

static void decode_progress(struct reader *r, struct wire_frame *f)
{
    struct wire_progress *p = &f->as.progress;
    p->seq = get_uint(r, 8);
    uint64_t bits = get_uint(r, 8);
    memcpy(&p->fraction, &bits, sizeof(bits));
    p->message = get_string(r);
    if (!(p->fraction >= 0 && p->fraction <= 1))
        r->bad = true;
}

static void decode_log(struct reader *r, struct wire_frame *f)
{
    f->as.log.seq = get_uint(r, 8);
    f->as.log.bytes = get_bytes(r, &f->as.log.len);
}

static void (*const decoders[])(struct reader *, struct wire_frame *) = {
    [WIRE_HELLO] = decode_hello,       [WIRE_RUN] = decode_run, [WIRE_RESULT] = decode_result,
    [WIRE_PROGRESS] = decode_progress, [WIRE_LOG] = decode_log,
};

int wire_decode(const void *data, size_t len, size_t max_frame, struct wire_frame *out,
                size_t *used)
{
    struct reader head = {.p = data, .left = len};
    size_t n = (size_t)get_uint(&head, WIRE_HEAD_BYTES);
    if (head.bad)
        return FUT_ERR_AGAIN;
    if (n > max_frame)
        return FUT_ERR_TOO_BIG;
    if (head.left < n)
        return FUT_ERR_AGAIN;
    struct reader r = {.p = head.p, .left = n};
    uint64_t type = get_uint(&r, 1);
    if (r.bad || type < WIRE_HELLO || type > WIRE_LOG)
        return FUT_ERR_INVAL;
    struct wire_frame f = {.type = (enum wire_type)type};
    decoders[type](&r, &f);
    if (r.bad || r.left)
        return FUT_ERR_INVAL;
    *out = f;
    *used = WIRE_HEAD_BYTES + n;
    return 0;
}
