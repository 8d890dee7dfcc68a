/* reserve: the disk space that is kept for results, and the log: checkpoints and its size. The
 * writer thread alone.
 *
 * Beside the database lies a file of allocated but unused blocks. When the disk is full it is cut
 * to nothing, and what was in it is what the results of the running tasks are written into. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "storage/sqlite/internal.h"

/* About 1,000 pages keep the longest stall short (larger ones made single commits wait up to
 * 75 ms). */
#define CHECKPOINT_PAGES 1000
#define CUT_PAGES 4000       /* 16 MiB: the log is cut, if need be by waiting for readers, */
#define CUT_WAIT_MS 20       /* so long at most, */
#define CUT_AGAIN_US 1000000 /* and once in so long while one reads for longer */

/* ---- reserve ------------------------------------------------------------------------------------
 */

static bool is_disk_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

int sqlite_reserve(struct backend *b, bool on)
{
    int error = 0;
    if (b->reserve_bytes == 0)
        return 0;
    char *name = sqlite3_mprintf("%s.reserve", b->path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    sqlite3_free(name);
    if (fd < 0)
        return is_disk_full(errno) ? FUT_ERR_NO_SPACE : FUT_ERR_IO;
    if (on)
        error = posix_fallocate(fd, 0, b->reserve_bytes);
    if ((!on || is_disk_full(error)) && ftruncate(fd, 0) != 0)
        error = errno;
    fd_close(&fd);
    /* A file system or limit that knows no such file: go on without. */
    return on && is_disk_full(error) ? FUT_ERR_NO_SPACE : 0;
}

int sqlite_touch(struct backend *b)
{
    return sqlite_run(b, W_TOUCH);
}

/* ---- the log --------------------------------------------------------------------------------- */

static int count_pages(void *backend, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct backend *)backend)->wal_pages = pages;
    return SQLITE_OK;
}

void sqlite_watch_wal(struct backend *b)
{
    (void)sqlite3_wal_hook(b->db, count_pages, b);
}

/* *out_remaining: pages that are in the log still; -1: as many as there were. */
static int checkpoint(struct backend *b, int mode, int *out_remaining)
{
    int in_log = -1, done = -1;
    int sqlite = sqlite3_wal_checkpoint_v2(b->db, NULL, mode, &in_log, &done);
    bool busy = sqlite == SQLITE_BUSY || sqlite == SQLITE_LOCKED; /* a reader is in the way */
    int rc = busy ? 0 : sqlite_noted_rc(b, sqlite);
    *out_remaining = rc != 0 || busy || in_log < 0 ? b->wal_pages : in_log;
    return rc;
}

/* The log begins anew only while nobody reads from it, and beside readers that take turns that may
 * never be. This waits for those of the moment; whoever comes meanwhile reads from the file. */
static int cut(struct backend *b, int *out_remaining)
{
    (void)sqlite3_busy_timeout(b->db, CUT_WAIT_MS);
    int rc = checkpoint(b, SQLITE_CHECKPOINT_TRUNCATE, out_remaining);
    (void)sqlite3_busy_timeout(b->db, SQLITE_BUSY_MS);
    return rc;
}

/* SQLite's own automatic checkpoint tells nobody when it fails: the log would grow for ever, and a
 * failed fsync of the database file would go unseen. Until it succeeds nothing more is begun. */
int sqlite_tidy(struct backend *b, int64_t *out_again_mono_us)
{
    *out_again_mono_us = INT64_MAX;
    if (b->wal_pages < CHECKPOINT_PAGES && !b->is_behind)
        return 0;
    if (b->wal_pages < b->wal_next_pages && clock_mono_us() < b->wal_next_mono_us &&
        !b->is_behind) {
        *out_again_mono_us = b->wal_next_mono_us;
        return 0;
    }
    int remaining = b->wal_pages;
    int rc = checkpoint(b, SQLITE_CHECKPOINT_PASSIVE, &remaining);
    if (rc == 0 && remaining >= CUT_PAGES)
        rc = cut(b, &remaining);
    b->is_behind = rc != 0;
    if (rc != 0)
        return rc;
    if (remaining < CUT_PAGES) {
        b->wal_pages = b->wal_next_pages = 0; /* the next commit says how many there are */
        return 0;
    }
    b->wal_pages = remaining;
    b->wal_next_pages = remaining + CUT_PAGES;
    b->wal_next_mono_us = *out_again_mono_us = clock_mono_us() + CUT_AGAIN_US;
    return 0;
}

static uint64_t size_of(const char *path, const char *end)
{
    struct stat st;
    char *name = sqlite3_mprintf("%s%s", path, end);
    uint64_t size = stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
    sqlite3_free(name);
    return size;
}

void sqlite_sizes(const struct backend *b, uint64_t *out_file, uint64_t *out_log)
{
    *out_file = size_of(b->path, "");
    *out_log = size_of(b->path, "-wal");
}
