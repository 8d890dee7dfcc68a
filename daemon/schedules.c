#include "daemon/schedules.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "api/resources/schedule_in.h"
#include "core/catalog.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/sync.h"
#include "daemon/schedules_file.h"
#include "storage/schedule.h"

#define STEP 100           /* schedules that one commit fires */
#define ON_TIME_MS 60000   /* a time this late counts as missed where nothing is caught up */
#define RETRY_MS 1000      /* after a failure of the store, or while its queue is full */
#define SLEEP_MAX_MS 60000 /* a clock that is set without a word is noticed by then */

struct schedules {
    struct schedules_config cfg;
    struct catalog_lend catalog;
    pthread_t thread;
    bool is_started;
    int wake_fd;  /* eventfd */
    int clock_fd; /* timerfd that is cancelled when the clock is set; -1: there is none */
    struct mutex mu;
    struct cond cond;
    struct thread_probe probe;
    size_t posted;    /* guarded by mu: operations that are not done */
    bool is_stopping; /* guarded by mu */
    bool is_moved;    /* guarded by mu: something has changed since the last look */
};

/* ---- waiting for the store --------------------------------------------------------------------
 */

/* An operation that the thread waits for. */
struct firing {
    struct store_schedule_fire o;
    struct schedules *s;
    struct schedule_in def;
    bool has_def;
    struct task tasks[2];
    size_t n;
};

static void end_one(struct schedules *s)
{
    mutex_lock(&s->mu);
    if (--s->posted == 0)
        cond_signal(&s->cond);
    mutex_unlock(&s->mu);
}

static void on_fired(struct store_op *op)
{
    end_one(FUT_CONTAINER(op, struct firing, o.op)->s);
}

struct look {
    struct store_schedule_due o;
    struct schedules *s;
};

static void on_looked(struct store_op *op)
{
    end_one(FUT_CONTAINER(op, struct look, o.op)->s);
}

static int post(struct schedules *s, const struct store_verb *verb, struct store_op *op,
                store_done *done)
{
    mutex_lock(&s->mu);
    s->posted++;
    mutex_unlock(&s->mu);
    int rc = store_post(s->cfg.store, verb, op, done);
    if (rc != 0) {
        op->rc = rc;
        end_one(s);
    }
    return rc;
}

static void wait_for_all(struct schedules *s)
{
    mutex_lock(&s->mu);
    while (s->posted)
        cond_wait(&s->cond, &s->mu);
    mutex_unlock(&s->mu);
}

/* ---- what is to be fired ----------------------------------------------------------------------
 */

/* Of the times that are due by now, those that the schedule wants; the first of them is fired, the
 * others come again in the next look. */
static void choose_time(struct firing *f, const struct store_schedule *row, int64_t now_ms)
{
    int64_t times[RECURRENCE_LAST_MAX], before;
    const struct schedule_in *def = &f->def;
    bool more;
    int n = recurrence_last(&def->when, row->next_ms - 1, now_ms, def->catch_up ? def->catch_up : 1,
                            times, &more);
    while (n > 0 && schedule_in_due(def, row->name, times[n - 1]) > now_ms)
        n--;
    f->o.at_ms = n > 0 ? times[0] : row->next_ms;
    if (f->o.at_ms > row->next_ms) {
        f->o.missed_from_ms = f->o.missed_to_ms = row->next_ms;
        if (recurrence_last(&def->when, row->next_ms - 1, f->o.at_ms - 1, 1, &before, &more))
            f->o.missed_to_ms = before;
    }
    schedule_in_next(def, row->name, f->o.at_ms, &f->o.next_ms, &f->o.due_ms);
    if (def->catch_up == 0 && now_ms - schedule_in_due(def, row->name, f->o.at_ms) > ON_TIME_MS) {
        if (!f->o.missed_from_ms)
            f->o.missed_from_ms = f->o.at_ms;
        f->o.missed_to_ms = f->o.at_ms;
        f->o.at_ms = 0;
    }
}

/* One whose definition or task cannot be used any more is recorded as refused. */
static void make_task(struct firing *f, const struct store_schedule *row)
{
    const struct catalog *catalog = NULL;
    struct problem p;
    struct submission_rules rules = {.catalog = catalog_lend_to(&f->s->catalog, &catalog),
                                     .allows_url = f->s->cfg.allows_url,
                                     .allow = f->s->cfg.allow,
                                     .store = f->s->cfg.store};
    if (schedule_in_make(&f->def, row->name, &rules, f->tasks, &f->n, &p) != 0)
        log_warn("schedule_refused", LOG_STR("schedule", row->name), LOG_STR("reason", p.detail));
    catalog_unref(&catalog);
    f->o.tasks = f->tasks;
    f->o.n = f->n;
}

