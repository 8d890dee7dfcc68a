/* limits: the rows of limits and of their keys. The writer thread alone. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"

int sqlite_limit_put(struct backend *b, const struct store_limit *limit)
{
    sqlite3_stmt *st = b->stmts[W_LIMIT_PUT];
    bind_text(st, 1, limit->name);
    bind_int(st, 2, limit->per_key);
    bind_int(st, 3, limit->max_running);
    (void)sqlite3_bind_double(st, 4, limit->rate_tasks);
    bind_int(st, 5, limit->rate_per_ms);
    (void)sqlite3_bind_double(st, 6, limit->rate_burst);
    return sqlite_run(b, W_LIMIT_PUT);
}

int sqlite_limit_drop(struct backend *b, const char *name)
{
    bind_text(b->stmts[W_LIMIT_DROP], 1, name);
    return sqlite_run(b, W_LIMIT_DROP);
}

int sqlite_limit_key_put(struct backend *b, const struct backend_limit_key *key)
{
    sqlite3_stmt *st = b->stmts[W_LIMIT_KEY_PUT];
    bind_text(st, 1, key->name);
    bind_text(st, 2, key->key);
    (void)sqlite3_bind_double(st, 3, key->tokens);
    bind_int(st, 4, key->tokens_up_ms);
    bind_int(st, 5, key->closed_until_up_ms);
    return sqlite_run(b, W_LIMIT_KEY_PUT);
}

int sqlite_limit_key_drop(struct backend *b, const char *name, const char *key)
{
    bind_text(b->stmts[W_LIMIT_KEY_DROP], 1, name);
    bind_text(b->stmts[W_LIMIT_KEY_DROP], 2, key);
    return sqlite_run(b, W_LIMIT_KEY_DROP);
}

static void load_limit(sqlite3_stmt *st, backend_limit_fn *fn, void *ctx)
{
    struct store_limit l = {.per_key = sqlite3_column_int(st, 1) != 0,
                            .max_running = (uint32_t)sqlite3_column_int64(st, 2),
                            .rate_tasks = sqlite3_column_double(st, 3),
                            .rate_per_ms = sqlite3_column_int64(st, 4),
                            .rate_burst = sqlite3_column_double(st, 5)};
    (void)snprintf(l.name, sizeof(l.name), "%s", column_text(st, 0));
    fn(ctx, &l);
}

int sqlite_limits(struct backend *b, backend_limit_fn *limit_fn, backend_limit_key_fn *key_fn,
                  void *ctx)
{
    sqlite3_stmt *limits = b->stmts[W_LIMITS], *keys = b->stmts[W_LIMIT_KEYS];
    int step;
    while ((step = sqlite3_step(limits)) == SQLITE_ROW)
        load_limit(limits, limit_fn, ctx);
    (void)sqlite3_reset(limits);
    if (step != SQLITE_DONE)
        return sqlite_noted_rc(b, step);
    while ((step = sqlite3_step(keys)) == SQLITE_ROW)
        key_fn(ctx, &(struct backend_limit_key){
                        column_text(keys, 0), column_text(keys, 1), sqlite3_column_double(keys, 2),
                        sqlite3_column_int64(keys, 3), sqlite3_column_int64(keys, 4)});
    (void)sqlite3_reset(keys);
    return sqlite_noted_rc(b, step);
}
