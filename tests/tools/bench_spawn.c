/* bench_spawn: how fast programs can be started, run and reaped by this machine at all: so many
 * copies of one program at a time, each with its output at /dev/null. The limit that exec handlers
 * are held against. Prints one line of JSON. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"

static void start(const char *program, const posix_spawn_file_actions_t *actions)
{
    char *const argv[] = {(char *)(size_t)program, NULL};
    pid_t pid;
    if (posix_spawnp(&pid, program, actions, NULL, argv, environ) != 0)
        fail("bench_spawn: %s cannot be started", program);
}

int main(int argc, char **argv)
{
    const char *program = "true";
    double at_once = 2, seconds = 2;
    const struct option_row rows[] = {
        {"program", &program, NULL, "what is started"},
        {"at-once", NULL, &at_once, "how many run at a time"},
        {"seconds", NULL, &seconds, "how long"},
    };
    posix_spawn_file_actions_t actions;
    unsigned running = 0, done = 0;
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0)
        fail("bench_spawn: no file actions");
    int64_t began_mono_us = clock_mono_us(), now_mono_us;
    do {
        for (; running < (unsigned)at_once; running++)
            start(program, &actions);
        if (waitpid(-1, NULL, 0) > 0) {
            running--;
            done++;
        }
        now_mono_us = clock_mono_us();
    } while ((double)(now_mono_us - began_mono_us) < seconds * 1e6);
    while (running && waitpid(-1, NULL, 0) > 0)
        running--;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)printf("{\"done\":%u,\"rate\":%.1f}\n", done,
                 (double)done * 1e6 / (double)(now_mono_us - began_mono_us));
    return 0;
}
