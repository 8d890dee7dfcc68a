/* What the machine gives and refuses: no processes, another limit of descriptors, process 1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/preload/forks.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

static struct daemon *d;

/* ---- no process can be had ------------------------------------------------------------------- */

enum { MANY = 30 };

/* In place: the daemon has the file mapped. */
static void let_forks_fail(int error)
{
    char *path = daemon_path(d, "forks");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert(fd >= 0 && pwrite(fd, &error, sizeof(error), 0) == sizeof(error));
    (void)close(fd);
    free(path);
}

static void start_with_forks(void)
{
    d = daemon_new();
    char *library = daemon_built("tests/preload/forks.so");
    char *preload = text_printf("LD_PRELOAD=%s", library);
    char *file = text_printf(FORKS_ERROR_ENV "=%s/forks", daemon_dir(d));
    daemon_set(d, preload);
    daemon_set(d, file);
    daemon_set(d, "ASAN_OPTIONS=verify_asan_link_order=0");
    daemon_set(d, "MAX_WORKERS=2");
    daemon_set_handlers(d, "{\"upper\": {\"exec\": [\"tr\", \"a-z\", \"A-Z\"]}}");
    let_forks_fail(0);
    daemon_start(d);
    free(file);
    free(preload);
    free(library);
}

enum { WORKERS = 2 };

/* Those that the daemon knows now. It serves before its workers are there. */
static size_t know_workers(pid_t pids[WORKERS])
{
    size_t n = 0;
    struct http_reply r = api_get(daemon_url(d), "/v1/workers");
    json_t *workers = api_at(r.json, "workers");
    for (size_t i = 0; i < json_array_size(workers) && n < WORKERS; i++) {
        pids[n] = (pid_t)api_int(json_array_get(workers, i), "pid");
        n += pids[n] > 0;
    }
    http_reply_release(&r);
    return n;
}

/* Returns when the daemon has seen it, so that it gives no task to one of them. None comes after.
 */
static void kill_workers(pid_t pids[WORKERS])
{
    for (size_t i = 0; i < WORKERS; i++)
        (void)kill(pids[i], SIGKILL);
    wait_for(know_workers(pids) == 0);
}

static int count_lines(const char *needle)
{
    char *log = daemon_log(d);
    int n = 0;
    for (const char *at = log; (at = strstr(at, needle)) != NULL; at++)
        n++;
    free(log);
    return n;
}

static const struct {
    const char *task, *code; /* what it waits for */
    int error;
} shortages[] = {
    {"{\"handler\":\"upper\",\"input\":\"x\",\"timeout\":2}", "program_broken", EAGAIN},
    {"{\"handler\":\"upper\",\"input\":\"x\",\"timeout\":2}", "program_broken", ENOMEM},
    {"{\"handler\":\"sha256\",\"input\":\"x\",\"timeout\":2}", "workers_broken", EAGAIN},
};

