/* Tasks that begin later, expire, or have a deadline, as clients meet them: also over kill -9. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static struct daemon *d;

START_TEST(test_time_later_and_told_so)
{
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1,\"delay\":3600,\"deadline\":7200}",
               id);
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "scheduled");
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "time");
    ck_assert_str_eq(api_str(f, "waiting_for.until"), api_str(f, "due_at"));
    ck_assert_int_eq(api_int(f, "delay"), 3600);
    ck_assert_int_eq(api_int(f, "deadline"), 7200);
    json_decref(f);
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1,\"delay\":0.05}", id);
    api_expect_end(daemon_url(d), id, "succeeded", "");
    api_submit(daemon_url(d),
               "{\"handler\":\"echo\",\"input\":1,\"run_at\":\"2001-01-01T00:00:00+02:00\"}", id);
    api_expect_end(daemon_url(d), id, "succeeded", "");
    daemon_end(&d);
}
END_TEST

/* The slot is free again, and the program is gone. */
START_TEST(test_time_deadline_stops_the_attempt)
{
    static const char *const settings[] = {"MAX_WORKERS=1"};
    char id[ID_TEXT_SIZE];
    d = daemon_start_handlers("{\"hang\": {\"exec\": [\"sleep\", \"600\"], \"lane\": \"cpu\"}}",
                              settings, 1);
    api_submit(daemon_url(d), "{\"handler\":\"hang\",\"deadline\":0.3,\"retries\":5}", id);
    api_expect_end(daemon_url(d), id, "failed", "deadline");
    json_t *after = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}");
    ck_assert_str_eq(api_str(after, "state"), "succeeded");
    json_decref(after);
    daemon_end(&d);
}
END_TEST

START_TEST(test_time_expires_while_it_waits)
{
    static const char *const settings[] = {"MAX_WORKERS=1", "MAX_THREADS=1"};
    char first[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    d = daemon_start_handlers("{\"hang\": {\"exec\": [\"sleep\", \"600\"], \"lane\": \"cpu\"}}",
                              settings, 2);
    api_submit(daemon_url(d), "{\"handler\":\"hang\"}", first);
    api_wait_state(daemon_url(d), first, "running");
    api_submit(daemon_url(d), "{\"handler\":\"hang\",\"expires_in\":0.4}", id);
    api_expect_end(daemon_url(d), id, "failed", "expired");
    api_wait_state(daemon_url(d), first, "running");
    struct http_reply r = api_post(daemon_url(d), "/v1/batches",
                                   "{\"handler\":\"hang\",\"inputs\":[1,2],\"expires_in\":0.1}");
    ck_assert_int_eq(r.status, 202);
    for (size_t i = 0; i < 2; i++)
        api_expect_end(daemon_url(d), json_string_value(json_array_get(api_at(r.json, "ids"), i)),
                       "failed", "expired");
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_time_holds_over_kill)
{
    char later[ID_TEXT_SIZE], soon[ID_TEXT_SIZE], limited[ID_TEXT_SIZE];
    d = daemon_start_handlers("{\"hang\": {\"exec\": [\"sleep\", \"600\"], \"lane\": \"cpu\"}}",
                              NULL, 0);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1,\"delay\":3600}", later);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1,\"delay\":1}", soon);
    api_submit(daemon_url(d), "{\"handler\":\"hang\",\"deadline\":1.5}", limited);
    daemon_kill(d);
    daemon_start(d);
    api_expect_end(daemon_url(d), soon, "succeeded", "");
    api_expect_end(daemon_url(d), limited, "failed", "deadline"); /* also in its second attempt */
    api_wait_state(daemon_url(d), later, "scheduled");
    daemon_end(&d);
}
END_TEST

static const struct text_case bad[] = {
    {"{\"handler\":\"echo\",\"delay\":1,\"run_at\":\"2099-01-01T00:00:00Z\"}", "run_at"},
    {"{\"handler\":\"echo\",\"delay\":5,\"expires_in\":5}", "expires_in"},
    {"{\"handler\":\"echo\",\"delay\":5,\"deadline\":4}", "deadline"},
    {"{\"handler\":\"echo\",\"run_at\":\"2099-01-01T00:00:00Z\",\"deadline\":4}", "deadline"},
};

START_TEST(test_time_refuses_what_could_never_run)
{
    d = daemon_start_with(NULL, 0);
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct http_reply r = api_post(daemon_url(d), "/v1/tasks", bad[i].given);
        ck_assert_msg(r.status == 422, "%s", r.body);
        ck_assert_str_eq(api_str(r.json, "field"), bad[i].expected);
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_time_later_and_told_so,
        test_time_deadline_stops_the_attempt,
        test_time_expires_while_it_waits,
        test_time_holds_over_kill,
        test_time_refuses_what_could_never_run,
    };
    return suite_run("system: time", tests, FUT_COUNT(tests));
}
