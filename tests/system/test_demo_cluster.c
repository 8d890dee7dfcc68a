/* `make demo-cluster` in its short form: it loses nothing and leaves nothing behind; and it says so
 * when something is lost. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define DEMO_S 250

static char *dir, *programs;

static void setup(void)
{
    programs = dir_new();
    dir = dir_new();
    ck_assert_int_eq(setenv("TMPDIR", dir, 1), 0);
}

static void teardown(void)
{
    dir_free(&dir);
    dir_free(&programs);
}

/* How many processes have the directory in their environment, this one aside. */
static int count_processes(void)
{
    int n = 0;
    DIR *all = opendir("/proc");
    ck_assert_ptr_nonnull(all);
    for (struct dirent *e; (e = readdir(all)) != NULL;) {
        char *path = text_printf("/proc/%s/environ", e->d_name), bytes[65536];
        int fd = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : 0;
        n += got > 0 && memmem(bytes, (size_t)got, dir, strlen(dir)) != NULL;
        fd_close(&fd);
        free(path);
    }
    (void)closedir(all);
    return n;
}

/* Returns what it says on standard output. */
static char *run_demo(const char *build, int expected)
{
    char *script = daemon_built("../../tests/demo_cluster.sh"), *out, *err;
    const char *argv[] = {script, build, "--short", NULL};
    int status = program_run(argv, NULL, DEMO_S * 1000, &out, &err);
    ck_assert_msg(status == expected, "%d: %s%s", status, out, err);
    ck_assert_msg(rmdir(dir) == 0, "files are left in %s", dir);
    ck_assert_int_eq(count_processes(), 0);
    free(err);
    free(script);
    return out;
}

START_TEST(test_demo_cluster_loses_nothing)
{
    char *build = daemon_built(""), *out = run_demo(build, EXIT_SUCCESS);
    ck_assert_msg(strstr(out, "40 submitted, 40 acknowledged, 40 done with the right result") &&
                      strstr(out, "Nothing was lost."),
                  "%s", out);
    free(out);
    free(build);
}
END_TEST

static void link_built(const char *name)
{
    char *built = daemon_built(name), *path = dir_path(programs, name);
    ck_assert_int_eq(symlink(built, path), 0);
    free(path);
    free(built);
}

/* Makes a `future` (submit --url URL -k KEY square N) that submits another number in place of the
 * last one. */
static void write_future_that_loses(void)
{
    char *future = daemon_built("future"), *path = dir_path(programs, "future");
    char *script =
        text_printf("#!/bin/sh\n"
                    "[ \"$7\" != 40 ] || set -- \"$1\" \"$2\" \"$3\" \"$4\" \"$5\" \"$6\" 41\n"
                    "exec '%s' \"$@\"\n",
                    future);
    dir_write(programs, "future", script, strlen(script));
    ck_assert_int_eq(chmod(path, S_IRWXU), 0);
    free(script);
    free(path);
    free(future);
}

START_TEST(test_demo_cluster_says_what_is_lost)
{
    write_future_that_loses();
    link_built("futured");
    link_built("tests");
    char *out = run_demo(programs, EXIT_FAILURE);
    ck_assert_msg(strstr(out, "WRONG: done with the right result: 39, and not 40") &&
                      !strstr(out, "Nothing was lost."),
                  "%s", out);
    free(out);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_demo_cluster_loses_nothing, 0},
        {test_demo_cluster_says_what_is_lost, 0},
    };
    return suite_run_rows("demo_cluster", DEMO_S, setup, teardown, rows, FUT_COUNT(rows));
}
