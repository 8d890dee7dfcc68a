/* sqlite: the SQLite backend: one writing connection, one reading connection per reader, and
 * a lock file that refuses a second daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/internal.h"

#define STEP_OPS 100000 /* of the virtual machine: some milliseconds */

static void read_holder(int fd, char *out, size_t cap)
{
    ssize_t n = pread(fd, out, cap - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* flock goes with the process, so a killed daemon leaves no stale lock. */
int sqlite_take_lock(const char *path, int *out_fd, struct fut_errbuf *err)
{
    sqlite_configure(); /* before its own printf */
    char *name = sqlite3_mprintf("%s.lock", path), text[32];
    int rc = 0, fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = fut_fail(err, FUT_ERR_IO, "cannot open the lock file %s: %s", name, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        read_holder(fd, text, sizeof(text));
        rc = fut_fail(err, FUT_ERR_BUSY,
                      "the database %s is in use by another futured (process %s): stop it, or set "
                      "FUTURED_DB to another file",
                      path, text);
    } else {
        int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
            rc = fut_fail(err, FUT_ERR_IO, "cannot write the lock file %s: %s", name,
                          strerror(errno));
    }
    sqlite3_free(name);
    if (rc != 0)
        fd_close(&fd);
    else
        *out_fd = fd;
    return rc;
}

/* SQLite would let everybody read it, and so would its WAL, which takes the mode over. One that is
 * there already keeps the mode that its owner gave it. */
static int make_private(const char *path, struct fut_errbuf *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fut_fail(err, FUT_ERR_IO, "cannot open the database %s: %s", path, strerror(errno));
    fd_close(&fd);
    return 0;
}

static void sqlite_close(struct backend *b)
{
    if (b->db) {
        sqlite_finalize_writes(b);
        (void)sqlite3_db_config(b->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)b->broken, NULL);
        if (!b->broken)
            (void)sqlite3_wal_checkpoint_v2(b->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        (void)sqlite3_close(b->db);
    }
    fd_close(&b->lock_fd);
    free(b->path);
    free(b);
}

static int on_progress(void *cfg_)
{
    const struct store_config *cfg = cfg_;
    cfg->on_step(cfg->step_ctx);
    return 0; /* go on */
}

/* A migration of a large database takes long, and whoever started us has a time-out. On a
 * connection of its own: renaming a column makes SQLite open a temporary database, which each later
 * transaction of that connection would begin and end, too. */
static int migrate(const struct store_config *cfg, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite_connect(cfg->path, sqlite_log_vfs(), &db, err);
    if (rc != 0)
        return rc;
    if (cfg->on_step)
        sqlite3_progress_handler(db, STEP_OPS, on_progress, (void *)(uintptr_t)cfg);
    rc = sqlite_migrate(db, cfg->path, sqlite_schema_version, err);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_close(db);
    return rc;
}

/* A file that is not for us stays as it is. */
static int look_first(const char *path, struct fut_errbuf *err)
{
    sqlite3 *db = NULL;
    if (access(path, F_OK) != 0)
        return 0; /* it will be made */
    int rc = sqlite_look(path, &db, err);
    (void)sqlite3_close(db);
    return rc;
}

static int sqlite_open(const struct store_config *cfg, struct backend **out, struct fut_errbuf *err)
{
    struct backend *b = xnew(struct backend);
    b->path = xstrdup(cfg->path);
    b->lock_fd = -1;
    b->reserve_bytes = cfg->reserve_bytes;
    int rc = sqlite_take_lock(cfg->path, &b->lock_fd, err);
    if (rc == 0)
        rc = look_first(cfg->path, err);
    if (rc == 0)
        rc = make_private(cfg->path, err);
    if (rc == 0)
        rc = migrate(cfg, err);
    if (rc == 0)
        rc = sqlite_connect(cfg->path, sqlite_log_vfs(), &b->db, err);
    if (rc == 0) {
        rc = sqlite_prepare_writes(b);
        if (rc == 0)
            rc = sqlite_find_checkpoints(b);
        if (rc == 0)
            rc = sqlite_find_kept(b);
        if (rc != 0)
            (void)sqlite_fail(b->db, cfg->path, rc, err);
        sqlite_watch_wal(b);
    }
    if (rc != 0) {
        sqlite_close(b);
        return rc;
    }
    *out = b;
    return 0;
}

const struct backend_ops backend_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .mark = sqlite_mark,
    .unmark = sqlite_unmark,
    .back = sqlite_back,
    .find_unique = sqlite_find_unique,
    .find_key = sqlite_find_key,
    .put_key = sqlite_put_key,
    .add_line = sqlite_add_line,
    .drop_line = sqlite_drop_line,
    .insert = sqlite_insert,
    .change = sqlite_change,
    .add_attempt = sqlite_add_attempt,
    .put_checkpoint = sqlite_put_checkpoint,
    .drop_checkpoint = sqlite_drop_checkpoint,
    .load_checkpoint = sqlite_load_checkpoint,
    .set_callback = sqlite_set_callback,
    .take = sqlite_take,
    .first = sqlite_first,
    .load = sqlite_load,
    .due = sqlite_due,
    .after = sqlite_after,
    .queue = sqlite_queue,
    .next_times = sqlite_next_times,
    .timed_out = sqlite_timed_out,
    .drop_expiry = sqlite_drop_expiry,
    .find_state = sqlite_find_state,
    .put_edge = sqlite_put_edge,
    .drop_wakes = sqlite_drop_wakes,
    .pending_edges = sqlite_pending_edges,
    .children = sqlite_children,
    .parents = sqlite_parents,
    .place = sqlite_place,
    .submitted = sqlite_submitted,
    .set_unmet = sqlite_set_unmet,
    .set_due = sqlite_set_due,
    .find_live = sqlite_find_live,
    .find_done = sqlite_find_done,
    .put_cascade = sqlite_put_cascade,
    .next_cascade = sqlite_next_cascade,
    .drop_cascade = sqlite_drop_cascade,
    .in_state = sqlite_in_state,
    .remove = sqlite_remove,
    .prune = sqlite_prune,
    .save = sqlite_save,
    .totals = sqlite_totals,
    .lines = sqlite_lines,
    .reserve = sqlite_reserve,
    .tidy = sqlite_tidy,
    .sizes = sqlite_sizes,
    .log_syncs = sqlite_log_syncs,
    .touch = sqlite_touch,
    .batch_put = sqlite_batch_put,
    .batch_failed = sqlite_batch_failed,
    .batch_cancel = sqlite_batch_cancel,
    .batch_ends = sqlite_batch_ends,
    .batch_set_callback = sqlite_batch_set_callback,
    .batch_unfinished = sqlite_batch_unfinished,
    .session_put = sqlite_session_put,
    .session_init = sqlite_session_init,
    .session_break = sqlite_session_break,
    .session_find = sqlite_session_find,
    .session_add = sqlite_session_add,
    .session_close = sqlite_session_close,
    .session_renew = sqlite_session_renew,
    .session_renew_all = sqlite_session_renew_all,
    .session_leases = sqlite_session_leases,
    .session_end_lease = sqlite_session_end_lease,
    .bulk_put = sqlite_bulk_put,
    .bulk_next = sqlite_bulk_next,
    .bulk_find = sqlite_bulk_find,
    .bulk_scan = sqlite_bulk_scan,
    .queue_put = sqlite_queue_put,
    .queue_drop = sqlite_queue_drop,
    .fair_put = sqlite_queue_put_fair,
    .pause_put = sqlite_queue_put_pause,
    .queues = sqlite_queues,
    .limit_put = sqlite_limit_put,
    .limit_drop = sqlite_limit_drop,
    .limit_key_put = sqlite_limit_key_put,
    .limit_key_drop = sqlite_limit_key_drop,
    .limits = sqlite_limits,
    .report = sqlite_report,
    .schedule_find = sqlite_schedule_find,
    .schedule_put = sqlite_schedule_put,
    .schedule_remove = sqlite_schedule_remove,
    .schedule_count = sqlite_schedule_count,
    .schedule_of_file = sqlite_schedule_of_file,
    .schedule_add_run = sqlite_schedule_add_run,
    .schedule_end_waiting = sqlite_schedule_end_waiting,
    .schedule_unfinished = sqlite_schedule_unfinished,
    .reader_open = sqlite_reader_open,
    .reader_close = sqlite_reader_close,
    .get = sqlite_get,
    .get_several = sqlite_get_several,
    .list = sqlite_list,
    .get_many = sqlite_get_many,
    .batch_get = sqlite_batch_get,
    .batch_list = sqlite_batch_list,
    .members = sqlite_members,
    .session_get = sqlite_session_get,
    .session_list = sqlite_session_list,
    .session_ends = sqlite_session_ends,
    .edges = sqlite_edges,
    .log = sqlite_log,
    .attempts = sqlite_attempts,
    .schedule_get = sqlite_schedule_get,
    .schedule_list = sqlite_schedule_list,
    .schedule_due = sqlite_schedule_due,
    .failures = sqlite_failures,
    .bulk_get = sqlite_bulk_get,
    .bulk_list = sqlite_bulk_list,
    .queue_oldest = sqlite_queue_oldest,
};
