#include "workers/exec/exec_holds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_LAST_MS 60000
#define TRY_MS 1000 /* a failed start would have been told by then */

struct hold {
    struct list_node link;
    char handler[TASK_HANDLER_MAX + 1]; /* "": every program */
    struct pool_broken broken;
    int64_t pause_ms;
    int64_t until_mono_ms; /* held until then; while an attempt tries: it has succeeded by then */
    bool is_trying;
};

/* Of the machine, and so of every program. */
static bool is_shortage(int error)
{
    return error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM ||
           error == ENOBUFS || error == ENOSPC;
}

static struct hold *hold_at(struct list_node *n)
{
    return n ? FUT_CONTAINER(n, struct hold, link) : NULL;
}

static struct hold *find(const struct exec_holds *h, const char *handler)
{
    for (struct list_node *n = list_first(&h->holds); n; n = list_next(&h->holds, n)) {
        if (strcmp(hold_at(n)->handler, handler) == 0)
            return hold_at(n);
    }
    return NULL;
}

/* Nothing may start, or one attempt tries. A hold whose time has passed and that has not been
 * tried yet is not shown: there may be no task to try with. */
static bool is_in_force(const struct hold *x)
{
    return x->is_trying || clock_mono_ms() < x->until_mono_ms;
}

/* mu held. */
static void end(struct exec_holds *h, struct hold *x)
{
    log_info("programs_start_again", LOG_STR("handler", *x->handler ? x->handler : "all"));
    list_remove(&h->holds, &x->link);
    free(x);
}

/* ---- life ---- */

void exec_holds_init(struct exec_holds *h, const struct handlers *handlers)
{
    mutex_init(&h->mu);
    list_init(&h->holds);
    h->handlers = handlers_ref(handlers);
}

static void free_all(struct exec_holds *h)
{
    for (struct list_node *n; (n = list_pop_front(&h->holds)) != NULL;)
        free(hold_at(n));
}

void exec_holds_release(struct exec_holds *h)
{
    free_all(h);
    handlers_unref(h->handlers);
    mutex_destroy(&h->mu);
}

void exec_holds_reload(struct exec_holds *h, const struct handlers *handlers)
{
    mutex_lock(&h->mu);
    const struct handlers *before = h->handlers;
    h->handlers = handlers_ref(handlers);
    free_all(h);
    mutex_unlock(&h->mu);
    handlers_unref(before);
}

/* ---- what happens to starts ---- */

static struct hold *add(struct exec_holds *h, const char *handler)
{
    struct hold *x = xnew(struct hold);
    (void)snprintf(x->handler, sizeof(x->handler), "%s", handler);
    x->broken.since_wall_ms = clock_wall_ms();
    list_push_back(&h->holds, &x->link);
    return x;
}

bool exec_holds_fail(struct exec_holds *h, const char *handler, int error, const char *why)
{
    const char *name = is_shortage(error) ? "" : handler;
    int64_t now_ms = clock_mono_ms();
    mutex_lock(&h->mu);
    struct hold *x = find(h, name);
    bool begins = !x || x->is_trying || x->until_mono_ms <= now_ms;
    if (begins) {
        x = x ? x : add(h, name);
        x->is_trying = false;
        x->pause_ms = backoff_next_ms(x->pause_ms, PAUSE_FIRST_MS, PAUSE_LAST_MS);
        x->until_mono_ms = now_ms + x->pause_ms;
        (void)snprintf(x->broken.words, sizeof(x->broken.words), "%s", why);
        log_warn("programs_held", LOG_STR("handler", *name ? name : "all"), LOG_STR("why", why),
                 LOG_INT("again_ms", x->pause_ms));
    }
    mutex_unlock(&h->mu);
    return begins;
}

void exec_holds_succeed(struct exec_holds *h, const char *handler)
{
    if (list_is_empty(&h->holds))
        return;
    mutex_lock(&h->mu);
    const char *names[] = {handler, ""};
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        struct hold *x = find(h, names[i]);
        if (x && x->is_trying)
            end(h, x);
    }
    mutex_unlock(&h->mu);
}

static bool may_try(const struct hold *x)
{
    return !x || (!x->is_trying && clock_mono_ms() >= x->until_mono_ms);
}

enum exec_hold_answer exec_holds_ask(struct exec_holds *h, const char *handler)
{
    if (list_is_empty(&h->holds))
        return EXEC_HOLD_NONE;
    mutex_lock(&h->mu);
    struct hold *both[] = {find(h, handler), find(h, "")};
    enum exec_hold_answer answer = EXEC_HOLD_NONE;
    for (size_t i = 0; i < FUT_COUNT(both); i++) {
        if (!may_try(both[i]) && answer != EXEC_HOLD_HELD)
            answer = both[i]->is_trying ? EXEC_HOLD_TRYING : EXEC_HOLD_HELD;
    }
    for (size_t i = 0; answer == EXEC_HOLD_NONE && i < FUT_COUNT(both); i++) {
        if (both[i]) {
            both[i]->is_trying = true;
            both[i]->until_mono_ms = clock_mono_ms() + TRY_MS;
        }
    }
    mutex_unlock(&h->mu);
    return answer;
}

static bool is_pausing(const struct hold *x)
{
    return x && !x->is_trying && clock_mono_ms() < x->until_mono_ms;
}

bool exec_holds_all(struct exec_holds *h)
{
    return is_pausing(find(h, ""));
}

const char *exec_holds_name(struct exec_holds *h, size_t i)
{
    for (struct list_node *n = list_first(&h->holds); n; n = list_next(&h->holds, n)) {
        const struct hold *x = hold_at(n);
        if (*x->handler && is_pausing(x) && i-- == 0)
            return x->handler;
    }
    return NULL;
}

bool exec_holds_next(struct exec_holds *h, int64_t *out_mono_ms)
{
    int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
    struct list_node *next;
    if (list_is_empty(&h->holds))
        return false;
    mutex_lock(&h->mu);
    for (struct list_node *n = list_first(&h->holds); n; n = next) {
        struct hold *x = hold_at(n);
        next = list_next(&h->holds, n);
        if (x->is_trying && x->until_mono_ms <= now_ms)
            end(h, x);
        else if (x->until_mono_ms > now_ms && x->until_mono_ms < next_ms)
            next_ms = x->until_mono_ms;
    }
    mutex_unlock(&h->mu);
    if (next_ms == INT64_MAX)
        return false;
    *out_mono_ms = next_ms;
    return true;
}

/* ---- any thread ---- */

uint32_t exec_holds_count(struct exec_holds *h)
{
    uint32_t n = 0;
    mutex_lock(&h->mu);
    for (struct list_node *i = list_first(&h->holds); i; i = list_next(&h->holds, i))
        n += is_in_force(hold_at(i));
    mutex_unlock(&h->mu);
    return n;
}

static bool copy(const struct hold *x, struct pool_broken *out)
{
    if (!x || !is_in_force(x))
        return false;
    *out = x->broken;
    return true;
}

bool exec_holds_find(struct exec_holds *h, const char *handler, struct pool_broken *out)
{
    mutex_lock(&h->mu);
    const struct handler *known = handlers_find(h->handlers, handler);
    bool is_program = known && known->exec && !known->is_worker;
    bool found = is_program && (copy(find(h, handler), out) || copy(find(h, ""), out));
    mutex_unlock(&h->mu);
    return found;
}

bool exec_holds_find_all(struct exec_holds *h, struct pool_broken *out)
{
    mutex_lock(&h->mu);
    bool found = copy(find(h, ""), out);
    mutex_unlock(&h->mu);
    return found;
}
