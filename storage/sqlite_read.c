/* sqlite_read: what the reader threads ask. Each has a connection of its own; one statement is one
 * snapshot, so a future is never seen half-way between two states. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/sqlite_internal.h"

enum { FROM_ALL, FROM_LIVE, FROM_DONE, FROM_COUNT };

struct backend_reader {
    sqlite3 *db;
    sqlite3_stmt *get;
    sqlite3_stmt *list[FROM_COUNT];
};

enum column {
    C_KEY,
    C_LO,
    C_LANE,
    C_HANDLER,
    C_CREATED,
    C_TIMEOUT,
    C_RETRIES,
    C_LIVE_STATE,
    C_LIVE_ATTEMPT,
    C_LIVE_LOST,
    C_DUE,
    C_LIVE_STARTED,
    C_STATE,
    C_ATTEMPT,
    C_LOST,
    C_SEQ,
    C_STARTED,
    C_FINISHED,
    C_CODE,
    C_EXIT,
    C_SIGNAL,
    C_MESSAGE,
    C_TYPE,
    C_BODY,
    C_LOG,
};

#define COLUMNS                                                                                    \
    "SELECT t.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries,"                \
    " l.state, l.attempt, l.lost, l.due_ms, l.started_ms, r.state, r.attempt, r.lost, r.seq,"      \
    " r.started_ms, r.finished_ms, r.code, r.exit_code, r.signal, r.message"

static const char get_sql[] =
    COLUMNS ", r.type, r.body, r.log FROM tasks t LEFT JOIN live l ON l.key = t.key"
            " LEFT JOIN results r ON r.key = t.key WHERE t.key = ?1 AND t.lo = ?2";

/* The table that drives the scan is the one that holds the wanted states. */
static const char *const list_sql[FROM_COUNT] = {
    [FROM_ALL] = COLUMNS " FROM tasks t LEFT JOIN live l ON l.key = t.key"
                         " LEFT JOIN results r ON r.key = t.key"
                         " WHERE t.key < ?1 ORDER BY t.key DESC LIMIT ?2",
    [FROM_LIVE] = COLUMNS " FROM live l CROSS JOIN tasks t ON t.key = l.key"
                          " LEFT JOIN results r ON r.key = t.key"
                          " WHERE l.key < ?1 ORDER BY l.key DESC LIMIT ?2",
    [FROM_DONE] = COLUMNS " FROM results r CROSS JOIN tasks t ON t.key = r.key"
                          " LEFT JOIN live l ON l.key = t.key"
                          " WHERE r.key < ?1 ORDER BY r.key DESC LIMIT ?2",
};

void sqlite_reader_close(struct backend_reader *r)
{
    (void)sqlite3_finalize(r->get);
    for (int i = 0; i < FROM_COUNT; i++)
        (void)sqlite3_finalize(r->list[i]);
    (void)sqlite3_close(r->db);
    free(r);
}

int sqlite_reader_open(struct backend *b, struct backend_reader **out)
{
    struct backend_reader *r = xnew(struct backend_reader);
    int rc = sqlite_connect(b->path, &r->db, NULL);
    if (rc == 0)
        rc = sqlite_rc(r->db, sqlite3_prepare_v2(r->db, get_sql, -1, &r->get, NULL));
    for (int i = 0; rc == 0 && i < FROM_COUNT; i++)
        rc = sqlite_rc(r->db, sqlite3_prepare_v2(r->db, list_sql[i], -1, &r->list[i], NULL));
    if (rc != 0) {
        sqlite_reader_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

static struct task_spec *read_spec(sqlite3_stmt *st)
{
    return task_spec_new(&(struct task_spec){
        .id = {(uint64_t)sqlite3_column_int64(st, C_KEY), (uint64_t)sqlite3_column_int64(st, C_LO)},
        .lane = (enum lane)sqlite3_column_int(st, C_LANE),
        .handler = column_text(st, C_HANDLER),
        .created_wall_ms = sqlite3_column_int64(st, C_CREATED),
        .timeout_ms = sqlite3_column_int64(st, C_TIMEOUT),
        .retries = (uint32_t)sqlite3_column_int64(st, C_RETRIES),
    });
}

static int column_or(sqlite3_stmt *st, int i, int null)
{
    return sqlite3_column_type(st, i) == SQLITE_NULL ? null : sqlite3_column_int(st, i);
}

static struct task_outcome *read_outcome(sqlite3_stmt *st, bool whole)
{
    struct task_outcome o = {
        .code = column_text(st, C_CODE),
        .message = column_text(st, C_MESSAGE),
        .exit_code = column_or(st, C_EXIT, -1),
        .signal = column_or(st, C_SIGNAL, 0),
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

static void read_task(sqlite3_stmt *st, bool whole, struct task *out)
{
    bool done = sqlite3_column_type(st, C_STATE) != SQLITE_NULL;
    *out = (struct task){
        .spec = read_spec(st),
        .state = (enum task_state)sqlite3_column_int(st, done ? C_STATE : C_LIVE_STATE),
        .attempt = (uint32_t)sqlite3_column_int64(st, done ? C_ATTEMPT : C_LIVE_ATTEMPT),
        .lost = (uint32_t)sqlite3_column_int64(st, done ? C_LOST : C_LIVE_LOST),
        .seq = (uint64_t)sqlite3_column_int64(st, C_SEQ),
        .due_wall_ms = sqlite3_column_int64(st, C_DUE),
        .started_wall_ms = sqlite3_column_int64(st, done ? C_STARTED : C_LIVE_STARTED),
        .finished_wall_ms = sqlite3_column_int64(st, C_FINISHED),
        .outcome = done ? read_outcome(st, whole) : NULL,
    };
}

int sqlite_get(struct backend_reader *r, struct task_id id, struct task *out)
{
    bind_int(r->get, 1, (int64_t)id.hi);
    bind_int(r->get, 2, (int64_t)id.lo);
    int step = sqlite3_step(r->get);
    if (step == SQLITE_ROW)
        read_task(r->get, true, out);
    (void)sqlite3_reset(r->get);
    return step == SQLITE_DONE ? FUT_ERR_NOT_FOUND : sqlite_rc(r->db, step);
}

static int driving_table(unsigned states)
{
    unsigned final = 0;
    for (unsigned s = 0; s < TASK_STATE_COUNT; s++)
        final |= task_state_is_final((enum task_state)s) ? 1u << s : 0;
    if (!states)
        return FROM_ALL;
    if ((states & ~final) == 0)
        return FROM_DONE;
    return (states & final) == 0 ? FROM_LIVE : FROM_ALL;
}

int sqlite_list(struct backend_reader *r, struct store_list *o)
{
    sqlite3_stmt *st = r->list[driving_table(o->states)];
    size_t seen = 0;
    uint64_t last = 0;
    int step = SQLITE_DONE;
    bind_int(st, 1, o->before ? (int64_t)o->before : INT64_MAX);
    bind_int(st, 2, BACKEND_SCAN_MAX);
    while (o->n < o->limit && (step = sqlite3_step(st)) == SQLITE_ROW) {
        struct task t;
        seen++;
        read_task(st, false, &t);
        last = t.spec->id.hi;
        if (backend_list_wants(o, &t))
            o->tasks[o->n++] = t;
        else
            task_release(&t);
    }
    (void)sqlite3_reset(st);
    o->next = o->n == o->limit || seen == BACKEND_SCAN_MAX ? last : 0;
    return sqlite_rc(r->db, step);
}
