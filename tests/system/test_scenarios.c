/* The two scenarios the daemon is for: many calls that wait, on a few threads; many texts, through
 * a few worker slots. Checked by what ran at the same time, never by how long it took. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/fetches.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define COUNT 50

START_TEST(test_scenarios_fifty_texts_through_the_cpu_lane)
{
    static const char *const settings[] = {"MAX_WORKERS=2"};
    struct daemon *d = daemon_start_handlers(
        "{\"words\": {\"exec\": [\"wc\", \"-w\"], \"lane\": \"cpu\"}}", settings, 1);
    char ids[COUNT][ID_TEXT_SIZE];
    for (size_t i = 0; i < COUNT; i++) {
        char *text = text_repeat('a', 2 * i + 2), *body;
        for (size_t at = 1; at < 2 * i + 2; at += 2)
            text[at] = ' ';
        body = text_printf("{\"handler\":\"words\",\"input\":\"%s\"}", text);
        api_submit(daemon_url(d), body, ids[i]);
        free(body);
        free(text);
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/result?wait=60", ids[i]);
        ck_assert_msg(r.status == 200, "%s", r.body);
        ck_assert_uint_eq(strtoul(r.body, NULL, 10), i + 1);
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

static void submit_fetches(struct daemon *d, struct fetches *f, const char *page, size_t n,
                           char ids[][ID_TEXT_SIZE])
{
    char *body =
        text_printf("{\"handler\":\"http\",\"input\":{\"url\":\"%s%s\"}}", fetches_url(f), page);
    for (size_t i = 0; i < n; i++)
        api_submit(daemon_url(d), body, ids[i]);
    free(body);
}

static void check_fetches(struct daemon *d, size_t n, char ids[][ID_TEXT_SIZE], int status)
{
    for (size_t i = 0; i < n; i++) {
        json_t *f = api_done(daemon_url(d), ids[i]);
        char *text = json_dumps(f, 0);
        ck_assert_msg(api_int(f, "result.status") == status, "%s", text);
        free(text);
        json_decref(f);
    }
}

static json_int_t most_at_once(struct fetches *f)
{
    json_t *stats = fetches_stats(f);
    json_int_t n = api_int(stats, "held_max");
    json_decref(stats);
    return n;
}

START_TEST(test_scenarios_fifty_fetches_on_twenty_threads)
{
    static const char *const settings[] = {"MAX_THREADS=20"};
    struct fetches *f = fetches_start();
    struct daemon *d = daemon_start_with(settings, 1);
    char ids[COUNT][ID_TEXT_SIZE];
    submit_fetches(d, f, "/delay/200", COUNT, ids);
    check_fetches(d, COUNT, ids, 200);
    ck_assert_int_le(most_at_once(f), 20);
    daemon_end(&d);
    fetches_stop(&f);
}
END_TEST

START_TEST(test_scenarios_all_twenty_threads_work_at_once)
{
    static const char *const settings[] = {"MAX_THREADS=20"};
    struct fetches *f = fetches_start();
    struct daemon *d = daemon_start_with(settings, 1);
    char ids[40][ID_TEXT_SIZE];
    submit_fetches(d, f, "/gate/20", 40, ids); /* opens only for twenty at the same time */
    check_fetches(d, 40, ids, 200);
    ck_assert_int_eq(most_at_once(f), 20);
    daemon_free(&d);
    fetches_stop(&f);
}
END_TEST

START_TEST(test_scenarios_one_thread_does_one_thing_at_a_time)
{
    static const char *const settings[] = {"MAX_THREADS=1"};
    struct fetches *f = fetches_start();
    struct daemon *d = daemon_start_with(settings, 1);
    char ids[8][ID_TEXT_SIZE];
    submit_fetches(d, f, "/delay/10", 8, ids);
    check_fetches(d, 8, ids, 200);
    ck_assert_int_eq(most_at_once(f), 1);
    daemon_free(&d);
    fetches_stop(&f);
}
END_TEST

START_TEST(test_scenarios_http_sends_what_was_asked_and_any_status_is_a_result)
{
    struct fetches *f = fetches_start();
    struct daemon *d = daemon_start_with(NULL, 0);
    char *body = text_printf("{\"handler\":\"http\",\"input\":{\"url\":\"%s/echo\",\"method\":"
                             "\"PUT\",\"headers\":{\"X-Colour\":\"blue\"},\"body\":\"hello\"}}",
                             fetches_url(f));
    char ids[1][ID_TEXT_SIZE];
    json_t *future = api_run(daemon_url(d), body);
    ck_assert_str_eq(api_str(future, "state"), "succeeded");
    json_t *echo = json_loads(api_str(future, "result.body"), 0, NULL);
    ck_assert_str_eq(api_str(echo, "method"), "PUT");
    ck_assert_str_eq(api_str(echo, "headers.X-Colour"), "blue");
    ck_assert_str_eq(api_str(echo, "body"), "hello");
    submit_fetches(d, f, "/status/404", 1, ids);
    check_fetches(d, 1, ids, 404);
    submit_fetches(d, f, "/status/503", 1, ids);
    json_t *failed = api_done(daemon_url(d), ids[0]);
    ck_assert_str_eq(api_str(failed, "error.code"), "http_status");
    json_decref(failed);
    json_decref(echo);
    json_decref(future);
    free(body);
    daemon_free(&d);
    fetches_stop(&f);
}
END_TEST

