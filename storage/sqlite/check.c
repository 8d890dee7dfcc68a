#include "storage/sqlite/check.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* ---- check ----------------------------------------------------------------------------------- */

struct check {
    sqlite3 *db;
    store_file_complaint *complain;
    void *ctx;
    int complaints;
};

static void complain(struct check *c, const char *text)
{
    c->complaints++;
    c->complain(c->ctx, text);
}

static int on_page(void *check, int n, char **values, char **names)
{
    (void)names;
    if (n > 0 && values[0] && strcmp(values[0], "ok") != 0)
        complain(check, values[0]);
    return 0;
}

/* What must be 0, and what it means when it is not. */
static const struct {
    const char *sql, *what;
} truths[] = {
    {"SELECT count(*) FROM live l WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.key = l.key)",
     "unfinished rows without their task"},
    {"SELECT count(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.key = r.key)",
     "results without their task"},
    {"SELECT count(*) FROM live l JOIN results r ON r.key = l.key",
     "tasks that are unfinished and have a result"},
    {"SELECT count(*) FROM tasks t WHERE NOT EXISTS (SELECT 1 FROM live l WHERE l.key = t.key)"
     " AND NOT EXISTS (SELECT 1 FROM results r WHERE r.key = t.key)",
     "tasks that are neither unfinished nor have a result"},
};

/* -1: it could not be read, which was complained about. */
static int64_t number(struct check *c, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    else
        complain(c, sqlite3_errmsg(c->db));
    (void)sqlite3_finalize(st);
    return n;
}

static void check_truths(struct check *c)
{
    char text[128];
    for (size_t i = 0; i < FUT_COUNT(truths); i++) {
        int64_t n = number(c, truths[i].sql);
        (void)snprintf(text, sizeof(text), "%lld %s", (long long)n, truths[i].what);
        if (n > 0)
            complain(c, text);
    }
}

static void fill_view(struct check *c, struct store_file_view *v)
{
    v->schema_version = number(c, "PRAGMA user_version");
    v->tasks = number(c, "SELECT count(*) FROM tasks");
    v->unfinished = number(c, "SELECT count(*) FROM live");
    v->results = number(c, "SELECT count(*) FROM results");
    v->bytes = number(c, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
}

/* One read transaction, so that a daemon that writes meanwhile does not look like damage. */
int store_file_check(const char *path, store_file_complaint *fn, void *ctx,
                     struct store_file_view *out, struct fut_errbuf *err)
{
    struct check c = {.complain = fn, .ctx = ctx};
    struct store_file_view view = {0};
    int rc = sqlite_look(path, &c.db, err);
    if (rc == FUT_ERR_DAMAGED)
        fn(ctx, err->text);
    if (rc != 0)
        return rc;
    if (sqlite3_exec(c.db, "BEGIN; PRAGMA integrity_check(100)", on_page, &c, NULL) != SQLITE_OK)
        complain(&c, sqlite3_errmsg(c.db));
    check_truths(&c);
    fill_view(&c, &view);
    (void)sqlite3_close(c.db);
    if (c.complaints)
        return fut_fail(err, FUT_ERR_DAMAGED, "the database %s is damaged", path);
    *out = view;
    return 0;
}

/* ---- backup ---------------------------------------------------------------------------------- */

static int copy_failed(sqlite3 *db, const char *to, struct fut_errbuf *err)
{
    int rc = sqlite_rc(db, sqlite3_errcode(db));
    return fut_fail(err, rc == 0 ? FUT_ERR_IO : rc, "cannot copy to %s: %s", to,
                    sqlite3_errmsg(db));
}

#define STEP_PAGES 256 /* 1 MiB, which a commit of the daemon may have to wait for */

/* The copy has a name that nobody knows and is synced before it gets another: no journal. */
static int open_copy(const char *to, sqlite3 **out, int *out_fd)
{
    int rc = sqlite3_open_v2(to, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (rc == SQLITE_OK)
        rc =
            sqlite3_exec(*out, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    *out_fd = rc == SQLITE_OK ? open(to, O_RDONLY | O_CLOEXEC) : -1;
    return rc == SQLITE_OK && *out_fd < 0 ? SQLITE_CANTOPEN : rc;
}

/* Step by step to the disk: all of it at once in the end would hold up the daemon's syncs. Of a
 * failure the kernel tells once: the sync in the end, by a descriptor of its own, would not hear.
 */
static int copy_steps(sqlite3 *from, sqlite3 *db, int fd, const char *to, struct fut_errbuf *err)
{
    sqlite3_backup *copy = sqlite3_backup_init(db, "main", from, "main");
    int error = 0;
    while (copy && error == 0 && sqlite3_backup_step(copy, STEP_PAGES) == SQLITE_OK) {
        (void)sqlite3_db_cacheflush(db); /* fails where the next step fails as well */
        error = fdatasync(fd) == 0 ? 0 : errno;
    }
    int rc = copy ? sqlite3_backup_finish(copy) : sqlite3_errcode(db);
    if (error != 0)
        return fut_fail(err, FUT_ERR_IO, "cannot write %s: %s", to, strerror(error));
    return rc == SQLITE_OK ? 0 : copy_failed(db, to, err);
}

/* One read transaction of the source, which holds up no writer. */
static int copy_pages(sqlite3 *from, const char *to, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    int fd = -1, rc;
    if (open_copy(to, &db, &fd) != SQLITE_OK)
        rc = copy_failed(db, to, err);
    else if (sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) !=
             SQLITE_OK)
        rc = copy_failed(from, to, err);
    else
        rc = copy_steps(from, db, fd, to, err);
    (void)sqlite3_close(db);
    fd_close(&fd); /* after the connection: with it go the locks on the file */
    return rc;
}

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

/* Under its name only when it is whole and on disk. */
static int put_in_place(const char *part, const char *to, struct fut_errbuf *err)
{
    char *copy = xstrdup(to);
    int rc = 0;
    if (sync_path(part, O_RDONLY) != 0 || link(part, to) != 0 ||
        sync_path(dirname(copy), O_RDONLY | O_DIRECTORY) != 0)
        rc = fut_fail(err, errno == EEXIST ? FUT_ERR_EXISTS : FUT_ERR_IO, "cannot write %s: %s", to,
                      strerror(errno));
    free(copy);
    return rc;
}

static void remove_part(const char *part)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < FUT_COUNT(ends); i++) {
        char *name = sqlite3_mprintf("%s%s", part, ends[i]);
        (void)unlink(name);
        sqlite3_free(name);
    }
}

int store_file_backup(const char *path, const char *to, struct fut_errbuf *err)
{
    struct store_file_view view;
    sqlite3 *from = NULL;
    if (access(to, F_OK) == 0)
        return fut_fail(err, FUT_ERR_EXISTS, "%s is there already", to);
    int rc = sqlite_look(path, &from, err);
    if (rc != 0)
        return rc;
    char *part = sqlite3_mprintf("%s.part", to);
    remove_part(part); /* of a backup that was cut off */
    rc = copy_pages(from, part, err);
    (void)sqlite3_close(from);
    if (rc == 0)
        rc = store_file_check(part, say_nothing, NULL, &view, err);
    if (rc == 0)
        rc = put_in_place(part, to, err);
    remove_part(part);
    sqlite3_free(part);
    return rc;
}
