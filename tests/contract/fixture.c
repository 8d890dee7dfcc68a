#include "tests/contract/fixture.h"

#include <libpq-fe.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sanitizers.h"
#include "storage/results.h"
#include "tests/support/database.h"
#include "tests/support/suite.h"

#define ANSWER_LIMIT_US 40000000 /* a third of a case's time limit */

/* One waiter for all synchronous calls of a test: tests post one operation at a time. */
static struct fixture_wait wait_state;
static pthread_once_t wait_once = PTHREAD_ONCE_INIT;

static void init_wait(void)
{
    mutex_init(&wait_state.mu);
    cond_init(&wait_state.cond);
}

static void on_done(struct store_op *op)
{
    (void)op;
    mutex_lock(&wait_state.mu);
    wait_state.done = true;
    cond_signal(&wait_state.cond);
    mutex_unlock(&wait_state.mu);
}

/* The end of an operation. The caller holds mu. Fails by a check of its own, before the time limit
 * of the case strikes. */
static void wait_for_end(struct fixture_wait *w)
{
    int64_t until_mono_us = clock_mono_us() + ANSWER_LIMIT_US;
    while (!w->done) {
        if (!cond_wait_until(&w->cond, &w->mu, until_mono_us))
            ck_abort_msg("the store has not ended an operation within its time");
    }
}

static int wait_done(int post_rc, const struct store_op *op)
{
    if (post_rc != 0)
        return post_rc;
    mutex_lock(&wait_state.mu);
    wait_for_end(&wait_state);
    wait_state.done = false;
    mutex_unlock(&wait_state.mu);
    return op->rc;
}

static void open_here(struct fixture *k)
{
    struct fut_errbuf err = {""};
    (void)pthread_once(&wait_once, init_wait);
    int rc = store_open(&k->cfg, &k->store, &err);
    ck_assert_msg(rc == 0, "store_open: %s", err.text);
}

static struct database *database, *former; /* former: of main, which ends it */

struct database *fixture_database(void)
{
    if (!database)
        database = database_shared();
    return database;
}

/* A server has a thread that reads what it says, and ThreadSanitizer allows none before a fork. */
#define SHARES_DATABASE (!FUT_TSAN)

void fixture_database_share(void)
{
    if (SHARES_DATABASE)
        (void)fixture_database();
}

void fixture_database_own(void)
{
    former = database;
    database = database_new(0);
}

void fixture_database_free(void)
{
    database_free(&database);
    database = former;
}

/* Each store has a schema of its own, named after its directory. */
static void name_schema(struct fixture *k)
{
    const char *unique = strrchr(k->dir, '-') + 1;
    char sql[64];
    char *url = database_url(fixture_database(), "");
    PGconn *c = PQconnectdb(url);
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA \"t%s\"", unique);
    PGresult *r = PQexec(c, sql);
    ck_assert_msg(PQresultStatus(r) == PGRES_COMMAND_OK, "%s", PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
    free(url);
    (void)snprintf(sql, sizeof(sql), "%%22t%s%%22", unique);
    url = database_url(database, sql);
    (void)snprintf(k->url, sizeof(k->url), "%s", url);
    free(url);
}

