/* What a statement is given is what it sees, whatever it was given before. */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>

#include "core/mem.h"
#include "storage/sqlite/params.h"
#include "tests/support/chance.h"
#include "tests/support/suite.h"

static sqlite3 *db;
static struct params p;
static uint64_t seed = 1;

static void begin(void)
{
    p = (struct params){.st = NULL};
    ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT quote(?1), quote(?2)", -1, &p.st, NULL),
                     SQLITE_OK);
}

static void end(void)
{
    (void)sqlite3_finalize(p.st);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

static void expect(const char *first, const char *second)
{
    ck_assert_int_eq(sqlite3_step(p.st), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(p.st, 0), first);
    ck_assert_str_eq((const char *)sqlite3_column_text(p.st, 1), second);
    ck_assert_int_eq(sqlite3_reset(p.st), SQLITE_OK);
}

START_TEST(test_params_hold_what_was_bound)
{
    begin();
    params_null(&p, 1);
    params_int(&p, 2, 0);
    expect("NULL", "0");
    params_int(&p, 1, 7);
    expect("7", "0"); /* as before, the second */
    params_int(&p, 1, 7);
    params_int(&p, 2, -7);
    expect("7", "-7");
    params_text(&p, 1, "7");
    params_int_or_null(&p, 2, -1, -1);
    expect("'7'", "NULL");
    params_int(&p, 1, 7); /* the number it held before the text */
    params_int_or_null(&p, 2, -7, -1);
    expect("7", "-7");
    params_blob(&p, 1, "", 0);
    params_text(&p, 2, NULL);
    expect("X''", "NULL");
    params_null(&p, 1);
    params_text(&p, 2, NULL);
    expect("NULL", "NULL");
    end();
}
END_TEST

/* Writes what the second should be. */
static void bind_any(int i, char out[32])
{
    switch (chance_of(&seed, 4)) {
    case 0:
        params_null(&p, i);
        (void)snprintf(out, 32, "NULL");
        break;
    case 1:
        params_text(&p, i, "t");
        (void)snprintf(out, 32, "'t'");
        break;
    case 2:
        params_blob(&p, i, "b", 1);
        (void)snprintf(out, 32, "X'62'");
        break;
    default: {
        int64_t v = (int64_t)chance_of(&seed, 3) - 1;
        params_int(&p, i, v);
        (void)snprintf(out, 32, "%lld", (long long)v);
    }
    }
}

START_TEST(test_params_hold_whatever_came_before)
{
    char first[32], second[32];
    begin();
    for (int i = 0; i < 20000; i++) {
        bind_any(1, first);
        bind_any(2, second);
        expect(first, second);
    }
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_params_hold_what_was_bound, test_params_hold_whatever_came_before};
    return suite_run("params", tests, FUT_COUNT(tests));
}
