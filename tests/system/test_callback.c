/* Done-callbacks, as their receiver sees them: signed, retried with the same id, also by the next
 * daemon, and never the future's own trouble. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/receiver.h"
#include "tests/support/sha256.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"

#define KEY "0123456789abcdefghijklmn"
#define SECRET "FUTURED_CALLBACK_SECRET=whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"

#define SOON_MS 10000 /* half of what a delivery may take */

static struct receiver *receiver;

static const char *header(int i, const char *name, char out[256])
{
    return receiver_header(receiver, i, name, out);
}

/* HMAC by its definition, over the digest of the tests' own. */
static void digest(const char *pad, size_t pad_len, const char *text, size_t n,
                   unsigned char out[32])
{
    char hex[SHA256_HEX_SIZE];
    char *all = xcalloc(1, pad_len + n);
    memcpy(all, pad, pad_len);
    memcpy(all + pad_len, text, n);
    sha256_hex(all, pad_len + n, hex);
    free(all);
    for (size_t i = 0; i < 32; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

static void hmac(const char *text, unsigned char out[32])
{
    char inner[64] = KEY, outer[64] = KEY;
    for (size_t i = 0; i < 64; i++) {
        inner[i] = (char)(inner[i] ^ 0x36);
        outer[i] = (char)(outer[i] ^ 0x5c);
    }
    digest(inner, 64, text, strlen(text), out);
    char first[32];
    memcpy(first, out, 32);
    digest(outer, 64, first, 32, out);
}

static void base64(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)bytes[i] << 16 | (unsigned)(i + 1 < n ? bytes[i + 1] : 0) << 8 |
                     (unsigned)(i + 2 < n ? bytes[i + 2] : 0);
        for (unsigned k = 0; k < 4; k++)
            *out++ = i + k > n ? '=' : digits[v >> (18 - 6 * k) & 63];
    }
    *out = '\0';
}

static void check_signed(int i)
{
    char id[256], at[256], seen[256], want[64] = "v1,", text[8800];
    unsigned char mac[32];
    ck_assert(header(i, "webhook-id", id) && header(i, "webhook-timestamp", at));
    (void)snprintf(text, sizeof(text), "%s.%s.%s", id, at, receiver_body(receiver, i));
    hmac(text, mac);
    base64(mac, sizeof(mac), want + 3);
    ck_assert_pstr_eq(header(i, "webhook-signature", seen), want);
}

/* ---- the daemon ---- */

static void submit(struct daemon *d, const char *task, char out_id[ID_TEXT_SIZE])
{
    char body[512];
    (void)snprintf(body, sizeof(body), "{%s,\"callback\":{\"url\":\"http://127.0.0.1:%u/done\"}}",
                   task, receiver_port(receiver));
    api_submit(daemon_url(d), body, out_id);
}

static void wait_callback(struct daemon *d, const char *id, const char *state)
{
    json_decref(api_wait_text(daemon_url(d), id, "callback.state", state));
}

START_TEST(test_callback_is_signed_and_on_the_future)
{
    static const char *const settings[] = {SECRET};
    char id[ID_TEXT_SIZE], seen[256];
    receiver = receiver_start(false);
    struct daemon *d = daemon_start_with(settings, 1);
    submit(d, "\"handler\":\"sha256\",\"input\":\"hello\"", id);
    receiver_wait(receiver, 1);
    check_signed(0);
    json_t *body = json_loads(receiver_body(receiver, 0), 0, NULL);
    ck_assert_str_eq(api_str(body, "type"), "future.succeeded");
    ck_assert_str_eq(api_str(body, "data.id"), id);
    ck_assert_str_eq(api_str(body, "data.handler"), "sha256");
    wait_callback(d, id, "succeeded");
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_pstr_eq(header(0, "webhook-id", seen), api_str(f, "callback.id"));
    ck_assert_str_eq(api_str(f, "finished_at"), api_str(body, "data.finished_at"));
    json_decref(f);
    json_decref(body);
    daemon_end(&d);
    receiver_stop(&receiver);
}
END_TEST

START_TEST(test_callback_tells_of_failure_and_cancel)
{
    char failed[ID_TEXT_SIZE], cancelled[ID_TEXT_SIZE], seen[256];
    receiver = receiver_start(false);
    struct daemon *d = daemon_start_with(NULL, 0);
    submit(d, "\"handler\":\"primes\",\"input\":\"x\"", failed);
    receiver_wait(receiver, 1);
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 0), "\"type\":\"future.failed\""));
    ck_assert_ptr_null(header(0, "webhook-signature", seen)); /* no secret */
    submit(d, "\"handler\":\"sleep\",\"input\":{\"seconds\":600}", cancelled);
    api_wait_state(daemon_url(d), cancelled, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), cancelled), 200);
    receiver_wait(receiver, 2);
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 1), "\"type\":\"future.cancelled\""));
    daemon_free(&d);
    receiver_stop(&receiver);
}
END_TEST

