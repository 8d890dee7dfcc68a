/* `make demo-cluster` in its short form: it loses nothing and leaves nothing behind; and it says so
 * when something is lost. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define DEMO_S 250

static char *dir;

static void setup(void)
{
    dir = dir_new();
    ck_assert_int_eq(setenv("TMPDIR", dir, 1), 0);
}

static void teardown(void)
{
    dir_free(&dir);
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
static char *run_demo(int expected)
{
    char *script = daemon_built("../../tests/demo_cluster.sh"), *build = daemon_built(""), *out,
         *err;
    const char *argv[] = {script, build, "--short", NULL};
    int status = program_run(argv, NULL, DEMO_S * 1000, &out, &err);
    ck_assert_msg(status == expected, "%d: %s%s", status, out, err);
    ck_assert_msg(rmdir(dir) == 0, "files are left in %s", dir);
    ck_assert_int_eq(count_processes(), 0);
    free(err);
    free(build);
    free(script);
    return out;
}

START_TEST(test_demo_cluster_loses_nothing)
{
    char *out = run_demo(EXIT_SUCCESS);
    ck_assert_msg(strstr(out, "40 submitted, 40 acknowledged, 40 done with the right result") &&
                      strstr(out, "Nothing was lost."),
                  "%s", out);
    free(out);
}
END_TEST

/* With results that are deleted after a second. */
START_TEST(test_demo_cluster_says_what_is_lost)
{
    ck_assert_int_eq(setenv("FUTURED_RETENTION", "1s", 1), 0);
    char *out = run_demo(EXIT_FAILURE);
    ck_assert_msg(strstr(out, "WRONG: done with the right result") &&
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
