/* audit: what this daemon runs by the word of the store must have an attempt here. The numbers are
 * compared now and then, which costs nothing; only when the store has had more for some time (with
 * other nodes it always has) are the tasks read that run here. One that had no attempt at two such
 * readings, and has none when the claims that were committed by then have arrived (a database may
 * answer a commit late, and show it to readers before), is logged, and its attempt counts as lost,
 * as nobody would ever end it: that is a defect of ours, but no reason to let a task hang. Nobody
 * knows whether its code has run: the attempt is charged, and a task that may run once does not run
 * again. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define EVERY_MS 5000
#define SAMPLES 3      /* in a row in which the store has more, before its tasks are read */
#define PAGE 100       /* tasks read at once */
#define UNKNOWN_MAX 64 /* found at one reading */

struct unknown {
    struct task_id id;
    uint32_t attempt;
};

struct audit {
    struct scheduler *s;
    struct loop_timer timer;
    int64_t every_ms;
    int samples;
    struct store_list list;
    struct task tasks[PAGE];
    struct mailbox_call item;
    bool is_reading;
    struct unknown before[UNKNOWN_MAX], now[UNKNOWN_MAX]; /* at the last reading, and at this */
    size_t n_before, n_now;
    struct task suspects[UNKNOWN_MAX]; /* at both */
    size_t n_suspects;
    struct store_op pass;
};

static uint64_t running_in_store(const struct scheduler *s)
{
    struct store_stats st;
    uint64_t n = 0;
    store_stats(s->cfg.store, &st);
    for_each_lane (l)
        n += st.live[l][TASK_RUNNING];
    return n;
}

static uint64_t claimed_here(const struct scheduler *s)
{
    uint64_t n = 0;
    for_each_lane (l)
        n += atomic_load_explicit(&s->lanes[l].claimed, memory_order_relaxed);
    return n;
}

/* One that is SAVING is with the store, but for its id and number. */
static bool is_here(const struct scheduler *s, const struct task *t)
{
    for (int state = 0; state < ATTEMPT_STATE_COUNT; state++) {
        const struct list *in = &s->lanes[t->spec->lane].in[state];
        for (struct list_node *n = list_first(in); n; n = list_next(in, n)) {
            const struct attempt *a = FUT_CONTAINER(n, struct attempt, link);
            if (id_equal(a->id, t->spec->id) && a->number == t->attempt)
                return true;
        }
    }
    return false;
}

/* ---- ending ---- */

/* The store's writer thread. */
static void applied(struct store_op *op)
{
    struct store_apply *o = FUT_CONTAINER(op, struct store_apply, op);
    task_outcome_unref(o->change.outcome);
    task_release(&o->task);
    free(o);
}

static void lose(struct scheduler *s, const struct task *t)
{
    char id[ID_TEXT_SIZE];
    id_format(t->spec->id, id);
    log_error("task_without_attempt", LOG_STR("task", id), LOG_STR("handler", t->spec->handler),
              LOG_INT("attempt", t->attempt));
    struct task_outcome *died = task_outcome_error(end_code_text(END_DAEMON_DIED),
                                                   "the daemon has lost sight of this attempt");
    struct store_apply *o = xnew(struct store_apply);
    task_copy(&o->task, t);
    if (task_apply(t, end_code_event(END_DAEMON_DIED), &(struct task_in){.outcome = died},
                   &o->change) != 0)
        FUT_BUG("a running task cannot be lost");
    if (store_post(s->cfg.store, &store_verb_apply, &o->op, applied) != 0)
        applied(&o->op);
}

static bool was_unknown_before(const struct audit *u, const struct task *t)
{
    for (size_t i = 0; i < u->n_before; i++) {
        if (id_equal(u->before[i].id, t->spec->id) && u->before[i].attempt == t->attempt)
            return true;
    }
    return false;
}

