/* copy: a copy of a database file, made beside a daemon that writes to it.
 *
 * While a read transaction lasts SQLite's log cannot begin anew, so a copy inside of one makes the
 * log grow by all that is written meanwhile. Writing the copy is what takes long; so that is done
 * first, without any transaction: the bytes of the file as they are, which may be of different
 * moments. A second pass inside of one transaction reads all pages through SQLite and writes those
 * that differ. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/internal.h"

#define STEP_BYTES (1 << 20) /* what one sync of the first pass takes to the disk */
#define STEP_PAGES 256

/* ---- the VFS of the second pass: a write of what is there already is none ----------------------
 */

struct same_file {
    sqlite3_file base;
    sqlite3_int64 size; /* what SQLite has written so far: the file begins empty for it */
};

static sqlite3_vfs *below;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)(FUT_CONTAINER(file, struct same_file, base) + 1);
}

static int same_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int same_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    sqlite3_int64 size = FUT_CONTAINER(file, struct same_file, base)->size;
    if (at + n <= size)
        return real_of(file)->pMethods->xRead(real_of(file), out, n, at);
    memset(out, 0, (size_t)n);
    return SQLITE_IOERR_SHORT_READ;
}

static int same_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    struct same_file *f = FUT_CONTAINER(file, struct same_file, base);
    char *there = xmalloc((size_t)n);
    int rc = real_of(file)->pMethods->xRead(real_of(file), there, n, at);
    bool is_same = rc == SQLITE_OK && memcmp(there, bytes, (size_t)n) == 0;
    free(there);
    rc = is_same ? SQLITE_OK : real_of(file)->pMethods->xWrite(real_of(file), bytes, n, at);
    if (rc == SQLITE_OK && f->size < at + n)
        f->size = at + n;
    return rc;
}

static int same_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    FUT_CONTAINER(file, struct same_file, base)->size = size;
    return SQLITE_OK; /* cut in the end */
}

static int same_sync(sqlite3_file *file, int flags)
{
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int same_size(sqlite3_file *file, sqlite3_int64 *out)
{
    *out = FUT_CONTAINER(file, struct same_file, base)->size;
    return SQLITE_OK;
}

/* Nobody else knows the file. */
static int same_lock(sqlite3_file *file, int level)
{
    (void)file, (void)level;
    return SQLITE_OK;
}

static int same_check_lock(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

static int same_control(sqlite3_file *file, int op, void *arg)
{
    (void)file, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int same_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int same_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = same_close,
    .xRead = same_read,
    .xWrite = same_write,
    .xTruncate = same_truncate,
    .xSync = same_sync,
    .xFileSize = same_size,
    .xLock = same_lock,
    .xUnlock = same_lock,
    .xCheckReservedLock = same_check_lock,
    .xFileControl = same_control,
    .xSectorSize = same_sector_size,
    .xDeviceCharacteristics = same_characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return below->xOpen(below, name, file, flags, out_flags);
    struct same_file *f = FUT_CONTAINER(file, struct same_file, base);
    *f = (struct same_file){0};
    int rc = below->xOpen(below, name, real_of(file), flags, out_flags);
    if (rc == SQLITE_OK)
        f->base.pMethods = &methods;
    return rc;
}

static sqlite3_vfs vfs;

static void make_vfs(void)
{
    below = sqlite_add_vfs(&vfs, "futured-copy", open_file, sizeof(struct same_file));
}

/* ---- the first pass ----------------------------------------------------------------------------
 */

int sqlite_write_failed(const char *to, struct fut_errbuf *err)
{
    int rc = errno == ENOSPC || errno == EDQUOT ? FUT_ERR_NO_SPACE : FUT_ERR_IO;
    return fut_fail(err, rc, "cannot write %s: %s", to, strerror(errno));
}

/* Step by step to the disk: all of it at once in the end would hold up the daemon's syncs. Of a
 * failure the kernel tells once: the sync in the end, by a descriptor of its own, would not hear.
 */
static int copy_bytes(int in, int out, const char *to, struct fut_errbuf *err)
{
    char *chunk = xmalloc(STEP_BYTES);
    int rc = 0;
    for (off_t at = 0; rc == 0;) {
        ssize_t n = pread(in, chunk, STEP_BYTES, at);
        if (n < 0)
            rc = fut_fail(err, FUT_ERR_IO, "cannot read the database: %s", strerror(errno));
        if (n <= 0)
            break;
        if (pwrite(out, chunk, (size_t)n, at) != n || fdatasync(out) != 0)
            rc = sqlite_write_failed(to, err);
        at += n;
    }
    free(chunk);
    return rc;
}

/* Must not run while this process has the database open: closing the descriptor takes the locks of
 * all connections with it (POSIX). */
static int copy_as_it_is(const char *path, const char *to, struct fut_errbuf *err)
{
    int in = open(path, O_RDONLY | O_CLOEXEC), rc;
    int out = in < 0 ? -1 : open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0)
        rc = fut_fail(err, FUT_ERR_IO, "cannot open the database %s: %s", path, strerror(errno));
    else
        rc = out < 0 ? sqlite_write_failed(to, err) : copy_bytes(in, out, to, err);
    fd_close(&in);
    fd_close(&out);
    return rc;
}

/* ---- the second pass ------------------------------------------------------------------------- */

static int copy_failed(sqlite3 *db, const char *to, struct fut_errbuf *err)
{
    int rc = sqlite_rc(db, sqlite3_errcode(db));
    return fut_fail(err, rc == 0 ? FUT_ERR_IO : rc, "cannot copy to %s: %s", to,
                    sqlite3_errmsg(db));
}

/* The copy has a name that nobody knows and is synced before it gets another: no journal. */
static int open_copy(const char *to, sqlite3 **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_vfs);
    int rc = sqlite3_open_v2(to, out, SQLITE_OPEN_READWRITE, vfs.zName);
    return rc == SQLITE_OK ? sqlite3_exec(*out, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF",
                                          NULL, NULL, NULL)
                           : rc;
}

