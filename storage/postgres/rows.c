/* rows: how tasks stand in rows, and walks over many of them. */
#include "core/mem.h"
#include "storage/postgres/internal.h"

int postgres_put_options(struct backend *b, const struct task_spec *spec)
{
    const struct retry_policy *p = &spec->retry;
    const struct task_times *times = &spec->times;
    return postgres_add_row(
        b, IN_OPTIONS,
        PG_VALUES(v_key(spec->id.hi), v_key_text(spec->unique), v_int_or_null((int64_t)p->on, 0),
                  v_int_or_null(p->first_ms, 0), v_int_or_null(p->max_ms, 0),
                  v_int_or_null(p->says_jitter ? (int64_t)p->jitter_percent : -1, -1),
                  v_int_or_null(times->delay_ms, 0), v_int_or_null(times->run_at_wall_ms, 0),
                  v_int_or_null(times->expires_in_ms, 0), v_int_or_null(times->deadline_ms, 0),
                  v_text(spec->schedule), v_text(spec->queue), v_text(spec->fair_key),
                  v_int(spec->priority), v_int_or_null(backend_flags(spec), 0),
                  v_text(spec->limits), v_text(spec->name),
                  v_int_or_null((int64_t)spec->parent.hi, 0),
                  v_int_or_null(spec->parent.hi ? (int64_t)spec->parent.lo : 0, 0)));
}

static uint32_t read_u32(const PGresult *r, int row, int column)
{
    return (uint32_t)postgres_int(r, row, column);
}

struct task_spec *postgres_read_spec(const PGresult *r, int row, int input_column)
{
    struct task_spec spec = {
        .id = postgres_id(r, row, C_KEY, C_LO),
        .lane = (enum lane)postgres_int(r, row, C_LANE),
        .handler = postgres_text(r, row, C_HANDLER),
        .created_wall_ms = postgres_int(r, row, C_CREATED),
        .timeout_ms = postgres_int(r, row, C_TIMEOUT),
        .retries = read_u32(r, row, C_RETRIES),
        .batch = postgres_id(r, row, C_BATCH, C_BATCH_LO),
        .batch_pos = read_u32(r, row, C_BATCH_POS),
        .after = postgres_id(r, row, C_AFTER, C_AFTER_LO),
        .callback = postgres_id(r, row, C_CALLBACK, C_CALLBACK_LO),
        .traceparent = postgres_text(r, row, C_TRACEPARENT),
        .unique = postgres_text(r, row, C_UNIQUE),
        .retry = {.on = (unsigned)postgres_int(r, row, C_RETRY_ON),
                  .first_ms = postgres_int(r, row, C_RETRY_FIRST),
                  .max_ms = postgres_int(r, row, C_RETRY_MAX),
                  .says_jitter = !postgres_is_null(r, row, C_RETRY_JITTER),
                  .jitter_percent = (unsigned)postgres_int(r, row, C_RETRY_JITTER)},
        .times = {.delay_ms = postgres_int(r, row, C_DELAY),
                  .run_at_wall_ms = postgres_int(r, row, C_RUN_AT),
                  .expires_in_ms = postgres_int(r, row, C_EXPIRES_IN),
                  .deadline_ms = postgres_int(r, row, C_DEADLINE)},
        .schedule = postgres_text(r, row, C_SCHEDULE),
        .queue = postgres_text(r, row, C_QUEUE),
        .fair_key = postgres_text(r, row, C_FAIR_KEY),
        .priority = (int)postgres_int(r, row, C_PRIORITY),
        .limits = postgres_text(r, row, C_LIMITS),
        .name = postgres_text(r, row, C_NAME),
        .parent = postgres_id(r, row, C_PARENT, C_PARENT_LO),
    };
    backend_set_flags(&spec, postgres_int(r, row, C_FLAGS));
    if (input_column >= 0) {
        spec.input_type = postgres_text(r, row, input_column);
        spec.input = (const unsigned char *)PQgetvalue(r, row, input_column + 1);
        spec.input_len = postgres_len(r, row, input_column + 1);
    }
    return task_spec_new(&spec);
}

void postgres_read_live(const PGresult *r, int row, struct task *out)
{
    *out = (struct task){
        .spec = postgres_read_spec(r, row, -1),
        .state = (enum task_state)postgres_int(r, row, C_LIVE_STATE),
        .attempt = read_u32(r, row, C_LIVE_ATTEMPT),
        .daemon_deaths = read_u32(r, row, C_LIVE_DEATHS),
        .due_wall_ms = postgres_int(r, row, C_DUE),
        .started_wall_ms = postgres_int(r, row, C_LIVE_STARTED),
        .earlier_attempts = read_u32(r, row, C_EARLIER),
        .unmet = read_u32(r, row, C_UNMET),
        .is_suspended = postgres_int(r, row, C_LIVE_STATE) == TASK_SCHEDULED &&
                        postgres_int(r, row, C_SUSPENDED) == 2,
    };
}

void postgres_read_lives(PGresult *r, size_t max, struct task *tasks, size_t *out_n)
{
    size_t n = (size_t)PQntuples(r) < max ? (size_t)PQntuples(r) : max;
    for (size_t i = 0; i < n; i++)
        postgres_read_live(r, (int)i, &tasks[i]);
    PQclear(r);
    *out_n = n;
}

static int int_or(const PGresult *r, int row, int column, int null)
{
    return postgres_is_null(r, row, column) ? null : (int)postgres_int(r, row, column);
}

