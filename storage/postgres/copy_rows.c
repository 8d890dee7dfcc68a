/* copy_rows: the tables of a PostgreSQL database row by row, for a copy of all that a database has.
 * A target is written by COPY, in one transaction. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/copy_side.h"
#include "storage/postgres/internal.h"
#include "storage/store.h"

#define FLUSH_BYTES 65536

/* Rows come by the index of their key and are not sorted first. */
static const char settings[] = "SET enable_seqscan = off; SET enable_sort = off;"
                               "SET enable_bitmapscan = off; SET jit = off";

struct copy_side {
    struct backend b;               /* its connection, and the lock */
    const struct copy_table *table; /* whose rows are put */
    struct buf text;                /* rows that were not sent yet */
};

/* ---- reading ----------------------------------------------------------------------------------
 */

static int fail(struct copy_side *s, const PGresult *r, struct fut_errbuf *err)
{
    char text[256];
    return fut_fail(err, postgres_first_rc(r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL),
                    "PostgreSQL fails: %s", postgres_message(&s->b.c, text, sizeof(text)));
}

/* What each kind is read as. */
static const char *const casts[] = {
    [COPY_INT] = "::int8",    [COPY_BOOL] = "::int::int8",
    [COPY_REAL] = "::float8", [COPY_TEXT] = "::text",
    [COPY_KEY] = "",          [COPY_BYTES] = "",
};

static void list_columns(struct buf *sql, const struct copy_table *t, bool with_casts)
{
    for (size_t i = 0; t->columns[i].kind; i++)
        buf_printf(sql, "%s\"%s\"%s", i ? ", " : "", t->columns[i].name,
                   with_casts ? casts[t->columns[i].kind] : "");
}

static struct copy_value value_of(const PGresult *r, int i, enum copy_kind kind)
{
    struct copy_value v = {.is_null = postgres_is_null(r, 0, i)};
    if (kind == COPY_INT || kind == COPY_BOOL)
        v.i = postgres_int(r, 0, i);
    else if (kind == COPY_REAL)
        v.d = postgres_double(r, 0, i);
    else if (!v.is_null) {
        v.p = PQgetvalue(r, 0, i);
        v.n = postgres_len(r, 0, i);
    }
    return v;
}

/* A failure ends the copy: the rest of the rows is not worth waiting for. */
static int read_rows(struct copy_side *s, const struct copy_table *t, copy_row_fn *fn, void *ctx,
                     struct fut_errbuf *err)
{
    struct copy_value values[COPY_COLUMNS_MAX] = {{0}};
    PGresult *r;
    int rc = 0;
    while (rc == 0 && (r = PQgetResult(s->b.c.pg)) != NULL) {
        ExecStatusType status = PQresultStatus(r);
        for (int i = 0; status == PGRES_SINGLE_TUPLE && t->columns[i].kind; i++)
            values[i] = value_of(r, i, t->columns[i].kind);
        if (status == PGRES_SINGLE_TUPLE)
            rc = fn(ctx, values);
        else if (status != PGRES_TUPLES_OK)
            rc = fail(s, r, err);
        PQclear(r);
    }
    if (rc != 0)
        postgres_disconnect(&s->b.c);
    return rc;
}

static int copy_read(struct copy_side *s, const struct copy_table *t, copy_row_fn *fn, void *ctx,
                     struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    buf_puts(&sql, "SELECT ");
    list_columns(&sql, t, true);
    buf_printf(&sql, " FROM %s", t->name);
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(&sql, "%s\"%s\"", i ? ", " : " ORDER BY ", t->columns[i].name);
    bool is_sent = PQsendQueryParams(s->b.c.pg, sql.data, 0, NULL, NULL, NULL, NULL, 1) == 1 &&
                   PQsetSingleRowMode(s->b.c.pg) == 1;
    buf_release(&sql);
    return is_sent ? read_rows(s, t, fn, ctx, err) : fail(s, NULL, err);
}

/* ---- writing: the text format of COPY ---------------------------------------------------------
 */

static int flush(struct copy_side *s, struct fut_errbuf *err)
{
    bool is_sent = PQputCopyData(s->b.c.pg, s->text.data, (int)s->text.len) == 1;
    s->text.len = 0;
    return is_sent ? 0 : fail(s, NULL, err);
}

/* The one row of such a table is written anew: what is not copied of it stays. */
static int copy_begin_table(struct copy_side *s, const struct copy_table *t, struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    s->table = t;
    if (!t->n_key)
        return 0;
    buf_printf(&sql, "COPY %s (", t->name);
    list_columns(&sql, t, false);
    buf_puts(&sql, ") FROM STDIN");
    PGresult *r = PQexec(s->b.c.pg, sql.data);
    int rc = PQresultStatus(r) == PGRES_COPY_IN ? 0 : fail(s, r, err);
    PQclear(r);
    buf_release(&sql);
    return rc;
}

static void put_text(struct buf *out, const char *s, size_t n)
{
    static const char special[] = {'\\', '\n', '\r', '\t'}, letters[] = {'\\', 'n', 'r', 't'};
    for (size_t i = 0; i < n; i++) {
        const char *found = memchr(special, s[i], sizeof(special));
        if (found) {
            buf_putc(out, '\\');
            buf_putc(out, letters[found - special]);
        } else {
            buf_putc(out, s[i]);
        }
    }
}

static void put_bytes(struct buf *out, const unsigned char *s, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    buf_puts(out, "\\\\x");
    for (size_t i = 0; i < n; i++) {
        buf_putc(out, digits[s[i] >> 4]);
        buf_putc(out, digits[s[i] & 15]);
    }
}

