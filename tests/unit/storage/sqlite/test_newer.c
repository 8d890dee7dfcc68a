/* A database of a newer version is refused and stays as it is, to the byte. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

static struct fixture k;

/* A log that the file has not taken stays a log. */
static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static size_t read_file(const char *end, char *out, size_t cap)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "%s%s", k.path, end);
    FILE *f = fopen(name, "rb");
    size_t n = f ? fread(out, 1, cap, f) : 0;
    if (f)
        (void)fclose(f);
    ck_assert_uint_lt(n, cap);
    return n;
}

/* Also with a log that its own program has not moved into the file yet. */
START_TEST(test_newer_is_refused_and_not_touched)
{
    static const char *const ends[] = {"", "-wal"};
    static char before[2][1 << 20], after[1 << 20];
    size_t sizes[2];
    struct store *s = NULL;
    struct fut_errbuf err = {""};
    fixture_open(&k, "sqlite");
    (void)fixture_submit(&k, LANE_IO, "x");
    fixture_stop(&k);
    run_sql(_i ? "PRAGMA user_version=999" : "PRAGMA journal_mode=DELETE; PRAGMA user_version=999");
    for (int i = 0; i < 2; i++)
        sizes[i] = read_file(ends[i], before[i], sizeof(before[i]));
    ck_assert_int_eq(sizes[1] > 0, _i);
    ck_assert_int_eq(store_open(&k.cfg, &s, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "schema version 999"));
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(read_file(ends[i], after, sizeof(after)), sizes[i]);
        ck_assert(sizes[i] == 0 || memcmp(before[i], after, sizes[i]) == 0);
    }
    fixture_close(&k);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("all", 30, NULL, NULL);
    tcase_add_loop_test(tc, test_newer_is_refused_and_not_touched, 0, 2);
    return suite_run_cases("newer", tc, NULL);
}
