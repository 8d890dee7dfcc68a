/* The pure parts of what clients rely on: idempotency keys, entity tags, reasons to wait,
 * traceparent. */
#include <check.h>
#include <string.h>

#include "api/resources/idempotency.h"
#include "api/resources/version.h"
#include "api/resources/waiting_for.h"
#include "api/text/params.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static const struct text_case keys[] = {
    {"\"order-1\"", "order-1"},
    {" \"a b, c\" ", "a b, c"},
    {"\"a\\\"b\\\\c\"", "a\"b\\c"},
    {"order-1", "order-1"},
    {"8e03978e-40d5-43dd-bc93-6894a57f9324 ", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
    {"", NULL},
    {"\"\"", NULL},
    {"\"open", NULL},
    {"\"a\\x\"", NULL},
    {"\"a\"b", NULL},
    {"a b", NULL},
    {"a,b", NULL},
    {"a\"b", NULL},
    {"t\xc3\xa4g", NULL},
};

START_TEST(test_idempotency_parses_keys)
{
    char out[TASK_KEY_MAX + 1];
    bool ok = idempotency_parse(keys[_i].given, out);
    ck_assert_int_eq(ok, keys[_i].expected != NULL);
    if (ok)
        ck_assert_str_eq(out, keys[_i].expected);
}
END_TEST

START_TEST(test_idempotency_limits_the_length)
{
    char header[TASK_KEY_MAX + 2], out[TASK_KEY_MAX + 1];
    memset(header, 'k', sizeof(header));
    header[TASK_KEY_MAX] = '\0';
    ck_assert(idempotency_parse(header, out));
    ck_assert_uint_eq(strlen(out), TASK_KEY_MAX);
    header[TASK_KEY_MAX] = 'k';
    header[TASK_KEY_MAX + 1] = '\0';
    ck_assert(!idempotency_parse(header, out));
}
END_TEST

static const struct text_verdict tags[] = {
    {"W/\"00112233\"", true},
    {"\"00112233\"", true},
    {"*", true},
    {"\"x\", W/\"00112233\"", true},
    {"W/\"0011223\"", false},
    {"W/\"001122334\"", false},
    {"00112233", false},
    {"", false},
    {"\"x\" , \"y\"", false},
};

START_TEST(test_show_matches_entity_tags_weakly)
{
    ck_assert_int_eq(version_matches(tags[_i].given, "W/\"00112233\""), tags[_i].expected);
}
END_TEST

static struct task make_task(enum task_state state, const struct task_spec *from)
{
    struct task_spec spec = *from;
    spec.id = (struct task_id){0x0193a1b27c007000, 0x8a2b3c4d5e6f7081};
    spec.handler = "echo";
    spec.input_type = CONTENT_BYTES;
    spec.timeout_ms = 1000;
    return (struct task){.spec = task_spec_new(&spec), .state = state, .attempt = 1};
}

START_TEST(test_version_is_a_version)
{
    char a[VERSION_ETAG_SIZE], b[VERSION_ETAG_SIZE], half_way[] = "half way";
    struct task t = make_task(TASK_RUNNING, &(struct task_spec){0});
    struct store_reported none = {.progress = -1}, half = {.progress = 0.5}, text = half;
    text.message = half_way;
    version_etag(&t, &none, NULL, a);
    version_etag(&t, &none, NULL, b);
    ck_assert_str_eq(a, b);
    version_etag(&t, &half, NULL, b);
    ck_assert_str_ne(a, b);
    version_etag(&t, &text, NULL, a);
    ck_assert_str_ne(a, b);
    t.attempt = 2;
    version_etag(&t, &text, NULL, b);
    ck_assert_str_ne(a, b);
    t.state = TASK_SUCCEEDED;
    version_etag(&t, &text, NULL, a);
    version_etag(&t, NULL, NULL, b);
    ck_assert_str_eq(a, b); /* a result is the last word, whatever was reported */
    task_release(&t);
}
END_TEST

