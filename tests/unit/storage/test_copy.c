/* All of a database copied to another one: random rows from a file to PostgreSQL and back, every
 * column of either; what is refused; and copies that fail and leave nothing. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "storage/copy.h"
#include "storage/sqlite/internal.h"
#include "tests/contract/fixture.h"
#include "tests/support/chance.h"
#include "tests/support/database.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define ROWS 40

static struct fixture k; /* the file that is copied, with the schema and no rows */
static struct database *db;
static char one[32], two[32]; /* schemas: an empty one, and that of a copy without rows */
static char *url, *back;      /* of the empty one; a file that is not there */
static char *columns;         /* those of the schema, a line each: "table.column type nullable" */
static struct fut_errbuf err;
static struct copy_report report;

#define read_sql(...) read_text(text_printf(__VA_ARGS__))
#define run_sql(...) free(read_sql(__VA_ARGS__))

static char *read_text(char *sql)
{
    char *out = database_sql(db, sql);
    free(sql);
    return out;
}

static void setup(void)
{
    fixture_open(&k, "sqlite");
    fixture_stop(&k);
    db = fixture_database();
    (void)snprintf(one, sizeof(one), "one%ld", (long)getpid());
    (void)snprintf(two, sizeof(two), "two%ld", (long)getpid());
    run_sql("CREATE SCHEMA %s; CREATE SCHEMA %s", one, two);
    url = database_url(db, one);
    back = dir_path(k.dir, "back.db");
    char *other = database_url(db, two);
    ck_assert_msg(store_copy(k.path, other, &report, &err) == 0, "%s", err.text);
    free(other);
    columns = read_sql("SELECT table_name || '.' || column_name || ' ' || data_type || ' '"
                       " || is_nullable FROM information_schema.columns"
                       " WHERE table_schema = '%s' ORDER BY 1",
                       two);
}

static void teardown(void)
{
    free(columns);
    free(url);
    free(back);
    fixture_close(&k);
}

static sqlite3 *open_file(const char *path)
{
    sqlite3 *file = NULL;
    ck_assert_int_eq(sqlite3_open(path, &file), SQLITE_OK);
    return file;
}

static void run(const char *sql)
{
    sqlite3 *file = open_file(k.path);
    char *said = NULL;
    ck_assert_msg(sqlite3_exec(file, sql, NULL, NULL, &said) == SQLITE_OK, "%s: %s", sql, said);
    (void)sqlite3_close(file);
}

static int copy(const char *from, const char *to)
{
    err.text[0] = '\0';
    return store_copy(from, to, &report, &err);
}

/* ---- random rows ------------------------------------------------------------------------------
 */

static uint64_t seed;

/* What PostgreSQL says of the column; NULL: it has none. */
static const char *type_of(const struct copy_table *t, const char *column)
{
    char *name = text_printf("%s.%s ", t->name, column);
    const char *at = strncmp(columns, name, strlen(name)) == 0 ? columns : NULL;
    char *behind_newline = text_printf("\n%s", name);
    if (!at && (at = strstr(columns, behind_newline)) != NULL)
        at++;
    if (at)
        at += strlen(name);
    free(behind_newline);
    free(name);
    return at;
}

static int64_t random_int(const char *type)
{
    uint64_t n = chance_next(&seed) >> chance_of(&seed, 40);
    if (strncmp(type, "smallint", 8) == 0)
        return (int16_t)n;
    if (strncmp(type, "integer", 7) == 0)
        return (int32_t)n;
    return (int64_t)n;
}