static struct task_outcome *read_outcome(const PGresult *r, int row, bool whole)
{
    struct task_outcome o = {
        .code = postgres_text(r, row, C_CODE),
        .message = postgres_text(r, row, C_MESSAGE),
        .error_type = postgres_text(r, row, C_ERROR_TYPE),
        .exit_code = int_or(r, row, C_EXIT, -1),
        .signal = int_or(r, row, C_SIGNAL, 0),
        .oom = (enum task_oom)int_or(r, row, C_OOM, TASK_OOM_UNKNOWN),
        .max_rss_kib = postgres_uint(r, row, C_RSS),
        .cpu_ms = postgres_uint(r, row, C_CPU),
    };
    if (whole) {
        o.type = postgres_text(r, row, C_TYPE);
        o.body = (const unsigned char *)postgres_text(r, row, C_BODY);
        o.body_len = postgres_len(r, row, C_BODY);
        o.log = postgres_text(r, row, C_LOG);
        o.log_len = postgres_len(r, row, C_LOG);
    }
    return task_outcome_new(&o);
}

/* Due times are kept by the uptime, which people do not read. */
static int64_t read_due(const struct backend *b, const PGresult *r, int row, const struct task *t)
{
    if (postgres_is_null(r, row, C_DUE))
        return t->state == TASK_SCHEDULED && !t->unmet ? t->spec->times.run_at_wall_ms : 0;
    return postgres_int(r, row, C_DUE) +
           atomic_load_explicit(&b->up_offset_ms, memory_order_relaxed);
}

void postgres_read_task(const struct backend *b, const PGresult *r, int row, bool whole,
                        struct task *out)
{
    bool done = !postgres_is_null(r, row, C_STATE);
    *out = (struct task){
        .spec = postgres_read_spec(r, row, -1),
        .state = (enum task_state)postgres_int(r, row, done ? C_STATE : C_LIVE_STATE),
        .attempt = read_u32(r, row, done ? C_ATTEMPT : C_LIVE_ATTEMPT),
        .daemon_deaths = read_u32(r, row, done ? C_DEATHS : C_LIVE_DEATHS),
        .seq = postgres_uint(r, row, C_SEQ),
        .started_wall_ms = postgres_int(r, row, done ? C_STARTED : C_LIVE_STARTED),
        .earlier_attempts = read_u32(r, row, C_EARLIER),
        .unmet = read_u32(r, row, C_UNMET),
        .finished_wall_ms = postgres_int(r, row, C_FINISHED),
        .outcome = done ? read_outcome(r, row, whole) : NULL,
    };
    out->due_wall_ms = read_due(b, r, row, out);
    out->is_suspended = out->state == TASK_SCHEDULED && postgres_int(r, row, C_SUSPENDED) == 2;
}

struct task_checkpoint *postgres_read_checkpoint(const PGresult *r, int row)
{
    return task_checkpoint_new(&(struct task_checkpoint){
        .attempt = read_u32(r, row, 0),
        .stored_wall_ms = postgres_int(r, row, 1),
        .type = postgres_text(r, row, 2),
        .len = (size_t)postgres_int(r, row, 3),
        .body = PQnfields(r) > 4 ? (const unsigned char *)postgres_text(r, row, 4) : NULL,
    });
}

/* ---- walks ------------------------------------------------------------------------------------
 */

enum postgres_stmt postgres_scan_by(const struct task_filter *f, bool is_whole)
{
    bool by_queue = f->queue[0] && strcmp(f->queue, TASK_QUEUE_DEFAULT) != 0;
    if (f->runs_here)
        return P_SCAN_HERE;
    if (f->parent.hi)
        return is_whole ? P_SCAN_PARENT_WHOLE : P_SCAN_PARENT;
    if (f->schedule[0])
        return is_whole ? P_SCAN_SCHEDULE_WHOLE : P_SCAN_SCHEDULE;
    return !by_queue ? P_COUNT : is_whole ? P_SCAN_QUEUE_WHOLE : P_SCAN_QUEUE;
}

static struct postgres_value filter_value(const struct backend *b, const struct task_filter *f)
{
    if (f->runs_here)
        return v_int(b->boot);
    if (f->parent.hi)
        return v_key(f->parent.hi);
    return v_text(f->schedule[0] ? f->schedule : f->queue);
}

int postgres_scan(struct postgres_conn *c, const struct backend *b, struct postgres_walk *w)
{
    bool has_filter = postgres_scan_by(w->filter, w->is_whole) == w->stmt;
    bool goes_on = true;
    w->seen = 0;
    w->is_end = false;
    while (goes_on && !w->is_end && w->seen < w->look) {
        size_t step = w->look - w->seen < w->step ? w->look - w->seen : w->step;
        const struct postgres_value values[] = {v_key(w->before),
                                                v_key(task_filter_lowest(w->filter)),
                                                v_int((int64_t)step), filter_value(b, w->filter)};
        PGresult *r;
        int rc = postgres_ask(c, w->stmt, values, has_filter ? 4 : 3, &r);
        if (rc != 0)
            return rc;
        int n = PQntuples(r);
        for (int i = 0; goes_on && i < n; i++) {
            struct task t;
            postgres_read_task(b, r, i, w->is_whole, &t);
            w->seen++;
            w->before = t.spec->id.hi;
            goes_on = w->fn(w->ctx, &t);
        }
        w->is_end = goes_on && (size_t)n < step;
        PQclear(r);
    }
    return 0;
}
