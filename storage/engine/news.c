/* news: what nodes that share a store tell each other. Transactions of all nodes follow one upon
 * the other (backend.h), and each tells what it does to the memory of a writer: which lines there
 * are and what moves in them, buckets of limits, times, and what listeners are told. So the memory
 * of each node is that of a sole writer, as of the transaction that it begins. The writer thread
 * alone.
 *
 * The text is records: a kind, the length of what follows, and that. Kinds that a node does not
 * know it skips: it may come from a newer one. Numbers are eight bytes, the highest first. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

enum kind {
    NEWS_NUMBERS = 1, /* what stands once in each */
    NEWS_LINE,
    NEWS_MOVE,
    NEWS_DROP,
    NEWS_LIMIT_KEY,
    NEWS_CHANGE,
};

/* What of a writer other nodes have to look at. Never renumber. */
enum flag {
    FLAG_CANCEL = 1,     /* a batch is being cancelled */
    FLAG_CASCADE = 2,    /* the end of a task concerns others */
    FLAG_EDGES = 4,      /* tasks wait for others */
    FLAG_BULK = 8,       /* many futures are being changed */
    FLAG_SCHEDULES = 16, /* schedules have changed, or a task of one has ended */
    FLAG_SETTINGS = 32,  /* what is said of queues, handlers and limits has changed */
    FLAG_LEASE = 64,     /* a session has been opened that ends without its client */
};

#define CHANGE_NEW 1
#define CHANGE_REPORTED 2
#define CHANGE_SPEC 4
#define MOVE_BASE 8 /* what is added to from and to, which may be negative */

/* ---- writing --------------------------------------------------------------------------------- */

