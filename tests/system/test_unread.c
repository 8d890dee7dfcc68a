/* Nobody reads what the daemon says: its log, its notifications. No thread that serves may wait for
 * that, and SIGTERM ends the process whatever hangs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/notify.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define ECHO "{\"handler\":\"echo\",\"input\":1}"
#define MANY 8000
#define TASKS 100 /* each writes more than one line of debug: several times the pipe */

/* ---- a log that nobody reads ------------------------------------------------------------------
 */

static struct {
    pid_t pid;
    int log; /* what the daemon writes to standard error */
    char *dir;
    char url[128];
} blind;

/* Reads the log up to where it listens, and no more. */
static void read_address(void)
{
    char text[4096];
    size_t n = 0;
    const char *at, *end = NULL;
    while (!end) {
        ssize_t got = read(blind.log, text + n, 1);
        ck_assert_int_eq(got, 1);
        text[++n] = '\0';
        ck_assert_uint_lt(n, sizeof(text) - 1);
        at = strstr(text, "listening address=");
        end = at ? strchr(at + strlen("listening address="), ' ') : NULL;
    }
    at += strlen("listening address=");
    (void)snprintf(blind.url, sizeof(blind.url), "http://%.*s", (int)(end - at), at);
}

static void start_blind(void)
{
    int ends[2];
    char *path = daemon_built("futured");
    blind.dir = dir_new();
    char *db = text_printf("FUTURED_DB=%s/futured.db", blind.dir);
    const char *const env[] = {"FUTURED_LISTEN=127.0.0.1:0", "FUTURED_LOG=debug", "FUTURED_DRAIN=0",
                               db, NULL};
    char *const argv[] = {path, NULL};
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_gt(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    blind.pid = fork();
    if (blind.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(ends[1], STDERR_FILENO) < 0)
            _exit(127);
        (void)execve(path, argv, (char *const *)(uintptr_t)env);
        _exit(127);
    }
    fd_close(&ends[1]);
    blind.log = ends[0];
    read_address();
    free(path);
    free(db);
}

static void end_blind(void)
{
    fd_close(&blind.log);
    dir_free(&blind.dir);
}

static void run_tasks(void)
{
    static const char *const json[] = {"Content-Type: application/json", NULL};
    for (int i = 0; i < TASKS; i++) {
        struct http_reply r =
            http_call(blind.url, &(struct http_request){.method = "POST",
                                                        .path = "/v1/tasks?wait=20",
                                                        .body = ECHO,
                                                        .body_len = strlen(ECHO),
                                                        .headers = json,
                                                        .timeout_ms = 30000});
        ck_assert_msg(r.status == 200, "%d: %s", r.status, r.status ? r.body : r.error);
        http_reply_release(&r);
    }
}

/* More lines than the ring holds. */
static void submit_many(void)
{
    char *ones = text_repeat('1', 2 * MANY);
    for (size_t i = 1; i < strlen(ones); i += 2)
        ones[i] = ',';
    ones[strlen(ones) - 1] = ']';
    char *body = text_printf("{\"handler\":\"echo\",\"inputs\":[%s}", ones);
    json_decref(api_batch(blind.url, body));
    free(body);
    free(ones);
}

START_TEST(test_unread_log_stops_no_task)
{
    int status;
    start_blind();
    run_tasks();
    struct http_reply r = api_get(blind.url, "/readyz");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    ck_assert_int_eq(kill(blind.pid, SIGTERM), 0);
    ck_assert(wait_process_end(blind.pid, WAIT_LONG_MS));
    ck_assert_int_eq(waitpid(blind.pid, &status, 0), blind.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    end_blind();
}
END_TEST

/* The lines that found no space are counted, and the log says so when it is read again. */
START_TEST(test_unread_log_says_how_many_lines_were_lost)
{
    char text[65536];
    size_t n = 0;
    int status;
    start_blind();
    submit_many();
    run_tasks(); /* they stand behind the others */
    do {
        if (n > sizeof(text) / 2) { /* keep the end: the needle may be cut */
            memmove(text, text + n - 64, 64);
            n = 64;
        }
        ssize_t got = read(blind.log, text + n, sizeof(text) - 1 - n);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
        text[n] = '\0';
    } while (!strstr(text, "log_lines_lost lines="));
    ck_assert_int_eq(kill(blind.pid, SIGTERM), 0);
    while (read(blind.log, text, sizeof(text)) > 0)
        ;
    ck_assert_int_eq(waitpid(blind.pid, &status, 0), blind.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    end_blind();
}
END_TEST

/* ---- notifications that nobody reads -----------------------------------------------------------
 */

static bool has_reloaded(void *d)
{
    char *log = daemon_log(d);
    bool yes = strstr(log, " reloaded ") != NULL;
    free(log);
    return yes;
}

/* The kernel keeps 10 datagrams by default. */
START_TEST(test_unread_notifications_stop_nothing)
{
    struct daemon *d = daemon_new();
    struct notify *n = notify_new_unread(daemon_dir(d));
    daemon_set(d, notify_setting(n));
    daemon_set(d, "WATCHDOG_USEC=40000"); /* a tick every 11 ms fills it soon */
    daemon_start(d);
    for (int i = 0; i < 100; i++)
        json_decref(api_run(daemon_url(d), ECHO));
    daemon_signal(d, SIGHUP);
    ck_assert(wait_until(has_reloaded, d, 20000));
    daemon_end(&d);
    notify_free(&n);
}
END_TEST

int main(void)
{
    TCase *tcase = suite_case("unread", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_test(tcase, test_unread_log_stops_no_task);
    tcase_add_test(tcase, test_unread_log_says_how_many_lines_were_lost);
    tcase_add_test(tcase, test_unread_notifications_stop_nothing);
    return suite_run_cases("unread", tcase, NULL);
}
