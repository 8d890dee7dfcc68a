/* worker_conformance: does this program speak the worker protocol? Starts it again and again,
 * drives it as the daemon would, and says of each point whether it holds ("-": its greeting does
 * not offer that). A program that offers the handlers of workers/sdk/examples/tour.py is asked for
 * everything; of another one (--handler NAME) any DONE or FAIL is a right answer. Exit status 1
 * when a point does not hold. Each point is examined in a process of its own, which ends by fail().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/wait.h"
#include "tests/support/worker_points.h"

#define EXIT_LEFT_OUT 77

static void require(const struct worker *w, unsigned needs)
{
    unsigned has =
        (w->hello.cancel ? WORKER_CANCEL : 0U) |
        (w->hello.concurrency > 1 ? WORKER_CONCURRENCY : 0U) |
        (w->hello.memfd ? WORKER_MEMFD : 0U) | (w->hello.checkpoint ? WORKER_CHECKPOINT : 0U) |
        (w->hello.yield ? WORKER_YIELD : 0U) | (w->hello.results ? WORKER_RESULTS : 0U) |
        (w->hello.sessions ? WORKER_SESSIONS : 0U) | (w->hello.closes ? WORKER_CLOSES : 0U) |
        (w->hello.submits ? WORKER_SUBMITS : 0U) | (w->hello.ahead ? WORKER_AHEAD : 0U) |
        (w->template ? WORKER_FORK : 0U) | (worker_is_tour() ? WORKER_TOUR : 0U);
    if (needs & ~has)
        exit(EXIT_LEFT_OUT);
}

static FUT_NORETURN void examine(const struct worker_point *point)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* as the fork server is */
    struct worker w = worker_new();
    require(&w, point->needs);
    point->run(&w);
    worker_free(&w);
    exit(0);
}

/* 1: it holds, 0: it does not, -1: left out. */
static int holds(const struct worker_point *point)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        examine(point);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        fail("fork");
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LEFT_OUT)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const char *program = NULL, *handler = NULL, *point = "";
    double patience = WAIT_LONG_MS / 1000.0;
    const struct option_row rows[] = {
        {"program", &program, NULL, "the worker, as a shell command"},
        {"point", &point, NULL, "only those with this in their name"},
        {"patience", NULL, &patience, "seconds that an answer may take"},
        {"handler", &handler, NULL, "the one to ask; none: it has the tour's"},
    };
    static const char *const words[] = {"-", "FAIL", "ok"};
    int count[] = {0, 0, 0};
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (!program) {
        (void)fprintf(stderr, "worker_conformance: --program is missing\n");
        return 2;
    }
    peer_set_patience((int)(patience * 1000));
    worker_set_subject(program, handler);
    const struct worker_point *points;
    size_t n = worker_points(&points);
    for (size_t i = 0; i < n; i++) {
        if (!strstr(points[i].name, point))
            continue;
        int verdict = holds(&points[i]) + 1;
        count[verdict]++;
        (void)printf("%-5s %s\n", words[verdict], points[i].name);
        (void)fflush(stdout);
    }
    (void)printf("%d passed, %d failed\n", count[2], count[1]);
    return count[1] ? 1 : 0;
}