static void judge(struct audit *u, const struct task *t)
{
    if (is_here(u->s, t))
        return;
    if (was_unknown_before(u, t) && u->n_suspects < UNKNOWN_MAX)
        task_copy(&u->suspects[u->n_suspects++], t);
    else if (u->n_now < UNKNOWN_MAX)
        u->now[u->n_now++] = (struct unknown){t->spec->id, t->attempt};
}

/* ---- reading ---- */

static void read_page(struct audit *u);

static void forget_suspects(struct audit *u)
{
    while (u->n_suspects)
        task_release(&u->suspects[--u->n_suspects]);
}

static void end_reading(struct audit *u)
{
    forget_suspects(u);
    u->is_reading = false;
    memcpy(u->before, u->now, u->n_now * sizeof(u->now[0]));
    u->n_before = u->n_now;
}

/* Whatever had been claimed at the reading is here. */
static void on_passed(struct mailbox_call *item)
{
    struct audit *u = FUT_CONTAINER(item, struct audit, item);
    for (size_t i = 0; i < u->n_suspects; i++) {
        if (!is_here(u->s, &u->suspects[i]))
            lose(u->s, &u->suspects[i]);
    }
    end_reading(u);
}

/* The store's writer thread. */
static void pass_done(struct store_op *op)
{
    struct audit *u = FUT_CONTAINER(op, struct audit, pass);
    u->item.fn = on_passed;
    mailbox_push(&u->s->inbox, &u->item.link);
}

static void finish_reading(struct audit *u)
{
    if (!u->n_suspects || store_post(u->s->cfg.store, &store_verb_pass, &u->pass, pass_done) != 0)
        end_reading(u);
}

static void on_page(struct mailbox_call *item)
{
    struct audit *u = FUT_CONTAINER(item, struct audit, item);
    for (size_t i = 0; i < u->list.n; i++) {
        judge(u, &u->tasks[i]);
        task_release(&u->tasks[i]);
    }
    u->list.n = 0;
    if (u->list.op.rc == 0 && u->list.next)
        read_page(u);
    else
        finish_reading(u);
}

/* A reader thread of the store. */
static void page_done(struct store_op *op)
{
    struct audit *u = FUT_CONTAINER(op, struct audit, list.op);
    u->item.fn = on_page;
    mailbox_push(&u->s->inbox, &u->item.link);
}

static void read_page(struct audit *u)
{
    uint64_t before = u->list.next;
    u->list =
        (struct store_list){.filter = {.states = 1u << TASK_RUNNING, .lane = -1, .runs_here = true},
                            .before = before,
                            .limit = PAGE,
                            .tasks = u->tasks};
    if (store_post(u->s->cfg.store, &store_verb_list, &u->list.op, page_done) != 0)
        finish_reading(u);
}

static void on_time(struct loop_timer *t)
{
    struct audit *u = FUT_CONTAINER(t, struct audit, timer);
    loop_timer_set(u->s->loop, t, clock_mono_ms() + u->every_ms);
    if (u->is_reading)
        return;
    if (running_in_store(u->s) <= claimed_here(u->s)) {
        u->samples = 0;
        u->n_before = 0;
        return;
    }
    if (++u->samples < SAMPLES)
        return;
    u->is_reading = true;
    u->n_now = 0;
    u->list.next = 0;
    read_page(u);
}

/* ---- life ---- */

void audit_init(struct scheduler *s)
{
    struct audit *u = xnew(struct audit);
    u->s = s;
    u->every_ms = s->cfg.audit_ms ? s->cfg.audit_ms : EVERY_MS;
    u->timer.fn = on_time;
    loop_timer_set(s->loop, &u->timer, clock_mono_ms() + u->every_ms);
    s->audit = u;
}

void audit_free(struct scheduler *s)
{
    loop_timer_clear(s->loop, &s->audit->timer);
    for (size_t i = 0; s->audit->is_reading && i < s->audit->list.n; i++)
        task_release(&s->audit->tasks[i]);
    forget_suspects(s->audit);
    free(s->audit);
}
