/* read: opening a reader, one future, and pages of them. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* The table that drives a list is the one that holds the wanted states. */
static const char *const sql[R_COUNT] = {
    [R_BEGIN] = "BEGIN",
    [R_COMMIT] = "COMMIT",
    [R_GET] = "SELECT " TASK_COLUMNS BODY_COLUMNS ", n.progress, n.message, n.log_end"
              " FROM tasks t" JOIN_LIVE JOIN_RESULTS JOIN_OPTIONS
              " LEFT JOIN notes n ON n.key = t.key WHERE t.key = ?1 AND t.lo = ?2",
    [R_LIST_ALL] = "SELECT " TASK_COLUMNS " FROM tasks t" JOIN_LIVE JOIN_RESULTS JOIN_OPTIONS
                   " WHERE t.key < ?1 AND t.key >= ?3 ORDER BY t.key DESC LIMIT ?2",
    [R_LIST_LIVE] = "SELECT " TASK_COLUMNS
                    " FROM live l CROSS JOIN tasks t ON t.key = l.key" JOIN_RESULTS JOIN_OPTIONS
                    " WHERE l.key < ?1 AND l.key >= ?3 ORDER BY l.key DESC LIMIT ?2",
    [R_LIST_DONE] = "SELECT " TASK_COLUMNS
                    " FROM results r CROSS JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS
                    " WHERE r.key < ?1 AND r.key >= ?3 ORDER BY r.key DESC LIMIT ?2",
    [R_LIST_QUEUE] =
        "SELECT " TASK_COLUMNS " FROM options o INDEXED BY options_queue" JOIN_OF_OPTIONS
        " WHERE o.queue = ?4 AND o.key < ?1 AND o.key >= ?3 ORDER BY o.key DESC LIMIT ?2",
    [R_LIST_SCHEDULE] =
        "SELECT " TASK_COLUMNS " FROM options o INDEXED BY options_schedule" JOIN_OF_OPTIONS
        " WHERE o.schedule = ?4 AND o.key < ?1 AND o.key >= ?3 ORDER BY o.key DESC LIMIT ?2",
    [R_LIST_PARENT] =
        "SELECT " TASK_COLUMNS " FROM options o INDEXED BY options_parent" JOIN_OF_OPTIONS
        " WHERE o.parent = ?4 AND o.key < ?1 AND o.key >= ?3 ORDER BY o.key DESC LIMIT ?2",
    [R_BRIEF] = "SELECT l.state, r.state, r.seq FROM tasks t" JOIN_LIVE JOIN_RESULTS
                " WHERE t.key = ?1 AND t.lo = ?2",
    [R_BATCH] = "SELECT created_ms, total, fail_fast, cancelling, callback_key, callback_lo,"
                " then_key, then_lo, parent, parent_lo,"
                " EXISTS (SELECT 1 FROM sessions s WHERE s.key = batches.key)"
                " FROM batches"
                " WHERE key = ?1 AND lo = ?2",
    [R_BATCH_COUNTS] = "SELECT coalesce(l.state, r.state), count(*), max(r.finished_ms)"
                       " FROM tasks t" JOIN_LIVE JOIN_RESULTS " WHERE t.batch = ?1 GROUP BY 1",
    [R_BATCH_LIST] =
        "SELECT b.key, b.lo, b.created_ms, b.total, b.fail_fast, b.cancelling, b.parent,"
        " b.parent_lo, b.unfinished, b.failed, b.cancelled FROM batches b"
        " WHERE b.key < ?1 AND (?3 = 0 OR (b.unfinished = 0) = (?3 = 2))"
        " AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.key = b.key)"
        " ORDER BY b.key DESC LIMIT ?2",
    [R_MEMBERS] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS " FROM batches b"
        " CROSS JOIN tasks t ON t.batch = b.key AND t.batch_pos >= ?3" JOIN_LIVE JOIN_RESULTS
            JOIN_OPTIONS " WHERE b.key = ?1 AND b.lo = ?2 ORDER BY t.batch_pos LIMIT ?4",
    [R_SESSION] = "SELECT " SESSION_COLUMNS " WHERE s.key = ?1",
    [R_SESSION_LIST] = "SELECT " SESSION_COLUMNS " WHERE s.key < ?1 ORDER BY s.key DESC LIMIT ?2",
    [R_SESSION_ENDS] =
        "SELECT " TASK_COLUMNS BODY_COLUMNS " FROM results r INDEXED BY results_session"
        " CROSS JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS
        " WHERE r.session = ?1 AND r.seq > ?2 ORDER BY r.seq LIMIT ?3",
    [R_LOG] = "SELECT coalesce(r.state, l.state), n.progress, n.message, n.log_end, n.log"
              " FROM tasks t" JOIN_LIVE JOIN_RESULTS " LEFT JOIN notes n ON n.key = t.key"
              " WHERE t.key = ?1 AND t.lo = ?2",
    [R_INPUT] = "SELECT input_type, input FROM tasks WHERE key = ?1",
    [R_ATTEMPTS] = "SELECT attempt, state, started_ms, finished_ms, code, message, exit_code,"
                   " signal, oom, max_rss_kib, cpu_ms, log, error_type FROM attempts WHERE key = ?1"
                   " ORDER BY attempt",
    [R_EDGES] = "SELECT parent, parent_lo, kind, is_pending FROM edges WHERE child = ?1"
                " ORDER BY parent",
    [R_WAKES] = "SELECT parent, parent_lo FROM edges WHERE child = ?1 AND is_pending"
                " ORDER BY parent LIMIT ?2",
    [R_SCHEDULE] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE name = ?1",
    [R_SCHEDULE_RUNS] =
        "SELECT s.kind, s.at_ms, s.to_ms, s.done_ms, s.is_manual, s.key, s.lo,"
        " coalesce(l.state, r.state) FROM schedule_runs s LEFT JOIN live l ON l.key = s.key"
        " LEFT JOIN results r ON r.key = s.key WHERE s.name = ?1 ORDER BY s.n DESC LIMIT ?2",
    [R_SCHEDULE_LIST] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE name > ?1"
                        " ORDER BY name LIMIT ?2",
    [R_SCHEDULE_DUE] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE wake_ms <= ?1"
                       " ORDER BY wake_ms LIMIT ?2",
    [R_SCHEDULE_NEXT] = "SELECT min(wake_ms) FROM schedules WHERE wake_ms > ?1",
    [R_CHECKPOINT] = "SELECT attempt, stored_ms, type, length(body), body FROM checkpoints"
                     " WHERE key = ?1",
    [R_CHECKPOINT_SIZE] = "SELECT attempt, stored_ms, type, length(body) FROM checkpoints"
                          " WHERE key = ?1",
    [R_AHEAD] = "SELECT count(*) FROM (SELECT 1 FROM lines mine"
                " CROSS JOIN lines n ON n.queue = mine.queue AND n.lane = mine.lane"
                "  AND n.fair_key = mine.fair_key CROSS JOIN live l ON l.queue = n.number"
                "  AND l.place < (SELECT place FROM live WHERE key = ?1)"
                " WHERE mine.number = (SELECT queue FROM live WHERE key = ?1) LIMIT ?2)",
    [R_FAILURES] = "SELECT " TASK_COLUMNS " FROM results r INDEXED BY results_code"
                   " CROSS JOIN tasks t ON t.key = r.key" JOIN_LIVE JOIN_OPTIONS
                   " WHERE r.code IS NOT NULL AND r.key >= ?1 ORDER BY r.key DESC LIMIT ?2",
    [R_QUEUE_LINES] = "SELECT number FROM lines WHERE queue = ?1 LIMIT ?2",
    [R_LINE_NEXT] = "SELECT key, place FROM live WHERE queue = ?1 AND place >= ?2"
                    " ORDER BY place LIMIT 1",
    [R_BULK] = "SELECT " BULK_COLUMNS " FROM bulks WHERE key = ?1 AND lo = ?2",
    [R_BULKS] = "SELECT " BULK_COLUMNS " FROM bulks ORDER BY key DESC LIMIT ?1",
};

