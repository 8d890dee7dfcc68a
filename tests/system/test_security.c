/* What tasks cannot reach: the daemon's user, memory and descriptors, and the networks around it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/fetches.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define SH(name, script)                                                                           \
    "\"" name "\": {\"exec\": [\"sh\", \"-c\", \"" script "\"], \"retries\": 0}"

static const char handlers[] =
    "{" SH("who", "id -u; id -G; echo $HOME; grep -E '^(NoNewPrivs|CapEff|CapBnd)' "
                  "/proc/self/status; echo fine >/dev/stderr && echo fine") "," /**/
    SH("peek", "for f in /proc/$(cat DIR/pid)/environ /proc/$(cat DIR/pid)/mem DIR/futured.db; do "
               "head -c 1 $f >/dev/null 2>&1 && echo read $f; done; echo end") "," /**/
    SH("back", "kill -0 $(cat DIR/pid) 2>/dev/null && echo may signal; echo end") "}";

/* The result of a run that must succeed; free() it. */
static char *result_of(struct daemon *d, const char *handler)
{
    char *body = text_printf("{\"handler\":\"%s\"}", handler);
    json_t *f = api_run(daemon_url(d), body);
    char *text = api_result(daemon_url(d), api_str(f, "id"));
    json_decref(f);
    free(body);
    return text;
}

static struct daemon *start_as(const char *setting)
{
    struct daemon *d = daemon_start_handlers(handlers, &setting, 1);
    char *pid = text_printf("%d\n", (int)daemon_pid(d));
    dir_write(daemon_dir(d), "pid", pid, strlen(pid));
    free(pid);
    return d;
}

START_TEST(test_security_programs_run_as_another_user)
{
    if (geteuid() != 0) {
        (void)puts("NOTE: not root: no other user was tried");
        return;
    }
    struct daemon *d = start_as("FUTURED_RUN_AS=65534:65534");
    char *text = result_of(d, "who");
    ck_assert_msg(strncmp(text, "65534\n65534\n", 12) == 0, "%s", text); /* no group of root's */
    ck_assert_msg(strstr(text, "CapEff:\t0000000000000000\n") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "NoNewPrivs:\t1\n") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "\nfine\n") != NULL, "%s", text);
    free(text);
    ck_assert_int_eq(chmod(daemon_dir(d), 0755), 0); /* what stops it is not the directory */
    text = result_of(d, "peek");
    ck_assert_str_eq(text, "end\n");
    free(text);
    text = result_of(d, "back");
    ck_assert_str_eq(text, "end\n");
    free(text);
    daemon_free(&d);
}
END_TEST

