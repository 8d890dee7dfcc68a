#include "api/resources/waiting_for.h"

#include <stdio.h>
#include <string.h>

#include "api/text/json_out.h"
#include "api/text/problem.h"
#include "core/mem.h"
#include "storage/node.h"
#include "storage/queue.h"

struct reason {
    const char *code, *message;
    bool (*holds)(const struct task *t, const struct waiting_scene *s);
    void (*write)(struct buf *out, const struct task *t, const struct waiting_scene *s);
};

void waiting_for_look(struct waiting_scene *out, struct store *store, const struct pool_view *view,
                      const struct node_view *nodes, bool is_draining)
{
    *out = (struct waiting_scene){.view = view,
                                  .nodes = nodes,
                                  .store = store,
                                  .has_pools = view->read != NULL,
                                  .is_draining = is_draining};
    store_stats(store, &out->stats);
    if (view->read)
        view->read(view->ctx, &out->pools);
}

/* ---- what holds ------------------------------------------------------------------------------ */

static const struct pool_lane *lane_of(const struct task *t, const struct waiting_scene *s)
{
    return &s->pools.lanes[t->spec->lane];
}

static bool waits_for_task(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->state == TASK_SCHEDULED && t->spec->after.hi;
}

static bool waits_for_parents(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->state == TASK_SCHEDULED && t->unmet;
}

static void write_parents(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    json_out_uint(out, "parents", t->unmet);
}

static bool waits_for_completion(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->spec->is_promise;
}

static bool is_suspended(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->state == TASK_SCHEDULED && t->is_suspended;
}

static bool waits_to_begin(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->state == TASK_SCHEDULED && !task_has_begun(t) &&
           (t->spec->times.delay_ms || t->spec->times.run_at_wall_ms);
}

static bool waits_for_time(const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    return t->state == TASK_SCHEDULED;
}

static bool is_draining(const struct task *t, const struct waiting_scene *s)
{
    (void)t;
    return s->is_draining;
}

/* A daemon alone fails a task whose handler it does not have. */
static enum node_fit fit_of(const struct task *t, const struct waiting_scene *s)
{
    if ((store_is_shared(s->store) || task_needs_any(t->spec->limits)) && s->nodes->fit)
        return s->nodes->fit(s->nodes->ctx, t->spec);
    return store_is_draining(s->store) ? NODE_FIT_DRAINING : NODE_FIT_HERE;
}

static bool has_no_handler(const struct task *t, const struct waiting_scene *s)
{
    return fit_of(t, s) == NODE_FIT_NO_HANDLER;
}

static bool has_no_labels(const struct task *t, const struct waiting_scene *s)
{
    return fit_of(t, s) == NODE_FIT_NO_LABELS;
}

static bool is_drained(const struct task *t, const struct waiting_scene *s)
{
    return fit_of(t, s) == NODE_FIT_DRAINING;
}

static bool is_elsewhere(const struct task *t, const struct waiting_scene *s)
{
    return fit_of(t, s) == NODE_FIT_ELSEWHERE;
}

static void write_handler(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    json_out_str(out, "handler", t->spec->handler);
}

static void write_labels(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    struct task_needs needs, missing = {.n = 0};
    task_needs_read(t->spec->limits, &needs);
    for (size_t i = 0; i < needs.n; i++) {
        if (!s->nodes->has_label(s->nodes->ctx, needs.items[i]))
            FUT_MUST(task_needs_add(&missing, needs.items[i]) == 0);
    }
    json_out_labels(out, "missing", &missing);
}

static bool has_no_pool(const struct task *t, const struct waiting_scene *s)
{
    return (!s->has_pools || lane_of(t, s)->capacity == 0) && !is_elsewhere(t, s);
}

static bool is_paused(const struct task *t, const struct waiting_scene *s)
{
    return lane_of(t, s)->pause.since_wall_ms != 0 && !is_elsewhere(t, s);
}

static bool look_limit(const struct task *t, const struct waiting_scene *s,
                       struct store_limit_closed *out)
{
    return t->spec->limits && store_limit_closed(s->store, t->spec->limits, out);
}

static bool is_limited(const struct task *t, const struct waiting_scene *s)
{
    struct store_limit_closed c;
    return look_limit(t, s, &c);
}

static const char *queue_of(const struct task *t)
{
    return t->spec->queue ? t->spec->queue : TASK_QUEUE_DEFAULT;
}

static bool has_paused_queue(const struct task *t, const struct waiting_scene *s)
{
    struct pool_pause p;
    return store_paused(s->store, STORE_PAUSE_QUEUE, queue_of(t), &p);
}

static bool has_paused_handler(const struct task *t, const struct waiting_scene *s)
{
    struct pool_pause p;
    return store_paused(s->store, STORE_PAUSE_HANDLER, t->spec->handler, &p);
}

static bool has_closed_queue(const struct task *t, const struct waiting_scene *s)
{
    struct store_limit_closed c;
    return store_queue_closed(s->store, queue_of(t), &c);
}

