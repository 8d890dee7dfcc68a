/* exclusions: handlers whose tasks stay in their lines for now, because they could not begin: of a
 * program that has no process for another task, of a program that does not start, of callbacks
 * while their slots are taken. Whose turn it is among the others, the store knows. */
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define CALLBACKS_BIT ((uint64_t)1 << 63) /* of the excluded programs */

static const struct worker_program *program_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_program, link);
}

static void add(struct exclusions *out, const char *handler)
{
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 8;
        out->names = xrealloc(out->names, out->cap * sizeof(*out->names));
    }
    (void)snprintf(out->names[out->n++], sizeof(*out->names), "%s", handler);
}

/* The names do not move any more. */
static void finish(struct exclusions *out)
{
    if (!out->n)
        return;
    out->handlers = xcalloc(out->n, sizeof(*out->handlers));
    for (size_t i = 0; i < out->n; i++)
        out->handlers[i] = out->names[i];
}

void exclusions_release(struct exclusions *e)
{
    free(e->handlers);
    free(e->names);
    *e = (struct exclusions){0};
}

static void leave_out_busy(struct scheduler *s, enum lane lane, struct exclusions *out)
{
    const struct list *programs = worker_set_programs(s->workers);
    size_t index = 0;
    for (struct list_node *i = list_first(programs); i; i = list_next(programs, i), index++) {
        const struct worker_program *p = program_at(i);
        if (!p->handler || p->is_leaving ||
            worker_program_takes_more(p, ready_window(s, p->handler->info.lane) > 0))
            continue;
        out->excluded |= (uint64_t)1 << (index % 63);
        if (p->handler->info.lane == lane)
            add(out, p->handler->info.name);
    }
}

/* No process can be had for the built-ins: on the cpu lane their tasks stay where they are. */
static bool is_stopped(const struct scheduler *s, enum lane lane, const struct handler *h)
{
    const struct worker_program *builtins = program_at(list_front(worker_set_programs(s->workers)));
    return lane == LANE_CPU && h->fn && builtins->broken_wall_ms;
}

static void leave_out_by_kind(struct scheduler *s, enum lane lane, struct exclusions *out)
{
    const struct catalog *c = handlers_catalog(s->handlers);
    bool callbacks_full = s->lanes[lane].callbacks_full, all_deferred = exec_holds_all(&s->holds);
    const struct worker_program *builtins = program_at(list_front(worker_set_programs(s->workers)));
    if (builtins->broken_wall_ms)
        out->excluded |= 1;
    if (callbacks_full)
        out->excluded |= CALLBACKS_BIT;
    if (!callbacks_full && !all_deferred && !builtins->broken_wall_ms)
        return;
    for (size_t i = 0; i < c->n; i++) {
        const struct handler *h = handlers_find(s->handlers, c->items[i].name);
        bool is_deferred = all_deferred && h->exec && !h->is_worker;
        if (is_deferred || (callbacks_full && h->needs_parent) || is_stopped(s, lane, h))
            add(out, h->info.name);
    }
}

void exclusions_make(struct scheduler *s, enum lane lane, struct exclusions *out)
{
    const char *name;
    leave_out_busy(s, lane, out);
    leave_out_by_kind(s, lane, out);
    for (size_t i = 0; (name = exec_holds_name(&s->holds, i)); i++)
        add(out, name);
    finish(out);
}

void exclusions_callbacks_only(const struct scheduler *s, struct exclusions *out)
{
    const struct catalog *c = handlers_catalog(s->handlers);
    out->is_only = true;
    for (size_t i = 0; i < c->n; i++) {
        if (handlers_find(s->handlers, c->items[i].name)->needs_parent)
            add(out, c->items[i].name);
    }
    finish(out);
}
