/* sqlite_room: the disk space that is held back, and the checkpoints. The writer thread alone.
 *
 * Beside the database lies a file of allocated but unused blocks. When the disk is full it is cut
 * to nothing, and what was in it is what the results of the running tasks are written into. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/fd.h"
#include "storage/sqlite/internal.h"

/* About 1,000 pages keep the longest stall short (larger ones made single commits wait up to
 * 75 ms). */
#define CHECKPOINT_PAGES 1000

/* ---- room ------------------------------------------------------------------------------------ */

static bool is_no_room(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

int sqlite_hold_room(struct backend *b, bool hold)
{
    int error = 0;
    if (b->reserve_bytes == 0)
        return 0;
    char *name = sqlite3_mprintf("%s.reserve", b->path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    sqlite3_free(name);
    if (fd < 0)
        return is_no_room(errno) ? FUT_ERR_NO_SPACE : FUT_ERR_IO;
    if (hold)
        error = posix_fallocate(fd, 0, b->reserve_bytes);
    if ((!hold || is_no_room(error)) && ftruncate(fd, 0) != 0)
        error = errno;
    fd_close(&fd);
    /* A file system or limit that knows no such file: go on without. */
    return hold && is_no_room(error) ? FUT_ERR_NO_SPACE : 0;
}

int sqlite_touch(struct backend *b)
{
    return sqlite_run(b, W_TOUCH);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

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

/* SQLite's own automatic checkpoint tells nobody when it fails: the log would grow for ever, and a
 * failed fsync of the database file would go unseen. Until it succeeds nothing more is begun. */
int sqlite_tidy(struct backend *b)
{
    if (b->wal_pages < CHECKPOINT_PAGES)
        return 0;
    int sqlite = sqlite3_wal_checkpoint_v2(b->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    bool busy = sqlite == SQLITE_BUSY || sqlite == SQLITE_LOCKED; /* a reader is in the way */
    int rc = busy ? 0 : sqlite_noted_rc(b, sqlite);
    b->is_behind = rc != 0;
    if (rc == 0)
        b->wal_pages = 0; /* the next commit says how many there are */
    return rc;
}