/* The first delivery is refused; then the daemon is killed. */
START_TEST(test_callback_is_delivered_by_the_next_daemon)
{
    static const char *const settings[] = {SECRET};
    char id[ID_TEXT_SIZE], first[256], second[256];
    receiver = receiver_start(false);
    receiver_refuse(receiver, 1);
    struct daemon *d = daemon_start_with(settings, 1);
    submit(d, "\"handler\":\"echo\",\"input\":1", id);
    receiver_wait(receiver, 1);
    wait_callback(d, id, "scheduled");
    daemon_kill(d);
    daemon_start(d);
    receiver_wait(receiver, 2);
    wait_callback(d, id, "succeeded");
    ck_assert_pstr_eq(header(0, "webhook-id", first), header(1, "webhook-id", second));
    ck_assert_str_eq(receiver_body(receiver, 0), receiver_body(receiver, 1));
    check_signed(1);
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    ck_assert_int_eq(api_int(f, "callback.attempt"), 2);
    json_decref(f);
    daemon_free(&d);
    receiver_stop(&receiver);
}
END_TEST

static json_int_t count_callbacks(struct daemon *d, const char *path)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/stats");
    json_int_t n = api_int(r.json, path);
    http_reply_release(&r);
    return n;
}

START_TEST(test_callbacks_are_counted)
{
    char id[ID_TEXT_SIZE];
    receiver = receiver_start(false);
    receiver_answer(receiver, 1, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    struct daemon *d = daemon_start_with(NULL, 0);
    submit(d, "\"handler\":\"echo\",\"input\":1", id);
    wait_callback(d, id, "failed");
    submit(d, "\"handler\":\"echo\",\"input\":2", id);
    wait_callback(d, id, "succeeded");
    submit(d, "\"handler\":\"sleep\",\"input\":{\"seconds\":600}", id);
    wait_for(count_callbacks(d, "callbacks.scheduled") == 1);
    ck_assert_int_eq(count_callbacks(d, "callbacks.delivered"), 1);
    ck_assert_int_eq(count_callbacks(d, "callbacks.failed"), 1);
    ck_assert_int_eq(count_callbacks(d, "callbacks.pending"), 0);
    daemon_kill(d); /* what is unfinished is counted again, what has ended since the start alone */
    daemon_start(d);
    wait_for(count_callbacks(d, "callbacks.scheduled") == 1);
    ck_assert_int_eq(count_callbacks(d, "callbacks.failed"), 0);
    daemon_free(&d);
    receiver_stop(&receiver);
}
END_TEST

START_TEST(test_callback_is_not_for_clients)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct http_reply r =
        api_post(daemon_url(d), "/v1/tasks", "{\"handler\":\"callback\",\"input\":{}}");
    ck_assert_int_ge(r.status, 400);
    ck_assert_ptr_null(strstr(r.body, "known are callback"));
    http_reply_release(&r);
    r = api_post(daemon_url(d), "/v1/tasks/callback", "{}");
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/handlers");
    ck_assert_ptr_null(strstr(r.body, "\"callback\""));
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_callback_bad_secret_is_refused_at_start)
{
    struct daemon *d = daemon_new();
    char *said;
    daemon_set(d, "FUTURED_CALLBACK_SECRET=whsec_squirrel");
    ck_assert_int_ne(daemon_start_refused(d, &said), 0);
    ck_assert_ptr_nonnull(strstr(said, "FUTURED_CALLBACK_SECRET"));
    ck_assert_ptr_null(strstr(said, "squirrel"));
    free(said);
    daemon_free(&d);
}
END_TEST

