/* SIGHUP: a good file is in force without a restart, a bad one changes nothing and says why. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define A(n) "\"a\": {\"exec\": [\"echo\", \"" n "\"], \"content_type\": \"application/json\"}"
#define SLOW "{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}"

static void write_env(struct daemon *d, const char *text)
{
    dir_write(daemon_dir(d), "futured.env", text, strlen(text));
}

static struct daemon *start(const char *env, const char *handlers)
{
    struct daemon *d = daemon_new();
    char *setting = text_printf("FUTURED_ENV_FILE=%s/futured.env", daemon_dir(d));
    daemon_set(d, setting);
    daemon_set_handlers(d, handlers);
    write_env(d, env);
    daemon_start(d);
    free(setting);
    return d;
}

struct wanted {
    struct daemon *d;
    const char *needle;
    size_t times;
};

static bool was_logged(void *ctx)
{
    const struct wanted *w = ctx;
    char *log = daemon_log(w->d);
    bool yes = text_count(log, w->needle) >= w->times;
    free(log);
    return yes;
}

/* Sends SIGHUP and waits for the n-th such word in the log. */
static void reload(struct daemon *d, const char *word, size_t n)
{
    struct wanted w = {d, word, n};
    daemon_signal(d, SIGHUP);
    ck_assert_msg(wait_until(was_logged, &w, WAIT_LONG_MS), "no %s, number %zu", word, n);
}

static json_int_t io_capacity(const struct daemon *d)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/stats");
    json_int_t n = api_int(r.json, "pools.io.capacity");
    http_reply_release(&r);
    return n;
}

static void await_busy(const struct daemon *d, json_int_t n)
{
    for (json_int_t busy = -1; busy != n;) {
        struct http_reply r = api_get(daemon_url(d), "/v1/stats");
        busy = api_int(r.json, "pools.io.busy");
        http_reply_release(&r);
    }
}

START_TEST(test_reload_puts_a_good_file_in_force)
{
    struct daemon *d = start("MAX_THREADS=2\n", "{" A("1") "}");
    char id[ID_TEXT_SIZE];
    for (int i = 0; i < 4; i++)
        api_submit(daemon_url(d), SLOW, id);
    await_busy(d, 2);
    daemon_set_handlers(d, "{" A("2") ", \"b\": {\"exec\": [\"true\"]}}");
    write_env(d, "MAX_THREADS=4\nFUTURED_LOG=debug\nFUTURED_RETENTION=1d\n");
    reload(d, " reloaded ", 1);
    await_busy(d, 4);
    json_t *a = api_run(daemon_url(d), "{\"handler\":\"a\"}");
    json_t *b = api_run(daemon_url(d), "{\"handler\":\"b\"}");
    ck_assert_int_eq(api_int(a, "result"), 2);
    ck_assert_str_eq(api_str(b, "state"), "succeeded");
    char *log = daemon_log(d);
    ck_assert_ptr_nonnull(strstr(log, "reload_needs_restart variable=FUTURED_RETENTION"));
    ck_assert_ptr_null(strstr(log, "variable=FUTURED_DB"));
    free(log);
    json_decref(a);
    json_decref(b);
    daemon_free(&d);
}
END_TEST

START_TEST(test_reload_keeps_the_old_when_the_new_is_bad)
{
    struct daemon *d = start("MAX_THREADS=2\n", "{" A("1") "}");
    write_env(d, "MAX_THREADS=none\n");
    reload(d, " reload_refused ", 1);
    write_env(d, "MAX_THREADS=7\n"); /* good, but: */
    daemon_set_handlers(d, "{\"a\": {\"exec\": [\"no-such-program-here\"]}}");
    reload(d, " reload_refused ", 2);
    ck_assert_int_eq(io_capacity(d), 2); /* all or nothing */
    json_t *a = api_run(daemon_url(d), "{\"handler\":\"a\"}");
    ck_assert_int_eq(api_int(a, "result"), 1);
    json_decref(a);
    char *log = daemon_log(d);
    ck_assert_ptr_nonnull(strstr(log, "MAX_THREADS is \\\"none\\\""));
    ck_assert_ptr_nonnull(strstr(log, "no-such-program-here"));
    free(log);
    daemon_set_handlers(d, "{}");
    reload(d, " reloaded ", 1);
    ck_assert_int_eq(io_capacity(d), 7);
    daemon_end(&d);
}
END_TEST

START_TEST(test_reload_pauses_and_goes_on)
{
    struct daemon *d = start("FUTURED_PAUSED=cpu\n", "{}");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}", id);
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "lane_paused");
    ck_assert_str_eq(api_str(f, "waiting_for.paused_by"), "configuration");
    json_decref(f);
    write_env(d, "");
    reload(d, " reloaded ", 1);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

/* ---- tokens ---- */

#define OLD_TOKEN "an-old-token-0123456789"
#define NEW_TOKEN "a-new-token-0123456789"

static int status_with(const struct daemon *d, const char *authorization)
{
    const char *const headers[] = {authorization, NULL};
    struct http_reply r =
        http_call(daemon_url(d),
                  &(struct http_request){.method = "GET", .path = "/v1/stats", .headers = headers});
    int status = r.status;
    http_reply_release(&r);
    return status;
}

static void write_tokens(const struct daemon *d, const char *text)
{
    dir_write(daemon_dir(d), "tokens", text, strlen(text));
}

START_TEST(test_reload_takes_tokens_and_gives_up_old_ones)
{
    struct daemon *d = daemon_new();
    char *setting = text_printf("FUTURED_TOKENS=%s/tokens", daemon_dir(d));
    daemon_set(d, setting);
    write_tokens(d, OLD_TOKEN " admin\n");
    daemon_start(d);
    ck_assert_int_eq(status_with(d, "Authorization: Bearer " OLD_TOKEN), 200);
    ck_assert_int_eq(status_with(d, "Authorization: Bearer " NEW_TOKEN), 401);
    write_tokens(d, "short admin\n");
    reload(d, "reload_refused", 1);
    ck_assert_int_eq(status_with(d, "Authorization: Bearer " OLD_TOKEN), 200);
    write_tokens(d, NEW_TOKEN " admin\n");
    reload(d, " reloaded ", 1);
    ck_assert_int_eq(status_with(d, "Authorization: Bearer " OLD_TOKEN), 401);
    ck_assert_int_eq(status_with(d, "Authorization: Bearer " NEW_TOKEN), 200);
    daemon_end(&d);
    free(setting);
}
END_TEST

/* ---- a broken program ---- */

/* The pause between two starts doubles: after the third failure it is 8 s, and a program that was
 * mended must not wait for that. */
START_TEST(test_reload_tries_an_unchanged_broken_program_at_once)
{
    struct daemon *d = daemon_new();
    daemon_set_handlers(d, "{\"w\": {\"worker\": [\"sh\", \"-c\", \"exit 3\"]}}");
    daemon_start(d);
    free(daemon_wait_log(d, "again_ms=8000"));
    int64_t began_ms = clock_mono_ms();
    daemon_signal(d, SIGHUP);
    free(daemon_wait_log(d, "again_ms=16000")); /* the next failure, not 8 s after the one before */
    ck_assert_int_lt(clock_mono_ms() - began_ms, 6000);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_reload_puts_a_good_file_in_force, test_reload_keeps_the_old_when_the_new_is_bad,
        test_reload_pauses_and_goes_on, test_reload_takes_tokens_and_gives_up_old_ones,
        test_reload_tries_an_unchanged_broken_program_at_once};
    return suite_run("reload", tests, FUT_COUNT(tests));
}
