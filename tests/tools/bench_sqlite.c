/* bench_sqlite: the least that SQLite takes for the rows of a daemon's database: the same schema,
 * the same settings, the same rows, inserted in plain transactions by one thread that does nothing
 * else. The limit that bulk submits (1,000 tasks per transaction) and a lone task (1) are held
 * against. Prints one line of JSON. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

#define TABLES_MAX 64

struct table {
    char *name;
    int columns;
    size_t rows, cap;
    sqlite3_value **values; /* rows * columns */
    sqlite3_stmt *insert;
};

struct copy {
    sqlite3 *from, *to;
    struct table tables[TABLES_MAX];
    size_t n_tables, n_tasks;
};

struct options {
    const char *from, *to;
    double tasks, limit;
};

static void check(sqlite3 *db, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        fail("bench_sqlite: %s: %s", what, sqlite3_errmsg(db));
}

static void run_sql(sqlite3 *db, const char *sql)
{
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    check(db, sqlite3_prepare_v2(db, sql, -1, &s, NULL), sql);
    return s;
}

/* ---- reading what the daemon wrote ----------------------------------------------------------- */

static void keep_row(struct table *t, sqlite3_stmt *row)
{
    if (t->rows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->values = xrealloc(t->values, t->cap * (size_t)t->columns * sizeof(sqlite3_value *));
    }
    for (int c = 0; c < t->columns; c++)
        t->values[t->rows * (size_t)t->columns + (size_t)c] =
            sqlite3_value_dup(sqlite3_column_value(row, c));
    t->rows++;
}

static void read_table(struct copy *copy, struct table *t, int64_t limit)
{
    char *sql = text_printf("SELECT * FROM \"%s\"", t->name);
    sqlite3_stmt *s = prepared(copy->from, sql);
    t->columns = sqlite3_column_count(s);
    while ((limit == 0 || (int64_t)t->rows < limit) && sqlite3_step(s) == SQLITE_ROW)
        keep_row(t, s);
    check(copy->from, sqlite3_finalize(s), sql);
    free(sql);
    if (strcmp(t->name, "tasks") == 0)
        copy->n_tasks = t->rows;
}

/* The schema goes to the new file as it stands. */
static void read_all(struct copy *copy, int64_t limit)
{
    sqlite3_stmt *s = prepared(copy->from, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS "
                                           "NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid");
    while (sqlite3_step(s) == SQLITE_ROW) {
        run_sql(copy->to, (const char *)sqlite3_column_text(s, 2));
        if (strcmp((const char *)sqlite3_column_text(s, 0), "table") != 0)
            continue;
        if (copy->n_tables == TABLES_MAX)
            fail("bench_sqlite: more than %d tables", TABLES_MAX);
        struct table *t = &copy->tables[copy->n_tables++];
        t->name = text_printf("%s", (const char *)sqlite3_column_text(s, 1));
        read_table(copy, t, limit);
    }
    (void)sqlite3_finalize(s);
}

/* ---- writing it ------------------------------------------------------------------------------ */

static void prepare_insert(struct copy *copy, struct table *t)
{
    char *marks = text_repeat('?', (size_t)t->columns * 2 - 1);
    for (size_t i = 1; marks[i] && marks[i + 1]; i += 2)
        marks[i] = ',';
    char *sql = text_printf("INSERT INTO \"%s\" VALUES(%s)", t->name, marks);
    t->insert = prepared(copy->to, sql);
    free(sql);
    free(marks);
}

static void insert_row(struct copy *copy, struct table *t, size_t row)
{
    for (int c = 0; c < t->columns; c++)
        check(copy->to,
              sqlite3_bind_value(t->insert, c + 1, t->values[row * (size_t)t->columns + (size_t)c]),
              "bind");
    check(copy->to, sqlite3_step(t->insert), t->name);
    (void)sqlite3_reset(t->insert);
}

/* The rows that belong to tasks [begin, end): each table gives its share of them. */
static void insert_share(struct copy *copy, size_t begin, size_t end)
{
    run_sql(copy->to, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < copy->n_tables; i++) {
        struct table *t = &copy->tables[i];
        size_t last = t->rows * end / copy->n_tasks;
        for (size_t row = t->rows * begin / copy->n_tasks; row < last; row++)
            insert_row(copy, t, row);
    }
    run_sql(copy->to, "COMMIT");
}

static void write_all(struct copy *copy, size_t per_transaction)
{
    struct samples commits = {0};
    for (size_t i = 0; i < copy->n_tables; i++)
        prepare_insert(copy, &copy->tables[i]);
    int64_t began_mono_us = clock_mono_us(), last_mono_us = began_mono_us;
    for (size_t at = 0; at < copy->n_tasks; at += per_transaction) {
        size_t end = at + per_transaction;
        insert_share(copy, at, end < copy->n_tasks ? end : copy->n_tasks);
        int64_t now_mono_us = clock_mono_us();
        samples_add(&commits, now_mono_us - last_mono_us);
        last_mono_us = now_mono_us;
    }
    double seconds = (double)(last_mono_us - began_mono_us) / 1e6;
    (void)printf("{\"tasks\":%zu,\"seconds\":%.6f,\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
                 "\"max_ms\":%.3f}\n",
                 copy->n_tasks, seconds, seconds > 0 ? (double)copy->n_tasks / seconds : 0,
                 samples_ms(&commits, 0.5), samples_ms(&commits, 0.99), samples_ms(&commits, 1));
    samples_release(&commits);
}

static void release(struct copy *copy)
{
    for (size_t i = 0; i < copy->n_tables; i++) {
        struct table *t = &copy->tables[i];
        (void)sqlite3_finalize(t->insert);
        for (size_t v = 0; v < t->rows * (size_t)t->columns; v++)
            sqlite3_value_free(t->values[v]);
        free(t->values);
        free(t->name);
    }
    (void)sqlite3_close(copy->from);
    (void)sqlite3_close(copy->to);
}

int main(int argc, char **argv)
{
    struct options o = {.tasks = 1000};
    struct copy copy = {0};
    const struct option_row rows[] = {
        {"from", &o.from, NULL, "a database that a daemon has left"},
        {"to", &o.to, NULL, "the file to write, not there yet"},
        {"tasks", NULL, &o.tasks, "per transaction"},
        {"limit", NULL, &o.limit, "so many of the tasks; 0: all"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (!o.from || !o.to || o.tasks < 1)
        fail("bench_sqlite: --from, --to and --tasks (1 or more) are needed");
    check(NULL, sqlite3_open_v2(o.from, &copy.from, SQLITE_OPEN_READONLY, NULL), o.from);
    check(NULL, sqlite3_open(o.to, &copy.to), o.to);
    run_sql(copy.to, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                     "PRAGMA wal_autocheckpoint=1000; PRAGMA cache_size=-16384");
    read_all(&copy, (int64_t)o.limit);
    if (!copy.n_tasks)
        fail("bench_sqlite: %s has no tasks", o.from);
    write_all(&copy, (size_t)o.tasks);
    release(&copy);
    return 0;
}