/* Each end of a future is told on its own, by a delivery with an id of its own; in a batch too. */
START_TEST(test_callback_of_another_life_and_in_a_batch)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char first[256], second[256], body[256], path[128];
    receiver = receiver_start(false);
    (void)snprintf(body, sizeof(body),
                   "{\"tasks\":[{\"handler\":\"sleep\",\"input\":\"bad\",\"callback\":"
                   "{\"url\":\"http://127.0.0.1:%u/a\\u002fb\"}},{\"handler\":\"echo\"}]}",
                   receiver_port(receiver));
    struct http_reply made = api_post(daemon_url(d), "/v1/batches", body);
    ck_assert_msg(made.status == 202, "%s", made.body);
    ck_assert_uint_eq(json_array_size(api_at(made.json, "ids")), 2);
    const char *id = json_string_value(json_array_get(api_at(made.json, "ids"), 0));
    receiver_wait(receiver, 1);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s/retry", id);
    struct http_reply again = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(again.status == 202, "%d %s", again.status, again.body);
    (void)snprintf(body, sizeof(body), "http://127.0.0.1:%u/a/b", receiver_port(receiver));
    ck_assert_str_eq(api_str(again.json, "callback.url"), body);
    http_reply_release(&again);
    receiver_wait(receiver, 2);
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 0), "future.failed"));
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 1), "future.failed"));
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 1), "\"attempt\":2"));
    ck_assert_str_ne(header(0, "webhook-id", first), header(1, "webhook-id", second));
    http_reply_release(&made);
    daemon_stop(d);
    receiver_stop(&receiver);
    daemon_free(&d);
}
END_TEST

/* What would never be called is refused at once, with the member that names it. */
static const char *const refused_urls[] = {"http://10.1.2.3/", "http://[fd00::1]:8080/x",
                                           "http://169.254.169.254/latest"};

START_TEST(test_callback_url_that_is_not_allowed_is_refused)
{
    static const char *const settings[] = {"FUTURED_HTTP_NETWORKS=127.0.0.0/8"};
    struct daemon *d = daemon_start_with(settings, 1);
    char body[256];
    for (size_t i = 0; i < FUT_COUNT(refused_urls); i++) {
        (void)snprintf(body, sizeof(body), "{\"handler\":\"echo\",\"callback\":{\"url\":\"%s\"}}",
                       refused_urls[i]);
        struct http_reply r = api_post(daemon_url(d), "/v1/tasks", body);
        ck_assert_msg(r.status == 422, "%s: %d %s", refused_urls[i], r.status, r.body);
        ck_assert_str_eq(api_str(r.json, "field"), "callback.url");
        http_reply_release(&r);
    }
    daemon_end(&d);
}
END_TEST

/* Twenty callbacks to a receiver that never answers, and then one to another. */
START_TEST(test_callback_does_not_wait_for_other_receivers)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char id[ID_TEXT_SIZE];
    struct receiver *silent = receiver = receiver_start(false);
    receiver_silence(silent);
    for (int i = 0; i < 20; i++) {
        submit(d, "\"handler\":\"echo\",\"input\":1", id);
        api_wait_state(daemon_url(d), id, "succeeded");
    }
    receiver_wait(silent, 1);
    receiver = receiver_start(false);
    int64_t since_ms = clock_mono_ms();
    submit(d, "\"handler\":\"echo\",\"input\":2", id);
    receiver_wait(receiver, 1);
    ck_assert_int_lt(clock_mono_ms() - since_ms, SOON_MS);
    wait_callback(d, id, "succeeded");
    receiver_stop(&silent);
    daemon_free(&d);
    receiver_stop(&receiver);
}
END_TEST

/* The only slot of the io lane is taken, and more tasks wait for it. */
START_TEST(test_callback_does_not_wait_for_tasks)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char sleeper[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    const char *sleep = "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"io\"}";
    receiver = receiver_start(false);
    api_patch_pool(daemon_url(d), "io", "{\"capacity\":1}");
    api_submit(daemon_url(d), sleep, sleeper);
    api_wait_state(daemon_url(d), sleeper, "running");
    for (int i = 0; i < 5; i++)
        api_submit(daemon_url(d), sleep, id);
    submit(d, "\"handler\":\"primes\",\"input\":{\"n\":10},\"lane\":\"cpu\"", id);
    int64_t since_ms = clock_mono_ms();
    receiver_wait(receiver, 1);
    ck_assert_int_lt(clock_mono_ms() - since_ms, SOON_MS);
    wait_callback(d, id, "succeeded");
    daemon_free(&d);
    receiver_stop(&receiver);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_callback_is_signed_and_on_the_future,
        test_callback_tells_of_failure_and_cancel,
        test_callback_of_another_life_and_in_a_batch,
        test_callback_is_delivered_by_the_next_daemon,
        test_callbacks_are_counted,
        test_callback_is_not_for_clients,
        test_callback_bad_secret_is_refused_at_start,
        test_callback_url_that_is_not_allowed_is_refused,
        test_callback_does_not_wait_for_other_receivers,
        test_callback_does_not_wait_for_tasks,
    };
    return suite_run("callback", tests, FUT_COUNT(tests));
}