/* What is below the fork server, the daemon's only child. */
static long first_child(long pid)
{
    char path[64], text[256] = "";
    (void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", pid, pid);
    FILE *f = fopen(path, "r");
    if (f)
        (void)!fgets(text, sizeof(text), f);
    if (f)
        (void)fclose(f);
    return strtol(text, NULL, 10);
}

static bool worker_is_of(struct daemon *d, uid_t uid)
{
    char path[64];
    long worker = first_child(first_child(daemon_pid(d)));
    (void)snprintf(path, sizeof(path), "/proc/%ld/status", worker);
    FILE *f = worker > 0 ? fopen(path, "r") : NULL;
    char line[128];
    unsigned seen = 0;
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Uid:", 4) == 0)
            seen = (unsigned)strtoul(line + 4, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return seen == uid;
}

START_TEST(test_security_worker_processes_run_as_another_user_too)
{
    if (geteuid() != 0)
        return;
    static const char *const settings[] = {"FUTURED_RUN_AS=65534", "MAX_WORKERS=1"};
    struct daemon *d = daemon_start_with(settings, 2);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\",\"lane\":\"cpu\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    ck_assert(worker_is_of(d, 65534));
    daemon_free(&d);
}
END_TEST

static const struct text_case refused[] = {
    {"FUTURED_RUN_AS=no-such-user", "there is no user \"no-such-user\""},
    {"FUTURED_RUN_AS=65534:no-such-group", "there is no group \"no-such-group\""},
    {"FUTURED_RUN_AS=root", "root"},
    {"FUTURED_RUN_AS=0", "root"},
};

START_TEST(test_security_refuses_users_that_cannot_be)
{
    for (size_t i = 0; i < FUT_COUNT(refused) && geteuid() == 0; i++) {
        char *said;
        struct daemon *d = daemon_new();
        daemon_set(d, refused[i].given);
        ck_assert_int_eq(daemon_start_refused(d, &said), 78);
        ck_assert_msg(strstr(said, refused[i].expected) != NULL, "%s", said);
        free(said);
        daemon_free(&d);
    }
}
END_TEST

static void expect_not_allowed(struct daemon *d, const char *input, const char *says)
{
    char *body = text_printf("{\"handler\":\"http\",\"retries\":3,\"input\":%s}", input);
    json_t *f = api_run(daemon_url(d), body);
    ck_assert_str_eq(api_str(f, "error.code"), "not_allowed");
    ck_assert_int_eq(api_int(f, "attempt"), 1); /* not tried again */
    ck_assert_msg(strstr(api_str(f, "error.message"), says) != NULL, "%s",
                  api_str(f, "error.message"));
    json_decref(f);
    free(body);
}

START_TEST(test_security_http_does_not_reach_the_inside)
{
    static const char *const settings[] = {"FUTURED_HTTP_NETWORKS="};
    struct daemon *d = daemon_start_with(settings, 1);
    struct fetches *server = fetches_start();
    char *input = text_printf("{\"url\":\"%s/\"}", fetches_url(server));
    expect_not_allowed(d, input, "127.0.0.1 is not public");
    expect_not_allowed(d, "{\"url\":\"http://localhost:1/\"}", "is not public");
    expect_not_allowed(d, "{\"url\":\"http://169.254.169.254/latest/meta-data/\"}",
                       "169.254.169.254 is not public");
    expect_not_allowed(d, "{\"url\":\"http://[::ffff:10.0.0.1]/\"}", "is not public");
    expect_not_allowed(d, "{\"url\":\"http://0x7f.1/\"}", "127.0.0.1 is not public");
    expect_not_allowed(d, "{\"url\":\"http://2130706433/\"}", "127.0.0.1 is not public");
    json_t *stats = fetches_stats(server);
    ck_assert_int_eq(api_int(stats, "served"), 0);
    json_decref(stats);
    free(input);
    fetches_stop(&server);
    daemon_free(&d);
}
END_TEST

START_TEST(test_security_http_stays_below_its_prefixes)
{
    struct fetches *server = fetches_start();
    struct daemon *d = daemon_new();
    char *prefix = text_printf("FUTURED_HTTP_PREFIXES=%s/", fetches_url(server));
    char *input =
        text_printf("{\"handler\":\"http\",\"input\":{\"url\":\"%s/\"}}", fetches_url(server));
    daemon_set(d, prefix);
    daemon_start(d);
    json_t *f = api_run(daemon_url(d), input);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    expect_not_allowed(d, "{\"url\":\"http://127.0.0.1:1/\"}", "below no prefix");
    free(prefix);
    free(input);
    daemon_free(&d);
    fetches_stop(&server);
}
END_TEST

START_TEST(test_security_callbacks_obey_the_allow_list)
{
    static const char *const settings[] = {"FUTURED_HTTP_NETWORKS="};
    struct daemon *d = daemon_start_with(settings, 1);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"callback\":{\"url\":"
                                       "\"http://localhost:1/done\"}}");
    char *id = xstrdup(api_str(f, "callback.id"));
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.code"), "not_allowed");
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    free(id);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_security_programs_run_as_another_user,
        test_security_worker_processes_run_as_another_user_too,
        test_security_refuses_users_that_cannot_be,
        test_security_http_does_not_reach_the_inside,
        test_security_http_stays_below_its_prefixes,
        test_security_callbacks_obey_the_allow_list,
    };
    return suite_run("security", tests, FUT_COUNT(tests));
}