void sqlite_reader_close(struct backend_reader *r)
{
    for (int i = 0; i < R_COUNT; i++)
        (void)sqlite3_finalize(r->stmts[i]);
    (void)sqlite3_close(r->db);
    free(r);
}

int sqlite_reader_open(struct backend *b, struct backend_reader **out)
{
    struct backend_reader *r = xnew(struct backend_reader);
    r->b = b;
    int rc = sqlite_connect(b->path, NULL, &r->db, NULL);
    for (int i = 0; rc == 0 && i < R_COUNT; i++)
        rc = sqlite_rc(r->db, sqlite3_prepare_v3(r->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                                 &r->stmts[i], NULL));
    if (rc != 0) {
        sqlite_reader_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

static struct task_outcome *read_outcome(sqlite3_stmt *st, bool whole)
{
    struct task_outcome o = {
        .code = column_text(st, C_CODE),
        .message = column_text(st, C_MESSAGE),
        .error_type = column_text(st, C_ERROR_TYPE),
        .exit_code = sqlite_int_or(st, C_EXIT, -1),
        .signal = sqlite_int_or(st, C_SIGNAL, 0),
        .oom = (enum task_oom)sqlite_int_or(st, C_OOM, TASK_OOM_UNKNOWN),
        .max_rss_kib = (uint64_t)sqlite3_column_int64(st, C_RSS),
        .cpu_ms = (uint64_t)sqlite3_column_int64(st, C_CPU),
    };
    if (whole) {
        o.type = column_text(st, C_TYPE);
        o.body = sqlite3_column_blob(st, C_BODY);
        o.body_len = (size_t)sqlite3_column_bytes(st, C_BODY);
        o.log = sqlite3_column_blob(st, C_LOG);
        o.log_len = (size_t)sqlite3_column_bytes(st, C_LOG);
    }
    return task_outcome_new(&o);
}

/* Due times are kept by the uptime, which people do not read. */
static int64_t read_due(const struct backend *b, sqlite3_stmt *st, const struct task *t)
{
    if (sqlite3_column_type(st, C_DUE) == SQLITE_NULL)
        return t->state == TASK_SCHEDULED && !t->unmet ? t->spec->times.run_at_wall_ms : 0;
    return sqlite3_column_int64(st, C_DUE) +
           atomic_load_explicit(&b->up_offset_ms, memory_order_relaxed);
}

void sqlite_read_task(const struct backend *b, sqlite3_stmt *st, bool whole, struct task *out)
{
    bool done = sqlite3_column_type(st, C_STATE) != SQLITE_NULL;
    *out = (struct task){
        .spec = sqlite_read_spec(st, -1),
        .state = (enum task_state)sqlite3_column_int(st, done ? C_STATE : C_LIVE_STATE),
        .attempt = (uint32_t)sqlite3_column_int64(st, done ? C_ATTEMPT : C_LIVE_ATTEMPT),
        .daemon_deaths = (uint32_t)sqlite3_column_int64(st, done ? C_LOST : C_LIVE_LOST),
        .seq = (uint64_t)sqlite3_column_int64(st, C_SEQ),
        .started_wall_ms = sqlite3_column_int64(st, done ? C_STARTED : C_LIVE_STARTED),
        .earlier_attempts = (uint32_t)sqlite3_column_int64(st, C_PAST),
        .unmet = (uint32_t)sqlite3_column_int64(st, C_UNMET),
        .finished_wall_ms = sqlite3_column_int64(st, C_FINISHED),
        .outcome = done ? read_outcome(st, whole) : NULL,
    };
    out->due_wall_ms = read_due(b, st, out);
    out->is_suspended = out->state == TASK_SCHEDULED && sqlite3_column_int(st, C_SUSPENDED) == 2;
}

/* In a statement of its own, as few ask for it: what was submitted does not change. */
static int add_input(struct backend_reader *r, struct task *t)
{
    sqlite3_stmt *st = r->stmts[R_INPUT];
    struct task_spec spec = *t->spec;
    bind_int(st, 1, (int64_t)spec.id.hi);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        spec.input_type = column_text(st, 0);
        spec.input = sqlite3_column_blob(st, 1);
        spec.input_len = (size_t)sqlite3_column_bytes(st, 1);
        struct task_spec *whole = task_spec_new(&spec);
        task_spec_unref(t->spec);
        t->spec = whole;
    }
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

/* A snapshot of its own, a moment later: the place is a hint. A number that cannot be had is left
 * out. */
static uint32_t place_of(struct backend_reader *r, const struct task *t)
{
    sqlite3_stmt *st = r->stmts[R_AHEAD];
    uint32_t place = 0;
    if (!backend_is_claimable(t->state))
        return 0;
    bind_int(st, 1, (int64_t)t->spec->id.hi);
    bind_int(st, 2, STORE_PLACE_MAX);
    if (sqlite3_step(st) == SQLITE_ROW)
        place = 1 + (uint32_t)sqlite3_column_int(st, 0);
    (void)sqlite3_reset(st);
    return place;
}

/* Some of what the suspended task waits for. */
static int read_wakes(struct backend_reader *r, const struct task *t, struct store_reported *out)
{
    sqlite3_stmt *st = r->stmts[R_WAKES];
    int step = SQLITE_DONE;
    if (!t->is_suspended || !t->unmet)
        return 0;
    bind_int(st, 1, (int64_t)t->spec->id.hi);
    bind_int(st, 2, STORE_WAKES_SHOWN);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && backend_add_wake(out, sqlite_id(st, 0, 1)))
        ;
    (void)sqlite3_reset(st);
    return sqlite_rc(r->db, step);
}

int sqlite_get(struct backend_reader *r, struct store_get *o)
{
    sqlite3_stmt *st = r->stmts[R_GET];
    bind_int(st, 1, (int64_t)o->id.hi);
    bind_int(st, 2, (int64_t)o->id.lo);
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW) {
        const char *message = column_text(st, C_NOTE);
        bool unknown = sqlite3_column_type(st, C_PROGRESS) == SQLITE_NULL;
        sqlite_read_task(r->b, st, true, &o->task);
        o->reported = (struct store_reported){
            .progress = unknown ? -1 : sqlite3_column_double(st, C_PROGRESS),
            .message = message ? xstrdup(message) : NULL,
            .log_end = (uint64_t)sqlite3_column_int64(st, C_LOG_END),
        };
    }
    (void)sqlite3_reset(st);
    if (step != SQLITE_ROW)
        return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_rc(r->db, step);
    o->reported.place = place_of(r, &o->task);
    int rc = sqlite_read_checkpoint(r, &o->task, o->with_checkpoint);
    if (rc == 0)
        rc = read_wakes(r, &o->task, &o->reported);
    return rc == 0 && o->with_input ? add_input(r, &o->task) : rc;
}

