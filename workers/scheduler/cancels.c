/* cancels: what the store says that concerns what runs here. A session has ended, of which workers
 * hear that were prepared for it. Or a running attempt was cancelled; exactly that one must end.
 * The word may come before the claim itself does (listeners run before the operations' ends), so a
 * cancel that finds no attempt is kept for a moment. It names its attempt by number: a later life
 * of the same task is not concerned. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/scheduler/internal.h"

#define KEEP_MS 5000

struct cancel {
    struct mailbox_call item;
    struct map_node by_id;
    struct list_node by_age;
    struct scheduler *s;
    struct task_id id;
    uint32_t attempt;
    int64_t until_mono_ms;
};

static void forget(struct cancel *c)
{
    map_remove(&c->s->cancels, &c->by_id);
    list_remove(&c->s->cancels_by_age, &c->by_age);
    free(c);
}

static void forget_old(struct scheduler *s, int64_t now_ms)
{
    for (struct list_node *n; (n = list_first(&s->cancels_by_age)) != NULL;) {
        struct cancel *c = FUT_CONTAINER(n, struct cancel, by_age);
        if (c->until_mono_ms > now_ms)
            return;
        forget(c);
    }
}

static void on_cancel(struct mailbox_call *item)
{
    struct cancel *c = FUT_CONTAINER(item, struct cancel, item);
    struct scheduler *s = c->s;
    int64_t now_ms = clock_mono_ms();
    struct attempt *a = attempt_find(s, c->id, c->attempt);
    forget_old(s, now_ms);
    if (a) {
        attempt_stop(a, STOP_CANCELLED);
        free(c);
        return;
    }
    c->until_mono_ms = now_ms + KEEP_MS;
    map_put(&s->cancels, &c->by_id, c->id.hi);
    list_push_back(&s->cancels_by_age, &c->by_age);
}

/* ---- sessions ---- */

struct session_end {
    struct mailbox_call item;
    struct scheduler *s;
    struct task_id id;
};

static void on_session_end(struct mailbox_call *item)
{
    struct session_end *e = FUT_CONTAINER(item, struct session_end, item);
    worker_set_close_session(e->s->workers, e->id);
    free(e);
}

static void end_session(struct scheduler *s, struct task_id id)
{
    struct session_end *e = xnew(struct session_end);
    e->s = s;
    e->id = id;
    e->item.fn = on_session_end;
    mailbox_push(&s->inbox, &e->item.link);
}

/* ---- both ---- */

void cancels_listener(void *ctx, const struct store_change *changes, size_t n)
{
    struct scheduler *s = ctx;
    for (size_t i = 0; i < n; i++) {
        const struct store_change *ch = &changes[i];
        if (ch->session_ended)
            end_session(s, ch->id);
        if (!ch->stopped_attempt)
            continue; /* most are no cancels, or of tasks that do not run */
        struct cancel *c = xnew(struct cancel);
        c->s = s;
        c->id = ch->id;
        c->attempt = ch->stopped_attempt;
        c->item.fn = on_cancel;
        mailbox_push(&s->inbox, &c->item.link);
    }
}

bool cancels_take(struct scheduler *s, struct task_id id, uint32_t attempt)
{
    if (list_is_empty(&s->cancels_by_age))
        return false;
    for (struct map_node *n = map_get(&s->cancels, id.hi); n; n = map_next_same(n)) {
        struct cancel *c = FUT_CONTAINER(n, struct cancel, by_id);
        if (id_equal(c->id, id) && c->attempt == attempt) {
            forget(c);
            return true;
        }
    }
    return false;
}

void cancels_free(struct scheduler *s)
{
    forget_old(s, INT64_MAX);
}
