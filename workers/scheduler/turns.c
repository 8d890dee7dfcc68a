/* turns: whose task a free slot is for, where there are `worker` handlers: a task of the program
 * that has the fewest slots of the lane now and has a task at all; of those with as few, of the
 * program whose latest task was claimed before the others' (with one slot none has any). The
 * built-ins and the `exec` handlers together count as one program. So a long queue of one program
 * does not keep another waiting, and no slot is idle while there is work. A program that could not
 * take the task is left out. */
#include <stdio.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define CALLBACKS_BIT ((uint64_t)1 << 63) /* of the excluded programs */
#define PROGRAMS_MAX 32 /* that are ranked; the rest of TURNS_MAX is for what is not started */

static const struct worker_program *builtins_of(const struct scheduler *s)
{
    return FUT_CONTAINER(list_front(worker_set_programs(s->workers)), struct worker_program, link);
}

bool turns_are_needed(struct scheduler *s)
{
    return s->lanes[LANE_IO].callbacks_full || worker_set_programs(s->workers)->len > 1 ||
           exec_holds_all(&s->holds) || exec_holds_name(&s->holds, 0) ||
           builtins_of(s)->broken_wall_ms;
}

/* What a program has had up to now. */
struct share {
    uint32_t count;  /* tasks that it has */
    uint64_t served; /* number of the latest */
};

static const struct worker_program *program_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_program, link);
}

static void add(struct turns *out, const char *handler, uint8_t rank)
{
    char *name = out->names[out->n];
    (void)snprintf(name, sizeof(out->names[0]), "%s", handler);
    out->ranks[out->n++] = (struct store_rank){.handler = name, .rank = rank};
}

/* Tasks that the lane has for programs without a rank of their own. */
static uint32_t count_others(const struct scheduler *s, enum lane lane, const struct share *shares,
                             size_t n)
{
    const struct lane_slots *slots = &s->lanes[lane];
    uint64_t all = atomic_load_explicit(&slots->busy, memory_order_relaxed) + lane_ready(slots);
    for (size_t i = 0; i < n; i++)
        all -= shares[i].count < all ? shares[i].count : all;
    return (uint32_t)all;
}

static bool goes_before(const struct share *a, const struct share *b)
{
    return a->count != b->count ? a->count < b->count : a->served < b->served;
}

/* How many go before it. */
static uint8_t rank_of(const struct share *share, const struct share *shares, size_t n,
                       const struct share *others)
{
    uint8_t rank = goes_before(others, share);
    for (size_t i = 0; i < n; i++)
        rank = (uint8_t)(rank + goes_before(&shares[i], share));
    return rank;
}

static void drop_if_all_alike(struct turns *out)
{
    for (size_t i = 0; i < out->n; i++) {
        if (out->ranks[i].rank != out->others)
            return;
    }
    out->n = 0;
}

/* What is not started for now stays in the queue. When no program is, that is everything but the
 * built-ins and the workers' handlers, which have ranks. */
static void leave_out_held(struct scheduler *s, struct turns *out)
{
    const char *name;
    if (!exec_holds_all(&s->holds)) {
        for (size_t i = 0; (name = exec_holds_name(&s->holds, i)) && out->n < TURNS_MAX; i++)
            add(out, name, STORE_RANK_NEVER);
        return;
    }
    const struct catalog *c = handlers_catalog(s->handlers);
    for (size_t i = 0; i < c->n && out->n < TURNS_MAX; i++) {
        const struct handler *h = handlers_find(s->handlers, c->items[i].name);
        if (h && !h->exec)
            add(out, h->info.name, out->others);
    }
    out->others = STORE_RANK_NEVER;
}

static void leave_out_callbacks(const struct scheduler *s, enum lane lane, struct turns *out)
{
    const struct catalog *c = handlers_catalog(s->handlers);
    if (!s->lanes[lane].callbacks_full)
        return;
    out->excluded |= CALLBACKS_BIT;
    for (size_t i = 0; i < c->n && out->n < TURNS_MAX; i++) {
        if (handlers_find(s->handlers, c->items[i].name)->needs_parent)
            add(out, c->items[i].name, STORE_RANK_NEVER);
    }
}

void turns_callbacks_only(const struct scheduler *s, struct turns *out)
{
    const struct catalog *c = handlers_catalog(s->handlers);
    out->others = STORE_RANK_NEVER;
    for (size_t i = 0; i < c->n && out->n < TURNS_MAX; i++) {
        if (handlers_find(s->handlers, c->items[i].name)->needs_parent)
            add(out, c->items[i].name, 0);
    }
}

/* No process can be had for the built-ins: on the cpu lane their tasks stay in the queue. */
static void leave_out_builtins(struct scheduler *s, enum lane lane, struct turns *out)
{
    const struct catalog *c = handlers_catalog(s->handlers);
    if (!builtins_of(s)->broken_wall_ms)
        return;
    out->excluded |= 1;
    for (size_t i = 0; lane == LANE_CPU && i < c->n && out->n < TURNS_MAX; i++) {
        if (handlers_find(s->handlers, c->items[i].name)->fn)
            add(out, c->items[i].name, STORE_RANK_NEVER);
    }
}

void turns_make(struct scheduler *s, enum lane lane, struct turns *out)
{
    const struct list *programs = worker_set_programs(s->workers);
    struct share shares[PROGRAMS_MAX];
    size_t n = 0, index = 0;
    for (struct list_node *i = list_first(programs); i; i = list_next(programs, i), index++) {
        const struct worker_program *p = program_at(i);
        if (!p->handler || p->is_leaving || n == PROGRAMS_MAX)
            continue;
        bool is_excluded = !worker_program_takes_more(p);
        if (is_excluded)
            out->excluded |= (uint64_t)1 << (index % 64);
        if (!is_excluded && p->handler->info.lane != lane)
            continue;
        shares[n++] = (struct share){p->handler->info.lane == lane ? p->claimed : 0, p->served};
        add(out, p->handler->info.name, is_excluded ? STORE_RANK_NEVER : 0);
    }
    struct share others = {count_others(s, lane, shares, n), s->lanes[lane].others_served};
    for (size_t i = 0; i < n; i++) {
        if (out->ranks[i].rank != STORE_RANK_NEVER)
            out->ranks[i].rank = rank_of(&shares[i], shares, n, &others);
    }
    out->others = rank_of(&others, shares, n, &others);
    leave_out_callbacks(s, lane, out);
    leave_out_held(s, out);
    leave_out_builtins(s, lane, out);
    drop_if_all_alike(out);
}