static int copy_differences(sqlite3 *from, const char *to, int64_t *out_bytes,
                            struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    sqlite3_backup *copy = NULL;
    int rc = SQLITE_ERROR, pages = 0;
    if (open_copy(to, &db) == SQLITE_OK)
        copy = sqlite3_backup_init(db, "main", from, "main");
    while (copy && (rc = sqlite3_backup_step(copy, STEP_PAGES)) == SQLITE_OK)
        (void)sqlite3_db_cacheflush(db); /* fails where the next step fails as well */
    if (copy) {
        pages = sqlite3_backup_pagecount(copy);
        rc = sqlite3_backup_finish(copy);
    }
    rc = rc == SQLITE_OK ? 0 : copy_failed(db, to, err);
    (void)sqlite3_close(db);
    *out_bytes = pages;
    return rc;
}

static int64_t page_size(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return n;
}

/* One read transaction of the source, which holds up no writer. */
static int copy_moment(const char *path, const char *to, struct fut_errbuf *err)
{
    sqlite3 *from = NULL;
    int64_t pages = 0;
    int rc = sqlite_look(path, &from, err);
    if (rc != 0)
        return rc;
    if (sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) !=
        SQLITE_OK)
        rc = copy_failed(from, to, err);
    else
        rc = copy_differences(from, to, &pages, err);
    if (rc == 0 && truncate(to, pages * page_size(from)) != 0)
        rc = sqlite_write_failed(to, err);
    (void)sqlite3_close(from);
    return rc;
}

int sqlite_copy(const char *path, const char *to, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    sqlite_remove_copy(to); /* of a copy that was cut off */
    int rc = sqlite_look(path, &db, err);
    (void)sqlite3_close(db);
    if (rc == 0)
        rc = copy_as_it_is(path, to, err);
    return rc == 0 ? copy_moment(path, to, err) : rc;
}

void sqlite_remove_copy(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < FUT_COUNT(ends); i++) {
        char *name = sqlite3_mprintf("%s%s", path, ends[i]);
        (void)unlink(name);
        sqlite3_free(name);
    }
}