void fixture_open(struct fixture *k, const char *backend)
{
    *k = (struct fixture){.backend = backend};
    (void)snprintf(k->dir, sizeof(k->dir), "/tmp/futured-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(k->dir));
    (void)snprintf(k->path, sizeof(k->path), "%s/q.db", k->dir);
    bool is_postgres = strstr(backend, "postgres") != NULL;
    if (is_postgres)
        name_schema(k);
    k->cfg = (struct store_config){
        .backend = backend,
        .path = is_postgres ? k->url : k->path,
        .readers = 2,
        .max_queued = 1000000,
        .retention_ms = 3600000,
    };
    open_here(k);
    store_start(k->store);
}

void fixture_stop(struct fixture *k)
{
    if (!k->store)
        return;
    store_stop(k->store);
    store_close(&k->store);
}

void fixture_reopen(struct fixture *k)
{
    fixture_stop(k);
    open_here(k);
    store_start(k->store);
}

void fixture_reopen_kept(struct fixture *k)
{
    if (strcmp(k->backend, "memory") != 0)
        fixture_reopen(k);
}

void fixture_open_retaining(struct fixture *k, const char *backend, int64_t retention_ms)
{
    fixture_open(k, backend);
    fixture_stop(k);
    k->cfg.retention_ms = retention_ms;
    fixture_reopen(k);
}

void fixture_wait_pruned(struct fixture *k, uint64_t n)
{
    int64_t deadline = clock_mono_ms() + 10000;
    while (fixture_stats(k).pruned < n && clock_mono_ms() < deadline)
        (void)sched_yield();
    ck_assert_uint_eq(fixture_stats(k).pruned, n);
}

void fixture_close(struct fixture *k)
{
    static const char *const names[] = {"", "-wal", "-shm", ".lock", ".reserve"};
    char file[128];
    fixture_stop(k);
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        (void)snprintf(file, sizeof(file), "%s%s", k->path, names[i]);
        (void)unlink(file);
    }
    (void)rmdir(k->dir);
    if (!SHARES_DATABASE)
        fixture_database_free();
}

struct task fixture_task(enum lane lane, const char *handler, const char *input)
{
    struct task_spec spec = {
        .id = id_new(),
        .lane = lane,
        .retries = 1,
        .timeout_ms = 5000,
        .created_wall_ms = clock_wall_ms(),
        .handler = handler,
        .input_type = CONTENT_TEXT,
        .input = (const unsigned char *)input,
        .input_len = strlen(input),
    };
    return (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
}

int fixture_submit_n(struct fixture *k, const struct task *tasks, size_t n)
{
    struct store_submit o = {.tasks = tasks, .n = n};
    return wait_done(store_post(k->store, &store_verb_submit, &o.op, on_done), &o.op);
}

struct task fixture_timed(enum lane lane, struct task_times times)
{
    struct task t = fixture_task(lane, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.times = times;
    fixture_respec(&t, &spec);
    t.due_wall_ms = times.delay_ms ? clock_wall_ms() + times.delay_ms : times.run_at_wall_ms;
    t.state = t.due_wall_ms ? TASK_SCHEDULED : TASK_QUEUED;
    return t;
}

struct task fixture_unique(const char *unique)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.unique = unique;
    fixture_respec(&t, &spec);
    return t;
}

struct store_stats fixture_stats(struct fixture *k)
{
    struct store_stats s;
    store_stats(k->store, &s);
    return s;
}

void fixture_wait_looks(struct fixture *k)
{
    int64_t deadline_ms = clock_mono_ms() + 20000;
    uint64_t before = fixture_stats(k).commits;
    while (fixture_stats(k).commits < before + 2 && clock_mono_ms() < deadline_ms)
        (void)sched_yield();
    ck_assert_uint_ge(fixture_stats(k).commits, before + 2);
}

void fixture_respec(struct task *t, const struct task_spec *spec)
{
    struct task_spec *fresh = task_spec_new(spec); /* while the old one is there */
    task_spec_unref(t->spec);
    t->spec = fresh;
}

long fixture_setting(const char *variable, long preset)
{
    const char *text = getenv(variable);
    return text ? strtol(text, NULL, 10) : preset;
}

struct task_id fixture_submit(struct fixture *k, enum lane lane, const char *input)
{
    struct task t = fixture_task(lane, "echo", input);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(k, &t, 1), 0);
    task_release(&t);
    return id;
}

size_t fixture_claim(struct fixture *k, enum lane lane, size_t max, struct task *tasks)
{
    struct store_claim o = {.lane = lane, .max = max, .tasks = tasks};
    ck_assert_int_eq(wait_done(store_post(k->store, &store_verb_claim, &o.op, on_done), &o.op), 0);
    return o.n;
}

int fixture_apply(struct fixture *k, struct task *t, enum task_event ev, const struct task_in *in)
{
    struct store_apply o = {.task = *t};
    int rc = task_apply(t, ev, in, &o.change);
    if (rc == 0)
        rc = wait_done(store_post(k->store, &store_verb_apply, &o.op, on_done), &o.op);
    *t = o.task;
    return rc;
}