/* Their tasks stay in the queue, uncharged, whatever their timeout, and run when there is one. */
START_TEST(test_machine_without_processes_keeps_tasks)
{
    char ids[MANY][ID_TEXT_SIZE];
    pid_t workers[WORKERS];
    start_with_forks();
    wait_for(know_workers(workers) == WORKERS);
    let_forks_fail(shortages[_i].error);
    kill_workers(workers);
    for (int i = 0; i < MANY; i++)
        api_submit(daemon_url(d), shortages[_i].task, ids[i]);
    json_decref(api_wait_text(daemon_url(d), ids[0], "waiting_for.code", shortages[_i].code));
    json_t *io = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}"); /* needs none */
    ck_assert_str_eq(api_str(io, "state"), "succeeded");
    json_decref(io);
    let_forks_fail(0);
    for (int i = 0; i < MANY; i++) {
        json_t *f = api_done(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        ck_assert_int_eq(api_int(f, "attempt"), 1);
        json_decref(f);
    }
    ck_assert_int_lt(count_lines(" warn "), MANY); /* a line for each step of the backoff */
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

/* ---- what programs inherit ------------------------------------------------------------------- */

#define WORKER                                                                                     \
    "import os, resource, sys; sys.path.append(os.environ['SDK'])\\n"                              \
    "import futured_worker as worker\\n"                                                           \
    "@worker.handler\\n"                                                                           \
    "def limits(task):\\n"                                                                         \
    "    return '%%d %%d\\\\n' %% resource.getrlimit(resource.RLIMIT_NOFILE)\\n"                   \
    "worker.run()\\n"

/* The daemon raises its own soft limit; programs that use select() or close all up to the limit
 * must not meet that. */
START_TEST(test_machine_programs_get_the_soft_limit_of_descriptors)
{
    static const char *const handlers[] = {"limits", "told"};
    d = daemon_new();
    char *sdk = daemon_built("../../workers/sdk");
    char *file =
        text_printf("{\"told\": {\"exec\": [\"sh\", \"-c\", \"echo $(ulimit -Sn) $(ulimit -Hn)\"]},"
                    " \"limits\": {\"worker\": [\"python3\", \"-c\", \"" WORKER "\"],"
                    "              \"env\": {\"SDK\": \"%s\"}}}",
                    sdk);
    daemon_set_handlers(d, file);
    daemon_start_by(d, "ulimit -Sn 300; ulimit -Hn 2000; exec \"$0\"");
    daemon_start(d);
    for (size_t i = 0; i < FUT_COUNT(handlers); i++) {
        char *task = text_printf("{\"handler\":\"%s\"}", handlers[i]);
        json_t *f = api_run(daemon_url(d), task);
        char *text = api_result(daemon_url(d), api_str(f, "id"));
        ck_assert_str_eq(text, "300 2000\n");
        free(text);
        json_decref(f);
        free(task);
    }
    daemon_stop(d);
    daemon_free(&d);
    free(file);
    free(sdk);
}
END_TEST

/* ---- process 1 ------------------------------------------------------------------------------- */

/* The stranger has lost its parent before the daemon is there: it is process 1's. */
#define AS_PROCESS_1                                                                               \
    "exec unshare --user --map-root-user --pid --fork --kill-child --mount-proc "                  \
    "sh -c '(sleep 600 &) ; exec \"$0\"' \"$0\""

/* The child of a thread of pid that runs this program; 0: none. */
static pid_t find_child(pid_t pid, const char *program)
{
    char path[320], comm[32];
    pid_t found = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, e->d_name);
        FILE *children = fopen(path, "re");
        for (int child; children && fscanf(children, "%d", &child) == 1;) {
            (void)snprintf(path, sizeof(path), "/proc/%d/comm", child);
            FILE *f = fopen(path, "re");
            if (f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, program) == 0)
                found = child;
            if (f)
                (void)fclose(f);
        }
        if (children)
            (void)fclose(children);
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

static bool can_be_process_1(void)
{
    static const char *const argv[] = {"/usr/bin/unshare",
                                       "--user",
                                       "--map-root-user",
                                       "--pid",
                                       "--fork",
                                       "--mount-proc",
                                       "true",
                                       NULL};
    char *said = NULL;
    int status = program_run(argv, NULL, WAIT_LONG_MS, NULL, &said);
    free(said);
    if (status == 0)
        return true;
    (void)fprintf(stderr, "NOTE: no name space of processes: process 1 was not tested\n");
    return false;
}

/* A zombie would still be there. */
static bool is_reaped(void *pid)
{
    return kill(*(pid_t *)pid, 0) != 0 && errno == ESRCH;
}

START_TEST(test_machine_process_1_reaps_strangers)
{
    if (!can_be_process_1())
        return;
    d = daemon_new();
    daemon_set_handlers(d, "{\"told\": {\"exec\": [\"sh\", \"-c\", \"(sleep 0 &) ; echo ok\"]}}");
    daemon_start_by(d, AS_PROCESS_1);
    daemon_start(d);
    pid_t first = find_child(daemon_pid(d), "futured");
    ck_assert_int_gt(first, 0);
    pid_t stranger = find_child(first, "sleep");
    ck_assert_int_gt(stranger, 0);
    ck_assert_int_eq(kill(stranger, SIGTERM), 0);
    ck_assert(wait_until(is_reaped, &stranger, WAIT_LONG_MS));
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"told\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    f = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    ck_assert_int_eq(kill(first, SIGTERM), 0); /* process 1 has only what it handles */
    int status = daemon_wait_end(d);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("machine");
    tcase_set_timeout(t, SUITE_TIMEOUT_S);
    tcase_add_loop_test(t, test_machine_without_processes_keeps_tasks, 0,
                        (int)FUT_COUNT(shortages));
    tcase_add_test(t, test_machine_programs_get_the_soft_limit_of_descriptors);
    tcase_add_test(t, test_machine_process_1_reaps_strangers);
    return suite_run_cases("machine", t, NULL);
}
