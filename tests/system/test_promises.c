/* Promises: futures that somebody completes, with all that other futures can do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static struct daemon *d;

static void end(void)
{
    daemon_end(&d);
}

static void make(const char *body, char id[ID_TEXT_SIZE])
{
    struct http_reply r = api_post(daemon_url(d), "/v1/promises", body);
    ck_assert_msg(r.status == 202, "%s", r.body);
    ck_assert_str_eq(api_str(r.json, "state"), "scheduled");
    ck_assert_str_eq(api_str(r.json, "handler"), "promise");
    ck_assert_str_eq(api_str(r.json, "waiting_for.code"), "completion");
    (void)snprintf(id, ID_TEXT_SIZE, "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

static int complete(const char *id, const char *body)
{
    char *path = text_printf("/v1/futures/%s/complete", id);
    struct http_reply r = api_post(daemon_url(d), path, body);
    int status = r.status;
    http_reply_release(&r);
    free(path);
    return status;
}

static void expect_end(const char *id, const char *state, const char *member, const char *is)
{
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), state);
    ck_assert_str_eq(api_str(f, member), is);
    json_decref(f);
}

START_TEST(test_promises_completed_exactly_once)
{
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    make("{}", id);
    char *path = text_printf("/v1/futures/%s?wait=60", id);
    struct http_pending *waiter =
        http_begin(daemon_url(d), &(struct http_request){.method = "GET", .path = path});
    ck_assert_int_eq(complete(id, "{\"result\": {\"by\": \"ann\"}}"), 200);
    struct http_reply r = http_finish(&waiter);
    ck_assert_str_eq(api_str(r.json, "result.by"), "ann");
    http_reply_release(&r);
    free(path);
    ck_assert_int_eq(complete(id, "{\"result\":{\"by\": \"ann\"}}"), 200); /* the same */
    ck_assert_int_eq(complete(id, "{\"result\":{\"by\":\"bob\"}}"), 409);
    ck_assert_int_eq(complete(id, "{\"error\":{\"code\":\"no\"}}"), 409);
    expect_end(id, "succeeded", "result.by", "ann");
    make("{\"timeout\":3600}", id);
    ck_assert_int_eq(complete(id, "{\"error\":{\"code\":\"refused\",\"message\":\"no\"}}"), 200);
    ck_assert_int_eq(complete(id, "{\"error\":{\"code\":\"refused\",\"message\":\"no\"}}"), 200);
    ck_assert_int_eq(complete(id, "{\"error\":{\"code\":\"refused\",\"message\":\"oh\"}}"), 409);
    expect_end(id, "failed", "error.code", "refused");
    end();
}
END_TEST

START_TEST(test_promises_time_out_are_cancelled_and_hold_over_kill)
{
    static const char *const settings[] = {"MAX_THREADS=1"};
    char late[ID_TEXT_SIZE], cancelled[ID_TEXT_SIZE], kept[ID_TEXT_SIZE];
    d = daemon_start_with(settings, 1);
    make("{\"timeout\":0.3}", late);
    make("{}", cancelled);
    make("{\"timeout\":3600}", kept);
    json_t *task = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}"); /* has the slot */
    json_decref(task);
    expect_end(late, "failed", "error.code", "timeout");
    ck_assert_int_eq(api_cancel(daemon_url(d), cancelled), 200);
    ck_assert_int_eq(complete(cancelled, "{\"result\":1}"), 409);
    daemon_kill(d);
    daemon_start(d);
    ck_assert_int_eq(complete(kept, "{\"result\":\"yes\"}"), 200);
    expect_end(kept, "succeeded", "result", "yes");
    struct http_reply r = api_get(daemon_url(d), "/v1/futures?handler=promise&state=failed");
    ck_assert_uint_eq(json_array_size(api_at(r.json, "futures")), 1);
    http_reply_release(&r);
    end();
}
END_TEST

START_TEST(test_promises_tell_of_their_end)
{
    struct receiver *rc = receiver_start(false);
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    char *body = text_printf("{\"callback\":{\"url\":\"http://127.0.0.1:%u/\"},"
                             "\"unique\":\"approval-7\"}",
                             receiver_port(rc));
    make(body, id);
    ck_assert_int_eq(complete(id, "{\"result\":true}"), 200);
    json_t *f = api_wait_text(daemon_url(d), id, "callback.state", "succeeded");
    json_decref(f);
    free(body);
    end();
    receiver_stop(&rc);
}
END_TEST

static const struct text_case bad[] = {
    {"{}", "result"},
    {"{\"result\":1,\"error\":{\"code\":\"x\"}}", "error"},
    {"{\"error\":{}}", "error.code"},
    {"{\"error\":{\"code\":\"no spaces\"}}", "error.code"},
    {"{\"error\":{\"code\":\"x\",\"message\":1}}", "error.message"},
    {"{\"value\":1}", "value"},
};

START_TEST(test_promises_refuse_what_is_no_answer)
{
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    make("", id);
    char *path = text_printf("/v1/futures/%s/complete", id);
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct http_reply r = api_post(daemon_url(d), path, bad[i].given);
        ck_assert_msg(r.status == 422, "%d %s", r.status, r.body);
        ck_assert_str_eq(api_str(r.json, "field"), bad[i].expected);
        http_reply_release(&r);
    }
    free(path);
    ck_assert_int_eq(complete(id, "{\"result\":"), 400);
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"delay\":3600}", id);
    ck_assert_int_eq(complete(id, "{\"result\":1}"), 409);
    struct http_reply r = api_post(daemon_url(d), "/v1/promises", "{\"handler\":\"echo\"}");
    ck_assert_int_eq(r.status, 422);
    http_reply_release(&r);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_promises_completed_exactly_once,
        test_promises_time_out_are_cancelled_and_hold_over_kill,
        test_promises_tell_of_their_end,
        test_promises_refuse_what_is_no_answer,
    };
    return suite_run("system: promises", tests, FUT_COUNT(tests));
}
