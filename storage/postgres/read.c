/* read: the readers: a connection for each thread, one future, pages of them, and logs. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

/* Nested loops by indexes, whatever the statistics of tables say that were empty a moment ago. */
static const char settings[] =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    "SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan;"
    "SET default_transaction_read_only = on";

/* ---- connections ------------------------------------------------------------------------------
 */

/* A thread that begins while the database is away serves later. */
int postgres_reader_open(struct backend *b, struct backend_reader **out)
{
    struct backend_reader *r = xnew(struct backend_reader);
    r->b = b;
    r->c.url = b->url;
    r->c.settings = settings;
    int rc = postgres_connect(&r->c, NULL);
    (void)rc; /* it is tried again when somebody asks */
    *out = r;
    return 0;
}

void postgres_reader_close(struct backend_reader *r)
{
    postgres_disconnect(&r->c);
    free(r->c.sent);
    free(r);
}

int postgres_read(struct backend_reader *r, enum postgres_stmt stmt,
                  const struct postgres_value *values, size_t n, PGresult **out)
{
    int rc = FUT_ERR_IO;
    for (int tries = 0; rc != 0 && tries < 2; tries++) {
        rc = postgres_is_usable(&r->c) ? 0 : postgres_connect(&r->c, NULL);
        if (rc == 0)
            rc = postgres_ask(&r->c, stmt, values, n, out);
        if (postgres_is_connected(&r->c))
            return rc; /* asking again would not help */
    }
    return rc;
}

#define PAGE_STEP 64         /* tasks of one statement, */
#define PAGE_STEP_LARGE 8    /* or so many, until results are known to be smaller than this, */
#define PAGE_STEP_BYTES 4096 /* on average: a statement's rows are in memory together */

int64_t postgres_page_step(const struct store_page *p, bool with_bodies)
{
    bool is_small = !with_bodies || (p->n && p->bytes / p->n < PAGE_STEP_BYTES);
    size_t step = is_small ? PAGE_STEP : PAGE_STEP_LARGE, rest = p->limit - p->n;
    return (int64_t)(rest < step ? rest : step);
}

int postgres_read_page(struct backend_reader *r, enum postgres_stmt stmt,
                       const struct postgres_value *values, size_t n, struct store_page *p,
                       bool with_bodies, bool *out_is_last)
{
    int64_t want = postgres_page_step(p, with_bodies);
    PGresult *rows;
    int rc = postgres_read(r, stmt, values, n, &rows);
    if (rc != 0)
        return rc;
    *out_is_last = PQntuples(rows) < want;
    for (int i = 0; i < PQntuples(rows) && !p->is_full; i++) {
        postgres_read_task(r->b, rows, i, with_bodies, &p->tasks[p->n]);
        backend_page_add(p);
    }
    PQclear(rows);
    return 0;
}

/* A walk that has begun is not begun again. */
int postgres_read_walk(struct backend_reader *r, struct postgres_walk *w)
{
    int rc = FUT_ERR_IO;
    for (int tries = 0; rc != 0 && tries < 2 && w->seen == 0; tries++) {
        rc = postgres_is_usable(&r->c) ? 0 : postgres_connect(&r->c, NULL);
        if (rc == 0)
            rc = postgres_scan(&r->c, r->b, w);
        if (postgres_is_connected(&r->c))
            return rc;
    }
    return rc;
}

/* ---- one future -------------------------------------------------------------------------------
 */

/* In a statement of its own, as few ask for it: what was submitted does not change. */
static int add_input(struct backend_reader *r, struct task *t)
{
    struct task_spec spec = *t->spec;
    PGresult *row;
    int rc = postgres_read(r, P_INPUT, PG_VALUES(v_key(spec.id.hi)), &row);
    if (rc != 0)
        return rc;
    if (PQntuples(row) > 0) {
        spec.input_type = postgres_text(row, 0, 0);
        spec.input = (const unsigned char *)PQgetvalue(row, 0, 1);
        spec.input_len = postgres_len(row, 0, 1);
        struct task_spec *whole = task_spec_new(&spec);
        task_spec_unref(t->spec);
        t->spec = whole;
    }
    PQclear(row);
    return 0;
}

