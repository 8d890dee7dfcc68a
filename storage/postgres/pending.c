/* pending: rows that a transaction adds one by one, and that go to the server together: one
 * statement for all rows of a table that differ in few columns, with an array for each of these (an
 * element costs the server about as much as a tenth of a statement, so an array for each column
 * would gain nothing). They are sent before any other statement of the transaction, table by table
 * in the order of enum postgres_table. The writer thread alone. */
#include <endian.h>
#include <stdlib.h>

#include "core/mem.h"
#include "storage/postgres/internal.h"

#define COLUMNS_MAX 20
#define BYTES_MAX (1 << 20) /* of all rows that wait */
#define TOGETHER_MIN 3      /* fewer rows are cheaper one by one */
#define HEADER POSTGRES_ARRAY_HEADER

#define C(n) (1U << (n))

/* varies: the columns in which rows may differ that go together. */
static const struct {
    enum postgres_stmt one, many;
    unsigned varies;
} statements[POSTGRES_TABLES] = {
    [IN_TASKS] = {P_ADD_TASK, P_ADD_TASKS, C(0) | C(1) | C(4) | C(8) | C(11)},
    [IN_LIVE] = {P_ADD_LIVE, P_ADD_LIVES, C(0) | C(9)},
    [IN_OPTIONS] = {P_PUT_OPTIONS, P_PUT_OPTIONS_OF, C(0)},
    [IN_RESULTS] = {P_ADD_RESULT, P_ADD_RESULTS, C(0) | C(1) | C(5) | C(8)},
    [OUT_OF_LIVE] = {P_END_LIVE, P_END_LIVES, C(0)},
};

static bool varies(enum postgres_table table, size_t column)
{
    return (statements[table].varies & C(column)) != 0;
}

/* A column as the server reads an array: a header, then length and bytes of each element; of one in
 * which the rows do not differ, of the first. */
struct column {
    enum postgres_kind kind;
    struct buf array;
};

struct rows {
    size_t n, n_columns;
    struct column columns[COLUMNS_MAX];
};

struct postgres_pending {
    struct rows tables[POSTGRES_TABLES];
    size_t bytes;
    bool is_sending;
};

/* ---- columns ----------------------------------------------------------------------------------
 */

static void put_be32(struct buf *b, uint32_t v)
{
    v = htobe32(v);
    buf_put(b, &v, sizeof(v));
}

static void begin_column(struct column *c, enum postgres_kind kind)
{
    static const char header[HEADER];
    c->kind = kind;
    c->array.len = 0;
    buf_put(&c->array, header, sizeof(header));
}

static void put_text(struct buf *b, const struct postgres_value *v)
{
    char *fit = postgres_fit(v->p, v->n);
    put_be32(b, (uint32_t)v->n);
    buf_put(b, fit ? fit : v->p, v->n);
    free(fit);
}

static void put_value(struct buf *b, const struct postgres_value *v)
{
    if (v->is_null) {
        put_be32(b, UINT32_MAX);
    } else if (v->kind == PG_INT) {
        uint64_t bits = htobe64((uint64_t)v->i);
        put_be32(b, sizeof(bits));
        buf_put(b, &bits, sizeof(bits));
    } else if (v->kind == PG_TEXT) {
        put_text(b, v);
    } else {
        put_be32(b, (uint32_t)v->n);
        buf_put(b, v->p, v->n);
    }
}

/* The array of n elements, of which any may be NULL. */
static struct postgres_value end_column(struct column *c, size_t n)
{
    postgres_put_array_header(c->array.data, c->kind, n);
    return (struct postgres_value){
        .kind = postgres_kind_of_array(c->kind), .p = c->array.data, .n = c->array.len};
}

