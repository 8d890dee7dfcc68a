/* copy: all that a database has into another, empty one, of the same or of another kind: tasks in
 * every state, queues, limits, schedules and whatever else there is. No daemon may run on either.
 * Each row is read back from the target and compared before anything counts: all or nothing.
 * Needs the memory of one row, and some space on disk. */
#ifndef FUT_STORAGE_COPY_H
#define FUT_STORAGE_COPY_H

#include "core/err.h"
#include "storage/copy_side.h"

#define COPY_DIGEST_SIZE 65

/* What was copied, in rows. */
struct copy_report {
    int64_t tasks, unfinished, results, rows, texts_changed;
    char digest[COPY_DIGEST_SIZE]; /* SHA-256 of all rows of either side, in hexadecimal digits */
};

/* Every table that is copied, in the order in which they are. */
extern const struct copy_table copy_tables[];
extern const size_t copy_n_tables;

/* from, to: the path of an SQLite file, or the URL of a PostgreSQL database. Blocks for as long as
 * it takes. FUT_ERR_BUSY: a daemon has one of them; FUT_ERR_EXISTS: the target is not empty;
 * FUT_ERR_DAMAGED: what the target has is not what was read. Others as store_open, with a sentence
 * in err. Then the target is as it was. */
FUT_MUST_CHECK int store_copy(const char *from, const char *to, struct copy_report *out,
                              struct fut_errbuf *err);

#endif