/* A snapshot of its own, a moment later: the place is a hint. A number that cannot be had is left
 * out. */
static uint32_t place_of(struct backend_reader *r, const struct task *t)
{
    PGresult *row;
    if (!backend_is_claimable(t->state))
        return 0;
    if (postgres_read(r, P_AHEAD, PG_VALUES(v_key(t->spec->id.hi), v_int(STORE_PLACE_MAX)), &row) !=
        0)
        return 0;
    uint32_t place = 1 + (uint32_t)postgres_int(row, 0, 0);
    PQclear(row);
    return place;
}

/* Some of what the suspended task waits for. */
static int read_wakes(struct backend_reader *r, const struct task *t, struct store_reported *out)
{
    PGresult *rows;
    if (!t->is_suspended || !t->unmet)
        return 0;
    int rc = postgres_read(r, P_WAKES, PG_VALUES(v_key(t->spec->id.hi), v_int(STORE_WAKES_SHOWN)),
                           &rows);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(rows) && backend_add_wake(out, postgres_id(rows, i, 0, 1)); i++)
        ;
    PQclear(rows);
    return 0;
}

static int add_checkpoint(struct backend_reader *r, struct task *t, bool with_body)
{
    PGresult *row;
    if (!atomic_load_explicit(&r->b->has_checkpoints, memory_order_relaxed))
        return 0;
    int rc = postgres_read(r, with_body ? P_GET_CHECKPOINT : P_CHECKPOINT_SIZE,
                           PG_VALUES(v_key(t->spec->id.hi)), &row);
    if (rc != 0)
        return rc;
    if (PQntuples(row) > 0)
        t->checkpoint = postgres_read_checkpoint(row, 0);
    PQclear(row);
    return 0;
}

static struct store_reported read_reported(const PGresult *r, int progress)
{
    const char *message = postgres_text(r, 0, progress + 1);
    bool is_unknown = postgres_is_null(r, 0, progress);
    return (struct store_reported){.progress = is_unknown ? -1 : postgres_double(r, 0, progress),
                                   .message = message ? xstrdup(message) : NULL,
                                   .log_end = postgres_uint(r, 0, progress + 2)};
}

int postgres_get(struct backend_reader *r, struct store_get *o)
{
    PGresult *row;
    int rc = postgres_row(
        postgres_read(r, P_GET, PG_VALUES(v_key(o->id.hi), v_key(o->id.lo)), &row), &row);
    if (rc != 0)
        return rc;
    postgres_read_task(r->b, row, 0, true, &o->task);
    o->reported = read_reported(row, C_PROGRESS);
    PQclear(row);
    o->reported.place = place_of(r, &o->task);
    rc = add_checkpoint(r, &o->task, o->with_checkpoint);
    if (rc == 0)
        rc = read_wakes(r, &o->task, &o->reported);
    return rc == 0 && o->with_input ? add_input(r, &o->task) : rc;
}

int postgres_log(struct backend_reader *r, struct store_log *o)
{
    PGresult *row;
    int rc = postgres_row(
        postgres_read(r, P_LOG, PG_VALUES(v_key(o->id.hi), v_key(o->id.lo)), &row), &row);
    if (rc != 0)
        return rc;
    o->state = (enum task_state)postgres_int(row, 0, 0);
    o->reported = read_reported(row, 1);
    backend_copy_log(o, postgres_text(row, 0, 4), postgres_len(row, 0, 4));
    PQclear(row);
    return 0;
}

static int int_or(const PGresult *r, int row, int column, int null)
{
    return postgres_is_null(r, row, column) ? null : (int)postgres_int(r, row, column);
}

static struct task_outcome *read_outcome(const PGresult *r, int i)
{
    return task_outcome_new(&(struct task_outcome){
        .code = postgres_text(r, i, 4),
        .message = postgres_text(r, i, 5),
        .exit_code = int_or(r, i, 6, -1),
        .signal = int_or(r, i, 7, 0),
        .oom = (enum task_oom)int_or(r, i, 8, TASK_OOM_UNKNOWN),
        .max_rss_kib = postgres_uint(r, i, 9),
        .cpu_ms = postgres_uint(r, i, 10),
        .log = postgres_text(r, i, 11),
        .log_len = postgres_len(r, i, 11),
        .error_type = postgres_text(r, i, 12),
    });
}

