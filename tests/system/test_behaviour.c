/* HTTP behaviour on the real daemon: versions of a future, preferences, HEAD and OPTIONS, the live
 * log, reasons to wait, trace context, the callback's trail. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* Speaks, reports, waits for the file "go", speaks again. */
static const char *const handlers =
    "{\"talk\": {\"exec\": [\"sh\", \"-c\", \"echo one >&2; echo progress 0.5 half way >&3;"
    " while [ ! -e DIR/go ]; do sleep 0.02; done; echo two >&2; echo $TRACEPARENT\"], \"lane\": "
    "\"io\"},"
    " \"later\": {\"exec\": [\"sh\", \"-c\", \"exit 75\"], \"retries\": 3}}";

static struct daemon *start(void)
{
    static const char *const settings[] = {"MAX_THREADS=1", "MAX_WORKERS=1"};
    return daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
}

static void let_go(const struct daemon *d)
{
    dir_write(daemon_dir(d), "go", "", 0);
}

static struct http_reply get_with(const char *base, const char *method, const char *header,
                                  const char *fmt, const char *id)
{
    char path[200];
    const char *const headers[] = {header, NULL};
    (void)snprintf(path, sizeof(path), "/v1/futures/%s%s", id, fmt);
    return http_call(base,
                     &(struct http_request){.method = method, .path = path, .headers = headers});
}

static void take_header(struct http_reply *r, const char *name, char *out, size_t cap)
{
    ck_assert_msg(http_header(r, name, out, cap) != NULL, "no %s in %d %s", name, r->status,
                  r->head);
    http_reply_release(r);
}

/* An If-None-Match header that names the version that the daemon shows now. */
static void current_version(const char *base, const char *id, char out[64])
{
    char etag[32];
    struct http_reply r = api_get(base, "/v1/futures/%s", id);
    take_header(&r, "ETag", etag, sizeof(etag));
    (void)snprintf(out, 64, "If-None-Match: %s", etag);
}

/* Follows the log until it has at least n bytes; returns all of it. */
static void follow_log(const char *base, const char *id, size_t n, char *out, size_t cap)
{
    char next[32] = "0";
    for (size_t got = 0; got < n;) {
        struct http_reply r = api_get(base, "/v1/futures/%s/log?from=%s&wait=30", id, next);
        ck_assert_int_eq(r.status, 200);
        ck_assert_uint_lt(got + r.body_len, cap);
        memcpy(out + got, r.body, r.body_len + 1);
        got += r.body_len;
        take_header(&r, "Futured-Log-Next", next, sizeof(next));
        ck_assert_uint_eq(strtoul(next, NULL, 10), got);
    }
}