START_TEST(test_version_follows_the_callback_of_a_done_future)
{
    char a[VERSION_ETAG_SIZE], b[VERSION_ETAG_SIZE];
    struct task t = make_task(TASK_SUCCEEDED, &(struct task_spec){0});
    struct task callback = make_task(TASK_QUEUED, &(struct task_spec){0});
    version_etag(&t, NULL, &callback, a);
    callback.state = TASK_RUNNING;
    version_etag(&t, NULL, &callback, b);
    ck_assert_str_ne(a, b);
    task_release(&t);
    task_release(&callback);
}
END_TEST

/* ---- waiting_for ----------------------------------------------------------------------------- */

#define POOLS(b, c, alive, died)                                                                   \
    {                                                                                              \
        .lanes = {{.busy = (b), .capacity = (c)}, {.busy = (b), .capacity = (c)}},                 \
        .workers_alive = (alive), .workers_died = (died), .last_exit_code = -1, .last_signal = 11  \
    }

/* ctx: the handler whose program does not start. */
static bool find_broken(void *ctx, const char *handler, struct pool_broken *out)
{
    *out = (struct pool_broken){.since_wall_ms = 1764000000123,
                                .words = "it exited with 3: no \"model\""};
    return strcmp(handler, ctx) == 0;
}

static char this_one[] = "echo", another[] = "nlp";
static const struct pool_view broken_view = {.ctx = this_one, .broken = find_broken};
static const struct pool_view other_broken_view = {.ctx = another, .broken = find_broken};

static const struct {
    enum task_state state;
    enum lane lane;
    uint64_t after;
    int64_t due;
    struct waiting_scene scene;
    const char *code; /* "": nothing is written */
    const char *more;
} reasons[] = {
    {TASK_SCHEDULED,
     LANE_IO,
     0x0193a1b27c007001,
     0,
     {.has_pools = true},
     "waits_for",
     "\"id\":\"0193a1b2-7c00-7001-"},
    {TASK_SCHEDULED,
     LANE_IO,
     0,
     1764000000123,
     {.has_pools = true},
     "retry_backoff",
     "\"until\":\"2025-11-24T16:00:00.123Z\""},
    {TASK_QUEUED, LANE_IO, 0, 0, {.has_pools = true, .is_draining = true}, "draining", ""},
    {TASK_QUEUED, LANE_IO, 0, 0, {.has_pools = false}, "no_pool", ""},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true, .pools = POOLS(0, 2, 0, 7)},
     "workers_broken",
     "\"workers_died\":7,\"last_signal\":11}"},
    {TASK_QUEUED,
     LANE_IO,
     0,
     0,
     {.has_pools = true, .pools = POOLS(0, 2, 0, 7)},
     "starting",
     "\"busy\":0,\"capacity\":2"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true, .pools = POOLS(2, 2, 2, 7), .stats.live[LANE_CPU][TASK_QUEUED] = 9},
     "no_free_slot",
     "\"lane\":\"cpu\",\"queued\":9,\"busy\":2,\"capacity\":2"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = {.lanes = {[LANE_CPU] = {.capacity = 2,
                                        .pause = {1764000000123, "client", "why"}}}}},
     "lane_paused",
     "\"capacity\":2,\"paused_at\":\"2025-11-24T16:00:00.123Z\",\"paused_by\":\"client\","
     "\"reason\":\"why\"}"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = POOLS(2, 2, 2, 7),
      .reported = &(struct store_reported){.place = 1000}},
     "no_free_slot",
     "\"lane\":\"cpu\",\"position\":1000,\"queued\":"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = POOLS(2, 2, 2, 7),
      .reported = &(struct store_reported){.place = 1001}},
     "no_free_slot",
     "\"lane\":\"cpu\",\"position_over\":1000,\"queued\":"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = {.lanes = {[LANE_CPU] = {.capacity = 2}}, .programs_broken = 1},
      .view = &broken_view},
     "program_broken",
     "\"capacity\":2,\"broken_at\":\"2025-11-24T16:00:00.123Z\","
     "\"last_words\":\"it exited with 3: no \\\"model\\\"\"}"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = {.lanes = {[LANE_CPU] = {.capacity = 2}}, .programs_broken = 1},
      .view = &other_broken_view},
     "starting",
     ""},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true,
      .pools = {.lanes = {[LANE_CPU] = {.busy = 1,
                                        .unsaved = 1,
                                        .unsaved_rc = FUT_ERR_NO_SPACE,
                                        .capacity = 2}}}},
     "results_unsaved",
     "\"busy\":1,\"capacity\":2,\"unsaved\":1,\"unsaved_error\":\"no_space\"}"},
    {TASK_QUEUED,
     LANE_CPU,
     0,
     0,
     {.has_pools = true, .pools = {.lanes = {[LANE_CPU] = {.unsaved = 1, .capacity = 2}}}},
     "starting",
     "\"busy\":0,\"capacity\":2}"},
    {TASK_QUEUED,
     LANE_IO,
     0,
     0,
     {.has_pools = true, .pools = POOLS(0, 2, 2, 0), .stats.health = FUT_ERR_IO},
     "store_refuses",
     "\"busy\":0,\"capacity\":2,\"store_error\":\"store_failed\"}"},
    {TASK_QUEUED,
     LANE_IO,
     0,
     0,
     {.has_pools = true, .pools = POOLS(2, 2, 2, 0), .stats.health = FUT_ERR_IO},
     "no_free_slot",
     "\"busy\":2"},
    {TASK_RUNNING, LANE_IO, 0, 0, {.has_pools = true}, "", ""},
    {TASK_SUCCEEDED, LANE_IO, 0, 0, {.has_pools = true}, "", ""},
    {TASK_CANCELLED, LANE_IO, 0, 0, {.is_draining = true}, "", ""},
};

