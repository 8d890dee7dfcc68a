#include "api/http/sleep.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/http/request_large.h"
#include "api/http/shared.h"
#include "core/clock.h"
#include "core/mem.h"

#define CIRCLE_NAMED 8 /* tasks of a circle that a problem names */

static void write_circle(char *text, size_t size, const struct attempt_circle *c)
{
    char id[ID_TEXT_SIZE];
    size_t at = 0, named = c->n < CIRCLE_NAMED ? c->n : CIRCLE_NAMED;
    for (size_t i = 0; i < named; i++) {
        id_format(c->ids[i], id);
        at += (size_t)snprintf(text + at, size - at, "%s waits for ", id);
    }
    id_format(c->ids[0], id);
    (void)snprintf(text + at, size - at, "%s%s",
                   c->n > named ? "others, of which the last waits for " : "", id);
}

static void refuse_circle(struct request *r, const struct attempt_circle *c)
{
    struct problem p;
    char text[(CIRCLE_NAMED + 2) * (ID_TEXT_SIZE + 16)];
    write_circle(text, sizeof(text), c);
    problem_set(&p, PROBLEM_DEADLOCK, "This wait would never end: %s.", text);
    request_problem(r, &p);
}

static void refuse_lending(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_NO_SLOT_TO_LEND,
                "So many attempts of this lane wait for other tasks that no further slot is lent; "
                "the wait could keep the tasks from running that it is for.");
    p.limit = POOL_LENT_MAX;
    p.retry_after_s = 1;
    request_problem(r, &p);
}

/* The futures for which the attempt is to wait, to be freed; *out_is_any: the first is enough. */
static struct task_id *pending_ids(struct request *r, size_t *out_n, bool *out_is_any)
{
    size_t n = r->waiter.n_links;
    struct task_id *ids = xmalloc((n ? n : 1) * sizeof(*ids));
    *out_is_any = r->waiter.wish.wants_news || r->waiter.wish.need < n;
    *out_n = waiter_pending(&r->api->waiters, &r->waiter, ids);
    return ids;
}

/* FUT_ERR_CONFLICT, FUT_ERR_FULL: the attempt must not wait. FUT_ERR_NOT_FOUND: there is nothing to
 * lend, or the attempt has ended. */
static int lend_slot(struct request *r, struct attempt_circle *circle)
{
    size_t n;
    bool is_any;
    if (!r->attempt.task.hi || !r->waiter.is_open || request_lends(r))
        return FUT_ERR_NOT_FOUND;
    struct task_id *ids = pending_ids(r, &n, &is_any);
    if (!r->lends)
        r->lends = arena_alloc(&r->arena, sizeof(*r->lends));
    int rc = n ? attempt_token_wait(r->api->cfg.attempts, r->lends, r->attempt.number, ids, n,
                                    is_any, circle)
               : FUT_ERR_NOT_FOUND;
    free(ids);
    return rc;
}

/* What was submitted is stored: it is the answer, only sooner; then next runs. */
static void refuse(struct request *r, int rc, const struct attempt_circle *circle,
                   request_step *next)
{
    r->wait_refused = r->route->flags & ROUTE_SUBMITS;
    if (r->wait_refused)
        next(r);
    else if (rc == FUT_ERR_CONFLICT)
        refuse_circle(r, circle);
    else
        refuse_lending(r);
}

/* ---- what is stored may wait for the attempt --------------------------------------------------
 */

static void drop_search(struct request *r)
{
    free((void *)(uintptr_t)r->large->find_circle.ids);
}

/* False: there is nothing to look at, or the store does not look. */
static bool post_search(struct request *r, request_step *searched, request_step *next)
{
    size_t n;
    bool is_any;
    if (!store_has_waits(r->api->cfg.store))
        return false;
    struct task_id *ids = pending_ids(r, &n, &is_any);
    request_drop_op(r);
    r->after_sleep = next;
    request_large(r)->find_circle = (struct store_find_circle){
        .task = r->attempt.task, .ids = ids, .n = n, .is_any = is_any && n > 1};
    if (n && request_large_try_post(r, &store_verb_find_circle, drop_search, searched) == 0)
        return true;
    free(ids);
    r->drop_op = NULL;
    r->after_sleep = NULL;
    return false;
}

/* NULL: it must not wait, and was told so. */
static request_step *take_search(struct request *r)
{
    request_step *next = r->after_sleep;
    struct attempt_circle circle = r->large->find_circle.circle;
    int rc = r->op.base.rc;
    request_drop_op(r);
    r->after_sleep = NULL;
    if (rc != FUT_ERR_CONFLICT)
        return next;
    request_take_slot(r);
    refuse(r, rc, &circle, next);
    return NULL;
}

/* ---- both --------------------------------------------------------------------------------------
 */

/* How a wait begins that is allowed. */
typedef void begin_fn(struct request *r, request_step *next);

/* searched: the step behind the search, which begins the wait in the same way. */
static void begin_if_allowed(struct request *r, request_step *next, begin_fn *begin,
                             request_step *searched)
{
    struct attempt_circle circle;
    int rc = lend_slot(r, &circle);
    if (rc == FUT_ERR_CONFLICT || rc == FUT_ERR_FULL)
        refuse(r, rc, &circle, next);
    else if (rc != 0 || !post_search(r, searched, next))
        begin(r, next);
}

static void begin_stream(struct request *r, request_step *next)
{
    request_take_slot(r);
    next(r);
}

static void searched_for_stream(struct request *r)
{
    request_step *next = take_search(r);
    if (next)
        begin_stream(r, next);
}

void sleep_if_allowed(struct request *r, request_step *next)
{
    begin_if_allowed(r, next, begin_stream, searched_for_stream);
}

static void fall_asleep(struct request *r, request_step *next)
{
    r->next = next;
    request_move(r, REQUEST_DROWSY);
}

static void searched_for_sleep(struct request *r)
{
    request_step *next = take_search(r);
    if (next)
        fall_asleep(r, next);
}

void sleep_until_woken(struct request *r, int64_t ms, request_step *next)
{
    r->wake_mono_ms = clock_mono_ms() + ms;
    begin_if_allowed(r, next, fall_asleep, searched_for_sleep);
}
