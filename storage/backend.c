/* backend: what the backends and the engine both ask about tasks and operations. */
#include "storage/backend.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"

bool backend_edge_is_met(enum store_on on, enum task_state end)
{
    return on == STORE_ON_DONE || on == STORE_ON_WAKE ||
           (on == STORE_ON_SUCCESS) == (end == TASK_SUCCEEDED);
}

int64_t backend_edge_kind(const struct backend_edge *e)
{
    return (int64_t)e->on | (e->is_unmet ? BACKEND_EDGE_UNMET : 0) |
           (e->is_wake ? BACKEND_EDGE_WAKE : 0);
}

enum store_on backend_edge_on(int64_t kind)
{
    return (enum store_on)(kind & ~(int64_t)(BACKEND_EDGE_UNMET | BACKEND_EDGE_WAKE));
}

bool backend_has_timers(const struct task_spec *spec)
{
    return spec->times.expires_in_ms || spec->times.deadline_ms || spec->times.run_at_wall_ms;
}

/* What is stored: never renumber. */
#define FLAG_PROMISE 1
#define FLAG_REFS 2
#define FLAG_SESSION 4
#define FLAG_ONCE 8

int64_t backend_flags(const struct task_spec *spec)
{
    return (spec->is_promise ? FLAG_PROMISE : 0) | (spec->has_refs ? FLAG_REFS : 0) |
           (spec->in_session ? FLAG_SESSION : 0) | (spec->once ? FLAG_ONCE : 0);
}

void backend_set_flags(struct task_spec *spec, int64_t flags)
{
    spec->is_promise = flags & FLAG_PROMISE;
    spec->has_refs = flags & FLAG_REFS;
    spec->in_session = flags & FLAG_SESSION;
    spec->once = flags & FLAG_ONCE;
}

void backend_page_begin(struct store_page *p)
{
    FUT_ASSERT(p->limit >= 1 && p->limit <= STORE_LIST_MAX);
    p->n = p->bytes = 0;
    p->is_full = false;
}

void store_page_release(struct store_page *p)
{
    while (p->n)
        task_release(&p->tasks[--p->n]);
}

void backend_page_add(struct store_page *p)
{
    const struct task_outcome *o = p->tasks[p->n++].outcome;
    p->bytes += o ? o->body_len : 0;
    p->is_full = p->n == p->limit || (p->max_bytes && p->bytes >= p->max_bytes);
}

void backend_set_up_offset(atomic_llong *offset_ms, struct backend_time now)
{
    long long is = now.wall_ms - now.up_ms;
    long long was = atomic_load_explicit(offset_ms, memory_order_relaxed);
    if (is > was || is < was - 1)
        atomic_store_explicit(offset_ms, is, memory_order_relaxed);
}

void backend_get_begin(struct store_get *o)
{
    o->task = (struct task){0};
    o->reported = (struct store_reported){.progress = -1};
}

int backend_get_several(int (*get)(struct backend_reader *r, struct store_get *o),
                        struct backend_reader *r, struct store_get_several *o)
{
    for (size_t i = 0; i < o->n_ids && !o->page.is_full; i++) {
        struct store_get one = {.id = o->ids[i]};
        backend_get_begin(&one);
        int rc = get(r, &one);
        if (rc != 0 && rc != FUT_ERR_NOT_FOUND) {
            task_release(&one.task); /* what was read before it failed */
            store_reported_release(&one.reported);
            return rc;
        }
        o->page.tasks[i] = one.task;
        o->reported[i] = one.reported;
        backend_page_add(&o->page);
    }
    return 0;
}

bool backend_has_options(const struct task_spec *spec)
{
    return spec->queue || spec->fair_key || spec->priority || spec->limits || spec->unique ||
           !retry_is_unsaid(&spec->retry) || spec->schedule || spec->times.delay_ms ||
           backend_has_timers(spec) || backend_flags(spec) || spec->name || spec->parent.hi;
}

