#include "tests/unit/workers/live.h"

struct live live;

struct live_op live_op;

struct task *live_slot(struct task_id id)
{
    for (size_t i = 0; i < live.n_seen; i++) {
        if (id_equal(live.seen[i].spec->id, id))
            return &live.seen[i];
    }
    ck_assert_uint_lt(live.n_seen, LIVE_SEEN);
    return &live.seen[live.n_seen++];
}

static void live_listener(void *ctx, const struct store_change *changes, size_t n)
{
    (void)ctx;
    mutex_lock(&live.mu);
    for (size_t i = 0; i < n; i++) {
        if (!changes[i].task)
            continue;
        struct task *t = live_slot(changes[i].id);
        task_release(t);
        task_copy(t, changes[i].task);
    }
    cond_broadcast(&live.changed);
    mutex_unlock(&live.mu);
}

static const char live_handlers[] =
    "{\"upper\": {\"exec\": [\"tr\", \"a-z\", \"A-Z\"]},"
    " \"fails\": {\"exec\": [\"sh\", \"-c\", \"echo because >&2; exit 4\"]},"
    " \"later\": {\"exec\": [\"sh\", \"-c\", \"exit 75\"]},"
    " \"talks\": {\"exec\": [\"sh\", \"-c\", \"echo one >&2; echo progress 0.25 start >&3; cat; "
    "echo two >&2; echo progress 1 >&3\"]},"
    " \"long\": {\"exec\": [\"sleep\", \"1000\"], \"lane\": \"io\"},"
    " \"stubborn\": {\"exec\": [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]}}";

const char *live_file = live_handlers; /* the text of the handlers file */

struct handlers *live_handlers_from(const char *json)
{
    struct fut_errbuf err;
    struct handlers *h = NULL;
    ck_assert_msg(handlers_from_text(json, &h, &err) == 0, "%s", err.text);
    return h;
}

const char *live_secret; /* of callbacks; NULL: none */

struct attempt_tokens *live_tokens; /* of attempts; NULL: none */

const char *live_backend = "memory";

store_listener *live_also; /* NULL: nobody */

void live_start(uint32_t threads, uint32_t workers)
{
    struct store_config sc = {
        .backend = live_backend, .readers = 1, .max_queued = 100000, .retention_ms = 3600000};
    mutex_init(&live.mu);
    cond_init(&live.changed);
    mutex_init(&live_op.mu);
    cond_init(&live_op.cond);
    live.handlers = live_handlers_from(live_file);
    ck_assert_int_eq(fork_server_start(&live.fs, NULL), 0);
    ck_assert_int_eq(store_open(&sc, &live.store, NULL), 0);
    struct scheduler_config cfg = {.store = live.store,
                                   .handlers = live.handlers,
                                   .fs = live.fs,
                                   .max_threads = threads,
                                   .max_workers = workers,
                                   .kill_grace_ms = LIVE_GRACE_MS,
                                   .max_input_bytes = 1 << 20,
                                   .max_result_bytes = 1 << 20,
                                   .audit_ms = LIVE_AUDIT_MS,
                                   .callback_secret = live_secret,
                                   .tokens = live_tokens};
    ck_assert_int_eq(scheduler_new(&cfg, &live.s, NULL), 0);
    live.view = scheduler_view(live.s);
    store_listen(live.store, live_listener, NULL);
    if (live_also)
        store_listen(live.store, live_also, NULL);
    store_start(live.store);
    scheduler_start(live.s);
}

/* What is running in the store has an attempt in the scheduler, and the other way round. */
static bool live_agrees(void *ctx)
{
    struct store_stats in_store;
    struct pool_stats here;
    (void)ctx;
    store_stats(live.store, &in_store);
    live.view.read(live.view.ctx, &here);
    for_each_lane (l) {
        if (in_store.live[l][TASK_RUNNING] != here.lanes[l].claimed)
            return false;
    }
    return true;
}

void live_stop(void)
{
    ck_assert_msg(wait_until(live_agrees, NULL, LIVE_AGREE_MS),
                  "the store has running tasks that the scheduler does not have, or the reverse");
    scheduler_stop(live.s);
    store_stop(live.store);
    scheduler_free(&live.s);
    store_close(&live.store);
    fork_server_stop(&live.fs);
    handlers_free(&live.handlers);
    for (size_t i = 0; i < live.n_seen; i++)
        task_release(&live.seen[i]);
    live.n_seen = 0;
    cond_destroy(&live_op.cond);
    mutex_destroy(&live_op.mu);
    cond_destroy(&live.changed);
    mutex_destroy(&live.mu);
}

