#include "api/http/sleep.h"

#include <stdio.h>
#include <stdlib.h>

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

/* False: the request was answered. */
static bool lend_slot(struct request *r)
{
    struct attempt_circle circle;
    size_t n = r->waiter.n_links;
    if (!r->attempt.task.hi || !r->waiter.is_open || r->lends.ids)
        return true;
    struct task_id *ids = xmalloc((n ? n : 1) * sizeof(*ids));
    bool is_any = r->waiter.wish.wants_news || r->waiter.wish.need < n;
    n = waiter_pending(&r->api->waiters, &r->waiter, ids);
    int rc = n ? attempt_token_wait(r->api->cfg.attempts, &r->lends, r->attempt.number, ids, n,
                                    is_any, &circle)
               : 0;
    free(ids);
    /* What was submitted is stored: it is the answer, only sooner. */
    if ((rc == FUT_ERR_CONFLICT || rc == FUT_ERR_FULL) && r->route->flags & ROUTE_SUBMITS)
        r->wait_refused = true;
    else if (rc == FUT_ERR_CONFLICT)
        refuse_circle(r, &circle);
    else if (rc == FUT_ERR_FULL)
        refuse_lending(r);
    return rc != FUT_ERR_CONFLICT && rc != FUT_ERR_FULL; /* else it has just ended, or waits */
}

bool sleep_is_allowed(struct request *r)
{
    bool may = lend_slot(r);
    request_take_slot(r);
    return may;
}

void sleep_until_woken(struct request *r, int64_t ms, request_step *next)
{
    if (!lend_slot(r)) {
        if (r->wait_refused)
            next(r);
        return;
    }
    r->next = next;
    r->wake_mono_ms = clock_mono_ms() + ms;
    request_move(r, REQUEST_DROWSY);
}
