/* Failed tasks in the log: each once, at warn, with its message; a flood of them is counted. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define FLOOD 2000

static struct daemon *d;

static void setup(void)
{
    d = daemon_start_handlers("{\"bad\": {\"exec\": [\"sh\", \"-c\", \"exit 3\"]}}", NULL, 0);
}

static void teardown(void)
{
    daemon_free(&d);
}

static size_t count_of(const char *text, const char *needle)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, needle)); at += strlen(needle))
        n++;
    return n;
}

static void expect_line(const char *id, const char *handler, const char *code, const char *message)
{
    char *needle = text_printf("warn task_failed task=%s handler=%s code=%s message=\"%s", id,
                               handler, code, message);
    free(daemon_wait_log(d, needle));
    char *log = daemon_log(d);
    ck_assert_msg(count_of(log, needle) == 1, "%s: %s", id, log);
    free(log);
    free(needle);
}

START_TEST(test_failures_of_all_kinds_are_logged_once)
{
    const char *url = daemon_url(d);
    char id[ID_TEXT_SIZE];
    api_submit(url, "{\"handler\":\"bad\"}", id);
    expect_line(id, "bad", "exit", "the program exited with 3");
    api_submit(url, "{\"handler\":\"sleep\",\"input\":{\"ms\":\"long\"}}", id);
    api_expect_end(url, id, "failed", "bad_input");
    expect_line(id, "sleep", "bad_input", "");
    /* ended by the store: nothing ever ran */
    api_patch_pool(url, "io", "{\"paused\":true}");
    api_submit(url, "{\"handler\":\"echo\",\"expires_in\":0.05}", id);
    expect_line(id, "echo", "expired", "No attempt had begun within 0.05 s");
    /* ended by a client */
    struct http_reply r = api_post(url, "/v1/promises", "{}");
    json_t *promise = json_loads(r.body, 0, NULL);
    char *path = text_printf("/v1/futures/%s/complete", api_str(promise, "id"));
    http_reply_release(&r);
    r = api_post(url, path, "{\"error\":{\"code\":\"nope\",\"message\":\"a\\nwarn b=\\\"c\\\"\"}}");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    expect_line(api_str(promise, "id"), "promise", "nope", "a\\nwarn b=\\\"c\\\"");
    free(path);
    json_decref(promise);
    /* what succeeds, or is cancelled, is no warning */
    api_patch_pool(url, "io", "{\"paused\":false}");
    json_t *good = api_run(url, "{\"handler\":\"echo\",\"input\":1}");
    char *log = daemon_log(d);
    ck_assert_uint_eq(count_of(log, " warn "), 4);
    free(log);
    json_decref(good);
}
END_TEST

/* The store ends it while it is opened, before anything else runs. */
START_TEST(test_failures_of_a_recovery_are_logged)
{
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"once\":true}",
               id);
    api_wait_state(daemon_url(d), id, "running");
    daemon_kill(d);
    daemon_start(d);
    api_expect_end(daemon_url(d), id, "failed", "daemon_died");
    expect_line(id, "sleep", "daemon_died", "the daemon ended while this task was running");
}
END_TEST

/* All are accounted for: by a line, or by a number. */
START_TEST(test_flood_of_failures_is_counted)
{
    char *inputs = text_printf("\"%d\"", 0), *body, *log;
    size_t lines, counted = 0;
    for (int i = 1; i < FLOOD; i++) {
        char *more = text_printf("%s,1", inputs);
        free(inputs);
        inputs = more;
    }
    body = text_printf("{\"handler\":\"sleep\",\"inputs\":[%s]}", inputs);
    json_t *batch = api_batch(daemon_url(d), body), *ids = json_object_get(batch, "ids"), *id;
    size_t i;
    json_array_foreach (ids, i, id)
        api_expect_end(daemon_url(d), json_string_value(id), "failed", "bad_input");
    log = daemon_wait_log(d, "warn tasks_failed_more count=");
    free(log);
    daemon_keep_lines(d, "failed");
    daemon_stop(d);
    const char *kept = daemon_kept(d);
    lines = count_of(kept, "task_failed ");
    for (const char *at = kept; (at = strstr(at, "tasks_failed_more count=")); at += 24)
        counted += strtoul(at + 24, NULL, 10);
    ck_assert_uint_eq(lines + counted, FLOOD);
    ck_assert_uint_lt(lines, FLOOD / 2);
    json_decref(batch);
    free(body);
    free(inputs);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {{test_failures_of_all_kinds_are_logged_once, 0},
                                     {test_failures_of_a_recovery_are_logged, 0},
                                     {test_flood_of_failures_is_counted, 0}};
    return suite_run_rows("failure_log", SUITE_TIMEOUT_S, setup, teardown, rows, FUT_COUNT(rows));
}
