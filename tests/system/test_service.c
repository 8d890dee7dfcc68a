/* What the daemon tells systemd: ready, status, stopping, and that it is alive. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/notify.h"
#include "tests/support/suite.h"

static struct daemon *d;
static struct notify *n;

static void set_up(const char *watchdog)
{
    d = daemon_new();
    n = notify_new(daemon_dir(d));
    daemon_set(d, notify_setting(n));
    if (watchdog)
        daemon_set(d, watchdog);
    daemon_start(d);
}

static void tear_down(void)
{
    daemon_free(&d);
    notify_free(&n);
}

START_TEST(test_service_says_ready_and_one_line_of_status)
{
    char id[ID_TEXT_SIZE];
    set_up(NULL);
    (void)notify_wait(n, "READY=1");
    ck_assert_ptr_nonnull(strstr(notify_wait(n, "STATUS="), "queued 0, running 0, workers "));
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    (void)notify_wait(n, "STATUS=queued 0, running 1");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    (void)notify_wait(n, "STATUS=queued 0, running 0");
    tear_down();
}
END_TEST

/* Each step of the drain says what it does and asks for at least the time that it may take. */
START_TEST(test_service_says_stopping_and_asks_for_the_time_of_the_drain)
{
    set_up(NULL);
    (void)notify_wait(n, "READY=1");
    daemon_stop(d);
    (void)notify_wait(n, "STOPPING=1");
    const char *text = notify_wait(n, "STATUS=draining: letting running tasks end");
    const char *extend = strstr(text, "EXTEND_TIMEOUT_USEC=");
    ck_assert_ptr_nonnull(extend);
    extend += strlen("EXTEND_TIMEOUT_USEC=");
    ck_assert_int_ge(strtoll(extend, NULL, 10), 25000000); /* FUTURED_DRAIN and the kill grace */
    (void)notify_wait(n, "STATUS=draining: closing the database");
    tear_down();
}
END_TEST

START_TEST(test_service_asks_for_time_while_tasks_are_given_back)
{
    char id[ID_TEXT_SIZE];
    set_up(NULL);
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}", id);
    api_wait_state(daemon_url(d), id, "running");
    daemon_kill(d);
    daemon_start(d);
    ck_assert_ptr_nonnull(
        strstr(notify_wait(n, "STATUS=opening the database"), "EXTEND_TIMEOUT_USEC="));
    (void)notify_wait(n, "READY=1");
    tear_down();
}
END_TEST

START_TEST(test_service_says_reloading_and_how_it_went)
{
    set_up(NULL);
    daemon_set_handlers(d, "{}"); /* for later: this start has none */
    daemon_stop(d);
    daemon_start(d);
    (void)notify_wait(n, "READY=1");
    (void)notify_wait(n, "READY=1"); /* of the second start */
    dir_write(daemon_dir(d), "handlers.json", "{", 1);
    daemon_signal(d, SIGHUP);
    (void)notify_wait(n, "RELOADING=1");
    (void)notify_wait(n, "READY=1");
    (void)notify_wait(n, "the latest reload was refused");
    free(daemon_wait_log(d, "reload_refused"));
    dir_write(daemon_dir(d), "handlers.json", "{}", 2);
    daemon_signal(d, SIGHUP);
    (void)notify_wait(n, "RELOADING=1");
    (void)notify_wait(n, "READY=1");
    ck_assert_ptr_null(strstr(notify_wait(n, "STATUS="), "refused"));
    tear_down();
}
END_TEST

START_TEST(test_service_feeds_the_watchdog)
{
    set_up("WATCHDOG_USEC=1000000");
    for (int i = 0; i < 3; i++)
        (void)notify_wait(n, "WATCHDOG=1");
    tear_down();
}
END_TEST

/* ---- a thread that does not move ------------------------------------------------------------- */

/* 0 when the daemon has no such thread. */
static pid_t find_thread(pid_t pid, const char *name)
{
    char path[320], comm[32] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    pid_t found = 0;
    for (const struct dirent *e; dir && !found && (e = readdir(dir)) != NULL;) {
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)pid, e->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(comm, sizeof(comm), f) && strncmp(comm, name, strlen(name)) == 0)
            found = (pid_t)strtol(e->d_name, NULL, 10);
        if (f)
            (void)fclose(f);
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

/* Stops one thread and no other: SIGSTOP would stop them all. False: this is not allowed here. */
static bool hold_thread(pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 && (errno == EPERM || errno == ENOSYS)) {
        (void)fprintf(stderr, "NOTE: ptrace is refused: the watchdog was not tested\n");
        return false;
    }
    ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(tid, NULL, __WALL), tid);
    return true;
}

static const struct {
    const char *thread, *module;
} threads[] = {{"store-writer", "store-writer"},
               {"scheduler", "scheduler"},
               {"schedules", "schedules"},
               {"http-0", "http"}};

START_TEST(test_service_starves_the_watchdog_while_a_thread_is_stopped)
{
    char needle[64];
    set_up("WATCHDOG_USEC=1000000");
    (void)notify_wait(n, "WATCHDOG=1");
    pid_t tid = find_thread(daemon_pid(d), threads[_i].thread);
    ck_assert_int_gt(tid, 0);
    if (hold_thread(tid)) {
        (void)snprintf(needle, sizeof(needle), "STATUS=%s does not move", threads[_i].module);
        (void)notify_wait(n, needle);
        if (strcmp(threads[_i].module, "http") != 0) { /* which cannot answer */
            struct http_reply r = api_get(daemon_url(d), "/readyz");
            ck_assert_int_eq(r.status, 503);
            ck_assert_msg(strstr(r.body, threads[_i].module) != NULL, "%s", r.body);
            http_reply_release(&r);
        }
        for (int ticks = 0; ticks < 6; ticks++) /* longer than the watchdog's time */
            ck_assert_ptr_nonnull(strstr(notify_next(n), needle));
        ck_assert_int_eq(ptrace(PTRACE_DETACH, tid, NULL, NULL), 0);
        (void)notify_wait(n, "WATCHDOG=1");
        free(daemon_wait_log(d, "moves_again"));
    }
    tear_down();
}
END_TEST

/* The drain waits for a scheduler that never comes, but not for ever. */
START_TEST(test_service_ends_past_its_budget_whatever_hangs)
{
    d = daemon_new();
    daemon_set(d, "FUTURED_DRAIN=0");
    daemon_set(d, "FUTURED_KILL_GRACE=10ms");
    daemon_start(d);
    pid_t tid = find_thread(daemon_pid(d), "scheduler");
    if (hold_thread(tid)) {
        daemon_signal(d, SIGTERM);
        free(daemon_wait_log(d, "took too long"));
        ck_assert_int_eq(waitpid(tid, NULL, __WALL),
                         tid); /* the process ends after what we trace */
        int status = daemon_wait_end(d);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
    }
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_service_says_ready_and_one_line_of_status,
        test_service_says_stopping_and_asks_for_the_time_of_the_drain,
        test_service_asks_for_time_while_tasks_are_given_back,
        test_service_says_reloading_and_how_it_went,
        test_service_feeds_the_watchdog,
        test_service_ends_past_its_budget_whatever_hangs,
    };
    TCase *tcase = suite_case("service", SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, test_service_starves_the_watchdog_while_a_thread_is_stopped, 0,
                        (int)FUT_COUNT(threads));
    return suite_run_cases("service", tcase, NULL);
}
