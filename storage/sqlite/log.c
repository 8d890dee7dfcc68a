#include "storage/sqlite/internal.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/histogram.h"
#include "core/mem.h"

#define GATHERED_MAX ((1u << 17) - 1) /* bytes: what SQLite's VFS writes at once; 31 pages */
#define FRAME_HEADER 24               /* bytes before each page */

/* SQLite allocates this, and behind it the file of the VFS below. */
struct log_file {
    sqlite3_file base;
    unsigned char *gathered;
    size_t len;
    sqlite3_int64 at; /* where the gathered bytes belong */
    bool is_ending;   /* the next write ends a transaction */
};

static sqlite3_vfs *below;
static struct histogram syncs; /* of all logs of this process, which has one */

static struct log_file *log_of(sqlite3_file *file)
{
    return FUT_CONTAINER(file, struct log_file, base);
}

static sqlite3_file *real_of(struct log_file *f)
{
    return (sqlite3_file *)(f + 1);
}

static int put_down(struct log_file *f)
{
    size_t n = f->len;
    f->len = 0; /* also after a failure: SQLite rolls back, and writes again what it needs */
    return n ? real_of(f)->pMethods->xWrite(real_of(f), f->gathered, (int)n, f->at) : SQLITE_OK;
}

/* ---- the file's methods ---------------------------------------------------------------------- */

static int log_close(sqlite3_file *file)
{
    struct log_file *f = log_of(file);
    int rc = put_down(f);
    int closed = real_of(f)->pMethods->xClose(real_of(f));
    free(f->gathered);
    return rc == SQLITE_OK ? closed : rc;
}

static int log_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    struct log_file *f = log_of(file);
    int rc = put_down(f);
    return rc == SQLITE_OK ? real_of(f)->pMethods->xRead(real_of(f), out, n, at) : rc;
}

/* Is this the header of the frame that ends a transaction? Its second word is the size of the
 * database then, and 0 in all others (the format of the log is documented). */
static bool ends_transaction(const unsigned char *bytes, size_t n)
{
    static const unsigned char zeros[4];
    return n == FRAME_HEADER && memcmp(bytes + 4, zeros, sizeof(zeros)) != 0;
}

static void gather(struct log_file *f, const void *bytes, size_t n, sqlite3_int64 at)
{
    if (f->len == 0)
        f->at = at;
    memcpy(f->gathered + f->len, bytes, n);
    f->len += n;
}

static int log_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    struct log_file *f = log_of(file);
    size_t size = (size_t)n;
    bool last = f->is_ending; /* the page of the last frame */
    if (at != f->at + (sqlite3_int64)f->len || f->len + size > GATHERED_MAX) {
        int rc = put_down(f);
        if (rc != SQLITE_OK)
            return rc;
    }
    FUT_ASSERT(size <= GATHERED_MAX); /* a page is 64 KiB at most */
    gather(f, bytes, size, at);
    f->is_ending = ends_transaction(bytes, size);
    return last ? put_down(f) : SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *f = log_of(file);
    int rc = put_down(f);
    return rc == SQLITE_OK ? real_of(f)->pMethods->xTruncate(real_of(f), size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *f = log_of(file);
    int rc = put_down(f);
    if (rc != SQLITE_OK)
        return rc;
    int64_t began_mono_us = clock_mono_us();
    rc = real_of(f)->pMethods->xSync(real_of(f), flags);
    histogram_observe(&syncs, clock_mono_us() - began_mono_us);
    return rc;
}

const struct histogram *sqlite_log_syncs(const struct backend *b)
{
    (void)b;
    return &syncs;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *out)
{
    struct log_file *f = log_of(file);
    int rc = put_down(f);
    return rc == SQLITE_OK ? real_of(f)->pMethods->xFileSize(real_of(f), out) : rc;
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(log_of(file))->pMethods->xFileControl(real_of(log_of(file)), op, arg);
}

static int log_sector_size(sqlite3_file *file)
{
    return real_of(log_of(file))->pMethods->xSectorSize(real_of(log_of(file)));
}

static int log_characteristics(sqlite3_file *file)
{
    return real_of(log_of(file))->pMethods->xDeviceCharacteristics(real_of(log_of(file)));
}

/* Locks and shared memory belong to the database file. */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

/* ---- the VFS --------------------------------------------------------------------------------- */

/* Nobody asks for SQLite's count of its memory, which costs a lock for each piece of it. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void sqlite_configure(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure);
}

sqlite3_vfs *sqlite_add_vfs(sqlite3_vfs *vfs, const char *name, sqlite_open_fn *open,
                            size_t file_bytes)
{
    sqlite_configure();
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    FUT_ASSERT(real != NULL);
    *vfs = *real; /* its other methods take the first parameter for their own */
    vfs->pNext = NULL;
    vfs->zName = name;
    vfs->xOpen = open;
    vfs->szOsFile = (int)file_bytes + real->szOsFile;
    FUT_MUST(sqlite3_vfs_register(vfs, 0) == SQLITE_OK);
    return real;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return below->xOpen(below, name, file, flags, out_flags);
    struct log_file *f = log_of(file);
    *f = (struct log_file){0};
    int rc = below->xOpen(below, name, real_of(f), flags, out_flags);
    if (rc == SQLITE_OK) {
        f->gathered = xmalloc(GATHERED_MAX);
        f->base.pMethods = &methods;
    }
    return rc;
}

static sqlite3_vfs vfs;

static void make_vfs(void)
{
    below = sqlite_add_vfs(&vfs, "futured", open_file, sizeof(struct log_file));
}

const char *sqlite_log_vfs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_vfs);
    return vfs.zName;
}