void live_op_done(struct store_op *op)
{
    (void)op;
    mutex_lock(&live_op.mu);
    live_op.done = true;
    cond_signal(&live_op.cond);
    mutex_unlock(&live_op.mu);
}

void live_op_wait(void)
{
    mutex_lock(&live_op.mu);
    while (!live_op.done)
        cond_wait(&live_op.cond, &live_op.mu);
    live_op.done = false;
    mutex_unlock(&live_op.mu);
}

void live_submit_spec(const struct task_spec *spec, enum task_state state, uint32_t daemon_deaths)
{
    struct task t = {.spec = task_spec_new(spec), .state = state, .daemon_deaths = daemon_deaths};
    struct store_submit o = {.tasks = &t, .n = 1};
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&t);
}

struct task_spec live_spec(const char *handler, enum lane lane, const char *input,
                           int64_t timeout_ms, uint32_t retries)
{
    return (struct task_spec){.id = id_new(),
                              .lane = lane,
                              .retries = retries,
                              .timeout_ms = timeout_ms,
                              .created_wall_ms = clock_wall_ms(),
                              .handler = handler,
                              .input_type = CONTENT_JSON,
                              .input = (const unsigned char *)input,
                              .input_len = strlen(input)};
}

struct task_id live_submit(const char *handler, enum lane lane, const char *input,
                           int64_t timeout_ms, uint32_t retries)
{
    struct task_spec spec = live_spec(handler, lane, input, timeout_ms, retries);
    live_submit_spec(&spec, TASK_QUEUED, 0);
    return spec.id;
}

/* Nobody waits for a state that does not come any more. */
static void check_may_come(const struct task *t, enum task_state state)
{
    if (t->spec && t->state != state && task_state_is_final(t->state) && task_state_is_final(state))
        ck_abort_msg("the task is %s, not %s", task_state_name(t->state), task_state_name(state));
}

struct task live_wait(struct task_id id, enum task_state state)
{
    struct task copy;
    mutex_lock(&live.mu);
    for (struct task *t = live_slot(id); !t->spec || t->state != state;) {
        check_may_come(t, state);
        if (!t->spec)
            live.n_seen--; /* an empty slot that live_slot has just made */
        cond_wait(&live.changed, &live.mu);
        t = live_slot(id);
    }
    task_copy(&copy, live_slot(id));
    mutex_unlock(&live.mu);
    return copy;
}

int live_cancel_as(struct task t)
{
    struct task_outcome *o = task_outcome_error("cancelled", "cancelled by its client");
    struct store_apply a = {.task = t};
    ck_assert_int_eq(task_apply(&t, EVENT_CANCEL, &(struct task_in){.outcome = o}, &a.change), 0);
    ck_assert_int_eq(store_post(live.store, &store_verb_apply, &a.op, live_op_done), 0);
    live_op_wait();
    task_release(&a.task);
    task_outcome_unref(o);
    return a.op.rc;
}

void live_cancel(struct task_id id)
{
    ck_assert_int_eq(live_cancel_as(live_wait(id, TASK_RUNNING)), 0);
}

void live_cancel_any(struct task_id id)
{
    int rc;
    do {
        struct store_get get = {.id = id};
        ck_assert_int_eq(store_post(live.store, &store_verb_get, &get.op, live_op_done), 0);
        live_op_wait();
        store_reported_release(&get.reported);
        rc = live_cancel_as(get.task);
    } while (rc == FUT_ERR_STALE);
    ck_assert_int_eq(rc, 0);
}

struct task live_get(struct task_id id)
{
    struct store_get o = {.id = id};
    ck_assert_int_eq(store_post(live.store, &store_verb_get, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    store_reported_release(&o.reported);
    return o.task;
}

void live_revive(struct task_id id)
{
    struct store_revive o = {.task = live_get(id)};
    ck_assert_int_eq(task_apply(&o.task, EVENT_REVIVE, NULL, &o.change), 0);
    ck_assert_int_eq(store_post(live.store, &store_verb_revive, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&o.task);
}

struct store_stats live_store_stats(void)
{
    struct store_stats st;
    store_stats(live.store, &st);
    return st;
}

struct pool_stats live_stats(void)
{
    struct pool_stats st;
    live.view.read(live.view.ctx, &st);
    return st;
}
