#include "api/http/pending.h"

#include "api/http/conn.h"
#include "api/http/loop.h"
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/mem.h"

#define POLLED_MAX 64     /* each round of the library asks for all of them */
#define POLLED_LONG_MS 20 /* the store is slow: suspend it */
#define STAYS_MS 100      /* a client that sends no more is given so long to have its answer */

static void suspend(struct request *r, enum request_state as)
{
    request_move(r, as);
    http_suspend(r);
}

/* ---- for the store --------------------------------------------------------------------------- */

static size_t count_polled(const struct http_loop *l)
{
    return atomic_load_explicit(&l->polled, memory_order_relaxed);
}

/* A stream is asked by its reader, and one whose body is on the way is not asked at all. */
void pending_wait_for_store(struct request *r)
{
    struct http_loop *l = r->loop;
    if (!r->is_complete || r->is_stream || count_polled(l) == POLLED_MAX) {
        suspend(r, REQUEST_SUSPENDED);
        return;
    }
    if (count_polled(l) == 0)
        l->turn_mono_ms = clock_mono_ms();
    request_move(r, REQUEST_POLLED);
    r->polled_mono_ms = l->turn_mono_ms;
}

void pending_poll(struct request *r)
{
    if (r->loop->turn_mono_ms - r->polled_mono_ms >= POLLED_LONG_MS)
        suspend(r, REQUEST_SUSPENDED);
}

void pending_complete(struct request *r)
{
    if (r->state == REQUEST_POLLED)
        request_move(r, REQUEST_ABANDONED);
    else
        request_end(r);
}

/* ---- asleep ---------------------------------------------------------------------------------- */

static void set_timer(struct request *r, int64_t now)
{
    int64_t key = r->wake_mono_ms;
    if (!r->has_stayed && key > now + STAYS_MS)
        key = now + STAYS_MS;
    heap_put(&r->loop->sleepers, &r->timer, key);
}

bool pending_sleep(struct request *r)
{
    if (atomic_load(&r->api->is_released) || !waiter_arm(&r->api->waiters, &r->waiter))
        return false;
    r->has_stayed = false;
    suspend(r, REQUEST_ASLEEP);
    set_timer(r, clock_mono_ms());
    return true;
}

/* Ends a sleep before its waiter does. When the waiter was faster, its wake-up is on the way to the
 * ready list. */
static void wake_early(struct request *r)
{
    heap_remove(&r->loop->sleepers, &r->timer);
    if (waiter_disarm(&r->api->waiters, &r->waiter))
        pending_ready(r);
    else
        request_move(r, REQUEST_WAKING);
}

/* The library does not see a suspended client leave: that is for us to do. Before the sleep has
 * lasted, its timer will see it. */
void pending_hang_up(struct request *r)
{
    if (!r->has_stayed || r->is_hung_up)
        return;
    r->is_hung_up = true;
    if (r->state == REQUEST_ASLEEP)
        wake_early(r);
}

static void on_timer(struct request *r, int64_t now)
{
    r->has_stayed = true;
    if (now >= r->wake_mono_ms)
        wake_early(r);
    else if (r->peer->is_ended && !r->is_hung_up)
        pending_hang_up(r);
    else
        set_timer(r, now);
}

void pending_run_timers(struct http_loop *l)
{
    struct heap_node *n = heap_min(&l->sleepers);
    if (!n)
        return;
    int64_t now = clock_mono_ms();
    for (; n && n->key <= now; n = heap_min(&l->sleepers))
        on_timer(FUT_CONTAINER(n, struct request, timer), now);
}

void pending_release(struct http_loop *l)
{
    struct heap_node *n;
    while ((n = heap_min(&l->sleepers)))
        wake_early(FUT_CONTAINER(n, struct request, timer));
}

/* ---- the end of the wait --------------------------------------------------------------------- */

void pending_ready(struct request *r)
{
    if (r->state == REQUEST_ABANDONED) {
        request_end(r);
        return;
    }
    bool is_suspended = request_state_is_suspended(r->state);
    heap_remove(&r->loop->sleepers, &r->timer);
    request_move(r, REQUEST_RESUMED);
    if (is_suspended)
        http_resume(r);
}
