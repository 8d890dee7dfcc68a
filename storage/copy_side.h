/* copy_side: what a backend does for a copy of all that a database has (copy.h): its tables row by
 * row, in the columns that copy.c lists, whatever they are called in it. One thread; everything
 * blocks. */
#ifndef FUT_STORAGE_COPY_SIDE_H
#define FUT_STORAGE_COPY_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum copy_kind {
    COPY_END, /* there are no more columns */
    COPY_INT,
    COPY_BOOL,
    COPY_REAL,
    COPY_TEXT,
    COPY_KEY, /* text that a client chose, of which each byte counts */
    COPY_BYTES,
};

struct copy_column {
    enum copy_kind kind;
    const char *name;
};

#define COPY_COLUMNS_MAX 24
struct copy_table {
    const char *name;
    unsigned n_key; /* the first columns, by which rows are read in order; 0: always one row */
    struct copy_column columns[COPY_COLUMNS_MAX + 1];
};

struct copy_value {
    bool is_null;
    int64_t i; /* COPY_INT, COPY_BOOL */
    double d;
    const void *p; /* the others; borrowed */
    size_t n;
};

/* One row, in the table's order of columns. What is not 0 ends the reading, and the use of that
 * side but for close. */
typedef int copy_row_fn(void *ctx, const struct copy_value *values);

struct copy_side;

/* 0, or a FUT_ERR_* with a sentence in err. */
struct copy_side_ops {
    /* The source must be of the schema that this program knows; a target is made when it is not
     * there. Nobody else may use it until close: FUT_ERR_BUSY. FUT_ERR_EXISTS: it is a file that
     * is there. */
    int (*open)(const char *where, bool is_target, struct copy_side **out, struct fut_errbuf *err);
    /* All rows of the table, of one moment; of a target as they were put. */
    int (*read)(struct copy_side *s, const struct copy_table *t, copy_row_fn *fn, void *ctx,
                struct fut_errbuf *err);
    /* Rows for one table, between begin_table and end_table. Of a table that always has one row
     * they are put in its place. */
    int (*begin_table)(struct copy_side *s, const struct copy_table *t, struct fut_errbuf *err);
    int (*put)(struct copy_side *s, const struct copy_value *values, struct fut_errbuf *err);
    int (*end_table)(struct copy_side *s, struct fut_errbuf *err);
    /* What was put is there from now on, and on disk. Without it the target is empty afterwards. */
    int (*commit)(struct copy_side *s, struct fut_errbuf *err);
    void (*close)(struct copy_side *s);
    /* The text as the target can keep it, NUL-terminated and of n bytes as well, when it must be
     * another; free() it. NULL: it is kept as it is. */
    char *(*fit)(const char *text, size_t n);
};

/* sqlite/copy_rows.c: a file. postgres/copy_rows.c: a URL. */
extern const struct copy_side_ops sqlite_copy_side, postgres_copy_side;

#endif