START_TEST(test_behaviour_unchanged_is_304)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE], version[64];
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    (void)snprintf(id, sizeof(id), "%s", api_str(f, "id"));
    json_decref(f);
    current_version(daemon_url(d), id, version);
    struct http_reply r = get_with(daemon_url(d), "GET", version, "?wait=30", id);
    ck_assert_int_eq(r.status, 304);
    ck_assert_uint_eq(r.body_len, 0);
    http_reply_release(&r);
    r = get_with(daemon_url(d), "GET", "If-None-Match: \"other\"", "", id);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_a_long_poll_watches_versions)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE], version[64], log[64];
    api_submit(daemon_url(d), "{\"handler\":\"talk\"}", id);
    follow_log(daemon_url(d), id, 4, log, sizeof(log));
    json_t *f = api_wait_text(daemon_url(d), id, "progress.message", "half way");
    ck_assert_double_eq(json_number_value(api_at(f, "progress.fraction")), 0.5);
    json_decref(f);
    current_version(daemon_url(d), id, version);
    struct http_reply r = get_with(daemon_url(d), "GET", version, "?wait=0.2", id);
    ck_assert_int_eq(r.status, 304);
    http_reply_release(&r);
    let_go(d);
    r = get_with(daemon_url(d), "GET", version, "?wait=60", id);
    ck_assert_int_eq(r.status, 200);
    ck_assert(json_is_true(api_at(r.json, "done")));
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_log_can_be_followed)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE], log[64], state[32];
    api_submit(daemon_url(d), "{\"handler\":\"talk\"}", id);
    follow_log(daemon_url(d), id, 4, log, sizeof(log));
    ck_assert_str_eq(log, "one\n");
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/log?from=4&wait=0.1", id);
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(r.body_len, 0);
    take_header(&r, "Futured-State", state, sizeof(state));
    ck_assert_str_eq(state, "running");
    let_go(d);
    follow_log(daemon_url(d), id, 8, log, sizeof(log));
    ck_assert_str_eq(log, "one\ntwo\n");
    json_decref(api_done(daemon_url(d), id));
    r = api_get(daemon_url(d), "/v1/futures/%s/log?from=8&wait=30", id);
    ck_assert_uint_eq(r.body_len, 0); /* at the end there is nothing to wait for */
    take_header(&r, "Futured-State", state, sizeof(state));
    ck_assert_str_eq(state, "succeeded");
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_log_refuses_what_is_not_there)
{
    struct daemon *d = start();
    struct http_reply r =
        api_get(daemon_url(d), "/v1/futures/01234567-89ab-7def-8123-456789abcdef/log?wait=1");
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/futures/01234567-89ab-7def-8123-456789abcdef/log?from=-1");
    ck_assert_int_eq(r.status, 400);
    ck_assert_str_eq(api_str(r.json, "parameter"), "from");
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_prefer_head_and_options)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE], value[64];
    api_submit(daemon_url(d), "{\"handler\":\"talk\"}", id);
    struct http_reply r = get_with(daemon_url(d), "GET", "Prefer: wait=0.1", "", id);
    ck_assert_ptr_nonnull(http_header(&r, "Vary", value, sizeof(value)));
    ck_assert_str_eq(value, "Prefer");
    take_header(&r, "Preference-Applied", value, sizeof(value));
    ck_assert_str_eq(value, "wait=0.100");
    r = get_with(daemon_url(d), "HEAD", "X-A: b", "", id);
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(r.body_len, 0);
    take_header(&r, "ETag", value, sizeof(value));
    r = get_with(daemon_url(d), "OPTIONS", "X-A: b", "/log", id);
    ck_assert_int_eq(r.status, 204);
    take_header(&r, "Allow", value, sizeof(value));
    ck_assert_str_eq(value, "GET, HEAD, OPTIONS");
    let_go(d);
    json_decref(api_done(daemon_url(d), id));
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_tell_what_a_future_waits_for)
{
    struct daemon *d = start();
    char busy[ID_TEXT_SIZE], waits[ID_TEXT_SIZE], again[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"later\",\"lane\":\"cpu\"}", again);
    api_wait_state(daemon_url(d), again, "scheduled");
    json_t *f = api_future(daemon_url(d), again);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "retry_backoff");
    ck_assert_str_eq(api_str(f, "waiting_for.until"), api_str(f, "due_at"));
    json_decref(f);
    api_submit(daemon_url(d), "{\"handler\":\"talk\"}", busy);
    api_wait_state(daemon_url(d), busy, "running");
    f = api_future(daemon_url(d), busy);
    ck_assert_ptr_null(api_at(f, "waiting_for"));
    json_decref(f);
    api_submit(daemon_url(d), "{\"handler\":\"echo\"}", waits);
    f = api_future(daemon_url(d), waits);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "no_free_slot");
    ck_assert_int_eq(api_int(f, "waiting_for.capacity"), 1);
    ck_assert_int_eq(api_int(f, "waiting_for.queued"), 1);
    json_decref(f);
    struct http_reply r = api_get(daemon_url(d), "/v1/futures?state=queued");
    f = json_array_get(api_at(r.json, "futures"), 0);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "no_free_slot");
    http_reply_release(&r);
    let_go(d);
    json_decref(api_done(daemon_url(d), waits));
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_trace_context_reaches_the_program)
{
    static const char *const headers[] = {"traceparent: " TRACE, NULL};
    struct daemon *d = start();
    let_go(d);
    struct http_reply r = http_call(
        daemon_url(d), &(struct http_request){
                           .method = "POST", .path = "/v1/tasks/talk?wait=60", .headers = headers});
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(api_str(r.json, "traceparent"), TRACE);
    struct http_reply result = api_get(daemon_url(d), "%s", api_str(r.json, "result.href"));
    ck_assert_str_eq(result.body, TRACE "\n");
    http_reply_release(&result);
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_behaviour_show_the_callback_and_its_failure)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d),
               "{\"handler\":\"echo\",\"input\":1,\"callback\":{\"url\":\"http://127.0.0.1:1/\"}}",
               id);
    json_decref(api_done(daemon_url(d), id));
    json_t *f = api_wait_text(daemon_url(d), id, "callback.state", "scheduled");
    ck_assert_int_ge(api_int(f, "callback.attempt"), 1);
    ck_assert_str_eq(api_str(f, "state"), "succeeded"); /* its failure is not the future's */
    ck_assert_ptr_nonnull(api_at(f, "callback.due_at"));
    struct http_reply r = api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"callback\"}");
    ck_assert_int_eq(r.status, 422);
    ck_assert_str_eq(api_str(r.json, "code"), "unknown_handler");
    http_reply_release(&r);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_behaviour_unchanged_is_304,
        test_behaviour_a_long_poll_watches_versions,
        test_behaviour_log_can_be_followed,
        test_behaviour_log_refuses_what_is_not_there,
        test_behaviour_prefer_head_and_options,
        test_behaviour_tell_what_a_future_waits_for,
        test_behaviour_trace_context_reaches_the_program,
        test_behaviour_show_the_callback_and_its_failure,
    };
    return suite_run("behaviour", tests, FUT_COUNT(tests));
}