static void write_number(char out[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (char)(unsigned char)(n >> (56 - 8 * i));
}

static void put_number(struct buf *out, uint64_t n)
{
    char bytes[8];
    write_number(bytes, n);
    buf_put(out, bytes, sizeof(bytes));
}

static void put_int(struct buf *out, int64_t n)
{
    put_number(out, (uint64_t)n);
}

static void put_double(struct buf *out, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    put_number(out, bits);
}

static void put_text(struct buf *out, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    put_number(out, n);
    buf_put(out, text ? text : "", n);
}

/* Begins a record; where its length is to stand. */
static size_t begin_record(struct buf *out, enum kind kind)
{
    put_number(out, kind);
    put_number(out, 0);
    return out->len;
}

static void end_record(struct buf *out, size_t at)
{
    write_number(out->data + at - 8, out->len - at);
}

static uint64_t flags_of(const struct writer *w)
{
    bool has_settings = w->limits.n_changes || w->n_queue_changes;
    return (w->cancel_pending ? FLAG_CANCEL : 0U) | (w->cascade_pending ? FLAG_CASCADE : 0U) |
           (w->has_edges ? FLAG_EDGES : 0U) |
           (w->bulk_again_mono_us == INT64_MAX ? 0U : FLAG_BULK) |
           (w->schedules_moved ? FLAG_SCHEDULES : 0U) | (has_settings ? FLAG_SETTINGS : 0U) |
           (w->has_leased ? FLAG_LEASE : 0U);
}

static void put_numbers(struct buf *out, const struct store *s)
{
    const struct writer *w = &s->w;
    size_t at = begin_record(out, NEWS_NUMBERS);
    put_number(out, w->now.seq);
    put_number(out, w->now.saved_seq);
    put_int(out, w->now.saved_up_ms);
    put_int(out, txn_up_ms(s));
    put_int(out, w->fresh_next.due_up_ms);
    put_int(out, w->fresh_next.run_at_wall_ms);
    put_int(out, w->fresh_next.limit_up_ms);
    put_number(out, flags_of(w));
    end_record(out, at);
}

static void put_line(struct buf *out, const struct line *line)
{
    size_t at = begin_record(out, NEWS_LINE);
    put_int(out, line->number);
    put_number(out, lines_lane(line));
    put_text(out, line->group->part->queue->name);
    put_text(out, line->group->handler->name);
    put_text(out, line->key->text);
    put_text(out, line->key->limits);
    end_record(out, at);
}

static void put_move(struct buf *out, const struct line_undo *u, uint64_t n)
{
    size_t at = begin_record(out, NEWS_MOVE);
    put_int(out, u->line->number);
    put_int(out, u->from + MOVE_BASE);
    put_int(out, u->to + MOVE_BASE);
    put_number(out, n);
    end_record(out, at);
}

static void put_lines(struct buf *out, const struct lines *l)
{
    for (size_t i = 0, next; i < l->n_undo; i = next) {
        const struct line_undo *u = &l->undo[i];
        uint64_t n = u->n;
        for (next = i + 1; next < l->n_undo && l->undo[next].line == u->line &&
                           l->undo[next].from == u->from && l->undo[next].to == u->to;
             next++)
            n += l->undo[next].n;
        if (u->from == LINE_ADDED)
            put_line(out, u->line);
        else
            put_move(out, u, n);
    }
}

static void put_dropped(struct buf *out, const struct lines *l)
{
    for (struct list_node *i = list_first(&l->dropped); i; i = list_next(&l->dropped, i)) {
        const struct line *line = FUT_CONTAINER(i, struct line, idle);
        if (!line->is_stored)
            continue;
        size_t at = begin_record(out, NEWS_DROP);
        put_int(out, line->number);
        end_record(out, at);
    }
}

static void put_limit_keys(struct buf *out, const struct limit_set *l)
{
    for (struct list_node *i = list_first(&l->dirty); i; i = list_next(&l->dirty, i)) {
        const struct limit_key *k = FUT_CONTAINER(i, struct limit_key, dirty);
        size_t at = begin_record(out, NEWS_LIMIT_KEY);
        put_text(out, k->name);
        put_text(out, k->key);
        put_double(out, k->tokens);
        put_int(out, k->tokens_up_ms);
        put_int(out, k->closed_until_up_ms);
        end_record(out, at);
    }
}

static void put_change(struct buf *out, const struct store_change *c)
{
    const struct task_spec *spec = c->task ? c->task->spec : c->spec;
    const struct task_outcome *o = c->task ? c->task->outcome : c->outcome;
    size_t at = begin_record(out, NEWS_CHANGE);
    put_number(out, c->id.hi);
    put_number(out, c->id.lo);
    put_number(out, c->state);
    put_number(out, c->stopped_attempt);
    put_number(out, (c->is_new ? CHANGE_NEW : 0U) | (c->reported ? CHANGE_REPORTED : 0U) |
                        (spec ? CHANGE_SPEC : 0U));
    put_double(out, c->progress);
    put_number(out, c->batch.hi);
    put_number(out, c->batch.lo);
    put_number(out, spec ? spec->lane : 0);
    put_text(out, spec ? spec->handler : "");
    put_text(out, o && o->code ? o->code : "");
    end_record(out, at);
}

/* What one node does for all is left to that one. */
static void leave_to_leader(struct writer *w)
{
    if (w->leads)
        return;
    w->cancel_pending = false;
    w->bulk_again_mono_us = INT64_MAX;
}

int news_tell(struct store *s)
{
    struct writer *w = &s->w;
    struct buf out = BUF_INIT;
    if (!s->ops->has_peers(s->backend))
        return 0;
    put_numbers(&out, s);
    put_lines(&out, &w->lines);
    put_limit_keys(&out, &w->limits);
    put_dropped(&out, &w->lines);
    for (size_t i = 0; i < w->n_changes; i++)
        put_change(&out, &w->changes[i]);
    int rc = s->ops->tell(s->backend, out.data, out.len);
    buf_release(&out);
    if (rc == 0)
        leave_to_leader(w);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const unsigned char *p, *end;
    bool is_bad;
};

static uint64_t get_number(struct reading *r)
{
    uint64_t n = 0;
    if (r->end - r->p < 8) {
        r->is_bad = true;
        r->p = r->end;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        n = n << 8 | *r->p++;
    return n;
}

static int64_t get_int(struct reading *r)
{
    return (int64_t)get_number(r);
}

static double get_double(struct reading *r)
{
    uint64_t bits = get_number(r);
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

/* Up to size - 1 bytes of it. */
static void get_text(struct reading *r, char *out, size_t size)
{
    uint64_t n = get_number(r);
    if (n > (uint64_t)(r->end - r->p) || n >= size) {
        r->is_bad = true;
        n = 0;
    }
    memcpy(out, r->p, n);
    out[n] = '\0';
    r->p += n;
}

/* What the news of all nodes come to, so far. */
struct hearing {
    struct store *s;
    struct store_change *changes;
    size_t n, cap;
    uint64_t flags;
};

static void lower(int64_t *time, int64_t to)
{
    if (to < *time)
        *time = to;
}

/* All nodes count by one uptime: that of the node which is ahead. */
static void hear_numbers(struct hearing *h, struct reading *r)
{
    struct writer *w = &h->s->w;
    w->now.seq = get_number(r);
    w->now.saved_seq = get_number(r);
    w->now.saved_up_ms = get_int(r);
    int64_t ahead_ms = get_int(r) - txn_up_ms(h->s);
    if (ahead_ms > 0)
        w->up_base_ms += ahead_ms;
    lower(&w->next.due_up_ms, get_int(r));
    lower(&w->next.run_at_wall_ms, get_int(r));
    lower(&w->next.limit_up_ms, get_int(r));
    h->flags |= get_number(r);
}

static void hear_line(struct hearing *h, struct reading *r)
{
    char queue[TASK_QUEUE_MAX + 1], handler[TASK_HANDLER_MAX + 1], key[TASK_FAIR_KEY_MAX + 1];
    char limits[TASK_LIMITS_TEXT_SIZE];
    int64_t number = get_int(r);
    enum lane lane = (enum lane)get_number(r);
    get_text(r, queue, sizeof(queue));
    get_text(r, handler, sizeof(handler));
    get_text(r, key, sizeof(key));
    get_text(r, limits, sizeof(limits));
    r->is_bad = r->is_bad || (unsigned)lane >= LANE_COUNT ||
                !lines_hear_line(&h->s->w.lines,
                                 &(struct backend_line){number, lane, queue, handler, key, limits});
}

static void count(uint64_t live[TASK_STATE_COUNT], int64_t of, uint64_t n)
{
    if (of >= 0 && !task_state_is_final((enum task_state)of))
        live[of] += n;
}

static void hear_move(struct hearing *h, struct reading *r)
{
    struct lines *l = &h->s->w.lines;
    struct line *line = lines_find(l, get_int(r));
    int64_t from = get_int(r) - MOVE_BASE, to = get_int(r) - MOVE_BASE;
    uint64_t n = get_number(r);
    if (!line || from >= TASK_STATE_COUNT || to >= TASK_STATE_COUNT) {
        r->is_bad = true;
        return;
    }
    uint64_t *live = h->s->w.now.stats.live[lines_lane(line)];
    h->s->ops->forget(h->s->backend, line->number, 0);
    count(live, from, -n);
    count(live, to, n);
    lines_hear_move(l, line, (int)from, (int)to, n);
}

static void hear_drop(struct hearing *h, struct reading *r)
{
    struct line *line = lines_find(&h->s->w.lines, get_int(r));
    if (line)
        lines_hear_drop(&h->s->w.lines, line);
}

static void hear_limit_key(struct hearing *h, struct reading *r)
{
    char name[TASK_LIMIT_NAME_MAX + 1], key[TASK_LIMIT_KEY_MAX + 1];
    struct limit_set *l = &h->s->w.limits;
    struct backend_limit_key row = {.name = name, .key = key};
    get_text(r, name, sizeof(name));
    get_text(r, key, sizeof(key));
    row.tokens = get_double(r);
    row.tokens_up_ms = get_int(r);
    row.closed_until_up_ms = get_int(r);
    struct limit_key *k = r->is_bad ? NULL : limit_set_hear(l, &row);
    if (!k)
        return;
    limit_verbs_follow(h->s, k);
    if (!limit_set_is_needed(k))
        limit_set_let_go(l, k);
}

static struct task_spec *read_spec(struct reading *r, struct task_id id, struct task_id batch)
{
    char handler[TASK_HANDLER_MAX + 1];
    enum lane lane = (enum lane)get_number(r);
    get_text(r, handler, sizeof(handler));
    return task_spec_new(
        &(struct task_spec){.id = id, .batch = batch, .lane = lane, .handler = handler});
}

static void hear_change(struct hearing *h, struct reading *r)
{
    char code[256];
    struct store_change c = {.id.hi = get_number(r)};
    c.id.lo = get_number(r);
    c.state = (enum task_state)get_number(r);
    c.stopped_attempt = (uint32_t)get_number(r);
    uint64_t flags = get_number(r);
    c.is_new = flags & CHANGE_NEW;
    c.reported = flags & CHANGE_REPORTED;
    c.progress = get_double(r);
    c.batch.hi = get_number(r);
    c.batch.lo = get_number(r);
    c.spec = read_spec(r, c.id, c.batch);
    get_text(r, code, sizeof(code));
    if (!(flags & CHANGE_SPEC)) {
        task_spec_unref(c.spec);
        c.spec = NULL;
    }
    if (*code)
        c.outcome = task_outcome_error(code, "");
    h->s->ops->forget(h->s->backend, 0, c.id.hi);
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->changes = xrealloc(h->changes, h->cap * sizeof(*h->changes));
    }
    h->changes[h->n++] = c;
}

/* Once; what it means is left to the nodes that know it. */
static void say_unknown(const struct hearing *h, uint64_t kind)
{
    struct writer *w = &h->s->w;
    if (!w->has_heard_unknown)
        log_warn("unknown_news", LOG_INT("kind", (int64_t)kind),
                 LOG_STR("reason", "a node of a newer version tells what this one does not know"));
    w->has_heard_unknown = true;
}

static int hear_one(void *ctx, const void *bytes, size_t len)
{
    static void (*const fns[])(struct hearing *, struct reading *) = {
        [NEWS_NUMBERS] = hear_numbers,     [NEWS_LINE] = hear_line,
        [NEWS_MOVE] = hear_move,           [NEWS_DROP] = hear_drop,
        [NEWS_LIMIT_KEY] = hear_limit_key, [NEWS_CHANGE] = hear_change};
    struct reading r = {bytes, (const unsigned char *)bytes + len, false};
    while (r.p < r.end && !r.is_bad) {
        uint64_t kind = get_number(&r), n = get_number(&r);
        if (n > (uint64_t)(r.end - r.p))
            return FUT_ERR_READ_ONLY;
        struct reading record = {r.p, r.p + n, false};
        if (kind < FUT_COUNT(fns) && fns[kind])
            fns[kind](ctx, &record);
        else
            say_unknown(ctx, kind);
        r.is_bad = r.is_bad || record.is_bad;
        r.p += n;
    }
    return r.is_bad ? FUT_ERR_READ_ONLY : 0;
}

static int follow_flags(struct store *s, uint64_t flags)
{
    struct writer *w = &s->w;
    w->cancel_pending = w->cancel_pending || flags & FLAG_CANCEL;
    w->cascade_pending = w->cascade_pending || flags & FLAG_CASCADE;
    w->has_edges = w->has_edges || flags & FLAG_EDGES;
    if (flags & FLAG_CANCEL)
        s->ops->forget(s->backend, 0, 0);
    if (flags & FLAG_BULK)
        w->bulk_again_mono_us = 0;
    if (flags & FLAG_LEASE)
        w->next_lease_up_ms = 0;
    if (flags & FLAG_SCHEDULES && s->schedules_watch.fn)
        s->schedules_watch.fn(s->schedules_watch.ctx);
    if (!(flags & FLAG_SETTINGS))
        return 0;
    int rc = limit_set_reload(s, limit_verbs_follow);
    return rc == 0 ? queues_reload(s) : rc;
}

/* Who becomes the one that does what one does for all looks whether there is any. */
static void follow_leader(struct writer *w, bool leads)
{
    if (leads && !w->leads) {
        w->cancel_pending = true;
        w->bulk_again_mono_us = 0;
        w->leases_stale = true;
    }
    w->leads = leads;
}

int news_hear(struct store *s)
{
    struct hearing h = {.s = s};
    struct writer *w = &s->w;
    bool leads = true, is_draining = false;
    w->fresh_next = (struct backend_next){INT64_MAX, INT64_MAX, INT64_MAX};
    int rc = s->ops->hear(s->backend, hear_one, &h, &leads, &is_draining);
    if (rc == 0)
        rc = follow_flags(s, h.flags);
    limit_set_committed(&w->limits);
    follow_leader(w, leads);
    if (rc == 0)
        atomic_store_explicit(&w->is_draining, is_draining, memory_order_relaxed);
    if (h.n && s->is_started) {
        for (size_t i = 0; i < s->n_listeners; i++)
            s->listeners[i].fn(s->listeners[i].ctx, h.changes, h.n);
    }
    for (size_t i = 0; i < h.n; i++) {
        task_spec_unref(h.changes[i].spec);
        task_outcome_unref(h.changes[i].outcome);
    }
    free(h.changes);
    return rc;
}