START_TEST(test_waiting_for_names_the_reason)
{
    struct buf out = BUF_INIT, want = BUF_INIT;
    struct task t =
        make_task(reasons[_i].state,
                  &(struct task_spec){.lane = reasons[_i].lane, .after = {reasons[_i].after, 1}});
    struct waiting_scene scene = reasons[_i].scene;
    struct fut_errbuf err;
    ck_assert_int_eq(store_open(&(struct store_config){.backend = "memory", .max_queued = 1},
                                &scene.store, &err),
                     0);
    t.due_wall_ms = reasons[_i].due;
    buf_putc(&out, '{');
    waiting_for_write(&out, &t, &scene);
    store_close(&scene.store);
    buf_printf(&want, "\"waiting_for\":{\"code\":\"%s\"", reasons[_i].code);
    if (*reasons[_i].code)
        ck_assert_msg(strstr(out.data, want.data) && strstr(out.data, reasons[_i].more), "%s",
                      out.data);
    else
        ck_assert_str_eq(out.data, "{");
    buf_release(&out);
    buf_release(&want);
    task_release(&t);
}
END_TEST

/* ---- text ------------------------------------------------------------------------------------ */

static const struct text_verdict traces[] = {
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
    {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
    {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false},
    {"00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01", false},
    {"", false},
};

START_TEST(test_params_traceparent)
{
    ck_assert_int_eq(params_traceparent(traces[_i].given) != NULL, traces[_i].expected);
}
END_TEST

static const struct text_verdict urls[] = {
    {"http://a/b?c=d", true}, {"HTTPS://example.com", true},
    {"http://", false},       {"http:///x", false},
    {"ftp://a/", false},      {"http://a b", false},
    {"http://a/\n", false},   {"", false},
};

START_TEST(test_params_url)
{
    ck_assert_int_eq(params_url_ok(urls[_i].given), urls[_i].expected);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, test_idempotency_parses_keys, 0, (int)FUT_COUNT(keys));
    tcase_add_test(tc, test_idempotency_limits_the_length);
    tcase_add_loop_test(tc, test_show_matches_entity_tags_weakly, 0, (int)FUT_COUNT(tags));
    tcase_add_test(tc, test_version_is_a_version);
    tcase_add_test(tc, test_version_follows_the_callback_of_a_done_future);
    tcase_add_loop_test(tc, test_waiting_for_names_the_reason, 0, (int)FUT_COUNT(reasons));
    tcase_add_loop_test(tc, test_params_traceparent, 0, (int)FUT_COUNT(traces));
    tcase_add_loop_test(tc, test_params_url, 0, (int)FUT_COUNT(urls));
    return suite_run_cases("behaviour", tc, NULL);
}