START_TEST(test_scenarios_http_transport_failure_fails_the_task)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"http\",\"retries\":0,\"input\":"
                                       "{\"url\":\"http://127.0.0.1:1/\"}}");
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_str_eq(api_str(f, "error.code"), "http_failed");
    json_decref(f);
    daemon_free(&d);
}
END_TEST

/* The cpu slots run programs that fetch a gate for two: it opens only when both run at once. */
START_TEST(test_scenarios_cpu_lane_runs_as_many_as_it_has_workers)
{
    static const char *const settings[] = {"MAX_WORKERS=2"};
    struct fetches *f = fetches_start();
    char ids[6][ID_TEXT_SIZE];
    char *handlers = text_printf("{\"pair\": {\"exec\": [\"curl\", \"-sf\", \"%s/gate/2\"],"
                                 " \"lane\": \"cpu\"}}",
                                 fetches_url(f));
    struct daemon *d = daemon_start_handlers(handlers, settings, 1);
    for (size_t i = 0; i < FUT_COUNT(ids); i++)
        api_submit(daemon_url(d), "{\"handler\":\"pair\"}", ids[i]);
    for (size_t i = 0; i < FUT_COUNT(ids); i++) {
        json_t *future = api_done(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(future, "state"), "succeeded");
        json_decref(future);
    }
    ck_assert_int_eq(most_at_once(f), 2);
    free(handlers);
    daemon_free(&d);
    fetches_stop(&f);
}
END_TEST

static struct daemon *start_with_blocked_cpu_lane(char ids[][ID_TEXT_SIZE], size_t n)
{
    static const char *const settings[] = {"MAX_WORKERS=1"};
    struct daemon *d = daemon_start_handlers(
        "{\"hold\": {\"exec\": [\"sh\", \"-c\","
        " \"while [ ! -e DIR/go ]; do sleep 0.05; done\"], \"lane\": \"cpu\"}}",
        settings, 1);
    for (size_t i = 0; i < n; i++)
        api_submit(daemon_url(d), "{\"handler\":\"hold\"}", ids[i]);
    api_wait_state(daemon_url(d), ids[0], "running");
    return d;
}

START_TEST(test_scenarios_a_full_cpu_lane_does_not_hold_up_the_io_lane)
{
    char ids[10][ID_TEXT_SIZE];
    struct daemon *d = start_with_blocked_cpu_lane(ids, FUT_COUNT(ids));
    for (int i = 0; i < 100; i++) {
        json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        json_decref(f);
    }
    for (size_t i = 0; i < FUT_COUNT(ids); i++) {
        json_t *f = api_future(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(f, "state"), i == 0 ? "running" : "queued");
        json_decref(f);
    }
    dir_write(daemon_dir(d), "go", "", 0);
    for (size_t i = 0; i < FUT_COUNT(ids); i++)
        json_decref(api_done(daemon_url(d), ids[i]));
    daemon_free(&d);
}
END_TEST

START_TEST(test_scenarios_built_in_cpu_work_survives_many_at_once)
{
    struct daemon *d = daemon_start_with((const char *const[]){"MAX_WORKERS=2"}, 1);
    char ids[COUNT][ID_TEXT_SIZE];
    for (size_t i = 0; i < COUNT; i++)
        api_submit(daemon_url(d), "{\"handler\":\"primes\",\"input\":{\"below\":100000}}", ids[i]);
    for (size_t i = 0; i < COUNT; i++) {
        json_t *f = api_done(daemon_url(d), ids[i]);
        ck_assert_int_eq(api_int(f, "result.count"), 9592);
        ck_assert_int_eq(api_int(f, "result.largest"), 99991);
        json_decref(f);
    }
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_scenarios_fifty_texts_through_the_cpu_lane,
        test_scenarios_fifty_fetches_on_twenty_threads,
        test_scenarios_all_twenty_threads_work_at_once,
        test_scenarios_one_thread_does_one_thing_at_a_time,
        test_scenarios_http_sends_what_was_asked_and_any_status_is_a_result,
        test_scenarios_http_transport_failure_fails_the_task,
        test_scenarios_cpu_lane_runs_as_many_as_it_has_workers,
        test_scenarios_a_full_cpu_lane_does_not_hold_up_the_io_lane,
        test_scenarios_built_in_cpu_work_survives_many_at_once,
    };
    return suite_run("scenarios", tests, FUT_COUNT(tests));
}
