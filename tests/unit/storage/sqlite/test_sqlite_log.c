/* What the writing connection's VFS gathers must be invisible to everybody else. */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "storage/sqlite/internal.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

struct site {
    char *dir, *path;
    sqlite3 *writer, *reader;
};

static sqlite3 *open_with(const char *path, const char *vfs)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    ck_assert_int_eq(sqlite3_open_v2(path, &db, flags, vfs), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                  "PRAGMA wal_autocheckpoint=0",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql,
                  sqlite3_errmsg(db));
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    ck_assert_int_eq(sqlite3_finalize(st), SQLITE_OK);
    return n;
}

static int64_t rows(sqlite3 *db)
{
    return number(db, "SELECT count(*) FROM t");
}

static struct site open_site(void)
{
    struct site s = {.dir = dir_new()};
    s.path = dir_path(s.dir, "q.db");
    s.writer = open_with(s.path, sqlite_log_vfs());
    s.reader = open_with(s.path, NULL);
    run(s.writer, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)");
    return s;
}

static void close_site(struct site *s)
{
    ck_assert_int_eq(sqlite3_close(s->reader), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(s->writer), SQLITE_OK);
    free(s->path);
    dir_free(&s->dir);
}

/* n rows of 3,000 bytes: a page and more each. */
static void add(sqlite3 *db, int n)
{
    char *sql = text_printf("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c"
                            " WHERE i < %d) INSERT INTO t(v) SELECT randomblob(3000) FROM c",
                            n);
    run(db, sql);
    free(sql);
}

/* Calls of write and its kin that this process has made. */
static int64_t writes_made(void)
{
    char text[512];
    int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    (void)close(fd);
    const char *line = strstr(text, "syscw: ");
    ck_assert_ptr_nonnull(line);
    return strtoll(line + strlen("syscw: "), NULL, 10);
}

START_TEST(test_log_others_see_a_commit_at_once)
{
    struct site s = open_site();
    if (_i)
        run(s.writer, "PRAGMA synchronous=OFF"); /* nor does it depend on a sync */
    for (int i = 1; i <= 20; i++) {
        add(s.writer, 1);
        ck_assert_int_eq(rows(s.reader), i);
    }
    close_site(&s);
}
END_TEST

START_TEST(test_log_a_commit_is_few_writes)
{
    struct site s = open_site();
    add(s.writer, 1);
    int64_t before = writes_made();
    add(s.writer, 40);
    ck_assert_int_le(writes_made() - before, 12); /* libcheck writes too; 80 and more without us */
    ck_assert_int_eq(rows(s.reader), 41);
    close_site(&s);
}
END_TEST

/* More than is gathered, and more than the cache holds: SQLite writes and reads it back before the
 * commit. */
START_TEST(test_log_large_transactions_commit_and_roll_back)
{
    struct site s = open_site();
    run(s.writer, "PRAGMA cache_size=20");
    run(s.writer, "BEGIN");
    add(s.writer, 2000);
    run(s.writer, "UPDATE t SET v = zeroblob(3000) WHERE k % 2 = 0");
    ck_assert_int_eq(rows(s.reader), 0);
    run(s.writer, "ROLLBACK");
    ck_assert_int_eq(rows(s.writer), 0);
    run(s.writer, "BEGIN");
    add(s.writer, 1500);
    run(s.writer, "UPDATE t SET v = zeroblob(3000) WHERE k % 2 = 0");
    run(s.writer, "COMMIT");
    add(s.writer, 1);
    ck_assert_int_eq(rows(s.reader), 1501);
    ck_assert_int_eq(number(s.reader, "SELECT count(*) FROM t WHERE v = zeroblob(3000)"), 750);
    close_site(&s);
}
END_TEST

static void copy_file(const struct site *s, const char *from, const char *to)
{
    char *source = dir_path(s->dir, from), *target = dir_path(s->dir, to);
    struct stat st;
    int in = open(source, O_RDONLY | O_CLOEXEC);
    int out = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert(in >= 0 && out >= 0 && fstat(in, &st) == 0);
    for (off_t done = 0; done < st.st_size;)
        ck_assert_int_gt(sendfile(out, in, &done, (size_t)(st.st_size - done)), 0);
    (void)close(in);
    (void)close(out);
    free(target);
    free(source);
}

/* The log begins anew after a checkpoint. What a crash would leave is read by a connection that
 * knows nothing of us. */
START_TEST(test_log_checkpoints_and_recovery)
{
    struct site s = open_site();
    for (int i = 0; i < 10; i++) {
        add(s.writer, 10);
        run(s.writer, "PRAGMA wal_checkpoint(PASSIVE)");
    }
    add(s.writer, 5);
    copy_file(&s, "q.db", "copy.db");
    copy_file(&s, "q.db-wal", "copy.db-wal");
    char *copy = dir_path(s.dir, "copy.db");
    sqlite3 *db = open_with(copy, NULL);
    ck_assert_int_eq(rows(db), 105);
    ck_assert_int_eq(
        number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    free(copy);
    close_site(&s);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_log_a_commit_is_few_writes,
        test_log_large_transactions_commit_and_roll_back,
        test_log_checkpoints_and_recovery,
    };
    TCase *tc = suite_case("all", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_loop_test(tc, test_log_others_see_a_commit_at_once, 0, 2);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tc, tests[i]);
    return suite_run_cases("sqlite_log", tc, NULL);
}