static bool look_broken(const struct task *t, const struct waiting_scene *s,
                        struct pool_broken *out)
{
    return s->pools.programs_broken && s->view->broken(s->view->ctx, t->spec->handler, out);
}

static bool has_broken_program(const struct task *t, const struct waiting_scene *s)
{
    struct pool_broken b;
    return look_broken(t, s, &b) && !b.of_builtins;
}

/* Worker processes are made anew when they die; that none lives means that making one fails. */
static bool is_broken(const struct task *t, const struct waiting_scene *s)
{
    struct pool_broken b;
    if (t->spec->lane != LANE_CPU)
        return false;
    return (look_broken(t, s, &b) && b.of_builtins) ||
           (s->pools.workers_alive == 0 && s->pools.workers_died > 0);
}

/* Attempts that have a slot which is not lent to others. */
static uint32_t busy_in(const struct pool_lane *lane)
{
    return lane->busy > lane->lent ? lane->busy - lane->lent : 0;
}

/* The end of an attempt that the store refuses keeps its slot. */
static bool waits_for_unsaved(const struct task *t, const struct waiting_scene *s)
{
    const struct pool_lane *lane = lane_of(t, s);
    return lane->unsaved && busy_in(lane) + lane->unsaved >= lane->capacity;
}

static bool has_no_slot(const struct task *t, const struct waiting_scene *s)
{
    return busy_in(lane_of(t, s)) >= lane_of(t, s)->capacity;
}

/* An attempt is counted in the store before it runs. */
static bool is_refused_by_store(const struct task *t, const struct waiting_scene *s)
{
    (void)t;
    return s->stats.health != 0;
}

static bool always(const struct task *t, const struct waiting_scene *s)
{
    (void)t;
    (void)s;
    return true;
}

/* ---- what is said beside it ------------------------------------------------------------------ */

void waiting_for_write_pause(struct buf *out, const struct pool_pause *p)
{
    json_out_time(out, "paused_at", p->since_wall_ms);
    json_out_str(out, "paused_by", p->by);
    if (*p->reason)
        json_out_str(out, "reason", p->reason);
}

void waiting_for_write_unsaved(struct buf *out, const struct pool_lane *p)
{
    struct problem why;
    json_out_uint(out, "unsaved", p->unsaved);
    if (p->unsaved == 0)
        return;
    problem_from_err(&why, p->unsaved_rc);
    json_out_str(out, "unsaved_error", problem_name(why.code));
}

static void write_after(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    char id[ID_TEXT_SIZE];
    (void)s;
    id_format(t->spec->after, id);
    json_out_str(out, "id", id);
}

static void write_until(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    (void)s;
    json_out_time(out, "until", t->due_wall_ms);
}

/* Until its time, or until the futures have ended that it named: how many, and some of them. */
static void write_suspension(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    char id[ID_TEXT_SIZE];
    if (t->due_wall_ms)
        json_out_time(out, "until", t->due_wall_ms);
    if (!t->unmet)
        return;
    json_out_uint(out, "futures", t->unmet);
    if (!s->reported || !s->reported->n_wakes)
        return;
    json_out_key(out, "ids");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < s->reported->n_wakes; i++) {
        id_format(s->reported->wakes[i], id);
        json_out_comma(out);
        json_out_text(out, id, strlen(id));
    }
    buf_putc(out, ']');
}

static void write_lane(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    json_out_plain(out, "lane", lane_name(t->spec->lane));
    uint32_t place = s->reported ? s->reported->place : 0;
    if (place > STORE_PLACE_MAX)
        json_out_uint(out, "position_over", STORE_PLACE_MAX);
    else if (place)
        json_out_uint(out, "position", place);
    json_out_uint(out, "queued", s->stats.live[t->spec->lane][TASK_QUEUED]);
    json_out_uint(out, "busy", lane_of(t, s)->busy);
    if (lane_of(t, s)->lent)
        json_out_uint(out, "lent", lane_of(t, s)->lent);
    json_out_uint(out, "capacity", lane_of(t, s)->capacity);
}

static void write_closed(struct buf *out, const struct store_limit_closed *c)
{
    if (c->is_full)
        json_out_uint(out, "max_running", c->max_running);
    json_out_bool(out, "closed", c->is_shut);
    if (c->opens_wall_ms)
        json_out_time(out, "opens_at", c->opens_wall_ms);
}

static void write_limit(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    struct store_limit_closed c;
    write_lane(out, t, s);
    if (!look_limit(t, s, &c)) /* it has just opened */
        return;
    json_out_str(out, "limit", c.name);
    if (*c.key)
        json_out_str(out, "key", c.key);
    write_closed(out, &c);
}

static void write_queue_limit(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    struct store_limit_closed c;
    write_lane(out, t, s);
    json_out_str(out, "queue", queue_of(t));
    if (store_queue_closed(s->store, queue_of(t), &c))
        write_closed(out, &c);
}