int postgres_attempts(struct backend_reader *r, struct store_attempts *o)
{
    PGresult *rows;
    int rc =
        postgres_read(r, P_ATTEMPTS, PG_VALUES(v_key(o->id.hi), v_int(STORE_ATTEMPTS_MAX)), &rows);
    if (rc != 0)
        return rc;
    int n = PQntuples(rows);
    o->attempts = n ? xcalloc((size_t)n, sizeof(*o->attempts)) : NULL;
    for (int i = 0; i < n; i++)
        o->attempts[o->n++] = (struct store_attempt){
            .attempt = (uint32_t)postgres_int(rows, i, 0),
            .state = (enum task_state)postgres_int(rows, i, 1),
            .started_wall_ms = postgres_int(rows, i, 2),
            .finished_wall_ms = postgres_int(rows, i, 3),
            .outcome = postgres_is_null(rows, i, 4) ? NULL : read_outcome(rows, i),
        };
    PQclear(rows);
    return 0;
}

/* ---- many -------------------------------------------------------------------------------------
 */

/* The table that drives a list is the one that holds the wanted states. */
static enum postgres_stmt driving_table(const struct task_filter *f)
{
    enum postgres_stmt by = postgres_scan_by(f, false);
    unsigned states = f->states, final = 0;
    if (by != P_COUNT)
        return by;
    for (unsigned s = 0; s < TASK_STATE_COUNT; s++)
        final |= task_state_is_final((enum task_state)s) ? 1u << s : 0;
    if (f->code[0] || (states && (states & ~final) == 0))
        return P_SCAN_DONE;
    return states && (states & final) == 0 ? P_SCAN_LIVE : P_SCAN_ALL;
}

static bool add_wanted(void *ctx, struct task *t)
{
    struct store_list *o = ctx;
    o->next = t->spec->id.hi;
    if (task_filter_wants(&o->filter, t))
        o->tasks[o->n++] = *t;
    else
        task_release(t);
    return o->n < o->limit;
}

int postgres_list(struct backend_reader *r, struct store_list *o)
{
    struct postgres_walk w = {.stmt = driving_table(&o->filter),
                              .filter = &o->filter,
                              .before = o->before ? o->before : INT64_MAX,
                              .look = BACKEND_SCAN_MAX,
                              .step = o->limit > 100 ? o->limit : 100,
                              .fn = add_wanted,
                              .ctx = o};
    int rc = postgres_read_walk(r, &w);
    if (w.is_end)
        o->next = 0;
    return rc;
}

#define MANY_STEP 1000

static int read_briefs(struct backend_reader *r, const struct task_id *ids, size_t n,
                       struct store_brief *out)
{
    int64_t keys[MANY_STEP], los[MANY_STEP];
    PGresult *rows;
    for (size_t i = 0; i < n; i++) {
        keys[i] = (int64_t)ids[i].hi;
        los[i] = (int64_t)ids[i].lo;
    }
    int rc = postgres_read(r, P_BRIEFS, PG_VALUES(v_ints(keys, n), v_ints(los, n)), &rows);
    if (rc != 0)
        return rc;
    for (int i = 0; i < PQntuples(rows) && i < (int)n; i++) {
        bool is_done = !postgres_is_null(rows, i, 2);
        out[i] = (struct store_brief){.found = postgres_int(rows, i, 0) != 0};
        if (out[i].found) {
            out[i].state = (enum task_state)postgres_int(rows, i, is_done ? 2 : 1);
            out[i].seq = postgres_uint(rows, i, 3);
        }
    }
    PQclear(rows);
    return 0;
}

int postgres_get_many(struct backend_reader *r, struct store_get_many *o)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->n; i += MANY_STEP) {
        size_t n = o->n - i < MANY_STEP ? o->n - i : MANY_STEP;
        rc = read_briefs(r, o->ids + i, n, o->briefs + i);
    }
    return rc;
}
