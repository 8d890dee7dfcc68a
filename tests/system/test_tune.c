/* `futured tune`: real tasks at more and more slots, a table, and a line for the environment file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 80000

struct said {
    int status;
    char *out, *err;
};

/* futured tune HANDLER --input FILE --seconds 0.05 --max MAX, with an input and a handlers file. */
static struct said tune(const char *handler, const char *input, const char *max)
{
    char *dir = dir_new(), *path = text_printf("%s/input", dir);
    char *handlers = text_printf("FUTURED_HANDLERS=%s/handlers.json", dir);
    char *search = text_printf("PATH=%s", getenv("PATH"));
    char *program = daemon_built("futured");
    static const char file[] = "{\"wc\": {\"exec\": [\"wc\", \"-c\"]},"
                               " \"hold\": {\"exec\": [\"perl\", \"-e\", \"$x = 'x' x 40000000\"]},"
                               " \"bad\": {\"exec\": [\"sh\", \"-c\", \"exit 9\"]}}";
    struct said s = {0};
    dir_write(dir, "input", input, strlen(input));
    dir_write(dir, "handlers.json", file, sizeof(file) - 1);
    s.status =
        program_run((const char *const[]){program, "tune", handler, "--input", path, "--seconds",
                                          "0.05", "--max", max, NULL},
                    (const char *const[]){handlers, search, NULL}, TIMEOUT_MS, &s.out, &s.err);
    free(program);
    free(search);
    free(handlers);
    free(path);
    dir_free(&dir);
    return s;
}

static void release(struct said *s)
{
    free(s->out);
    free(s->err);
}

/* A line of the table. */
struct measured {
    unsigned slots;
    double rate, mib;
};

/* The first line below the head, of a table that shows memory. */
static struct measured first_measured(const struct said *s)
{
    struct measured m = {0};
    const char *line = strchr(s->out, '\n');
    ck_assert_msg(s->status == 0, "%d %s", s->status, s->err);
    ck_assert_msg(line && sscanf(line, "%u %lf - %lf", &m.slots, &m.rate, &m.mib) == 3, "%s",
                  s->out);
    return m;
}

/* What sleeps costs nothing, so twice the threads are twice the rate, on any machine. */
START_TEST(test_tune_of_what_waits_is_linear)
{
    struct said s = tune("sleep", "{\"ms\":150}", "4");
    ck_assert_msg(s.status == 0, "%d %s", s.status, s.err);
    ck_assert_uint_eq(text_count(s.out, "\n"), 1 + 3 + 3);
    ck_assert_msg(strstr(s.out, "\nMAX_THREADS=4\n") && strstr(s.out, "still grows from 2 to 4"),
                  "%s", s.out);
    release(&s);
}
END_TEST

START_TEST(test_tune_shows_the_memory_of_workers)
{
    struct said s = tune("primes", "{\"below\":10000}", "2");
    struct measured m = first_measured(&s);
    ck_assert_uint_eq(m.slots, 1);
    ck_assert(m.rate > 0 && m.mib > 0.5);
    ck_assert_ptr_nonnull(strstr(s.out, "\nMAX_WORKERS="));
    release(&s);
}
END_TEST

/* The largest of its processes counts, which are gone when the step is over. */
START_TEST(test_tune_of_a_program)
{
    struct said s = tune("hold", "not JSON", "1");
    ck_assert_msg(first_measured(&s).mib > 38, "%s", s.out);
    ck_assert_msg(strstr(s.out, "\nMAX_WORKERS=1\n") != NULL, "%s", s.out);
    release(&s);
}
END_TEST

START_TEST(test_tune_ends_when_a_task_fails)
{
    struct said s = tune("bad", "x", "4");
    ck_assert_int_eq(s.status, 1);
    ck_assert_msg(strstr(s.err, "a task failed: exit: ") != NULL, "%s", s.err);
    ck_assert_ptr_null(strstr(s.out, "MAX_WORKERS"));
    release(&s);
    s = tune("nobody", "x", "4");
    ck_assert_int_eq(s.status, 64);
    ck_assert_ptr_nonnull(strstr(s.err, "nobody"));
    release(&s);
    s = tune("wc", "x", "0");
    ck_assert_int_eq(s.status, 64);
    release(&s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_tune_of_what_waits_is_linear,
                                  test_tune_shows_the_memory_of_workers, test_tune_of_a_program,
                                  test_tune_ends_when_a_task_fails};
    return suite_run("tune", tests, FUT_COUNT(tests));
}