/* Characters of one to four bytes, and those that a format may stumble over. */
static size_t random_text(char *out)
{
    static const char *const pieces[] = {"a",  "\\",  "\n", "\t", "\r", "\\N", "'",
                                         "\"", "\\x", "é",  "€",  "𝄞",  "\x01"};
    size_t n = chance_of(&seed, 12), len = 0;
    for (size_t i = 0; i < n; i++) {
        const char *piece = pieces[chance_of(&seed, FUT_COUNT(pieces))];
        memcpy(out + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return len;
}

static size_t random_bytes(char *out, char lowest)
{
    size_t n = chance_of(&seed, 40);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(chance_next(&seed) % 255 + (uint64_t)lowest);
    return n;
}

static void bind_random(sqlite3_stmt *st, int i, const struct copy_column *c, const char *type)
{
    char text[64];
    size_t n = 0;
    if (strstr(type, "YES") && strstr(type, "YES") < strchr(type, '\n') && chance_of(&seed, 3) == 0)
        return; /* NULL */
    switch ((int)c->kind) {
    case COPY_INT: (void)sqlite3_bind_int64(st, i, random_int(type)); return;
    case COPY_BOOL: (void)sqlite3_bind_int64(st, i, (int64_t)chance_of(&seed, 2)); return;
    case COPY_REAL: (void)sqlite3_bind_double(st, i, (double)random_int("bigint") / 3e5); return;
    case COPY_BYTES:
        n = random_bytes(text, 0);
        (void)sqlite3_bind_blob(st, i, text, (int)n, SQLITE_TRANSIENT);
        return;
    case COPY_KEY: n = random_bytes(text, 1); break;
    default: n = random_text(text); break;
    }
    (void)sqlite3_bind_text(st, i, text, (int)n, SQLITE_TRANSIENT);
}

/* The names that files have for the same. */
static const char *file_name(const char *name)
{
    return strcmp(name, "daemon_deaths") == 0      ? "lost"
           : strcmp(name, "earlier_attempts") == 0 ? "past"
           : strcmp(name, "reports") == 0          ? "notes"
                                                   : name;
}

static void fill_table(sqlite3 *file, const struct copy_table *t)
{
    struct buf sql = BUF_INIT;
    sqlite3_stmt *st = NULL;
    buf_printf(&sql, "INSERT OR IGNORE INTO %s (", file_name(t->name));
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", file_name(t->columns[i].name));
    buf_puts(&sql, ") VALUES (");
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "",
                   strcmp(t->columns[i].name, "cancelling") == 0 ? "nullif(?, 0)" : "?");
    buf_putc(&sql, ')');
    ck_assert_msg(sqlite3_prepare_v2(file, sql.data, -1, &st, NULL) == SQLITE_OK, "%s: %s",
                  sql.data, sqlite3_errmsg(file));
    for (int row = 0; row < ROWS; row++) {
        (void)sqlite3_clear_bindings(st);
        for (int i = 0; t->columns[i].kind; i++)
            bind_random(st, i + 1, &t->columns[i], type_of(t, t->columns[i].name));
        ck_assert_msg(sqlite3_step(st) == SQLITE_DONE, "%s: %s", sql.data, sqlite3_errmsg(file));
        (void)sqlite3_reset(st);
    }
    (void)sqlite3_finalize(st);
    buf_release(&sql);
}

/* Half of the tasks are unfinished, the others have a result: what a check of the file wants. */
static const char consistent[] =
    "CREATE TEMP TABLE t AS SELECT key, row_number() OVER (ORDER BY key) AS n FROM tasks;"
    "DELETE FROM live WHERE key NOT IN (SELECT key FROM live ORDER BY key LIMIT 20);"
    "CREATE TEMP TABLE l AS SELECT key, row_number() OVER (ORDER BY key) AS n FROM live;"
    "UPDATE live SET key = (SELECT t.key FROM t JOIN l ON l.n = t.n WHERE l.key = live.key);"
    "DELETE FROM results WHERE key NOT IN (SELECT key FROM results ORDER BY key"
    "  LIMIT (SELECT count(*) - 20 FROM tasks));"
    "CREATE TEMP TABLE r AS SELECT key, row_number() OVER (ORDER BY key) + 20 AS n FROM results;"
    "UPDATE results SET key = (SELECT t.key FROM t JOIN r ON r.n = t.n WHERE r.key = results.key);"
    "DELETE FROM kept WHERE key NOT IN (SELECT key FROM kept ORDER BY key LIMIT 10);"
    "CREATE TEMP TABLE k AS SELECT key, row_number() OVER (ORDER BY key) + 20 AS n FROM kept;"
    "UPDATE kept SET key = (SELECT t.key FROM t JOIN k ON k.n = t.n WHERE k.key = kept.key);"
    "UPDATE OR REPLACE timers SET key = (SELECT min(key) FROM live);"
    "INSERT OR IGNORE INTO lines (number, lane, queue, handler, fair_key, limits)"
    "  SELECT DISTINCT coalesce(queue, line), 0, '', '', '', '' FROM live;"
    "UPDATE counters SET seq = 12, up_ms = 345, wall_ms = 6789; COMMIT";

static void fill_file(void)
{
    sqlite3 *file = open_file(k.path);
    ck_assert_int_eq(sqlite3_exec(file, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < copy_n_tables; i++) {
        if (copy_tables[i].n_key)
            fill_table(file, &copy_tables[i]);
    }
    ck_assert_msg(sqlite3_exec(file, consistent, NULL, NULL, NULL) == SQLITE_OK, "%s",
                  sqlite3_errmsg(file));
    (void)sqlite3_close(file);
}

static int count_differences(void *total, int n, char **values, char **names)
{
    (void)n;
    (void)names;
    *(long *)total += strtol(values[0], NULL, 10);
    return 0;
}

/* Table by table as SQLite itself sees them. */
static void expect_same_files(const char *mine, const char *other)
{
    sqlite3 *file = open_file(mine);
    sqlite3_stmt *st = NULL;
    long differences = 0, tables = 0;
    char *sql = text_printf("ATTACH '%s' AS other", other);
    ck_assert_int_eq(sqlite3_exec(file, sql, NULL, NULL, NULL), SQLITE_OK);
    free(sql);
    ck_assert_int_eq(sqlite3_prepare_v2(file,
                                        "SELECT name FROM sqlite_schema WHERE type = 'table'"
                                        " AND name NOT LIKE 'sqlite_%'",
                                        -1, &st, NULL),
                     SQLITE_OK);
    for (; sqlite3_step(st) == SQLITE_ROW; tables++) {
        const char *t = (const char *)sqlite3_column_text(st, 0);
        sql = text_printf("SELECT count(*) FROM (SELECT * FROM main.%s EXCEPT SELECT * FROM"
                          " other.%s) UNION ALL SELECT abs((SELECT count(*) FROM main.%s) -"
                          " (SELECT count(*) FROM other.%s))",
                          t, t, t, t);
        ck_assert_msg(sqlite3_exec(file, sql, count_differences, &differences, NULL) == SQLITE_OK,
                      "%s", sqlite3_errmsg(file));
        ck_assert_msg(differences == 0, "%s", t);
        free(sql);
    }
    ck_assert_uint_eq((unsigned long)tables, copy_n_tables);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(file);
}

/* There and back: what a file had it has again, whichever values its columns have. */
START_TEST(test_copy_keeps_every_row_of_every_table)
{
    char digest[COPY_DIGEST_SIZE];
    seed = (uint64_t)_i * 7919 + 1;
    fill_file();
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
    ck_assert_int_eq(report.tasks, ROWS);
    ck_assert_int_eq(report.texts_changed, 0);
    memcpy(digest, report.digest, sizeof(digest));
    ck_assert_msg(copy(url, back) == 0, "%s", err.text);
    ck_assert_str_eq(report.digest, digest);
    expect_same_files(k.path, back);
}
END_TEST

/* What is of the running daemon alone, and of the database itself. */
static const char *const not_copied[] = {
    "boots.", "commits.", "futured.", "counters.boot ", "counters.one ", "live.node ", "news."};

static bool is_copied(const char *line)
{
    for (size_t i = 0; i < copy_n_tables; i++) {
        const struct copy_table *t = &copy_tables[i];
        size_t n = strlen(t->name);
        for (size_t c = 0; t->columns[c].kind; c++) {
            size_t len = strlen(t->columns[c].name);
            if (strncmp(line, t->name, n) == 0 && line[n] == '.' &&
                strncmp(line + n + 1, t->columns[c].name, len) == 0 && line[n + 1 + len] == ' ')
                return true;
        }
    }
    return false;
}

/* Whoever adds a column to PostgreSQL's schema is reminded. Of files test above does. */
START_TEST(test_copy_knows_every_column)
{
    char *rest = columns;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        bool is_known = !*line || is_copied(line);
        for (size_t i = 0; i < FUT_COUNT(not_copied); i++)
            is_known = is_known || strncmp(line, not_copied[i], strlen(not_copied[i])) == 0;
        ck_assert_msg(is_known, "storage/copy.c does not know %s", line);
    }
}
END_TEST

/* ---- refusals ---------------------------------------------------------------------------------
 */

static void expect_refused(int rc, const char *from, const char *to, const char *words)
{
    int got = copy(from, to);
    ck_assert_msg(got == rc && strstr(err.text, words) != NULL, "%d: %s", got, err.text);
}

START_TEST(test_copy_wants_an_empty_target)
{
    run("INSERT INTO limits VALUES ('x', 0, 1, 0, 0, 0)");
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
    expect_refused(FUT_ERR_EXISTS, k.path, url, "is not empty (limits)");
    ck_assert_msg(copy(url, back) == 0, "%s", err.text);
    expect_refused(FUT_ERR_EXISTS, url, back, "is there already");
}
END_TEST

START_TEST(test_copy_needs_both_for_itself)
{
    struct store_config cfg = {.backend = "postgres", .path = url};
    struct store *s = NULL;
    ck_assert_msg(store_open(&cfg, &s, &err) == 0, "%s", err.text);
    expect_refused(FUT_ERR_BUSY, k.path, url, "in use by another futured");
    expect_refused(FUT_ERR_BUSY, url, back, "in use by another futured");
    store_close(&s);
    fixture_reopen(&k);
    expect_refused(FUT_ERR_BUSY, k.path, url, "in use by another futured");
    fixture_stop(&k);
    ck_assert_int_ne(access(back, F_OK), 0);
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
}
END_TEST

START_TEST(test_copy_wants_a_source_of_this_schema)
{
    char *nothing = dir_path(k.dir, "nothing.db");
    expect_refused(FUT_ERR_NOT_FOUND, nothing, url, "there is no database");
    expect_refused(FUT_ERR_NOT_FOUND, url, back, "to copy from has no tables of futured");
    ck_assert_int_ne(access(nothing, F_OK), 0);
    free(nothing);
    run("PRAGMA user_version = 3");
    expect_refused(FUT_ERR_INVAL, k.path, url, "has schema version 3");
}
END_TEST

/* ---- copies that fail -------------------------------------------------------------------------
 */

#define TASK_ROW                                                                                   \
    "INSERT INTO tasks (key, lo, lane, handler, created_ms, timeout_ms, retries, input_type,"      \
    " input) VALUES (1, 2, %d, 'sleep', 3, 4, 5, 'application/json', '1');"                        \
    "INSERT INTO results (key, seq, state, attempt, lost, finished_ms, message)"                   \
    " VALUES (1, 1, 3, 1, 0, 9, %s)"

static void put_task(int lane, const char *message)
{
    char *sql = text_printf(TASK_ROW, lane, message);
    char *as_bytes = text_printf("%.*sCAST('1' AS BLOB)%s", (int)(strstr(sql, "'1'") - sql), sql,
                                 strstr(sql, "'1'") + 3);
    run(as_bytes);
    free(as_bytes);
    free(sql);
}

static void expect_empty(void)
{
    char *n = read_sql("SELECT count(*) FROM %s.tasks", one);
    ck_assert_str_eq(n, "0\n");
    free(n);
}

/* The lane is beyond what PostgreSQL's column takes. */
START_TEST(test_copy_that_fails_leaves_nothing)
{
    put_task(100000, "NULL");
    expect_refused(FUT_ERR_INVAL, k.path, url, "out of range");
    expect_empty();
    run("UPDATE tasks SET lane = 1");
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
}
END_TEST

/* A target that keeps something else than what it was given. */
START_TEST(test_copy_compares_both_sides)
{
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
    put_task(1, "NULL");
    run_sql("CREATE FUNCTION %s.more() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.retries = NEW.retries + 1; RETURN NEW; END';"
            "CREATE TRIGGER more BEFORE INSERT ON %s.tasks FOR EACH ROW EXECUTE FUNCTION %s.more()",
            one, one, one);
    expect_refused(FUT_ERR_DAMAGED, k.path, url, "of the table tasks 1 rows were read and 1");
    expect_empty();
}
END_TEST

START_TEST(test_copy_counts_texts_that_do_not_fit)
{
    put_task(1, "CAST(x'61ff62' AS TEXT)");
    ck_assert_msg(copy(k.path, url) == 0, "%s", err.text);
    ck_assert_int_eq(report.texts_changed, 1);
    char *message = read_sql("SELECT message FROM %s.results", one);
    ck_assert_str_eq(message, "a?b\n");
    free(message);
}
END_TEST

int main(void)
{
    fixture_database_share();
    TCase *t = suite_case("copy", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_loop_test(t, test_copy_keeps_every_row_of_every_table, 0, 3);
    tcase_add_test(t, test_copy_knows_every_column);
    tcase_add_test(t, test_copy_wants_an_empty_target);
    tcase_add_test(t, test_copy_needs_both_for_itself);
    tcase_add_test(t, test_copy_wants_a_source_of_this_schema);
    tcase_add_test(t, test_copy_that_fails_leaves_nothing);
    tcase_add_test(t, test_copy_compares_both_sides);
    tcase_add_test(t, test_copy_counts_texts_that_do_not_fit);
    int status = suite_run_cases("copy", t, NULL);
    fixture_database_free();
    return status;
}