/* Nothing of a pause that has just ended. */
static void write_paused(struct buf *out, const struct waiting_scene *s, enum store_pausable kind,
                         const char *name)
{
    struct pool_pause p;
    if (store_paused(s->store, kind, name, &p))
        waiting_for_write_pause(out, &p);
}

static void write_queue_pause(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    write_lane(out, t, s);
    json_out_str(out, "queue", queue_of(t));
    write_paused(out, s, STORE_PAUSE_QUEUE, queue_of(t));
}

static void write_handler_pause(struct buf *out, const struct task *t,
                                const struct waiting_scene *s)
{
    write_lane(out, t, s);
    json_out_str(out, "handler", t->spec->handler);
    write_paused(out, s, STORE_PAUSE_HANDLER, t->spec->handler);
}

static void write_pause(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    write_lane(out, t, s);
    waiting_for_write_pause(out, &lane_of(t, s)->pause);
}

static void write_unsaved(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    write_lane(out, t, s);
    waiting_for_write_unsaved(out, lane_of(t, s));
}

static void write_workers(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    write_lane(out, t, s);
    json_out_uint(out, "workers_alive", s->pools.workers_alive);
    json_out_uint(out, "workers_died", s->pools.workers_died);
    if (s->pools.last_exit_code >= 0)
        json_out_int(out, "last_exit_code", s->pools.last_exit_code);
    if (s->pools.last_signal > 0)
        json_out_int(out, "last_signal", s->pools.last_signal);
}

static void write_store(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    struct problem why;
    write_lane(out, t, s);
    problem_from_err(&why, s->stats.health);
    json_out_str(out, "store_error", problem_name(why.code));
}

static void write_program(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    struct pool_broken b;
    write_lane(out, t, s);
    if (!look_broken(t, s, &b)) /* it has just been mended */
        return;
    json_out_time(out, "broken_at", b.since_wall_ms);
    json_out_str(out, "last_words", b.words);
}

static void write_nothing(struct buf *out, const struct task *t, const struct waiting_scene *s)
{
    (void)out;
    (void)t;
    (void)s;
}

/* The first that holds. The codes are part of the HTTP contract: never change one. */
static const struct reason reasons[] = {
    {"suspended",
     "Its latest attempt has suspended it until that time, or until these futures end.",
     is_suspended, write_suspension},
    {"waits_for", "It starts when another task is done.", waits_for_task, write_after},
    {"parents", "It begins when so many other tasks have ended as it asks for.", waits_for_parents,
     write_parents},
    {"completion", "It is a promise, and waits for somebody to complete it.", waits_for_completion,
     write_nothing},
    {"time", "It was submitted to begin at that time.", waits_to_begin, write_until},
    {"retry_backoff", "It is tried again at that time.", waits_for_time, write_until},
    {"draining", "The daemon is shutting down; it runs after the next start.", is_draining,
     write_nothing},
    {"no_node_for_handler", "No node that lives has its handler; it waits for one.", has_no_handler,
     write_handler},
    {"no_node_for_needs", "No node that lives has its handler and all labels that it needs.",
     has_no_labels, write_labels},
    {"node_draining", "The nodes that could start it are drained, until they are told to go on.",
     is_drained, write_lane},
    {"no_pool", "This daemon has no pool for its lane.", has_no_pool, write_nothing},
    {"lane_paused", "Its lane is paused; what runs goes on, nothing else begins.", is_paused,
     write_pause},
    {"queue_paused", "Its queue is paused; what runs goes on, nothing else of it begins.",
     has_paused_queue, write_queue_pause},
    {"handler_paused", "Its handler is paused; what runs goes on, nothing else of it begins.",
     has_paused_handler, write_handler_pause},
    {"queue_limit", "Its queue lets no other task start now, by its max_running or its rate.",
     has_closed_queue, write_queue_limit},
    {"limit", "A limit that it names lets no other task start now.", is_limited, write_limit},
    {"other_node", "This node cannot start it; another one does when it has a free slot.",
     is_elsewhere, write_handler},
    {"program_broken", "The worker program of its handler does not start; it is tried again.",
     has_broken_program, write_program},
    {"workers_broken", "No worker process of its lane is alive.", is_broken, write_workers},
    {"results_unsaved", "Slots of its lane are held by results that the store does not take now.",
     waits_for_unsaved, write_unsaved},
    {"no_free_slot", "All slots of its lane are busy.", has_no_slot, write_lane},
    {"store_refuses", "A slot is free, but the store takes no changes now; it starts when it does.",
     is_refused_by_store, write_store},
    {"starting", "A slot is free; it starts now.", always, write_lane},
};

void waiting_for_write(struct buf *out, const struct task *t, const struct waiting_scene *scene)
{
    size_t i = 0;
    if (t->state == TASK_RUNNING || task_state_is_final(t->state))
        return;
    while (!reasons[i].holds(t, scene))
        i++;
    json_out_key(out, "waiting_for");
    buf_putc(out, '{');
    json_out_plain(out, "code", reasons[i].code);
    json_out_plain(out, "message", reasons[i].message);
    reasons[i].write(out, t, scene);
    buf_putc(out, '}');
}