int fixture_suspend(struct fixture *k, struct task *t, int64_t due_in_ms, struct store_wakes *w)
{
    struct store_apply o = {.task = *t, .wakes = w};
    int rc = task_apply(t, EVENT_SUSPEND, &(struct task_in){.due_in_ms = due_in_ms}, &o.change);
    if (rc == 0)
        rc = wait_done(store_post(k->store, &store_verb_apply, &o.op, on_done), &o.op);
    *t = o.task;
    return rc;
}

static int revive(struct fixture *k, struct task *t, bool is_fresh)
{
    struct store_revive o = {.task = *t, .is_fresh = is_fresh};
    int rc = task_apply(t, EVENT_REVIVE, NULL, &o.change);
    if (rc == 0)
        rc = wait_done(store_post(k->store, &store_verb_revive, &o.op, on_done), &o.op);
    *t = o.task;
    return rc;
}

int fixture_revive(struct fixture *k, struct task *t)
{
    return revive(k, t, false);
}

int fixture_revive_fresh(struct fixture *k, struct task *t)
{
    return revive(k, t, true);
}

int fixture_checkpoint(struct fixture *k, const struct task *t, const char *text)
{
    struct store_checkpoint o = {.id = t->spec->id,
                                 .attempt = t->attempt,
                                 .type = CONTENT_TEXT,
                                 .body = text,
                                 .len = strlen(text)};
    return wait_done(store_post(k->store, &store_verb_checkpoint, &o.op, on_done), &o.op);
}

int fixture_get_checkpoint(struct fixture *k, struct task_id id, struct task *out)
{
    struct store_get o = {.id = id, .with_checkpoint = true};
    int rc = wait_done(store_post(k->store, &store_verb_get, &o.op, on_done), &o.op);
    store_reported_release(&o.reported);
    if (rc == 0)
        *out = o.task;
    return rc;
}

int fixture_attempts(struct fixture *k, struct store_attempts *o)
{
    return wait_done(store_post(k->store, &store_verb_attempts, &o->op, on_done), &o->op);
}

int fixture_succeed(struct fixture *k, struct task *t, const char *body)
{
    struct task_outcome *o =
        task_outcome_new(&(struct task_outcome){.type = CONTENT_TEXT,
                                                .body = (const unsigned char *)body,
                                                .body_len = strlen(body),
                                                .exit_code = -1});
    int rc = fixture_apply(k, t, EVENT_SUCCEED, &(struct task_in){.outcome = o});
    task_outcome_unref(o);
    return rc;
}

int fixture_get(struct fixture *k, struct task_id id, struct task *out)
{
    struct store_get o = {.id = id};
    int rc = wait_done(store_post(k->store, &store_verb_get, &o.op, on_done), &o.op);
    store_reported_release(&o.reported);
    if (rc == 0)
        *out = o.task;
    return rc;
}

int fixture_get_reported(struct fixture *k, struct task_id id, struct store_reported *out)
{
    struct store_get o = {.id = id};
    int rc = wait_done(store_post(k->store, &store_verb_get, &o.op, on_done), &o.op);
    *out = o.reported;
    task_release(&o.task);
    return rc;
}

int fixture_delete(struct fixture *k, struct task_id id)
{
    struct store_delete o = {.id = id};
    return wait_done(store_post(k->store, &store_verb_delete, &o.op, on_done), &o.op);
}

int fixture_list(struct fixture *k, struct store_list *o)
{
    return wait_done(store_post(k->store, &store_verb_list, &o->op, on_done), &o->op);
}

int fixture_do(struct fixture *k, const struct store_verb *verb, struct store_op *op)
{
    return wait_done(store_post(k->store, verb, op, on_done), op);
}

size_t fixture_claim_now(struct fixture *k, enum lane lane, size_t max, struct task *tasks)
{
    struct fixture_parked p = {.o = {.lane = lane, .max = max, .tasks = tasks}};
    struct store_queue_list o = {.name = TASK_QUEUE_DEFAULT};
    fixture_park(k, &p);
    (void)fixture_do(k, &store_verb_queue_list, &o.op); /* behind it in the writer's order */
    free(o.queues);
    free(o.fair);
    ck_assert_int_eq(fixture_recall(k, lane), 0);
    fixture_join(&p);
    return p.o.n;
}