bool backend_ends_add(struct backend_ends *ends, const struct task *t)
{
    int64_t batch = (int64_t)t->spec->batch.hi;
    size_t i = 0;
    while (i < ends->n && ends->items[i].batch != batch)
        i++;
    if (i == BACKEND_ENDS_MAX)
        return false;
    struct backend_end *e = &ends->items[i];
    if (i == ends->n) {
        *e = (struct backend_end){.batch = batch};
        ends->n++;
    }
    e->n++;
    e->failed += t->state == TASK_FAILED;
    e->cancelled += t->state == TASK_CANCELLED;
    e->keeps_default = e->keeps_default || !t->keep_ms;
    e->keep_ms = t->keep_ms > e->keep_ms ? t->keep_ms : e->keep_ms;
    return true;
}

void backend_keep_oldest(struct backend_prune *p, int64_t up_ms)
{
    if (p->oldest_up_ms < 0 || up_ms < p->oldest_up_ms)
        p->oldest_up_ms = up_ms > 0 ? up_ms : 0;
}

/* A due time that is another one is a retry's. */
bool backend_waits_for_wall(const struct task *t)
{
    return t->state == TASK_SCHEDULED && t->due_wall_ms &&
           t->due_wall_ms == t->spec->times.run_at_wall_ms && !task_has_begun(t);
}

#define VERSION_BITS 0xF000
#define VERSION_KEY 0x7000   /* of a UUID of version 7, whose upper half a key is */
#define VERSION_MOVED 0x8000 /* a place that a priority has moved */
#define MS_SHIFT 16          /* from milliseconds to a key */

int64_t backend_place(uint64_t key, int priority, int64_t step_ms)
{
    if (!priority)
        return (int64_t)key;
    int64_t place = ((int64_t)key & ~(int64_t)VERSION_BITS) | VERSION_MOVED;
    return place - priority * step_ms * (1 << MS_SHIFT);
}

int64_t backend_place_ahead(int64_t place, int64_t ms)
{
    return ((place & ~(int64_t)VERSION_BITS) | VERSION_MOVED) - ms * (1 << MS_SHIFT);
}

int64_t backend_place_distance(int64_t ahead, int64_t place)
{
    return (place >> MS_SHIFT) - (ahead >> MS_SHIFT);
}

int backend_place_priority(int64_t place)
{
    const int64_t step = BACKEND_STRICT_MS * (1 << MS_SHIFT);
    int64_t moved = clock_wall_ms() * (1 << MS_SHIFT) - place;
    if (backend_place_is_key(place))
        return 0;
    return (int)((moved + (moved < 0 ? -step : step) / 2) / step);
}

int64_t backend_place_wall_ms(int64_t place, int priority, int64_t step_ms)
{
    return (place >> MS_SHIFT) + priority * step_ms;
}

int64_t backend_place_below(int64_t place)
{
    int64_t middle = clock_wall_ms() + BACKEND_STRICT_MS / 2;
    return (middle - backend_place_priority(place) * BACKEND_STRICT_MS) * (1 << MS_SHIFT);
}

bool backend_place_is_key(int64_t place)
{
    return (place & VERSION_BITS) != VERSION_MOVED;
}

uint64_t backend_next_key(void)
{
    return id_new().hi;
}

bool backend_is_claimable(enum task_state s)
{
    struct task_move move;
    return task_move_of(s, EVENT_START, &move) == 0;
}

struct store_attempt backend_keep_attempt(const struct store_attempt *a)
{
    struct store_attempt kept = *a;
    if (!a->outcome)
        return kept;
    struct task_outcome o = *a->outcome;
    size_t extra = o.log_len > STORE_ATTEMPT_LOG_MAX ? o.log_len - STORE_ATTEMPT_LOG_MAX : 0;
    o.log += extra;
    o.log_len -= extra;
    o.type = NULL; /* an error's data is kept with the end alone */
    o.body = NULL;
    o.body_len = 0;
    kept.outcome = task_outcome_new(&o);
    return kept;
}

void store_attempts_free(struct store_attempt *attempts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_outcome_unref(attempts[i].outcome);
    free(attempts);
}