/* The element at *at, behind which *at is then. */
static struct postgres_value next_element(const struct column *c, size_t *at)
{
    uint32_t n;
    memcpy(&n, c->array.data + *at, sizeof(n));
    n = be32toh(n);
    const char *p = c->array.data + *at + sizeof(n);
    struct postgres_value v = {.kind = c->kind, .is_null = n == UINT32_MAX, .p = p, .n = n};
    *at += sizeof(n) + (v.is_null ? 0 : n);
    if (c->kind == PG_INT && !v.is_null) {
        uint64_t bits;
        memcpy(&bits, p, sizeof(bits));
        v.i = (int64_t)be64toh(bits);
    }
    return v;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static int send_singly(struct backend *b, enum postgres_table table, const struct rows *rows,
                       size_t n)
{
    struct postgres_value values[COLUMNS_MAX];
    size_t at[COLUMNS_MAX] = {0};
    int rc = 0;
    for (size_t i = 0; i < rows->n_columns; i++)
        at[i] = HEADER;
    for (size_t row = 0; rc == 0 && row < n; row++) {
        for (size_t i = 0; i < rows->n_columns; i++) {
            at[i] = varies(table, i) ? at[i] : HEADER;
            values[i] = next_element(&rows->columns[i], &at[i]);
        }
        rc = postgres_send(&b->c, statements[table].one, values, rows->n_columns);
    }
    return rc;
}

static int send_together(struct backend *b, enum postgres_table table, struct rows *rows, size_t n)
{
    struct postgres_value values[COLUMNS_MAX];
    for (size_t i = 0; i < rows->n_columns; i++) {
        size_t at = HEADER;
        values[i] = varies(table, i) ? end_column(&rows->columns[i], n)
                                     : next_element(&rows->columns[i], &at);
    }
    return postgres_send(&b->c, statements[table].many, values, rows->n_columns);
}

/* The first of its statements does not send them again. */
static int send_rows(struct backend *b, enum postgres_table table)
{
    struct postgres_pending *p = b->pending;
    struct rows *rows = &p->tables[table];
    size_t n = rows->n;
    rows->n = 0;
    p->is_sending = true;
    int rc = n == 0              ? 0
             : n >= TOGETHER_MIN ? send_together(b, table, rows, n)
                                 : send_singly(b, table, rows, n);
    p->is_sending = false;
    return rc;
}

static int flush(void *backend)
{
    struct backend *b = backend;
    int rc = 0;
    if (b->pending->is_sending || b->pending->bytes == 0)
        return 0;
    b->pending->bytes = 0;
    for (size_t i = 0; rc == 0 && i < POSTGRES_TABLES; i++)
        rc = send_rows(b, (enum postgres_table)i);
    return rc;
}

/* ---- adding -----------------------------------------------------------------------------------
 */

/* Does the row agree with those of the table in what they must agree in? */
static bool fits(struct rows *rows, enum postgres_table table, const struct postgres_value *values)
{
    bool is_same = true;
    for (size_t i = 0; is_same && i < rows->n_columns; i++) {
        struct buf *array = &rows->columns[i].array;
        size_t end = array->len;
        if (varies(table, i))
            continue;
        put_value(array, &values[i]);
        is_same = array->len - end == end - HEADER &&
                  memcmp(array->data + HEADER, array->data + end, end - HEADER) == 0;
        array->len = end;
    }
    return is_same;
}

/* A row that ends must have been added before. */
static int make_space(struct backend *b, enum postgres_table table)
{
    int rc = table == OUT_OF_LIVE ? send_rows(b, IN_LIVE) : 0;
    return rc == 0 ? send_rows(b, table) : rc;
}

int postgres_add_row(struct backend *b, enum postgres_table table,
                     const struct postgres_value *values, size_t n)
{
    struct postgres_pending *p = b->pending;
    struct rows *rows = &p->tables[table];
    FUT_ASSERT(n <= COLUMNS_MAX);
    int rc = b->c.rc;
    b->c.has_written = true;
    if (rc == 0 && rows->n && !fits(rows, table, values))
        rc = make_space(b, table);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct column *c = &rows->columns[i];
        if (rows->n == 0)
            begin_column(c, values[i].kind);
        else if (!varies(table, i))
            continue;
        size_t before = c->array.len;
        put_value(&c->array, &values[i]);
        p->bytes += c->array.len - before;
    }
    rows->n_columns = n;
    rows->n++;
    return p->bytes > BYTES_MAX ? flush(b) : 0;
}

void postgres_pending_clear(struct backend *b)
{
    for (size_t i = 0; i < POSTGRES_TABLES; i++)
        b->pending->tables[i].n = 0;
    b->pending->bytes = 0;
}

void postgres_pending_begin(struct backend *b)
{
    b->pending = xnew(struct postgres_pending);
    b->c.before = flush;
    b->c.before_ctx = b;
}

void postgres_pending_end(struct backend *b)
{
    for (size_t i = 0; i < POSTGRES_TABLES; i++) {
        for (size_t j = 0; j < COLUMNS_MAX; j++)
            buf_release(&b->pending->tables[i].columns[j].array);
    }
    free(b->pending);
    b->pending = NULL;
}
