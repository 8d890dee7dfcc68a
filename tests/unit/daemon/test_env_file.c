/* The environment file: what its lines mean, and what is told of those that mean nothing. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/task.h"
#include "daemon/config.h"
#include "daemon/env_file.h"
#include "tests/support/suite.h"

static char path[64];

static void write_file(const char *text, size_t n)
{
    (void)snprintf(path, sizeof(path), "/tmp/test_env_file_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
    (void)close(fd);
}

static bool is_known(const char *name)
{
    return strcmp(name, "MAX_WORKERS") == 0 || strcmp(name, "FUTURED_DB") == 0;
}

static const struct {
    const char *text, *value; /* of FUTURED_DB; NULL: not set */
} good[] = {
    {"FUTURED_DB=/a b", "/a b"},
    {"  FUTURED_DB=a\n", "a"},
    {"FUTURED_DB= a \t\r\n", "a"},
    {"FUTURED_DB=\"a b \"", "a b "},
    {"FUTURED_DB='a\"\\b'", "a\"\\b"},
    {"FUTURED_DB=\"a\\\"b\\\\c\"", "a\"b\\c"},
    {"FUTURED_DB=a\"b c\"'d'e", "ab cde"},
    {"FUTURED_DB=a=b#c", "a=b#c"},
    {"FUTURED_DB=", ""},
    {"FUTURED_DB=\"\"", ""},
    {"FUTURED_DB=one\nFUTURED_DB=two\n", "two"},
    {"# FUTURED_DB=x\n; FUTURED_DB=y\n\n   \n", NULL},
    {"PATH=/bin\nHOME=/root\nMAX_WORKERS=3", NULL},
    {"", NULL},
};

START_TEST(test_env_file_lines)
{
    struct env_file *f = NULL;
    struct fut_errbuf err = {""};
    write_file(good[_i].text, strlen(good[_i].text));
    ck_assert_msg(env_file_load(path, is_known, &f, &err) == 0, "%s", err.text);
    const char *value = env_file_get(f, "FUTURED_DB");
    ck_assert_int_eq(!value, !good[_i].value);
    if (value)
        ck_assert_str_eq(value, good[_i].value);
    env_file_free(&f);
    ck_assert_ptr_null(f);
    (void)unlink(path);
}
END_TEST

static const struct {
    const char *text;
    size_t n; /* 0: strlen */
    const char *said;
} bad[] = {
    {"# one\nMAX_WORKERS\n", 0, "line 2: this is not NAME=value"},
    {"MAX_WORKERS =1", 0, "line 1: what stands before the ="},
    {"1A=1", 0, "line 1: what stands before the ="},
    {"=1", 0, "line 1: what stands before the ="},
    {"export MAX_WORKERS=1", 0, "line 1: what stands before the ="},
    {"MAX_WORKER=1", 0, "line 1: futured has no such variable"},
    {"A=1\nFUTURED_DBX=1", 0, "line 2: futured has no such variable"},
    {"FUTURED_DB=\"a", 0, "line 1: a quote is not closed"},
    {"FUTURED_DB='a\nb'", 0, "line 1: a quote is not closed"},
    {"FUTURED_DB=a\\\nb", 0, "line 1: lines cannot go on"},
    {"A=1\0B=2", 7, "NUL byte"},
};

START_TEST(test_env_file_refuses)
{
    struct env_file *f = NULL;
    struct fut_errbuf err = {""};
    write_file(bad[_i].text, bad[_i].n ? bad[_i].n : strlen(bad[_i].text));
    ck_assert_int_eq(env_file_load(path, is_known, &f, &err), FUT_ERR_INVAL);
    ck_assert_msg(strstr(err.text, bad[_i].said) && strstr(err.text, path), "%s", err.text);
    ck_assert_ptr_null(f);
    (void)unlink(path);
}
END_TEST

