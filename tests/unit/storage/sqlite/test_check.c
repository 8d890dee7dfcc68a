/* Checking and copying a database file, whole, damaged and in use. */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "storage/sqlite/check.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

static struct fixture k;
static char copy[128];

static void setup(void)
{
    fixture_open(&k, "sqlite");
    (void)snprintf(copy, sizeof(copy), "%s/copy.db", k.dir);
}

static void teardown(void)
{
    (void)unlink(copy);
    fixture_close(&k);
}

struct complaints {
    int n;
    char first[256];
};

static void add_line(void *ctx, const char *text)
{
    struct complaints *c = ctx;
    if (c->n++ == 0)
        (void)snprintf(c->first, sizeof(c->first), "%s", text);
}

static int check(const char *path, struct complaints *c, struct sqlite_check_view *v)
{
    struct fut_errbuf err = {""};
    *c = (struct complaints){0};
    return sqlite_check(path, add_line, c, v, &err);
}

static int backup(void)
{
    struct fut_errbuf err = {""};
    return sqlite_backup(k.path, copy, &err);
}

static void finish_one(void)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "result"), 0);
    task_release(&t);
}

START_TEST(test_check_of_one_in_use)
{
    struct complaints c;
    struct sqlite_check_view v;
    (void)fixture_submit(&k, LANE_IO, "a");
    (void)fixture_submit(&k, LANE_IO, "b");
    finish_one();
    ck_assert_int_eq(check(k.path, &c, &v), 0);
    ck_assert_int_eq(c.n, 0);
    ck_assert_int_eq(v.tasks, 2);
    ck_assert_int_eq(v.unfinished, 1);
    ck_assert_int_eq(v.results, 1);
}
END_TEST

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

/* The pages are fine, but what they say cannot be. */
START_TEST(test_check_finds_contradictions)
{
    static const struct {
        const char *sql, *complaint;
    } wrong[] = {
        {"DELETE FROM tasks", "without their task"},
        {"DELETE FROM live", "neither unfinished nor"},
        {"INSERT INTO live SELECT key, 1, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0,"
         " (SELECT min(number) FROM lines), 0, NULL, NULL FROM results",
         "unfinished and have a result"},
        {"DELETE FROM lines", "without their waiting line"},
    };
    struct complaints c;
    struct sqlite_check_view v;
    (void)fixture_submit(&k, LANE_IO, "a");
    finish_one();
    (void)fixture_submit(&k, LANE_IO, "b");
    fixture_stop(&k);
    run_sql(wrong[_i].sql);
    ck_assert_int_eq(check(k.path, &c, &v), FUT_ERR_DAMAGED);
    ck_assert_msg(strstr(c.first, wrong[_i].complaint) != NULL, "it says: %s", c.first);
}
END_TEST

static void scribble(off_t at, size_t n)
{
    char bytes[4096];
    int fd = open(k.path, O_RDWR | O_CLOEXEC);
    memset(bytes, 0xa5, sizeof(bytes));
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
    fd_close(&fd);
}

static void expect_damaged_at_start(void)
{
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), FUT_ERR_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "is damaged"));
    ck_assert_ptr_nonnull(strstr(err.text, "futured check"));
    ck_assert_ptr_nonnull(strstr(err.text, "backup"));
}

START_TEST(test_check_truncated_is_refused)
{
    struct complaints c;
    struct sqlite_check_view v;
    (void)fixture_submit(&k, LANE_IO, "a");
    fixture_stop(&k);
    ck_assert_int_eq(truncate(k.path, 3 * 4096), 0);
    expect_damaged_at_start();
    ck_assert_int_eq(check(k.path, &c, &v), FUT_ERR_DAMAGED);
    ck_assert_int_gt(c.n, 0);
}
END_TEST

START_TEST(test_check_scribbled_schema_is_refused)
{
    fixture_stop(&k);
    scribble(100, 1000); /* the root page of the schema, behind the file's header */
    expect_damaged_at_start();
}
END_TEST

/* A page that a start does not look at: the check does, and whoever meets it is told. */
START_TEST(test_check_scribbled_page_is_found)
{
    struct complaints c;
    struct sqlite_check_view v;
    struct task t;
    struct task_id id = fixture_submit(&k, LANE_IO, "a");
    fixture_stop(&k);
    scribble(4096, 4096); /* page 2: the root of tasks */
    ck_assert_int_eq(check(k.path, &c, &v), FUT_ERR_DAMAGED);
    ck_assert_int_gt(c.n, 0);
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    int rc = store_open(&k.cfg, &s, &err);
    if (rc == 0) {
        k.store = s;
        store_start(s);
        ck_assert_int_eq(fixture_get(&k, id, &t), FUT_ERR_DAMAGED);
    } else {
        ck_assert_int_eq(rc, FUT_ERR_DAMAGED);
    }
}
END_TEST

