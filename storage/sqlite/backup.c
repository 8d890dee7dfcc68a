/* backup: a checked copy of the database under a name of its own, and the database written anew. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/check.h"
#include "storage/sqlite/internal.h"

/* ---- backup ---------------------------------------------------------------------------------- */

static void say_nothing(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : -1;
    fd_close(&fd);
    return rc;
}

static int sync_folder_of(const char *path)
{
    char *copy = xstrdup(path);
    int rc = sync_path(dirname(copy), O_RDONLY | O_DIRECTORY);
    free(copy);
    return rc;
}

int sqlite_put_in_place(const char *part, const char *to, struct fut_errbuf *err)
{
    if (sync_path(part, O_RDONLY) == 0 && link(part, to) == 0 && sync_folder_of(to) == 0)
        return 0;
    return fut_fail(err, errno == EEXIST ? FUT_ERR_EXISTS : FUT_ERR_IO, "cannot write %s: %s", to,
                    strerror(errno));
}

int sqlite_backup(const char *path, const char *to, struct fut_errbuf *err)
{
    struct sqlite_check_view view;
    if (access(to, F_OK) == 0)
        return fut_fail(err, FUT_ERR_EXISTS, "%s is there already", to);
    char *part = sqlite3_mprintf("%s.part", to);
    int rc = sqlite_copy(path, part, err);
    if (rc == 0)
        rc = sqlite_check(part, say_nothing, NULL, &view, err);
    if (rc == 0)
        rc = sqlite_put_in_place(part, to, err);
    sqlite_remove_copy(part);
    sqlite3_free(part);
    return rc;
}

/* ---- compact --------------------------------------------------------------------------------- */

/* All of the log into the file, and the file anew into `part`. */
static int write_anew(const char *path, const char *part, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int rc = sqlite_look(path, &db, err);
    if (rc != 0)
        return rc;
    if (sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_bind_text(st, 1, part, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_DONE)
        rc = fut_fail(err, sqlite_rc(db, sqlite3_errcode(db)), "cannot write %s anew: %s", path,
                      sqlite3_errmsg(db));
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return rc;
}

/* The new file belongs to whom the old one belonged. */
static int copy_owner(const struct stat *old, const char *part, struct fut_errbuf *err)
{
    if (chmod(part, old->st_mode & 07777) == 0 &&
        (geteuid() != 0 || chown(part, old->st_uid, old->st_gid) == 0))
        return 0;
    return sqlite_write_failed(part, err);
}

/* The log is empty and is not of the new file: it goes first, while the old file is whole without
 * it. */
static int replace(const char *path, const char *part, struct fut_errbuf *err)
{
    char *log = sqlite3_mprintf("%s-wal", path), *shm = sqlite3_mprintf("%s-shm", path);
    int rc = 0;
    (void)unlink(shm);
    (void)unlink(log);
    if (sync_path(part, O_RDONLY) != 0 || rename(part, path) != 0 || sync_folder_of(path) != 0)
        rc = sqlite_write_failed(path, err);
    sqlite3_free(log);
    sqlite3_free(shm);
    return rc;
}

static int compact_locked(const char *path, int64_t *before, int64_t *after, struct fut_errbuf *err)
{
    struct sqlite_check_view view;
    struct stat old;
    char *part = sqlite3_mprintf("%s.compact", path);
    sqlite_remove_copy(part); /* of one that was cut off */
    int rc = write_anew(path, part, err);
    if (rc == 0 && stat(path, &old) != 0)
        rc = fut_fail(err, FUT_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (rc == 0)
        rc = copy_owner(&old, part, err);
    if (rc == 0)
        rc = sqlite_check(part, say_nothing, NULL, &view, err);
    if (rc == 0)
        rc = replace(path, part, err);
    if (rc == 0) {
        *before = old.st_size;
        *after = view.bytes;
    }
    sqlite_remove_copy(part);
    sqlite3_free(part);
    return rc;
}

int sqlite_compact(const char *path, int64_t *before, int64_t *after, struct fut_errbuf *err)
{
    int lock = -1;
    if (access(path, F_OK) != 0)
        return fut_fail(err, FUT_ERR_NOT_FOUND, "there is no database %s", path);
    int rc = sqlite_take_lock(path, &lock, err);
    if (rc == 0)
        rc = compact_locked(path, before, after, err);
    fd_close(&lock);
    return rc;
}