void store_reported_release(struct store_reported *reported)
{
    free(reported->message);
    free(reported->wakes);
    *reported = (struct store_reported){.progress = -1};
}

bool backend_add_wake(struct store_reported *reported, struct task_id id)
{
    if (reported->n_wakes == STORE_WAKES_SHOWN)
        return false;
    if (!reported->wakes)
        reported->wakes = xcalloc(STORE_WAKES_SHOWN, sizeof(*reported->wakes));
    reported->wakes[reported->n_wakes++] = id;
    return true;
}

void backend_copy_log(struct store_log *o, const void *kept, size_t kept_len)
{
    o->begin = o->reported.log_end - kept_len;
    size_t skip = o->from > o->begin ? (size_t)(o->from - o->begin) : 0;
    if (skip >= kept_len) {
        o->begin = o->reported.log_end;
        return;
    }
    o->begin += skip;
    o->log_len = kept_len - skip;
    o->log = xmalloc(o->log_len);
    memcpy(o->log, (const char *)kept + skip, o->log_len);
}

unsigned store_bulk_states(enum store_bulk_kind kind)
{
    static const enum task_event events[STORE_BULK_KINDS] = {
        [STORE_BULK_CANCEL] = EVENT_CANCEL, [STORE_BULK_RETRY] = EVENT_REVIVE};
    unsigned states = 0;
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        enum task_state s = (enum task_state)i;
        bool is_one = kind == STORE_BULK_DELETE ? task_state_is_final(s)
                                                : task_event_is_legal(s, events[kind]);
        states |= is_one ? 1u << i : 0;
    }
    return states;
}

bool backend_bulk_wants(const struct store_bulk *bulk, const struct task *t)
{
    return (bulk->filter.handler[0] || !t->spec->after.hi) && task_filter_wants(&bulk->filter, t);
}

static void copy_cut(char *to, size_t size, const char *from)
{
    size_t n = from ? strnlen(from, size - 1) : 0;
    memcpy(to, from ? from : "", n);
    to[n] = '\0';
}

static struct store_failure *find_failure(struct store_failures *o, const char *handler,
                                          const char *code)
{
    for (size_t i = 0; i < o->n; i++) {
        struct store_failure *g = &o->groups[i];
        if (strcmp(g->handler, handler) == 0 && strncmp(g->code, code, TASK_FILTER_CODE_MAX) == 0)
            return g;
    }
    return NULL;
}

void backend_add_failure(struct store_failures *o, const struct task *t)
{
    o->seen++;
    if (t->state != TASK_FAILED || !t->outcome || !task_filter_wants(&o->filter, t))
        return;
    const char *code = t->outcome->code ? t->outcome->code : "";
    struct store_failure *g = find_failure(o, t->spec->handler, code);
    if (!g && o->n == STORE_FAILURES_MAX) {
        o->is_all = false;
        return;
    }
    if (!g) {
        if (!o->groups)
            o->groups = xcalloc(STORE_FAILURES_MAX, sizeof(*o->groups));
        g = &o->groups[o->n++];
        copy_cut(g->handler, sizeof(g->handler), t->spec->handler);
        copy_cut(g->code, sizeof(g->code), code);
        g->first_wall_ms = t->finished_wall_ms;
    }
    g->n++;
    if (t->finished_wall_ms < g->first_wall_ms)
        g->first_wall_ms = t->finished_wall_ms;
    if (t->finished_wall_ms <= g->last_wall_ms)
        return;
    g->last_wall_ms = t->finished_wall_ms;
    g->example = t->spec->id;
    copy_cut(g->message, sizeof(g->message), t->outcome->message);
}

void store_schedule_release(struct store_schedule *s)
{
    free(s->text);
    s->text = NULL;
}

int64_t backend_schedule_wake(const struct store_schedule *s)
{
    if (s->is_paused)
        return STORE_SCHEDULE_NEVER;
    return s->is_ready ? 0 : s->due_ms;
}
