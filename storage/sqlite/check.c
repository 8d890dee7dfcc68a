#include "storage/sqlite/check.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/internal.h"

/* ---- check ----------------------------------------------------------------------------------- */

struct check {
    sqlite3 *db;
    sqlite_complaint *complain;
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
    {"SELECT count(*) FROM timers x WHERE NOT EXISTS (SELECT 1 FROM live l WHERE l.key = x.key)",
     "timers without an unfinished task"},
    {"SELECT count(*) FROM live l WHERE NOT EXISTS"
     " (SELECT 1 FROM lines n WHERE n.number = coalesce(l.queue, l.line))",
     "unfinished tasks without their waiting line"},
    {"SELECT count(*) FROM kept k WHERE NOT EXISTS (SELECT 1 FROM results r WHERE r.key = k.key)"
     " AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.key = k.key AND b.unfinished = 0)",
     "times to be kept without what is done"},
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

static void fill_view(struct check *c, struct sqlite_check_view *v)
{
    v->schema_version = number(c, "PRAGMA user_version");
    v->tasks = number(c, "SELECT count(*) FROM tasks");
    v->unfinished = number(c, "SELECT count(*) FROM live");
    v->results = number(c, "SELECT count(*) FROM results");
    v->bytes = number(c, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
}

/* One read transaction, so that a daemon that writes meanwhile does not look like damage. */
static int check_file(const char *path, sqlite_complaint *fn, void *ctx,
                      struct sqlite_check_view *out, struct fut_errbuf *err)
{
    struct check c = {.complain = fn, .ctx = ctx};
    struct sqlite_check_view view = {0};
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

static bool is_in_use(const char *path)
{
    char *name = sqlite3_mprintf("%s.lock", path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    bool in_use = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0;
    sqlite3_free(name);
    fd_close(&fd);
    return in_use;
}

/* To read the whole of a large file takes long, and SQLite's log cannot shrink while somebody
 * reads: beside a daemon that writes, a copy is what is checked. Where there is no space for one
 * the file itself is, and the log grows meanwhile. */
int sqlite_check(const char *path, sqlite_complaint *fn, void *ctx, struct sqlite_check_view *out,
                 struct fut_errbuf *err)
{
    if (!is_in_use(path))
        return check_file(path, fn, ctx, out, err);
    char *copy = sqlite3_mprintf("%s.check", path);
    int rc = sqlite_copy(path, copy, err);
    if (rc == 0)
        rc = check_file(copy, fn, ctx, out, err);
    else
        rc = check_file(path, fn, ctx, out, err);
    if (rc == FUT_ERR_DAMAGED)
        (void)fut_fail(err, rc, "the database %s is damaged", path);
    sqlite_remove_copy(copy);
    sqlite3_free(copy);
    return rc;
}
