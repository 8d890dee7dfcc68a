/* beanstalkd: a tube of tasks, a tube per client for its results. Each task names the tube where
 * its result is awaited: "TUBE payload". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/load_script.h"
#include "tests/support/text.h"

/* Of c->step in LOAD_POST_WAIT. */
enum { PUTS, RESERVES, DELETES };

static void put_put(struct buf *out, const char *prefix, const char *payload, size_t len)
{
    buf_printf(out, "put 0 0 600 %zu\r\n%s", strlen(prefix) + len, prefix);
    buf_put(out, payload, len);
    buf_puts(out, "\r\n");
}

static void put_reply_tube(struct buf *out, const struct load_conn *c)
{
    buf_printf(out, "r%d.%u", (int)getpid(), c->number);
}

static void greet(const struct load_config *cfg, struct load_conn *c)
{
    if (cfg->mode != LOAD_WORK)
        buf_printf(&c->request, "use %s\r\n", cfg->handler);
    if (cfg->mode == LOAD_WORK)
        buf_printf(&c->request, "watch %s\r\nignore default\r\n", cfg->handler);
    if (cfg->mode == LOAD_POST_WAIT) {
        buf_puts(&c->request, "watch ");
        put_reply_tube(&c->request, c);
        buf_puts(&c->request, "\r\nignore default\r\n");
    }
}

static void put_tasks(const struct load_config *cfg, const char *prefix, struct buf *out)
{
    char *filler = text_repeat('x', cfg->body_bytes);
    for (unsigned i = 0; i < (cfg->mode == LOAD_BULK ? cfg->bulk : 1); i++)
        put_put(out, prefix, filler, cfg->body_bytes);
    free(filler);
}

static void prepare(const struct load_config *cfg, struct buf *out)
{
    if (cfg->mode != LOAD_WORK)
        put_tasks(cfg, "", out);
}

/* The prepared request; each connection has a name of its own. */
static void ask_for_result(const struct load_config *cfg, struct load_conn *c)
{
    if (!c->kept.len) {
        struct buf prefix = BUF_INIT;
        put_reply_tube(&prefix, c);
        buf_putc(&prefix, ' ');
        put_tasks(cfg, prefix.data, &c->kept);
        buf_release(&prefix);
    }
    buf_put(&c->request, c->kept.data, c->kept.len);
}

/* The result, which is the payload, goes off together with the end of the task and the wish for
 * the next one. */
static void ask_work(struct load_conn *c)
{
    const char *end = c->kept.len ? memchr(c->kept.data, ' ', c->kept.len) : NULL;
    if (end) {
        buf_printf(&c->request, "use %.*s\r\n", (int)(end - c->kept.data), c->kept.data);
        put_put(&c->request, "", end + 1, c->kept.len - (size_t)(end + 1 - c->kept.data));
        buf_printf(&c->request, "delete %s\r\n", c->id);
    }
    buf_puts(&c->request, "reserve\r\n");
}

static bool ask(const struct load_config *cfg, struct load_conn *c)
{
    if (cfg->mode == LOAD_WORK)
        ask_work(c);
    else if (c->step == RESERVES)
        buf_puts(&c->request, "reserve\r\n");
    else if (c->step == DELETES)
        buf_printf(&c->request, "delete %s\r\n", c->id);
    else if (cfg->mode == LOAD_POST_WAIT)
        ask_for_result(cfg, c);
    else
        return false;
    return true;
}

/* What a line ends: a request has come to its next step, or its last line. */
static enum load_taken after_line(const struct load_config *cfg, struct load_conn *c,
                                  const char *line, unsigned *lines)
{
    if (strncmp(line, "WATCHING ", 9) == 0) /* 2, then 1 when default is ignored */
        return line[9] == '1' ? LOAD_WHOLE : LOAD_MORE;
    if (strncmp(line, "USING ", 6) == 0)
        return !c->greeted && cfg->mode != LOAD_POST_WAIT ? LOAD_WHOLE : LOAD_MORE;
    if (strncmp(line, "DELETED", 7) == 0) {
        c->step = PUTS;
        return cfg->mode == LOAD_WORK ? LOAD_MORE : LOAD_WHOLE;
    }
    if (strncmp(line, "INSERTED ", 9) != 0)
        return LOAD_BROKEN;
    if (cfg->mode == LOAD_POST_WAIT) {
        c->step = RESERVES;
        return LOAD_GOES_ON;
    }
    ++*lines;
    return cfg->mode == LOAD_POST ? LOAD_WHOLE : LOAD_MORE;
}

/* "RESERVED id bytes\r\n" payload "\r\n" */
static enum load_taken take_reserved(const struct load_config *cfg, struct load_conn *c,
                                     size_t line_len)
{
    char *end;
    (void)snprintf(c->id, sizeof(c->id), "%lu", strtoul(c->in.data + 9, &end, 10));
    size_t len = strtoul(end, NULL, 10);
    if (c->in.len < line_len + len + 2)
        return LOAD_MORE;
    if (cfg->mode == LOAD_WORK) {
        c->kept.len = 0;
        buf_put(&c->kept, c->in.data + line_len, len);
    }
    buf_consume(&c->in, line_len + len + 2);
    c->step = DELETES;
    return cfg->mode == LOAD_WORK ? LOAD_WHOLE : LOAD_GOES_ON;
}

/* Lines of a bulk are counted in c->step. */
static enum load_taken take(const struct load_config *cfg, struct load_conn *c,
                            struct load_answer *out)
{
    *out = (struct load_answer){.status = 200, .waited = cfg->mode == LOAD_POST_WAIT};
    out->done = out->waited;
    for (const char *eol; c->in.len && (eol = memmem(c->in.data, c->in.len, "\r\n", 2));) {
        size_t line_len = (size_t)(eol - c->in.data) + 2;
        unsigned inserted = 0;
        if (strncmp(c->in.data, "RESERVED ", 9) == 0)
            return take_reserved(cfg, c, line_len);
        enum load_taken t = after_line(cfg, c, c->in.data, &inserted);
        if (t == LOAD_BROKEN)
            return t;
        buf_consume(&c->in, line_len);
        if (cfg->mode == LOAD_BULK && (c->step += (int)inserted) == (int)cfg->bulk) {
            c->step = 0;
            return LOAD_WHOLE;
        }
        if (t != LOAD_MORE)
            return t;
    }
    return LOAD_MORE;
}

const struct load_script load_beanstalk = {
    .name = "beanstalk",
    .modes = {[LOAD_POST] = true, [LOAD_POST_WAIT] = true, [LOAD_BULK] = true, [LOAD_WORK] = true},
    .prepare = prepare,
    .greet = greet,
    .ask = ask,
    .take = take,
};