enum sqlite_filter_index sqlite_filter_index(const struct task_filter *f)
{
    bool by_queue = f->queue[0] && strcmp(f->queue, TASK_QUEUE_DEFAULT) != 0;
    return f->parent.hi     ? SQLITE_BY_PARENT
           : f->schedule[0] ? SQLITE_BY_SCHEDULE
           : by_queue       ? SQLITE_BY_QUEUE
                            : SQLITE_BY_NONE;
}

void sqlite_bind_filter(sqlite3_stmt *st, int i, const struct task_filter *f)
{
    enum sqlite_filter_index index = sqlite_filter_index(f);
    if (index == SQLITE_BY_PARENT)
        bind_int(st, i, (int64_t)f->parent.hi);
    else if (index)
        bind_text(st, i, index == SQLITE_BY_QUEUE ? f->queue : f->schedule);
}

static enum read_stmt driving_table(const struct task_filter *f, enum sqlite_filter_index index)
{
    static const enum read_stmt by[] = {[SQLITE_BY_QUEUE] = R_LIST_QUEUE,
                                        [SQLITE_BY_SCHEDULE] = R_LIST_SCHEDULE,
                                        [SQLITE_BY_PARENT] = R_LIST_PARENT};
    if (index)
        return by[index];
    unsigned states = f->states, final = 0;
    for (unsigned s = 0; s < TASK_STATE_COUNT; s++)
        final |= task_state_is_final((enum task_state)s) ? 1u << s : 0;
    if (f->code[0] || (states && (states & ~final) == 0))
        return R_LIST_DONE;
    if (!states)
        return R_LIST_ALL;
    return (states & final) == 0 ? R_LIST_LIVE : R_LIST_ALL;
}

int sqlite_list(struct backend_reader *r, struct store_list *o)
{
    enum sqlite_filter_index index = sqlite_filter_index(&o->filter);
    sqlite3_stmt *st = r->stmts[driving_table(&o->filter, index)];
    size_t seen = 0;
    uint64_t last = 0;
    int step = SQLITE_DONE;
    bind_int(st, 1, o->before ? (int64_t)o->before : INT64_MAX);
    bind_int(st, 2, BACKEND_SCAN_MAX);
    bind_int(st, 3, (int64_t)task_filter_lowest(&o->filter));
    sqlite_bind_filter(st, 4, &o->filter);
    while (o->n < o->limit && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct task t;
        seen++;
        sqlite_read_task(r->b, st, false, &t);
        last = t.spec->id.hi;
        if (task_filter_wants(&o->filter, &t))
            o->tasks[o->n++] = t;
        else
            task_release(&t);
    }
    (void)sqlite3_reset(st);
    o->next = o->n == o->limit || seen == BACKEND_SCAN_MAX ? last : 0;
    return sqlite_rc(r->db, step);
}