int fixture_submit_op(struct fixture *k, struct store_submit *o)
{
    return wait_done(store_post(k->store, &store_verb_submit, &o->op, on_done), &o->op);
}

int fixture_submit_batch(struct fixture *k, const struct task *tasks, size_t n,
                         const struct store_batch *batch)
{
    struct store_submit o = {.tasks = tasks, .n = n, .batch = batch};
    return fixture_submit_op(k, &o);
}

int fixture_get_many(struct fixture *k, struct store_get_many *o)
{
    return wait_done(store_post(k->store, &store_verb_get_many, &o->op, on_done), &o->op);
}

int fixture_batch_get(struct fixture *k, struct store_batch_get *o)
{
    return wait_done(store_post(k->store, &store_verb_batch_get, &o->op, on_done), &o->op);
}

int fixture_members(struct fixture *k, struct store_members *o)
{
    return wait_done(store_post(k->store, &store_verb_members, &o->op, on_done), &o->op);
}

struct task fixture_claim_one(struct fixture *k)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(k, LANE_IO, 1, &t), 1);
    return t;
}

int fixture_recall(struct fixture *k, enum lane lane)
{
    struct store_recall o = {.lane = lane};
    return wait_done(store_post(k->store, &store_verb_recall, &o.op, on_done), &o.op);
}

int fixture_batch_cancel(struct fixture *k, struct task_id id)
{
    struct store_batch_cancel o = {.id = id};
    return wait_done(store_post(k->store, &store_verb_batch_cancel, &o.op, on_done), &o.op);
}

int fixture_report(struct fixture *k, struct store_report *o)
{
    return wait_done(store_post(k->store, &store_verb_report, &o->op, on_done), &o->op);
}

int fixture_log(struct fixture *k, struct store_log *o)
{
    return wait_done(store_post(k->store, &store_verb_log, &o->op, on_done), &o->op);
}

struct task fixture_wait_state(struct fixture *k, struct task_id id, enum task_state state)
{
    int64_t deadline = clock_mono_ms() + 5000;
    struct task t = {0};
    do {
        task_release(&t);
        ck_assert_int_eq(fixture_get(k, id, &t), 0);
        (void)sched_yield();
    } while (t.state != state && clock_mono_ms() < deadline);
    ck_assert_str_eq(task_state_name(t.state), task_state_name(state));
    return t;
}

static void on_parked_done(struct store_op *op)
{
    struct fixture_parked *p = FUT_CONTAINER(op, struct fixture_parked, o.op);
    mutex_lock(&p->wait.mu);
    p->wait.done = true;
    cond_signal(&p->wait.cond);
    mutex_unlock(&p->wait.mu);
}

void fixture_park(struct fixture *k, struct fixture_parked *p)
{
    mutex_init(&p->wait.mu);
    cond_init(&p->wait.cond);
    ck_assert_int_eq(store_post(k->store, &store_verb_claim, &p->o.op, on_parked_done), 0);
}

void fixture_join(struct fixture_parked *p)
{
    mutex_lock(&p->wait.mu);
    wait_for_end(&p->wait);
    mutex_unlock(&p->wait.mu);
}

const char *const fixture_backends[] = {"sqlite", "memory", "postgres"};

int fixture_run_on_all(const char *suite, const TTest *const *tests, size_t n)
{
    const char *only = getenv("FUT_BACKEND");
    TCase *tc = suite_case("all", 120, NULL, NULL);
    if (!only || strcmp(only, "postgres") == 0)
        fixture_database_share();
    for (size_t i = 0; i < n; i++) {
        for (int b = 0; b < (int)FUT_COUNT(fixture_backends); b++) {
            if (!only || strcmp(only, fixture_backends[b]) == 0)
                tcase_add_loop_test(tc, tests[i], b, b + 1);
        }
    }
    int status = suite_run_cases(suite, tc, NULL);
    fixture_database_free();
    return status;
}