START_TEST(test_backup_is_the_same)
{
    struct complaints c;
    struct sqlite_check_view here, there;
    for (int i = 0; i < 20; i++)
        (void)fixture_submit(&k, LANE_IO, "a");
    finish_one();
    ck_assert_int_eq(backup(), 0);
    ck_assert_int_eq(check(k.path, &c, &here), 0);
    ck_assert_int_eq(check(copy, &c, &there), 0);
    ck_assert_int_eq(there.tasks, here.tasks);
    ck_assert_int_eq(there.results, here.results);
    ck_assert_int_eq(there.unfinished, here.unfinished);
    ck_assert_int_eq(backup(), FUT_ERR_EXISTS); /* never over a file that is there */
    ck_assert_int_eq(check(copy, &c, &there), 0);
}
END_TEST

START_TEST(test_backup_of_damage_leaves_no_copy)
{
    (void)fixture_submit(&k, LANE_IO, "a");
    fixture_stop(&k);
    scribble(4096, 4096);
    ck_assert_int_eq(backup(), FUT_ERR_DAMAGED);
    ck_assert_int_ne(access(copy, F_OK), 0);
}
END_TEST

/* What a backup tells is what the database tells: whoever may not read one may not read the other.
 */
START_TEST(test_backup_is_private)
{
    struct stat st;
    (void)fixture_submit(&k, LANE_IO, "a");
    (void)umask(0);
    ck_assert_int_eq(backup(), 0);
    ck_assert_int_eq(stat(copy, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

static int64_t size_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_size;
}

START_TEST(test_compact_gives_space_back_and_keeps_the_rest)
{
    struct complaints c;
    struct sqlite_check_view before_it, after_it;
    struct fut_errbuf err = {""};
    int64_t before = 0, after = 0;
    struct stat st;
    for (int i = 0; i < 200; i++)
        (void)fixture_submit(&k, LANE_IO, "a");
    finish_one();
    ck_assert_int_eq(sqlite_compact(k.path, &before, &after, &err), FUT_ERR_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "in use by another futured"));
    fixture_stop(&k);
    run_sql(
        "DELETE FROM live WHERE key IN (SELECT key FROM live LIMIT 150);"
        "DELETE FROM tasks WHERE key NOT IN (SELECT key FROM live UNION SELECT key FROM results)");
    ck_assert_int_eq(check(k.path, &c, &before_it), 0);
    ck_assert_int_eq(sqlite_compact(k.path, &before, &after, &err), 0);
    ck_assert_int_eq(before, before_it.bytes);
    ck_assert_int_lt(after, before);
    ck_assert_int_eq(size_of(k.path), after);
    ck_assert_int_eq(stat(k.path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(check(k.path, &c, &after_it), 0);
    ck_assert_int_eq(after_it.tasks, 49 + 1);
    ck_assert_int_eq(after_it.unfinished, before_it.unfinished);
    ck_assert_int_eq(after_it.schema_version, before_it.schema_version);
}
END_TEST

START_TEST(test_compact_of_damage_changes_nothing)
{
    struct fut_errbuf err = {""};
    int64_t before, after, size;
    for (int i = 0; i < 50; i++)
        (void)fixture_submit(&k, LANE_IO, "a");
    fixture_stop(&k);
    scribble(4096, 4096);
    size = size_of(k.path);
    ck_assert_int_lt(sqlite_compact(k.path, &before, &after, &err), 0);
    ck_assert_int_eq(size_of(k.path), size);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_check_of_one_in_use,
        test_check_truncated_is_refused,
        test_check_scribbled_schema_is_refused,
        test_check_scribbled_page_is_found,
        test_backup_is_the_same,
        test_backup_of_damage_leaves_no_copy,
        test_backup_is_private,
        test_compact_gives_space_back_and_keeps_the_rest,
        test_compact_of_damage_changes_nothing,
    };
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tc, tests[i]);
    tcase_add_loop_test(tc, test_check_finds_contradictions, 0, 3);
    return suite_run_cases("store file", tc, NULL);
}
