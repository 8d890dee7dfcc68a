#include "api/http/held.h"

#include "api/http/loop.h"
#include "api/http/request.h"
#include "core/clock.h"

#define HELD_MAX 64     /* each round of the library asks for all of them */
#define HELD_LONG_MS 20 /* the store is slow: suspend it */

size_t http_held_count(const struct http_loop *l)
{
    return atomic_load_explicit(&l->held, memory_order_relaxed);
}

bool http_held_add(struct http_loop *l, struct request *r)
{
    if (http_held_count(l) == HELD_MAX)
        return false;
    if (http_held_count(l) == 0)
        l->held_mono_ms = clock_mono_ms();
    (void)atomic_fetch_add_explicit(&l->held, 1, memory_order_relaxed);
    r->is_held = true;
    r->held_mono_ms = l->held_mono_ms;
    return true;
}

static void hold_no_more(struct http_loop *l, struct request *r)
{
    r->is_held = false;
    (void)atomic_fetch_sub_explicit(&l->held, 1, memory_order_relaxed);
}

bool http_held_too_long(struct http_loop *l, struct request *r)
{
    if (l->held_mono_ms - r->held_mono_ms < HELD_LONG_MS)
        return false;
    hold_no_more(l, r);
    return true;
}

static void end_request(struct http_loop *l, struct request *r)
{
    (void)atomic_fetch_sub_explicit(&l->open, 1, memory_order_relaxed);
    request_clear(r);
    http_loop_give_spare(l, r);
}

void http_held_end(struct http_loop *l, struct request *r)
{
    if (r->is_held)
        r->is_gone = true;
    else
        end_request(l, r);
}

void http_held_let_go(struct http_loop *l, struct request *r)
{
    hold_no_more(l, r);
    if (r->is_gone)
        end_request(l, r);
}
