#include "core/task.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/mem.h"

/* The public struct first, so that a pointer to it is a pointer to the whole. */
struct spec_box {
    struct task_spec pub;
    atomic_uint refs;
    char mem[];
};

struct outcome_box {
    struct task_outcome pub;
    atomic_uint refs;
    char mem[];
};

struct checkpoint_box {
    struct task_checkpoint pub;
    atomic_uint refs;
    char mem[];
};

struct init_box {
    struct task_init pub;
    atomic_uint refs;
    char mem[];
};

static void ref_take(atomic_uint *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

static bool ref_drop(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

/* Copies n bytes and a NUL to *at, moves *at behind them, returns the copy. */
static char *pack(char **at, const void *bytes, size_t n)
{
    char *copy = *at;
    if (n)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    *at += n + 1;
    return copy;
}

static const char *pack_str(char **at, const char *s)
{
    return s ? pack(at, s, strlen(s)) : NULL;
}

static size_t str_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

struct task_spec *task_spec_new(const struct task_spec *from)
{
    size_t size = str_size(from->handler) + str_size(from->input_type) + str_size(from->unique) +
                  str_size(from->name) + str_size(from->schedule) + str_size(from->traceparent) +
                  str_size(from->queue) + str_size(from->fair_key) + str_size(from->limits) +
                  from->input_len + 1;
    struct spec_box *box = xmalloc(sizeof(*box) + size);
    char *at = box->mem;
    box->pub = *from;
    atomic_init(&box->refs, 1);
    box->pub.handler = pack_str(&at, from->handler);
    box->pub.input_type = pack_str(&at, from->input_type);
    box->pub.unique = pack_str(&at, from->unique);
    box->pub.name = pack_str(&at, from->name);
    box->pub.schedule = pack_str(&at, from->schedule);
    box->pub.traceparent = pack_str(&at, from->traceparent);
    box->pub.queue = pack_str(&at, from->queue);
    box->pub.fair_key = pack_str(&at, from->fair_key);
    box->pub.limits = pack_str(&at, from->limits);
    box->pub.input = from->input ? (unsigned char *)pack(&at, from->input, from->input_len) : NULL;
    return &box->pub;
}

int64_t task_spec_could_begin_wall_ms(const struct task_spec *spec)
{
    int64_t at = spec->created_wall_ms + spec->times.delay_ms;
    return at < spec->times.run_at_wall_ms ? spec->times.run_at_wall_ms : at;
}

struct task_spec *task_spec_ref(struct task_spec *spec)
{
    ref_take(&((struct spec_box *)(void *)spec)->refs);
    return spec;
}

void task_spec_unref(struct task_spec *spec)
{
    struct spec_box *box = (struct spec_box *)(void *)spec;
    if (box && ref_drop(&box->refs))
        free(box);
}

struct task_outcome *task_outcome_new(const struct task_outcome *from)
{
    size_t size = str_size(from->type) + from->body_len + 1 + str_size(from->code) +
                  str_size(from->message) + str_size(from->error_type) + from->log_len + 1;
    struct outcome_box *box = xmalloc(sizeof(*box) + size);
    char *at = box->mem;
    box->pub = *from;
    atomic_init(&box->refs, 1);
    box->pub.type = pack_str(&at, from->type);
    box->pub.body = (unsigned char *)pack(&at, from->body, from->body_len);
    box->pub.code = pack_str(&at, from->code);
    box->pub.message = pack_str(&at, from->message);
    box->pub.error_type = pack_str(&at, from->error_type);
    box->pub.log = pack(&at, from->log, from->log_len);
    return &box->pub;
}

struct task_outcome *task_outcome_error(const char *code, const char *message)
{
    return task_outcome_new(
        &(struct task_outcome){.code = code, .message = message, .exit_code = -1});
}

struct task_outcome *task_outcome_ref(struct task_outcome *o)
{
    ref_take(&((struct outcome_box *)(void *)o)->refs);
    return o;
}

void task_outcome_unref(struct task_outcome *o)
{
    struct outcome_box *box = (struct outcome_box *)(void *)o;
    if (box && ref_drop(&box->refs))
        free(box);
}

struct task_checkpoint *task_checkpoint_new(const struct task_checkpoint *from)
{
    size_t body_len = from->body ? from->len : 0;
    struct checkpoint_box *box = xmalloc(sizeof(*box) + str_size(from->type) + body_len + 1);
    char *at = box->mem;
    box->pub = *from;
    atomic_init(&box->refs, 1);
    box->pub.type = pack_str(&at, from->type);
    box->pub.body = from->body ? (unsigned char *)pack(&at, from->body, body_len) : NULL;
    return &box->pub;
}

struct task_checkpoint *task_checkpoint_ref(struct task_checkpoint *c)
{
    if (c)
        ref_take(&((struct checkpoint_box *)(void *)c)->refs);
    return c;
}

void task_checkpoint_unref(struct task_checkpoint *c)
{
    struct checkpoint_box *box = (struct checkpoint_box *)(void *)c;
    if (box && ref_drop(&box->refs))
        free(box);
}

struct task_init *task_init_new(const struct task_init *from)
{
    struct init_box *box =
        xmalloc(sizeof(*box) + str_size(from->type) + str_size(from->broken) + from->len + 1);
    char *at = box->mem;
    box->pub = *from;
    atomic_init(&box->refs, 1);
    box->pub.type = pack_str(&at, from->type);
    box->pub.broken = pack_str(&at, from->broken);
    box->pub.body = (unsigned char *)pack(&at, from->body, from->len);
    return &box->pub;
}

struct task_init *task_init_ref(struct task_init *i)
{
    if (i)
        ref_take(&((struct init_box *)(void *)i)->refs);
    return i;
}

void task_init_unref(struct task_init *i)
{
    struct init_box *box = (struct init_box *)(void *)i;
    if (box && ref_drop(&box->refs))
        free(box);
}

void task_copy(struct task *dst, const struct task *src)
{
    *dst = *src;
    if (dst->spec)
        (void)task_spec_ref(dst->spec);
    if (dst->outcome)
        (void)task_outcome_ref(dst->outcome);
    if (dst->checkpoint)
        (void)task_checkpoint_ref(dst->checkpoint);
    if (dst->results)
        (void)task_checkpoint_ref(dst->results);
    if (dst->init)
        (void)task_init_ref(dst->init);
}

void task_release(struct task *t)
{
    task_spec_unref(t->spec);
    task_outcome_unref(t->outcome);
    task_checkpoint_unref(t->checkpoint);
    task_checkpoint_unref(t->results);
    task_init_unref(t->init);
    *t = (struct task){0};
}

/* Names, ids, states and times need no escape. */
void task_write_end(struct buf *out, const struct task *t)
{
    char id[ID_TEXT_SIZE], at[CLOCK_RFC3339_SIZE];
    id_format(t->spec->id, id);
    clock_rfc3339(t->finished_wall_ms, at);
    buf_printf(out,
               "{\"id\":\"%s\",\"handler\":\"%s\",\"state\":\"%s\",\"attempt\":%u,"
               "\"finished_at\":\"%s\",\"href\":\"/v1/futures/%s\"}",
               id, t->spec->handler, task_state_name(t->state), t->attempt, at, id);
}

/* NULL stands for text. */
static bool is_same_text(const char *a, const char *b, const char *text)
{
    return strcmp(a ? a : text, b ? b : text) == 0;
}

static bool has_same_times(const struct task_times *a, const struct task_times *b)
{
    return a->delay_ms == b->delay_ms && a->run_at_wall_ms == b->run_at_wall_ms &&
           a->expires_in_ms == b->expires_in_ms && a->deadline_ms == b->deadline_ms;
}

bool task_spec_is_same(const struct task_spec *a, const struct task_spec *b)
{
    const struct retry_policy *p = &a->retry, *q = &b->retry;
    return strcmp(a->handler, b->handler) == 0 && a->lane == b->lane && a->retries == b->retries &&
           a->timeout_ms == b->timeout_ms && p->on == q->on && p->first_ms == q->first_ms &&
           p->max_ms == q->max_ms && p->says_jitter == q->says_jitter &&
           p->jitter_percent == q->jitter_percent && a->priority == b->priority &&
           has_same_times(&a->times, &b->times) &&
           is_same_text(a->queue, b->queue, TASK_QUEUE_DEFAULT) &&
           is_same_text(a->fair_key, b->fair_key, "") && is_same_text(a->limits, b->limits, "") &&
           strcmp(a->input_type, b->input_type) == 0 && a->input_len == b->input_len &&
           a->has_refs == b->has_refs && a->once == b->once &&
           (!a->input_len || memcmp(a->input, b->input, a->input_len) == 0);
}

bool task_has_begun(const struct task *t)
{
    return t->attempt > t->earlier_attempts;
}

static const char *const state_names[TASK_STATE_COUNT] = {
    [TASK_SCHEDULED] = "scheduled", [TASK_QUEUED] = "queued", [TASK_RUNNING] = "running",
    [TASK_SUCCEEDED] = "succeeded", [TASK_FAILED] = "failed", [TASK_CANCELLED] = "cancelled",
};

static const char *const lane_names[LANE_COUNT] = {[LANE_IO] = "io", [LANE_CPU] = "cpu"};

static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

bool task_state_is_final(enum task_state s)
{
    return s >= TASK_SUCCEEDED;
}

const char *task_state_name(enum task_state s)
{
    return state_names[s];
}

bool task_state_parse(const char *name, enum task_state *out)
{
    int i = find_name(state_names, TASK_STATE_COUNT, name);
    if (i >= 0)
        *out = (enum task_state)i;
    return i >= 0;
}

const char *lane_name(enum lane lane)
{
    return lane_names[lane];
}

bool lane_parse(const char *name, enum lane *out)
{
    int i = find_name(lane_names, LANE_COUNT, name);
    if (i >= 0)
        *out = (enum lane)i;
    return i >= 0;
}

bool task_type_is_json(const char *content_type)
{
    size_t n = sizeof(CONTENT_JSON) - 1;
    return strncasecmp(content_type, CONTENT_JSON, n) == 0 &&
           (!content_type[n] || strchr("; \t", content_type[n]));
}

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

bool task_queue_name_ok(const char *name)
{
    size_t n = strspn(name, NAME_CHARACTERS);
    return n >= 1 && n <= TASK_QUEUE_MAX && name[n] == '\0';
}

bool task_handler_name_ok(const char *name)
{
    size_t n = strspn(name, NAME_CHARACTERS);
    return n >= 1 && n <= TASK_HANDLER_MAX && name[n] == '\0' && *name != '.' && *name != '-';
}
