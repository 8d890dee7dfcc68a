/* Redis as a task queue: a list of tasks, a list per client for its results. Each task names the
 * list where its result is awaited: "LIST payload". */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/load_script.h"
#include "tests/support/text.h"

/* Of c->step in LOAD_POST_WAIT. */
enum { PUSHES, POPS };

static void put_word(struct buf *out, const char *word, size_t len)
{
    buf_printf(out, "$%zu\r\n", len);
    buf_put(out, word, len);
    buf_puts(out, "\r\n");
}

static void put_push(struct buf *out, const char *list, const struct buf *value, unsigned n)
{
    buf_printf(out, "*%u\r\n$5\r\nLPUSH\r\n", n + 2);
    put_word(out, list, strlen(list));
    for (unsigned i = 0; i < n; i++)
        put_word(out, value->data, value->len);
}

static void put_pop(struct buf *out, const char *list)
{
    buf_puts(out, "*3\r\n$5\r\nBRPOP\r\n");
    put_word(out, list, strlen(list));
    buf_puts(out, "$1\r\n0\r\n");
}

static char *reply_list(const struct load_conn *c)
{
    return text_printf("r%d.%u", (int)getpid(), c->number);
}

static void put_tasks(const struct load_config *cfg, const char *prefix, struct buf *out)
{
    struct buf value = BUF_INIT;
    char *filler = text_repeat('x', cfg->body_bytes);
    buf_puts(&value, prefix);
    buf_put(&value, filler, cfg->body_bytes);
    put_push(out, cfg->handler, &value, cfg->mode == LOAD_BULK ? cfg->bulk : 1);
    buf_release(&value);
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
        char *list = reply_list(c), *prefix = text_printf("%s ", list);
        put_tasks(cfg, prefix, &c->kept);
        free(prefix);
        free(list);
    }
    buf_put(&c->request, c->kept.data, c->kept.len);
}

/* The result, which is the payload, goes off together with the wish for the next task. */
static void ask_work(const struct load_config *cfg, struct load_conn *c)
{
    const char *end = c->kept.len ? memchr(c->kept.data, ' ', c->kept.len) : NULL;
    if (end) {
        char *list = text_printf("%.*s", (int)(end - c->kept.data), c->kept.data);
        buf_consume(&c->kept, (size_t)(end - c->kept.data) + 1);
        put_push(&c->request, list, &c->kept, 1);
        free(list);
    }
    put_pop(&c->request, cfg->handler);
}

static bool ask(const struct load_config *cfg, struct load_conn *c)
{
    if (cfg->mode == LOAD_WORK) {
        ask_work(cfg, c);
    } else if (c->step == POPS) {
        char *list = reply_list(c);
        put_pop(&c->request, list);
        free(list);
    } else if (cfg->mode == LOAD_POST_WAIT) {
        ask_for_result(cfg, c);
    } else {
        return false;
    }
    return true;
}

/* "$N\r\nbytes\r\n" at `at`: where it ends, or 0 when it is not whole. */
static size_t word_end(const struct buf *in, size_t at, size_t *out_begin)
{
    const char *line = at < in->len ? memmem(in->data + at, in->len - at, "\r\n", 2) : NULL;
    if (!line)
        return 0;
    size_t len = strtoul(in->data + at + 1, NULL, 10);
    *out_begin = (size_t)(line - in->data) + 2;
    return *out_begin + len + 2 <= in->len ? *out_begin + len + 2 : 0;
}

/* "*2\r\n" list value. */
static enum load_taken take_popped(const struct load_config *cfg, struct load_conn *c)
{
    size_t begin = 0, key_end = word_end(&c->in, 4, &begin);
    size_t end = key_end ? word_end(&c->in, key_end, &begin) : 0;
    if (!end)
        return LOAD_MORE;
    if (cfg->mode == LOAD_WORK) {
        c->kept.len = 0;
        buf_put(&c->kept, c->in.data + begin, end - 2 - begin);
    }
    c->step = PUSHES;
    buf_consume(&c->in, end);
    return LOAD_WHOLE;
}

/* ":N\r\n", the answer to a push. */
static enum load_taken take_pushed(const struct load_config *cfg, struct load_conn *c)
{
    const char *line = memmem(c->in.data, c->in.len, "\r\n", 2);
    if (!line)
        return LOAD_MORE;
    buf_consume(&c->in, (size_t)(line - c->in.data) + 2);
    if (cfg->mode == LOAD_POST || cfg->mode == LOAD_BULK)
        return LOAD_WHOLE;
    c->step = POPS;
    return LOAD_GOES_ON;
}

static enum load_taken take(const struct load_config *cfg, struct load_conn *c,
                            struct load_answer *out)
{
    *out = (struct load_answer){.status = 200};
    if (c->in.data[0] == '*') {
        out->waited = out->done = cfg->mode == LOAD_POST_WAIT;
        return take_popped(cfg, c);
    }
    if (c->in.data[0] != ':')
        return LOAD_BROKEN;
    enum load_taken t = take_pushed(cfg, c);
    if (t == LOAD_GOES_ON && cfg->mode == LOAD_WORK)
        return c->in.len ? take(cfg, c, out) : LOAD_MORE; /* what it popped comes behind */
    return t;
}

const struct load_script load_redis = {
    .name = "redis",
    .modes = {[LOAD_POST] = true, [LOAD_POST_WAIT] = true, [LOAD_BULK] = true, [LOAD_WORK] = true},
    .prepare = prepare,
    .ask = ask,
    .take = take,
};
