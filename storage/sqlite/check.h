/* check: what the operator does with a database file from outside of the daemon: look whether it is
 * whole, copy it, make it smaller. Checks and copies may run while a daemon writes to the file. All
 * open connections of their own, block, and belong on a thread (or in a process) that has nothing
 * else to do. */
#ifndef FUT_STORAGE_SQLITE_CHECK_H
#define FUT_STORAGE_SQLITE_CHECK_H

#include <stdint.h>

#include "core/err.h"

/* What a whole file holds: rows, and its size in bytes without the log. */
struct sqlite_check_view {
    int64_t schema_version, tasks, unfinished, results, bytes;
};

/* One line per thing that is wrong; text is borrowed for the call. */
typedef void sqlite_complaint(void *ctx, const char *text);

/* Reads the whole file: its pages, its indexes, and whether each task is either unfinished or has a
 * result. Changes nothing in it; beside a running daemon it makes a copy, PATH.check, for the time
 * that it takes. 0: *out is set. FUT_ERR_DAMAGED: complain was called, at most some 100 times.
 * Others as store_open, with a sentence in err. */
FUT_MUST_CHECK int sqlite_check(const char *path, sqlite_complaint *complain, void *ctx,
                                struct sqlite_check_view *out, struct fut_errbuf *err);

/* Copies it, as of one moment, to a file that must not exist yet; what is written has been checked
 * and is on disk when this returns. Writers go on meanwhile. FUT_ERR_EXISTS, FUT_ERR_DAMAGED,
 * FUT_ERR_NO_SPACE, others as store_open; then there is no such file. */
FUT_MUST_CHECK int sqlite_backup(const char *path, const char *to, struct fut_errbuf *err);

/* Writes the database anew without the space that deleted rows have left, and puts the new file in
 * the place of the old one, which stays as it is until then. Needs as much free space as the new
 * file takes. *before and *after: bytes. FUT_ERR_BUSY: a daemon has it. Others as sqlite_backup. */
FUT_MUST_CHECK int sqlite_compact(const char *path, int64_t *before, int64_t *after,
                                  struct fut_errbuf *err);

#endif