static void prepare(struct firing *f, const struct store_schedule *row, int64_t now_ms)
{
    struct problem p;
    bool waits = row->is_ready;
    f->o = (struct store_schedule_fire){.kind = waits ? STORE_FIRE_WAITING : STORE_FIRE_TIME,
                                        .name = row->name,
                                        .revision = row->revision,
                                        .time_ms = waits ? row->waiting_ms : row->next_ms,
                                        .at_ms = waits ? row->waiting_ms : row->next_ms,
                                        .next_ms = STORE_SCHEDULE_NEVER,
                                        .due_ms = STORE_SCHEDULE_NEVER};
    f->has_def = schedule_in_read(row->text, strlen(row->text), row->since_ms, &f->def, &p) == 0;
    if (!f->has_def) {
        log_error("schedule_unreadable", LOG_STR("schedule", row->name),
                  LOG_STR("reason", p.detail));
        return;
    }
    f->o.overlap = f->def.overlap;
    if (!waits)
        choose_time(f, row, now_ms);
    if (f->o.at_ms)
        make_task(f, row);
}

static void release(struct firing *f)
{
    for (size_t i = 0; i < f->n; i++)
        task_release(&f->tasks[i]);
    if (f->has_def)
        schedule_in_release(&f->def);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Fires what is due, a commit of it. *out_again_ms: when to look again, by the wall clock. */
static void look(struct schedules *s, int64_t now_ms, int64_t *out_again_ms)
{
    struct store_schedule rows[STEP];
    struct firing *all = xcalloc(STEP, sizeof(*all));
    struct look l = {.o = {.now_ms = now_ms, .limit = STEP, .items = rows}, .s = s};
    (void)post(s, &store_verb_schedule_due, &l.o.op, on_looked);
    wait_for_all(s);
    bool has_failed = l.o.op.rc != 0;
    size_t n = has_failed ? 0 : l.o.n;
    for (size_t i = 0; i < n; i++) {
        all[i].s = s;
        prepare(&all[i], &rows[i], now_ms);
        (void)post(s, &store_verb_schedule_fire, &all[i].o.op, on_fired);
    }
    wait_for_all(s);
    for (size_t i = 0; i < n; i++) {
        int rc = all[i].o.op.rc;
        has_failed = has_failed || (rc != 0 && rc != FUT_ERR_STALE && rc != FUT_ERR_NOT_FOUND);
        release(&all[i]);
        store_schedule_release(&rows[i]);
    }
    free(all);
    *out_again_ms = has_failed ? now_ms + RETRY_MS : n ? now_ms : l.o.next_ms;
}

/* The clock that people read may be set: the timer is cancelled then, and readable. It never
 * expires by itself. */
static void watch_clock(const struct schedules *s)
{
    struct itimerspec never = {.it_value = {.tv_sec = INT32_MAX}};
    uint64_t ignored;
    if (s->clock_fd < 0)
        return;
    (void)!read(s->clock_fd, &ignored, sizeof(ignored)); /* ECANCELED */
    (void)timerfd_settime(s->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

/* Sleeps until that time, a change, or the end; false: the end. */
static bool sleep_until(struct schedules *s, int64_t wall_ms)
{
    struct pollfd fds[] = {{s->wake_fd, POLLIN, 0}, {s->clock_fd, POLLIN, 0}};
    int64_t now_ms = clock_wall_ms(), rest = wall_ms > now_ms ? wall_ms - now_ms : 0;
    mutex_lock(&s->mu);
    bool stops = s->is_stopping;
    mutex_unlock(&s->mu);
    if (!stops && rest > 0)
        (void)poll(fds, FUT_COUNT(fds), (int)(rest < SLEEP_MAX_MS ? rest : SLEEP_MAX_MS));
    fd_wake_clear(s->wake_fd);
    if (fds[1].revents)
        watch_clock(s);
    mutex_lock(&s->mu);
    s->is_moved = false;
    stops = s->is_stopping;
    mutex_unlock(&s->mu);
    return !stops;
}

static void *run(void *schedules)
{
    struct schedules *s = schedules;
    int64_t again_ms = 0;
    watch_clock(s);
    while (sleep_until(s, again_ms)) {
        thread_probe_answer(&s->probe);
        look(s, clock_wall_ms(), &again_ms);
    }
    return NULL;
}

/* On the store's writer thread, after each firing as well: one wake for each sleep. */
static void on_moved(void *ctx)
{
    struct schedules *s = ctx;
    mutex_lock(&s->mu);
    bool is_first = !s->is_moved;
    s->is_moved = true;
    mutex_unlock(&s->mu);
    if (is_first)
        fd_wake(s->wake_fd);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct schedules *schedules_new(const struct schedules_config *cfg)
{
    struct schedules *s = xnew(struct schedules);
    s->cfg = *cfg;
    catalog_lend_init(&s->catalog, cfg->catalog);
    mutex_init(&s->mu);
    cond_init(&s->cond);
    s->wake_fd = fd_wake_new();
    s->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    store_watch_schedules(cfg->store, on_moved, s);
    return s;
}

void schedules_start(struct schedules *s)
{
    thread_start(&s->thread, "schedules", run, s);
    s->is_started = true;
}

void schedules_set_catalog(struct schedules *s, const struct catalog *c)
{
    catalog_lend_set(&s->catalog, c);
}

bool schedules_has_moved(struct schedules *s)
{
    if (!s->is_started)
        return true;
    if (!thread_probe_ask(&s->probe))
        return false;
    fd_wake(s->wake_fd);
    return true;
}

void schedules_stop(struct schedules *s)
{
    if (!s->is_started)
        return;
    mutex_lock(&s->mu);
    s->is_stopping = true;
    mutex_unlock(&s->mu);
    fd_wake(s->wake_fd);
    thread_join(s->thread);
    s->is_started = false;
}

void schedules_free(struct schedules **s)
{
    struct schedules *me = *s;
    if (!me)
        return;
    fd_close(&me->wake_fd);
    fd_close(&me->clock_fd);
    catalog_lend_release(&me->catalog);
    cond_destroy(&me->cond);
    mutex_destroy(&me->mu);
    free(me);
    *s = NULL;
}

/* ---- the file -------------------------------------------------------------------------------- */

struct waiting {
    struct store_schedules_put o;
    struct mutex mu;
    struct cond cond;
    bool is_done;
};

static void on_put(struct store_op *op)
{
    struct waiting *w = FUT_CONTAINER(op, struct waiting, o.op);
    mutex_lock(&w->mu);
    w->is_done = true;
    cond_signal(&w->cond);
    mutex_unlock(&w->mu);
}

static int put_all(struct store *store, struct waiting *w)
{
    mutex_init(&w->mu);
    cond_init(&w->cond);
    int rc = store_post(store, &store_verb_schedules_put, &w->o.op, on_put);
    mutex_lock(&w->mu);
    while (rc == 0 && !w->is_done)
        cond_wait(&w->cond, &w->mu);
    mutex_unlock(&w->mu);
    cond_destroy(&w->cond);
    mutex_destroy(&w->mu);
    return rc == 0 ? w->o.op.rc : rc;
}

int schedules_load_file(const struct schedules *s, const char *path, const struct catalog *c,
                        struct fut_errbuf *err)
{
    struct submission_rules rules = {.catalog = c,
                                     .allows_url = s->cfg.allows_url,
                                     .allow = s->cfg.allow,
                                     .store = s->cfg.store};
    struct schedules_file file = {0};
    int rc = *path ? schedules_file_read(path, &rules, &file, err) : 0;
    if (rc != 0)
        return rc;
    struct waiting w = {.o = {.items = file.items, .n = file.n, .is_file = true}};
    rc = put_all(s->cfg.store, &w);
    schedules_file_release(&file);
    if (rc == FUT_ERR_FULL)
        return fut_fail(err, FUT_ERR_INVAL,
                        "%.200s and the schedules of the API are more than %d together", path,
                        STORE_SCHEDULES_MAX);
    if (rc != 0)
        return fut_fail(err, rc, "cannot store the schedules of %.200s: %s", path,
                        fut_err_name(rc));
    if (w.o.added || w.o.changed || w.o.removed)
        log_info("schedules_loaded", LOG_STR("file", path), LOG_INT("added", w.o.added),
                 LOG_INT("changed", w.o.changed), LOG_INT("removed", w.o.removed));
    return 0;
}