static void put_value(struct buf *out, enum copy_kind kind, const struct copy_value *v)
{
    if (v->is_null)
        buf_puts(out, "\\N");
    else if (kind == COPY_INT)
        buf_printf(out, "%" PRId64, v->i);
    else if (kind == COPY_BOOL)
        buf_putc(out, v->i ? 't' : 'f');
    else if (kind == COPY_REAL)
        buf_printf(out, "%.17g", v->d);
    else if (kind == COPY_TEXT)
        put_text(out, v->p, v->n);
    else
        put_bytes(out, v->p, v->n);
}

/* Numbers alone are in such a table. */
static int update_row(struct copy_side *s, const struct copy_value *values, struct fut_errbuf *err)
{
    struct buf sql = BUF_INIT;
    buf_printf(&sql, "UPDATE %s SET ", s->table->name);
    for (size_t i = 0; s->table->columns[i].kind; i++) {
        FUT_ASSERT(s->table->columns[i].kind == COPY_INT && !values[i].is_null);
        buf_printf(&sql, "%s%s = %" PRId64, i ? ", " : "", s->table->columns[i].name, values[i].i);
    }
    int rc = postgres_exec(&s->b.c, sql.data, err);
    buf_release(&sql);
    return rc;
}

static int copy_put(struct copy_side *s, const struct copy_value *values, struct fut_errbuf *err)
{
    if (!s->table->n_key)
        return update_row(s, values, err);
    for (size_t i = 0; s->table->columns[i].kind; i++) {
        if (i)
            buf_putc(&s->text, '\t');
        put_value(&s->text, s->table->columns[i].kind, &values[i]);
    }
    buf_putc(&s->text, '\n');
    return s->text.len < FLUSH_BYTES ? 0 : flush(s, err);
}

static int copy_end_table(struct copy_side *s, struct fut_errbuf *err)
{
    PGresult *r;
    if (!s->table->n_key)
        return 0;
    int rc = s->text.len ? flush(s, err) : 0;
    if (rc == 0 && PQputCopyEnd(s->b.c.pg, NULL) != 1)
        rc = fail(s, NULL, err);
    while (rc == 0 && (r = PQgetResult(s->b.c.pg)) != NULL) {
        rc = PQresultStatus(r) == PGRES_COMMAND_OK ? 0 : fail(s, r, err);
        PQclear(r);
    }
    return rc;
}

static int copy_commit(struct copy_side *s, struct fut_errbuf *err)
{
    int rc = postgres_exec(&s->b.c, "COMMIT", err);
    if (rc != 0 && !postgres_is_connected(&s->b.c))
        return fut_fail(err, FUT_ERR_IO,
                        "the connection to PostgreSQL broke in the commit, so it is not known "
                        "whether it happened: copy again, which is refused when it did");
    return rc == 0 ? postgres_exec(&s->b.c, "ANALYZE", err) : rc;
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

static void copy_close(struct copy_side *s)
{
    postgres_disconnect(&s->b.c); /* which ends a transaction that was not committed */
    free(s->b.c.sent);
    free(s->b.url);
    buf_release(&s->text);
    free(s);
}

static int query_text(struct copy_side *s, const char *sql, char *out, size_t size,
                      struct fut_errbuf *err)
{
    PGresult *r = PQexec(s->b.c.pg, sql);
    bool is_there = PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1;
    int rc = is_there ? 0 : fail(s, r, err);
    if (is_there)
        (void)snprintf(out, size, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return rc;
}

static int check_source(struct copy_side *s, struct fut_errbuf *err)
{
    char text[32] = "";
    int rc =
        query_text(s, "SELECT to_regclass(quote_ident(current_schema()) || '.futured') IS NULL",
                   text, sizeof(text), err);
    if (rc == 0 && *text == 't')
        return fut_fail(err, FUT_ERR_NOT_FOUND,
                        "the PostgreSQL database to copy from has no tables of futured");
    if (rc == 0)
        rc = query_text(s, "SELECT version FROM futured", text, sizeof(text), err);
    if (rc == 0 && strtol(text, NULL, 10) != postgres_schema_version)
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "the PostgreSQL database has schema version %s, and this program writes %d: "
                      "start it once on the database, which brings it up to date",
                      text, postgres_schema_version);
    return rc;
}

static int open_locked(struct copy_side *s, bool is_target, struct fut_errbuf *err)
{
    const struct store_config cfg = {.path = s->b.url};
    int rc = is_target ? postgres_migrate(&s->b.c, &cfg, err) : 0;
    (void)PQexitPipelineMode(s->b.c.pg);
    if (rc == 0 && !is_target)
        rc = check_source(s, err);
    if (rc == 0)
        rc = postgres_exec(&s->b.c, "BEGIN ISOLATION LEVEL REPEATABLE READ", err);
    return rc;
}

static int copy_open(const char *where, bool is_target, struct copy_side **out,
                     struct fut_errbuf *err)
{
    struct copy_side *s = xnew(struct copy_side);
    s->b.url = xstrdup(where);
    s->b.c.url = s->b.url;
    s->b.c.settings = settings;
    int rc = postgres_connect_first(&s->b.c, err);
    if (rc == 0)
        rc = postgres_check_server(&s->b.c, err);
    if (rc == 0)
        rc = postgres_owner_alone(&s->b, err);
    if (rc == 0)
        rc = open_locked(s, is_target, err);
    if (rc == 0)
        *out = s;
    else
        copy_close(s);
    return rc;
}

const struct copy_side_ops postgres_copy_side = {
    .open = copy_open,
    .read = copy_read,
    .begin_table = copy_begin_table,
    .put = copy_put,
    .end_table = copy_end_table,
    .commit = copy_commit,
    .close = copy_close,
    .fit = postgres_fit,
};
