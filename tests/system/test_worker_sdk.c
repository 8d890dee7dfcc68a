/* Worker programs of every SDK, and plug-ins, behind the real daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

/* Each is a handler of the tour in another language. SRC and BUILT are the examples' folders. */
static const char tours[] =
    "{\"report\": {\"worker\": [\"python3\", \"SRC/tour.py\", \"fork\"], \"lane\": \"cpu\"},"
    " \"fail\": {\"worker\": [\"node\", \"SRC/tour.js\"], \"lane\": \"cpu\"},"
    " \"print\": {\"worker\": [\"sh\", \"SRC/tour.sh\"], \"lane\": \"cpu\"},"
    " \"refuse\": {\"worker\": [\"BUILT/tour\"], \"lane\": \"cpu\"},"
    " \"wait\": {\"plugin\": \"BUILT/tour.so\", \"lane\": \"cpu\"}}";

static void replace(char **text, const char *word, const char *by)
{
    for (char *at; (at = strstr(*text, word)) != NULL;) {
        *at = '\0';
        char *next = text_printf("%s%s%s", *text, by, at + strlen(word));
        free(*text);
        *text = next;
    }
}

static struct daemon *start(const char *handlers)
{
    static const char *const settings[] = {"MAX_WORKERS=4", "FUTURED_DRAIN=1s"};
    char *text = xstrdup(handlers);
    char *src = daemon_built("../../workers/sdk/examples");
    char *built = daemon_built("workers/sdk/examples");
    replace(&text, "SRC", src);
    replace(&text, "BUILT", built);
    struct daemon *d = daemon_start_handlers(text, settings, FUT_COUNT(settings));
    free(built);
    free(src);
    free(text);
    return d;
}

static json_t *run(struct daemon *d, const char *handler)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"handler\":\"%s\",\"input\":\"really\"}", handler);
    return api_run(daemon_url(d), body);
}

static void result_is(struct daemon *d, const json_t *f, const char *text)
{
    char *result = api_result(daemon_url(d), api_str(f, "id"));
    ck_assert_str_eq(result, text);
    free(result);
}

static void log_has(struct daemon *d, const json_t *f, const char *text)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/log", api_str(f, "id"));
    ck_assert_msg(r.status == 200 && strstr(r.body, text), "%d %s", r.status, r.body);
    http_reply_release(&r);
}

START_TEST(test_every_language_serves_its_handler)
{
    struct daemon *d = start(tours);
    json_t *f = run(d, "report");
    result_is(d, f, "reported");
    log_has(d, f, "a line for the log\n");
    json_decref(f);
    f = run(d, "print");
    result_is(d, f, "printed");
    log_has(d, f, "DONE 1 0 a stray line\n");
    json_decref(f);
    f = run(d, "fail");
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.message"), "RangeError: no good: really");
    log_has(d, f, "tour.js"); /* the traceback */
    json_decref(f);
    f = run(d, "refuse"); /* three retries are left, and it does not want them */
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.message"), "Permanent: never");
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

START_TEST(test_plugin_task_is_cancelled)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(tours);
    api_submit(daemon_url(d), "{\"handler\":\"wait\"}", id);
    api_wait_state(daemon_url(d), id, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "cancelled");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

/* ---- workers that share what was loaded ------------------------------------------------------ */

static const char *const tables[] = {
    "{\"table\": {\"plugin\": \"BUILT/table.so\", \"lane\": \"cpu\", \"env\": {\"TABLE_MIB\": "
    "\"8\"}}}",
    "{\"table\": {\"worker\": [\"python3\", \"SRC/table.py\"], \"lane\": \"cpu\","
    " \"env\": {\"TABLE_MIB\": \"8\"}}}",
};

#define TASKS 40

START_TEST(test_tasks_of_forked_workers_use_one_table)
{
    static char ids[TASKS][ID_TEXT_SIZE];
    struct daemon *d = start(tables[_i]);
    json_int_t loader = 0;
    for (int i = 0; i < TASKS; i++)
        api_submit(daemon_url(d), "{\"handler\":\"table\"}", ids[i]);
    for (int i = 0; i < TASKS; i++) {
        json_t *f = api_done(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        ck_assert_int_eq(api_int(f, "result.mib"), 8);
        if (!loader)
            loader = api_int(f, "result.loader");
        ck_assert_int_gt(loader, 0);
        ck_assert_int_eq(api_int(f, "result.loader"), loader);
        ck_assert_int_ne(api_int(f, "result.pid"), loader);
        json_decref(f);
    }
    daemon_end(&d);
}
END_TEST

/* ---- what is no plug-in ---------------------------------------------------------------------- */

START_TEST(test_file_that_is_no_plugin_breaks_its_handler_alone)
{
    struct daemon *d = start("{\"x\": {\"plugin\": \"SRC/tour.py\", \"lane\": \"cpu\"},"
                             " \"print\": {\"worker\": [\"sh\", \"SRC/tour.sh\"]}}");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"x\"}", id);
    char *line = daemon_wait_log(d, "worker_start_failed");
    free(line);
    json_t *f = run(d, "print");
    result_is(d, f, "printed");
    json_decref(f);
    f = api_future(daemon_url(d), id);
    ck_assert_str_ne(api_str(f, "state"), "failed"); /* it is kept */
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    TCase *tcase = suite_case("worker_sdk", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_test(tcase, test_every_language_serves_its_handler);
    tcase_add_test(tcase, test_plugin_task_is_cancelled);
    tcase_add_loop_test(tcase, test_tasks_of_forked_workers_use_one_table, 0,
                        (int)FUT_COUNT(tables));
    tcase_add_test(tcase, test_file_that_is_no_plugin_breaks_its_handler_alone);
    return suite_run_cases("worker_sdk", tcase, NULL);
}
