/* Waiting lines in the file: those of fairness keys leave nothing behind, and a restart finds the
 * rest. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"
#include "tests/support/suite.h"

#define KEYS 150

static struct fixture k;

/* Of the stopped store. */
static int count_lines(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    ck_assert_int_eq(sqlite3_open(k.path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM lines", -1, &st, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(st), SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    (void)sqlite3_finalize(st);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return n;
}

static struct task of_key(size_t i)
{
    char key[32];
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    (void)snprintf(key, sizeof(key), "key-%zu", i);
    spec.fair_key = key;
    fixture_respec(&t, &spec);
    return t;
}

START_TEST(test_lines_of_keys_leave_nothing)
{
    struct task *tasks = xcalloc(KEYS, sizeof(*tasks));
    fixture_open(&k, "sqlite");
    for (size_t i = 0; i < KEYS; i++)
        tasks[i] = of_key(i);
    ck_assert_int_eq(fixture_submit_n(&k, tasks, KEYS), 0);
    fixture_stop(&k);
    ck_assert_int_eq(count_lines(), KEYS);
    fixture_reopen(&k);
    for (size_t i = 0; i < KEYS; i++) {
        task_release(&tasks[i]);
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &tasks[i]), 1);
        ck_assert_int_eq(fixture_succeed(&k, &tasks[i], "y"), 0);
        task_release(&tasks[i]);
    }
    fixture_stop(&k);
    ck_assert_int_eq(count_lines(), 0);
    fixture_close(&k);
    free(tasks);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("all", 60, NULL, NULL);
    tcase_add_test(tc, test_lines_of_keys_leave_nothing);
    return suite_run_cases("store file: lines", tc, NULL);
}
