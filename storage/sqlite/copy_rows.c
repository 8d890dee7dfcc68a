/* copy_rows: the tables of a file row by row, for a copy of all that a database has. A new file is
 * made beside its place, and put there when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/copy_side.h"
#include "storage/sqlite/check.h"
#include "storage/sqlite/internal.h"

struct copy_side {
    char *path, *part; /* part: where it is written; NULL: it is a source */
    int lock_fd;
    sqlite3 *db;
    sqlite3_stmt *put;
    const struct copy_table *table; /* whose rows are put */
};

/* ---- names ------------------------------------------------------------------------------------
 */

/* What has another name here, or stands in another way: "?" is the value to be put. */
static const struct {
    const char *table, *column, *name, *read, *put;
} others[] = {
    {"live", "daemon_deaths", "lost", "lost", "?"},
    {"live", "earlier_attempts", "past", "past", "?"},
    {"results", "daemon_deaths", "lost", "lost", "?"},
    {"batches", "failed", "failed", "coalesce(failed, 0)", "?"},
    {"batches", "cancelled", "cancelled", "coalesce(cancelled, 0)", "?"},
    {"batches", "cancelling", "cancelling", "cancelling IS NOT NULL", "nullif(?, 0)"},
};

static const char *table_name(const struct copy_table *t)
{
    return strcmp(t->name, "reports") == 0 ? "notes" : t->name;
}

struct place {
    const char *name, *read, *put;
};

