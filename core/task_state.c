#include "core/task_state.h"

#include <stdio.h>

enum guard { ALWAYS, RETRIES_LEFT, LIVES_LEFT, IS_PROMISE, MAY_RUN };

struct rule {
    bool legal;
    enum task_state to;
    enum guard guard;
    enum task_state otherwise;  /* when the guard says no; after IS_PROMISE it is refused */
    int attempt, daemon_deaths; /* added to the counters */
};

static const struct rule table[TASK_STATE_COUNT][TASK_EVENT_COUNT] =
    {
        [TASK_SCHEDULED] =
            {
                [EVENT_DUE] = {.legal = true, .to = TASK_QUEUED},
                [EVENT_EXPIRE] = {.legal = true, .to = TASK_FAILED},
                [EVENT_OVERDUE] = {.legal = true, .to = TASK_FAILED},
                [EVENT_RESOLVE] = {true, TASK_SUCCEEDED, IS_PROMISE, TASK_SCHEDULED, 0, 0},
                [EVENT_REJECT] = {true, TASK_FAILED, IS_PROMISE, TASK_SCHEDULED, 0, 0},
                [EVENT_CANCEL] = {.legal = true, .to = TASK_CANCELLED},
            },
        [TASK_QUEUED] =
            {
                [EVENT_START] = {.legal = true, .to = TASK_RUNNING, .attempt = 1},
                [EVENT_EXPIRE] = {.legal = true, .to = TASK_FAILED},
                [EVENT_OVERDUE] = {.legal = true, .to = TASK_FAILED},
                [EVENT_CANCEL] = {.legal = true, .to = TASK_CANCELLED},
            },
        [TASK_RUNNING] =
            {
                [EVENT_SUCCEED] = {.legal = true, .to = TASK_SUCCEEDED},
                [EVENT_FAIL] = {.legal = true, .to = TASK_FAILED},
                [EVENT_RETRY] = {true, TASK_SCHEDULED, RETRIES_LEFT, TASK_FAILED, 0, 0},
                [EVENT_RELEASE] = {.legal = true, .to = TASK_QUEUED, .attempt = -1},
                [EVENT_DEFER] = {.legal = true, .to = TASK_SCHEDULED, .attempt = -1},
                [EVENT_SUSPEND] = {.legal = true, .to = TASK_SCHEDULED, .attempt = -1},
                [EVENT_LOSE] = {true, TASK_QUEUED, LIVES_LEFT, TASK_FAILED, 0, 1},
                [EVENT_OVERDUE] = {.legal = true, .to = TASK_FAILED},
                [EVENT_CANCEL] = {.legal = true, .to = TASK_CANCELLED},
            },
        [TASK_FAILED] = {[EVENT_REVIVE] = {true, TASK_QUEUED, MAY_RUN, TASK_SCHEDULED, 0, 0}},
        [TASK_CANCELLED] = {[EVENT_REVIVE] = {true, TASK_QUEUED, MAY_RUN, TASK_SCHEDULED, 0, 0}},
};

/* The outcome that comes with any other event is nobody's. */
static const bool ends_attempt[TASK_EVENT_COUNT] = {
    [EVENT_SUCCEED] = true, [EVENT_FAIL] = true,    [EVENT_RETRY] = true,
    [EVENT_LOSE] = true,    [EVENT_CANCEL] = true,  [EVENT_EXPIRE] = true,
    [EVENT_OVERDUE] = true, [EVENT_RESOLVE] = true, [EVENT_REJECT] = true,
};

static bool guard_holds(enum guard g, const struct task *t)
{
    switch (g) {
    case ALWAYS: return true;
    case RETRIES_LEFT:
        return t->attempt - t->earlier_attempts - t->daemon_deaths <= t->spec->retries &&
               !t->spec->once;
    case LIVES_LEFT: return t->daemon_deaths < TASK_DAEMON_DEATHS_MAX && !t->spec->once;
    case IS_PROMISE: return t->spec->is_promise;
    case MAY_RUN: return !t->spec->is_promise && !t->unmet;
    }
    FUT_BUG("guard");
}

bool task_event_is_legal(enum task_state from, enum task_event ev)
{
    return table[from][ev].legal;
}

int task_move_of(enum task_state from, enum task_event ev, struct task_move *out)
{
    const struct rule *r = &table[from][ev];
    if (!r->legal || r->guard != ALWAYS)
        return FUT_ERR_STATE;
    *out = (struct task_move){from, r->to, r->attempt};
    return 0;
}

int task_apply(const struct task *t, enum task_event ev, const struct task_in *in,
               struct task_change *out)
{
    const struct rule *r = &table[t->state][ev];
    bool holds = r->legal && guard_holds(r->guard, t);
    if (!r->legal || (!holds && r->guard == IS_PROMISE))
        return FUT_ERR_STATE;
    enum task_state to = holds ? r->to : r->otherwise;
    bool has_time = to == TASK_SCHEDULED && ev != EVENT_REVIVE;
    *out = (struct task_change){
        .id = t->spec->id,
        .from_state = t->state,
        .from_attempt = t->attempt,
        .to_state = to,
        .attempt = (uint32_t)((int64_t)t->attempt + r->attempt),
        .earlier_attempts = ev == EVENT_REVIVE ? t->attempt : t->earlier_attempts,
        .daemon_deaths =
            ev == EVENT_REVIVE ? 0 : (uint32_t)((int64_t)t->daemon_deaths + r->daemon_deaths),
        .due_in_ms = !has_time ? (to == TASK_SCHEDULED ? -1 : 0)
                     : in      ? in->due_in_ms
                               : 0,
        .suspends = ev == EVENT_SUSPEND,
        .outcome = ends_attempt[ev] && in ? in->outcome : NULL,
    };
    return 0;
}

static const char *const event_names[TASK_EVENT_COUNT] = {
    [EVENT_DUE] = "due",         [EVENT_START] = "start",     [EVENT_SUCCEED] = "succeed",
    [EVENT_FAIL] = "fail",       [EVENT_RETRY] = "retry",     [EVENT_RELEASE] = "release",
    [EVENT_DEFER] = "defer",     [EVENT_LOSE] = "lose",       [EVENT_CANCEL] = "cancel",
    [EVENT_SUSPEND] = "suspend", [EVENT_REVIVE] = "revive",   [EVENT_EXPIRE] = "expire",
    [EVENT_OVERDUE] = "overdue", [EVENT_RESOLVE] = "resolve", [EVENT_REJECT] = "reject",
};

const char *task_event_name(enum task_event ev)
{
    return event_names[ev];
}

static const char *const guard_names[] = {"", "retries left, and not `once`",
                                          "fewer than 3 daemon deaths, and not `once`",
                                          "it is a promise", "waits for nobody"};

void task_state_dump(void)
{
    (void)printf("| state | event | next | condition | otherwise |\n|---|---|---|---|---|\n");
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        for (int e = 0; e < TASK_EVENT_COUNT; e++) {
            const struct rule *r = &table[s][e];
            if (!r->legal)
                continue;
            (void)printf("| %s | %s | %s | %s | %s |\n", task_state_name((enum task_state)s),
                         task_event_name((enum task_event)e), task_state_name(r->to),
                         guard_names[r->guard],
                         r->guard == ALWAYS       ? ""
                         : r->guard == IS_PROMISE ? "refused"
                                                  : task_state_name(r->otherwise));
        }
    }
}
