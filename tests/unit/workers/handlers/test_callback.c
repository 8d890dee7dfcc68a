/* Callbacks: the signature's known answer, and deliveries to a receiver on loopback. */

#include "tests/support/receiver.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "workers/handlers/webhook.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

/* ---- signatures ---- */

START_TEST(test_webhook_known_answer)
{
    struct webhook_secret secret;
    char signature[WEBHOOK_SIGNATURE_SIZE];
    static const char body[] = "{\"test\": 2432232314}";
    ck_assert_int_eq(webhook_secret_parse(SECRET, &secret, NULL), 0);
    ck_assert_uint_eq(secret.n, 24);
    webhook_sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, sizeof(body) - 1,
                 signature);
    ck_assert_str_eq(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
END_TEST

static const char *const bad_secrets[] = {
    "",
    "whsec_",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",       /* no prefix */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",  /* not whole groups */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La aSw", /* a blank */
    "whsec_MfKQ9r8GKYqrTwjU",                 /* 12 bytes: too short */
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL===", /* too much padding */
};

START_TEST(test_webhook_refuses_bad_secrets)
{
    struct webhook_secret secret;
    struct fut_errbuf err;
    ck_assert_int_eq(webhook_secret_parse(bad_secrets[_i], &secret, &err), FUT_ERR_INVAL);
    ck_assert_ptr_null(strstr(err.text, "MfKQ"));
}
END_TEST

/* ---- deliveries ---- */

static struct receiver *receiver;

static void setup(void)
{
    (void)unsetenv("http_proxy");
    live_secret = SECRET;
    live_start(1, 1); /* one pool thread: its connection must serve all */
    receiver = receiver_start(true);
}

static void teardown(void)
{
    live_stop();
    receiver_stop(&receiver);
}

/* A task and the one that tells of it, as the api submits them. Returns the second's id. */
static struct task_id submit_pair(const char *handler, const char *input, uint32_t retries,
                                  struct task_id *out_parent)
{
    char url[128];
    (void)snprintf(url, sizeof(url), "{\"url\":\"http://127.0.0.1:%u/hook\"}",
                   receiver_port(receiver));
    struct task_spec parent = {.id = id_new(),
                               .lane = LANE_CPU,
                               .timeout_ms = 10000,
                               .created_wall_ms = clock_wall_ms(),
                               .handler = handler,
                               .input_type = CONTENT_JSON,
                               .traceparent = "00-aa-bb-01",
                               .input = (const unsigned char *)input,
                               .input_len = strlen(input)};
    struct task_spec hook = {.id = id_new(),
                             .lane = LANE_IO,
                             .retries = retries,
                             .timeout_ms = 30000,
                             .created_wall_ms = clock_wall_ms(),
                             .handler = "callback",
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)url,
                             .input_len = strlen(url),
                             .after = parent.id};
    parent.callback = hook.id;
    struct task pair[2] = {{.spec = task_spec_new(&parent), .state = TASK_QUEUED},
                           {.spec = task_spec_new(&hook), .state = TASK_SCHEDULED}};
    struct store_submit o = {.tasks = pair, .n = 2};
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    task_release(&pair[0]);
    task_release(&pair[1]);
    *out_parent = parent.id;
    return hook.id;
}

/* The value of a header in a kept request. */
static const char *header(int i, const char *name, char out[256])
{
    ck_assert_msg(receiver_header(receiver, i, name, out) != NULL, "no %s in %s", name,
                  receiver_request(receiver, i));
    return out;
}

static void assert_signed(int i)
{
    struct webhook_secret secret;
    char id[256], at[256], seen[256], want[WEBHOOK_SIGNATURE_SIZE];
    ck_assert_int_eq(webhook_secret_parse(SECRET, &secret, NULL), 0);
    int64_t wall_s = strtoll(header(i, "webhook-timestamp", at), NULL, 10);
    webhook_sign(&secret, header(i, "webhook-id", id), wall_s, receiver_body(receiver, i),
                 strlen(receiver_body(receiver, i)), want);
    ck_assert_str_eq(header(i, "webhook-signature", seen), want);
    ck_assert_int_le(llabs(clock_wall_ms() / 1000 - wall_s), 60);
}

static const struct {
    const char *handler, *input, *type;
} endings[] = {
    {"echo", "1", "{\"type\":\"future.succeeded\","},
    {"fails", "1", "{\"type\":\"future.failed\","},
};

START_TEST(test_callback_tells_of_the_end)
{
    struct task_id parent, hook;
    char text[ID_TEXT_SIZE], seen[256];
    hook = submit_pair(endings[_i].handler, endings[_i].input, 0, &parent);
    struct task t = live_wait(hook, TASK_SUCCEEDED);
    ck_assert_str_eq((const char *)t.outcome->body, "{\"status\":204}");
    task_release(&t);
    ck_assert_int_eq(strncmp(receiver_request(receiver, 0), "POST /hook HTTP/1.1\r\n", 21), 0);
    ck_assert_int_eq(
        strncmp(receiver_body(receiver, 0), endings[_i].type, strlen(endings[_i].type)), 0);
    id_format(parent, text);
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 0), text));
    id_format(hook, text);
    ck_assert_str_eq(header(0, "webhook-id", seen), text);
    ck_assert_str_eq(header(0, "traceparent", seen), "00-aa-bb-01");
    ck_assert_str_eq(header(0, "content-type", seen), "application/json");
    assert_signed(0);
}
END_TEST