static struct place place_of(const struct copy_table *t, const char *column)
{
    for (size_t i = 0; i < FUT_COUNT(others); i++) {
        if (strcmp(others[i].table, t->name) == 0 && strcmp(others[i].column, column) == 0)
            return (struct place){others[i].name, others[i].read, others[i].put};
    }
    return (struct place){column, column, "?"};
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static int fail(struct copy_side *s, struct fut_errbuf *err)
{
    int rc = sqlite_rc(s->db, sqlite3_errcode(s->db));
    return sqlite_fail(s->db, s->part ? s->part : s->path, rc ? rc : FUT_ERR_IO, err);
}

static int prepare(struct copy_side *s, struct buf *sql, sqlite3_stmt **out, struct fut_errbuf *err)
{
    int rc = sqlite3_prepare_v2(s->db, sql->data, -1, out, NULL);
    buf_release(sql);
    return rc == SQLITE_OK ? 0 : fail(s, err);
}

static int prepare_read(struct copy_side *s, const struct copy_table *t, sqlite3_stmt **out,
                        struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    buf_puts(&sql, "SELECT ");
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", place_of(t, t->columns[i].name).read);
    buf_printf(&sql, " FROM %s", table_name(t));
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(&sql, "%s%s", i ? ", " : " ORDER BY ", t->columns[i].name);
    return prepare(s, &sql, out, err);
}

static struct copy_value value_of(sqlite3_stmt *st, int i, enum copy_kind kind)
{
    struct copy_value v = {.is_null = sqlite3_column_type(st, i) == SQLITE_NULL};
    if (kind == COPY_INT || kind == COPY_BOOL) {
        v.i = sqlite3_column_int64(st, i);
    } else if (kind == COPY_REAL) {
        v.d = sqlite3_column_double(st, i);
    } else { /* a blob of no bytes is NULL */
        v.p = kind == COPY_BYTES ? sqlite3_column_blob(st, i)
                                 : (const void *)sqlite3_column_text(st, i);
        v.n = (size_t)sqlite3_column_bytes(st, i);
    }
    return v;
}

static int copy_read(struct copy_side *s, const struct copy_table *t, copy_row_fn *fn, void *ctx,
                     struct fut_errbuf *err)
{
    struct copy_value values[COPY_COLUMNS_MAX] = {{0}};
    sqlite3_stmt *st = NULL;
    int step = SQLITE_ROW, rc = prepare_read(s, t, &st, err);
    while (rc == 0 && (step = sqlite3_step(st)) == SQLITE_ROW) {
        for (int i = 0; t->columns[i].kind; i++)
            values[i] = value_of(st, i, t->columns[i].kind);
        rc = fn(ctx, values);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = fail(s, err);
    (void)sqlite3_finalize(st);
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int copy_begin_table(struct copy_side *s, const struct copy_table *t, struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    s->table = t;
    buf_printf(&sql, t->n_key ? "INSERT INTO %s (" : "UPDATE %s SET (", table_name(t));
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", place_of(t, t->columns[i].name).name);
    buf_puts(&sql, t->n_key ? ") VALUES (" : ") = (");
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", place_of(t, t->columns[i].name).put);
    buf_putc(&sql, ')');
    return prepare(s, &sql, &s->put, err);
}

static void bind(sqlite3_stmt *st, int i, enum copy_kind kind, const struct copy_value *v)
{
    if (v->is_null)
        (void)sqlite3_bind_null(st, i);
    else if (kind == COPY_INT || kind == COPY_BOOL)
        (void)sqlite3_bind_int64(st, i, v->i);
    else if (kind == COPY_REAL)
        (void)sqlite3_bind_double(st, i, v->d);
    else if (kind == COPY_BYTES)
        (void)sqlite3_bind_blob64(st, i, v->n ? v->p : "", v->n, SQLITE_STATIC);
    else
        (void)sqlite3_bind_text64(st, i, v->n ? v->p : "", v->n, SQLITE_STATIC, SQLITE_UTF8);
}

static int copy_put(struct copy_side *s, const struct copy_value *values, struct fut_errbuf *err)
{
    for (int i = 0; s->table->columns[i].kind; i++)
        bind(s->put, i + 1, s->table->columns[i].kind, &values[i]);
    int rc = sqlite3_step(s->put) == SQLITE_DONE ? 0 : fail(s, err);
    (void)sqlite3_reset(s->put);
    return rc;
}

static int copy_end_table(struct copy_side *s, struct fut_errbuf *err)
{
    (void)err;
    (void)sqlite3_finalize(s->put);
    s->put = NULL;
    return 0;
}

static char *copy_fit(const char *text, size_t n)
{
    (void)text;
    (void)n;
    return NULL;
}

static void say_nothing(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static int copy_commit(struct copy_side *s, struct fut_errbuf *err)
{
    struct sqlite_check_view view;
    if (sqlite3_exec(s->db, "COMMIT; PRAGMA journal_mode = WAL", NULL, NULL, NULL) != SQLITE_OK)
        return fail(s, err);
    if (sqlite3_close(s->db) != SQLITE_OK)
        return fail(s, err);
    s->db = NULL;
    int rc = sqlite_check(s->part, say_nothing, NULL, &view, err);
    return rc == 0 ? sqlite_put_in_place(s->part, s->path, err) : rc;
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

static void copy_close(struct copy_side *s)
{
    (void)sqlite3_finalize(s->put);
    (void)sqlite3_close(s->db);
    if (s->part)
        sqlite_remove_copy(s->part);
    sqlite3_free(s->part);
    fd_close(&s->lock_fd);
    free(s->path);
    free(s);
}

static int read_version(struct copy_side *s, int64_t *out, struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    sqlite3_stmt *st = NULL;
    buf_puts(&sql, "PRAGMA user_version");
    int rc = prepare(s, &sql, &st, err);
    if (rc == 0 && sqlite3_step(st) != SQLITE_ROW)
        rc = fail(s, err);
    if (rc == 0)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return rc;
}

static int open_source(struct copy_side *s, struct fut_errbuf *err)
{
    int64_t version = 0;
    int rc = sqlite_look(s->path, &s->db, err);
    if (rc == 0)
        rc = read_version(s, &version, err);
    if (rc == 0 && version != sqlite_schema_version)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "%s has schema version %lld, and this program writes %d: start it once on "
                      "the file, which brings it up to date",
                      s->path, (long long)version, sqlite_schema_version);
    if (rc == 0 && sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        rc = fail(s, err);
    return rc;
}

/* Nobody needs a file that is not whole: no journal. */
static int open_target(struct copy_side *s, struct fut_errbuf *err)
{
    s->part = sqlite3_mprintf("%s.part", s->path);
    sqlite_remove_copy(s->part); /* of one that was cut off */
    int fd = open(s->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return sqlite_write_failed(s->part, err);
    fd_close(&fd);
    int rc = sqlite_look(s->part, &s->db, err);
    if (rc == 0)
        rc = sqlite_migrate(s->db, s->part, sqlite_schema_version, err);
    if (rc == 0 && sqlite3_exec(s->db,
                                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                                "PRAGMA cache_size = -65536; BEGIN",
                                NULL, NULL, NULL) != SQLITE_OK)
        rc = fail(s, err);
    return rc;
}

static int copy_open(const char *where, bool is_target, struct copy_side **out,
                     struct fut_errbuf *err)
{
    bool is_there = access(where, F_OK) == 0;
    if (is_there && is_target)
        return fut_fail(err, FUT_ERR_EXISTS, "%s is there already: name a file that is not", where);
    if (!is_there && !is_target)
        return fut_fail(err, FUT_ERR_NOT_FOUND, "there is no database %s", where);
    struct copy_side *s = xnew(struct copy_side);
    s->path = xstrdup(where);
    s->lock_fd = -1;
    int rc = sqlite_take_lock(where, &s->lock_fd, err);
    if (rc == 0)
        rc = is_target ? open_target(s, err) : open_source(s, err);
    if (rc == 0)
        *out = s;
    else
        copy_close(s);
    return rc;
}

const struct copy_side_ops sqlite_copy_side = {
    .open = copy_open,
    .read = copy_read,
    .begin_table = copy_begin_table,
    .put = copy_put,
    .end_table = copy_end_table,
    .commit = copy_commit,
    .close = copy_close,
    .fit = copy_fit,
};
