/* store_file: what the operator does with a database file from outside of the daemon: look whether
 * it is whole, and copy it. Both may run while a daemon writes to it. They open connections of
 * their own, block, and belong on a thread (or in a process) that has nothing else to do. */
#ifndef FUT_STORAGE_SQLITE_CHECK_H
#define FUT_STORAGE_SQLITE_CHECK_H

#include <stdint.h>

#include "core/err.h"

struct store_file_view {
    int64_t schema_version, tasks, unfinished, results, bytes;
};

/* One line per thing that is wrong; text is borrowed for the call. */
typedef void store_file_complaint(void *ctx, const char *text);

/* Reads the whole file: its pages, its indexes, and whether each task is either unfinished or has a
 * result. Changes nothing. 0: *out is set. FUT_ERR_DAMAGED: complain was called, at most some 100
 * times. Others as store_open, with a sentence in err. */
FUT_MUST_CHECK int store_file_check(const char *path, store_file_complaint *complain, void *ctx,
                                    struct store_file_view *out, struct fut_errbuf *err);

/* Copies it, as of one moment, to a file that must not exist yet; what is written has been checked
 * and is on disk when this returns. Writers go on meanwhile. FUT_ERR_EXISTS, FUT_ERR_DAMAGED,
 * FUT_ERR_NO_SPACE, others as store_open; then there is no such file. */
FUT_MUST_CHECK int store_file_backup(const char *path, const char *to, struct fut_errbuf *err);

#endif
