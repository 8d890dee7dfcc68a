#include "storage/sqlite/internal.h"

static void bind_id(sqlite3_stmt *st, int i, struct task_id id)
{
    bind_int_or_null(st, i, (int64_t)id.hi, 0);
    if (id.hi)
        bind_int(st, i + 1, (int64_t)id.lo);
    else
        (void)sqlite3_bind_null(st, i + 1);
}

static void put_id(struct params *p, int i, struct task_id id)
{
    params_int_or_null(p, i, (int64_t)id.hi, 0);
    if (id.hi)
        params_int(p, i + 1, (int64_t)id.lo);
    else
        params_null(p, i + 1);
}

void sqlite_bind_spec(struct params *p, const struct task_spec *spec)
{
    params_int(p, 1, (int64_t)spec->id.hi);
    params_int(p, 2, (int64_t)spec->id.lo);
    params_int(p, 3, (int64_t)spec->lane);
    params_text(p, 4, spec->handler);
    params_int(p, 5, spec->created_wall_ms);
    params_int(p, 6, spec->timeout_ms);
    params_int(p, 7, spec->retries);
    params_int_or_null(p, 8, (int64_t)spec->batch.hi, 0);
    params_int_or_null(p, 9, spec->batch.hi ? (int64_t)spec->batch_pos : -1, -1);
    put_id(p, 10, spec->after);
    put_id(p, 12, spec->callback);
    params_text(p, 14, spec->traceparent);
    params_text(p, 15, spec->input_type);
    params_blob(p, 16, spec->input, spec->input_len);
}

bool sqlite_bind_options(sqlite3_stmt *st, const struct task_spec *spec)
{
    const struct retry_policy *p = &spec->retry;
    const struct task_times *times = &spec->times;
    if (!backend_has_options(spec))
        return false;
    bind_int(st, 1, (int64_t)spec->id.hi);
    bind_text(st, 2, spec->unique);
    bind_int_or_null(st, 3, (int64_t)p->on, 0);
    bind_int_or_null(st, 4, p->first_ms, 0);
    bind_int_or_null(st, 5, p->max_ms, 0);
    bind_int_or_null(st, 6, p->says_jitter ? (int64_t)p->jitter_percent : -1, -1);
    bind_int_or_null(st, 7, times->delay_ms, 0);
    bind_int_or_null(st, 8, times->run_at_wall_ms, 0);
    bind_int_or_null(st, 9, times->expires_in_ms, 0);
    bind_int_or_null(st, 10, times->deadline_ms, 0);
    bind_text(st, 11, spec->schedule);
    bind_text(st, 12, spec->queue);
    bind_text(st, 13, spec->fair_key);
    bind_int(st, 14, spec->priority);
    bind_int_or_null(st, 15, backend_flags(spec), 0);
    bind_text(st, 16, spec->limits);
    bind_text(st, 17, spec->name);
    bind_id(st, 18, spec->parent);
    return true;
}

struct task_id sqlite_id(sqlite3_stmt *st, int hi, int lo)
{
    return (struct task_id){(uint64_t)sqlite3_column_int64(st, hi),
                            (uint64_t)sqlite3_column_int64(st, lo)};
}

struct task_spec *sqlite_read_spec(sqlite3_stmt *st, int input_column)
{
    struct task_spec spec = {
        .id = sqlite_id(st, 0, 1),
        .lane = (enum lane)sqlite3_column_int(st, 2),
        .handler = column_text(st, 3),
        .created_wall_ms = sqlite3_column_int64(st, 4),
        .timeout_ms = sqlite3_column_int64(st, 5),
        .retries = (uint32_t)sqlite3_column_int64(st, 6),
        .batch = sqlite_id(st, 7, 14),
        .batch_pos = (uint32_t)sqlite3_column_int64(st, 8),
        .after = sqlite_id(st, 9, 10),
        .callback = sqlite_id(st, 11, 12),
        .traceparent = column_text(st, 13),
        .unique = column_text(st, 15),
        .retry = {.on = (unsigned)sqlite3_column_int(st, 16),
                  .first_ms = sqlite3_column_int64(st, 17),
                  .max_ms = sqlite3_column_int64(st, 18),
                  .says_jitter = sqlite3_column_type(st, 19) != SQLITE_NULL,
                  .jitter_percent = (unsigned)sqlite3_column_int(st, 19)},
        .times = {.delay_ms = sqlite3_column_int64(st, 20),
                  .run_at_wall_ms = sqlite3_column_int64(st, 21),
                  .expires_in_ms = sqlite3_column_int64(st, 22),
                  .deadline_ms = sqlite3_column_int64(st, 23)},
        .schedule = column_text(st, 24),
        .queue = column_text(st, 25),
        .fair_key = column_text(st, 26),
        .priority = sqlite3_column_int(st, 27),
        .limits = column_text(st, 29),
        .name = column_text(st, 30),
        .parent = sqlite_id(st, 31, 32),
    };
    backend_set_flags(&spec, sqlite3_column_int(st, 28));
    if (input_column >= 0) {
        spec.input_type = column_text(st, input_column);
        spec.input = sqlite3_column_blob(st, input_column + 1);
        spec.input_len = (size_t)sqlite3_column_bytes(st, input_column + 1);
    }
    return task_spec_new(&spec);
}

void sqlite_read_live(sqlite3_stmt *st, struct task *out)
{
    *out = (struct task){
        .spec = sqlite_read_spec(st, -1),
        .state = (enum task_state)sqlite3_column_int(st, SPEC_COLUMN_COUNT),
        .attempt = (uint32_t)sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 1),
        .daemon_deaths = (uint32_t)sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 2),
        .due_wall_ms = sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 3),
        .started_wall_ms = sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 4),
        .earlier_attempts = (uint32_t)sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 5),
        .is_suspended = sqlite3_column_int(st, SPEC_COLUMN_COUNT) == TASK_SCHEDULED &&
                        sqlite3_column_int(st, SPEC_COLUMN_COUNT + 6) == 2,
        .unmet = (uint32_t)sqlite3_column_int64(st, SPEC_COLUMN_COUNT + 7),
    };
}