START_TEST(test_env_file_has_limits)
{
    struct env_file *f = NULL;
    struct fut_errbuf err = {""};
    char *text = xmalloc(ENV_FILE_MAX_BYTES + 1);
    memset(text, '\n', ENV_FILE_MAX_BYTES + 1);
    write_file(text, ENV_FILE_MAX_BYTES);
    ck_assert_int_eq(env_file_load(path, is_known, &f, &err), 0);
    env_file_free(&f);
    (void)unlink(path);
    write_file(text, ENV_FILE_MAX_BYTES + 1);
    ck_assert_int_eq(env_file_load(path, is_known, &f, &err), FUT_ERR_TOO_BIG);
    (void)unlink(path);
    for (size_t i = 0; i <= ENV_FILE_MAX_NAMES; i++)
        memcpy(text + i * 4, "A=1\n", 4);
    write_file(text, (ENV_FILE_MAX_NAMES + 1) * 4);
    ck_assert_int_eq(env_file_load(path, is_known, &f, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "line 257"));
    (void)unlink(path);
    free(text);
    ck_assert_int_eq(env_file_load("/nowhere/env", is_known, &f, &err), FUT_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/env"));
}
END_TEST

/* ---- in front of the environment --------------------------------------------------------------
 */

START_TEST(test_config_file_counts_before_the_environment)
{
    struct config c;
    struct fut_errbuf err = {""};
    static const char text[] = "MAX_THREADS=7\nFUTURED_DB='/a file'\nFUTURED_PAUSED=cpu\n";
    write_file(text, sizeof(text) - 1);
    ck_assert_int_eq(setenv("FUTURED_ENV_FILE", path, 1), 0);
    ck_assert_int_eq(setenv("MAX_THREADS", "3", 1), 0);
    ck_assert_int_eq(setenv("MAX_WORKERS", "5", 1), 0);
    ck_assert_msg(config_load(&c, &err) == 0, "%s", err.text);
    ck_assert_int_eq(c.max_threads, 7);
    ck_assert_int_eq(c.max_workers, 5); /* the file does not say */
    ck_assert_str_eq(c.db, "/a file");
    ck_assert_int_eq(c.paused, 1 << LANE_CPU);
    config_release(&c);
    (void)unlink(path);
}
END_TEST

START_TEST(test_config_bad_file_is_refused)
{
    struct config c;
    struct fut_errbuf err = {""};
    static const char text[] = "MAX_THREADS=none\n", self[] = "FUTURED_ENV_FILE=/x\n";
    write_file(text, sizeof(text) - 1);
    ck_assert_int_eq(setenv("FUTURED_ENV_FILE", path, 1), 0);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "MAX_THREADS is \"none\""));
    (void)unlink(path);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    write_file(self, sizeof(self) - 1);
    ck_assert_int_eq(setenv("FUTURED_ENV_FILE", path, 1), 0);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "not in this file"));
    (void)unlink(path);
}
END_TEST

static char changed[128];

static void add_change(const char *name)
{
    (void)snprintf(changed + strlen(changed), sizeof(changed) - strlen(changed), "%s ", name);
}

START_TEST(test_config_names_what_needs_a_restart)
{
    struct config a, b;
    struct fut_errbuf err;
    ck_assert_int_eq(config_load(&a, &err), 0);
    ck_assert_int_eq(setenv("MAX_THREADS", "3", 1), 0);
    ck_assert_int_eq(setenv("FUTURED_PAUSED", "io,cpu", 1), 0);
    ck_assert_int_eq(setenv("FUTURED_LOG", "debug", 1), 0);
    ck_assert_int_eq(setenv("FUTURED_DB", "/other", 1), 0);
    ck_assert_int_eq(setenv("FUTURED_DRAIN", "1s", 1), 0);
    ck_assert_int_eq(config_load(&b, &err), 0);
    config_each_fixed_change(&a, &b, add_change);
    ck_assert_str_eq(changed, "FUTURED_DB FUTURED_DRAIN ");
    *changed = '\0';
    config_each_fixed_change(&b, &b, add_change);
    ck_assert_str_eq(changed, "");
}
END_TEST

static const char *const bad_lanes[] = {"gpu", "io,", ",", "io,cpu,io,cpu,io,cpu", "io cpu"};

START_TEST(test_config_paused_lanes_are_checked)
{
    struct config c;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(setenv("FUTURED_PAUSED", bad_lanes[_i], 1), 0);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_msg(strstr(err.text, "io, cpu or io,cpu") != NULL, "%s", err.text);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_env_file_lines, FUT_COUNT(good)},
        {test_env_file_refuses, FUT_COUNT(bad)},
        {test_env_file_has_limits, 0},
        {test_config_file_counts_before_the_environment, 0},
        {test_config_bad_file_is_refused, 0},
        {test_config_names_what_needs_a_restart, 0},
        {test_config_paused_lanes_are_checked, FUT_COUNT(bad_lanes)},
    };
    return suite_run_rows("env_file", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
