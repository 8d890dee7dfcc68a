/* gearmand: background jobs to hand in, foreground jobs for results (the server keeps who waits for
 * which). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/load_script.h"
#include "tests/support/text.h"

enum packet {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    SUBMIT_JOB = 7,
    JOB_CREATED = 8,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13,
    SUBMIT_JOB_BG = 18,
};

#define HEAD_BYTES 12

/* Of c->step in LOAD_WORK. */
enum { SAYS_WHAT, GRABS, SLEEPS };

static void put_packet(struct buf *out, enum packet type, const char *data, size_t len)
{
    uint32_t numbers[2] = {htonl((uint32_t)type), htonl((uint32_t)len)};
    buf_put(out, "\0REQ", 4);
    buf_put(out, numbers, sizeof(numbers));
    if (len)
        buf_put(out, data, len);
}

/* Function, no unique id, payload. */
static void prepare(const struct load_config *cfg, struct buf *out)
{
    struct buf job = BUF_INIT;
    char *filler = text_repeat('x', cfg->body_bytes);
    if (cfg->mode != LOAD_WORK) {
        buf_put(&job, cfg->handler, strlen(cfg->handler) + 1);
        buf_put(&job, "", 1);
        buf_put(&job, filler, cfg->body_bytes);
        for (unsigned i = 0; i < (cfg->mode == LOAD_BULK ? cfg->bulk : 1); i++)
            put_packet(out, cfg->mode == LOAD_POST_WAIT ? SUBMIT_JOB : SUBMIT_JOB_BG, job.data,
                       job.len);
    }
    buf_release(&job);
    free(filler);
}

/* The result goes off together with the wish for the next job; one that found none sleeps. */
static bool ask(const struct load_config *cfg, struct load_conn *c)
{
    if (cfg->mode != LOAD_WORK)
        return false;
    if (c->step == SLEEPS) {
        put_packet(&c->request, PRE_SLEEP, NULL, 0);
        return true;
    }
    if (c->step == SAYS_WHAT)
        put_packet(&c->request, CAN_DO, cfg->handler, strlen(cfg->handler));
    c->step = GRABS;
    if (c->kept.len)
        put_packet(&c->request, WORK_COMPLETE, c->kept.data, c->kept.len);
    c->kept.len = 0;
    put_packet(&c->request, GRAB_JOB, NULL, 0);
    return true;
}

/* handle \0 function \0 payload; what goes back is handle \0 payload. */
static void keep_job(struct load_conn *c, const char *data, size_t len)
{
    size_t handle = strlen(data) + 1, name = strlen(data + handle) + 1;
    c->kept.len = 0;
    buf_put(&c->kept, data, handle);
    buf_put(&c->kept, data + handle + name, len - handle - name);
}

static enum load_taken after_packet(const struct load_config *cfg, struct load_conn *c,
                                    unsigned type, const char *data, size_t len)
{
    switch (type) {
    case NOOP: /* may come late, when the worker is awake already */
        if (c->step != SLEEPS)
            return LOAD_MORE;
        c->step = GRABS;
        return LOAD_GOES_ON;
    case NO_JOB: c->step = SLEEPS; return LOAD_GOES_ON;
    case JOB_ASSIGN: keep_job(c, data, len); return LOAD_WHOLE;
    case JOB_CREATED:
        if (cfg->mode == LOAD_BULK && ++c->step < (int)cfg->bulk)
            return LOAD_MORE;
        if (cfg->mode == LOAD_BULK)
            c->step = 0;
        return cfg->mode == LOAD_POST_WAIT ? LOAD_MORE : LOAD_WHOLE;
    case WORK_COMPLETE: return LOAD_WHOLE;
    default: return LOAD_BROKEN;
    }
}

static enum load_taken take(const struct load_config *cfg, struct load_conn *c,
                            struct load_answer *out)
{
    *out = (struct load_answer){.status = 200, .waited = cfg->mode == LOAD_POST_WAIT};
    out->done = out->waited;
    while (c->in.len >= HEAD_BYTES) {
        uint32_t numbers[2];
        memcpy(numbers, c->in.data + 4, sizeof(numbers));
        size_t len = ntohl(numbers[1]);
        if (memcmp(c->in.data, "\0RES", 4) != 0)
            return LOAD_BROKEN;
        if (c->in.len < HEAD_BYTES + len)
            return LOAD_MORE;
        enum load_taken t = after_packet(cfg, c, ntohl(numbers[0]), c->in.data + HEAD_BYTES, len);
        if (t == LOAD_BROKEN)
            return t;
        buf_consume(&c->in, HEAD_BYTES + len);
        if (t != LOAD_MORE)
            return t;
    }
    return LOAD_MORE;
}

const struct load_script load_gearman = {
    .name = "gearman",
    .modes = {[LOAD_POST] = true, [LOAD_POST_WAIT] = true, [LOAD_BULK] = true, [LOAD_WORK] = true},
    .prepare = prepare,
    .ask = ask,
    .take = take,
};