START_TEST(test_callback_is_tried_again_with_the_same_id)
{
    struct task_id parent, hook;
    char first[256], second[256];
    receiver_refuse(receiver, 1);
    hook = submit_pair("echo", "1", 8, &parent);
    struct task t = live_wait(hook, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.attempt, 2);
    task_release(&t);
    ck_assert_int_eq(receiver_requests(receiver), 2);
    ck_assert_str_eq(header(0, "webhook-id", first), header(1, "webhook-id", second));
    ck_assert_str_eq(receiver_body(receiver, 0), receiver_body(receiver, 1));
    assert_signed(1);
}
END_TEST

START_TEST(test_callback_failure_leaves_the_future_alone)
{
    struct task_id parent, hook;
    receiver_refuse(receiver, 100);
    hook = submit_pair("echo", "1", 0, &parent);
    struct task t = live_wait(hook, TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "callback_failed");
    ck_assert_ptr_nonnull(strstr(t.outcome->message, "500"));
    task_release(&t);
    t = live_wait(parent, TASK_SUCCEEDED);
    task_release(&t);
}
END_TEST

/* The receiver has it: what it says about that does not matter. */
START_TEST(test_callback_counts_a_2xx_whose_body_is_cut_off)
{
    struct task_id parent;
    receiver_answer(receiver, 1, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"thanks");
    struct task t = live_wait(submit_pair("echo", "1", 0, &parent), TASK_SUCCEEDED);
    ck_assert_str_eq((const char *)t.outcome->body, "{\"status\":200}");
    task_release(&t);
    ck_assert_int_eq(receiver_requests(receiver), 1);
}
END_TEST

START_TEST(test_callback_is_ended_by_410)
{
    struct task_id parent;
    receiver_answer(receiver, 1, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    struct task t = live_wait(submit_pair("echo", "1", 8, &parent), TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "callback_gone");
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
}
END_TEST

static const char *const pauses[] = {
    "HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 600\r\n\r\n",
    "HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: 600\r\n\r\n",
};

START_TEST(test_callback_honours_retry_after)
{
    struct task_id parent, hook;
    int64_t began = clock_wall_ms();
    receiver_answer(receiver, 1, pauses[_i]);
    hook = submit_pair("echo", "1", 8, &parent);
    receiver_wait(receiver, 1);
    struct task t = live_wait(hook, TASK_SCHEDULED);
    ck_assert_uint_eq(t.attempt, 1);
    ck_assert_int_ge(t.due_wall_ms, began + 600000);
    ck_assert_int_le(t.due_wall_ms, clock_wall_ms() + 800000);
    task_release(&t);
}
END_TEST

START_TEST(test_callback_is_delivered_when_its_future_is_deleted)
{
    struct task_id parent, hook;
    char text[ID_TEXT_SIZE];
    receiver_refuse(receiver, 1);
    hook = submit_pair("echo", "1", 8, &parent);
    receiver_wait(receiver, 1);
    struct store_delete o = {.id = parent};
    ck_assert_int_eq(store_post(live.store, &store_verb_delete, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    struct task t = live_wait(hook, TASK_SUCCEEDED);
    task_release(&t);
    ck_assert_str_eq(receiver_body(receiver, 0), receiver_body(receiver, 1));
    id_format(parent, text);
    ck_assert_ptr_nonnull(strstr(receiver_body(receiver, 1), text));
}
END_TEST

START_TEST(test_callback_and_http_share_a_connection)
{
    struct task_id parent;
    char input[128];
    for (int i = 0; i < 5; i++) {
        struct task t = live_wait(submit_pair("echo", "1", 0, &parent), TASK_SUCCEEDED);
        task_release(&t);
        (void)snprintf(input, sizeof(input),
                       "{\"url\":\"http://127.0.0.1:%u/\",\"method\":\"POST\",\"body\":\"x\"}",
                       receiver_port(receiver));
        t = live_wait(live_submit("http", LANE_IO, input, 10000, 0), TASK_SUCCEEDED);
        task_release(&t);
    }
    ck_assert_int_eq(receiver_requests(receiver), 10);
    ck_assert_int_eq(receiver_connections(receiver), 1);
}
END_TEST

/* ---- the catalog ---- */

START_TEST(test_callback_is_internal)
{
    struct handlers *h;
    ck_assert_int_eq(handlers_load(NULL, &h, NULL), 0);
    const struct catalog *c = handlers_catalog(h);
    ck_assert(catalog_find(c, "callback")->is_internal);
    ck_assert_ptr_null(catalog_find_public(c, "callback"));
    ck_assert_ptr_nonnull(catalog_find_public(c, "echo"));
    handlers_free(&h);
}
END_TEST

int main(void)
{
    TCase *pure = tcase_create("webhook");
    tcase_add_test(pure, test_webhook_known_answer);
    tcase_add_loop_test(pure, test_webhook_refuses_bad_secrets, 0, (int)FUT_COUNT(bad_secrets));
    tcase_add_test(pure, test_callback_is_internal);
    TCase *t = suite_case("callback", 60, setup, teardown);
    tcase_add_loop_test(t, test_callback_tells_of_the_end, 0, (int)FUT_COUNT(endings));
    tcase_add_test(t, test_callback_is_tried_again_with_the_same_id);
    tcase_add_test(t, test_callback_failure_leaves_the_future_alone);
    tcase_add_test(t, test_callback_counts_a_2xx_whose_body_is_cut_off);
    tcase_add_test(t, test_callback_is_ended_by_410);
    tcase_add_loop_test(t, test_callback_honours_retry_after, 0, (int)FUT_COUNT(pauses));
    tcase_add_test(t, test_callback_is_delivered_when_its_future_is_deleted);
    tcase_add_test(t, test_callback_and_http_share_a_connection);
    return suite_run_cases("callback", pure, t, NULL);
}
