/* Writing JSON: escapes, broken UTF-8, base64, numbers, and a future as clients see it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api/resources/future_json.h"
#include "api/text/json_out.h"
#include "api/text/problem.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define BAD "\xEF\xBF\xBD"

static const struct {
    const char *in;
    size_t n;
    const char *out;
} texts[] = {
    {"", 0, "\"\""},
    {"plain ~", 7, "\"plain ~\""},
    {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
    {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
    {"\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\""},
    {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
    {"a\xFFz", 3, "\"a" BAD "z\""},
    {"\xC0\xAF", 2, "\"" BAD BAD "\""},         /* overlong */
    {"\xED\xA0\x80", 3, "\"" BAD BAD BAD "\""}, /* a surrogate */
    {"\xF4\x90\x80\x80", 4, "\"" BAD BAD BAD BAD "\""},
    {"\xE2\x82", 2, "\"" BAD BAD "\""}, /* cut */
    {"\xC3", 1, "\"" BAD "\""},
};

START_TEST(test_json_out_text_is_always_valid)
{
    struct buf b = BUF_INIT;
    json_out_text(&b, texts[_i].in, texts[_i].n);
    ck_assert_str_eq(b.data, texts[_i].out);
    buf_release(&b);
}
END_TEST

static const struct text_case base64[] = {
    {"", "\"\""},
    {"f", "\"Zg==\""},
    {"fo", "\"Zm8=\""},
    {"foo", "\"Zm9v\""},
    {"foob", "\"Zm9vYg==\""},
    {"fooba", "\"Zm9vYmE=\""},
    {"foobar", "\"Zm9vYmFy\""},
    {"\xff\xfe\xfd", "\"//79\""},
};

START_TEST(test_json_out_base64_matches_the_rfc)
{
    struct buf b = BUF_INIT;
    json_out_base64(&b, base64[_i].given, strlen(base64[_i].given));
    ck_assert_str_eq(b.data, base64[_i].expected);
    buf_release(&b);
}
END_TEST

START_TEST(test_json_out_members_and_commas)
{
    struct buf b = BUF_INIT;
    buf_putc(&b, '{');
    json_out_int(&b, "min", INT64_MIN);
    json_out_uint(&b, "max", UINT64_MAX);
    json_out_str(&b, "none", NULL);
    json_out_plain(&b, "plain", "as it is");
    json_out_plain(&b, "empty", "");
    json_out_bool(&b, "yes", true);
    json_out_seconds(&b, "s", 1500);
    json_out_seconds(&b, "t", 60000);
    json_out_seconds(&b, "u", 7);
    json_out_time(&b, "never", 0);
    json_out_time(&b, "then", 1);
    buf_putc(&b, '}');
    ck_assert_str_eq(b.data, "{\"min\":-9223372036854775808,\"max\":18446744073709551615,"
                             "\"none\":null,\"plain\":\"as it "
                             "is\",\"empty\":\"\",\"yes\":true,\"s\":1.5,\"t\":60,\"u\":0.007,"
                             "\"never\":null,\"then\":\"1970-01-01T00:00:00.001Z\"}");
    buf_release(&b);
}
END_TEST

static struct task make_task(enum task_state state, const struct task_outcome *o)
{
    struct task_spec spec = {.id = {0x0123456789ab7defULL, 0x8123456789abcdefULL},
                             .created_wall_ms = 1,
                             .handler = "h",
                             .input_type = CONTENT_BYTES};
    return (struct task){.spec = task_spec_new(&spec),
                         .state = state,
                         .outcome = o ? task_outcome_new(o) : NULL,
                         .due_wall_ms = state == TASK_SCHEDULED ? 2 : 0};
}

#define ID "01234567-89ab-7def-8123-456789abcdef"

static const struct {
    enum task_state state;
    struct task_outcome outcome;
    const char *has, *has_not;
} futures[] = {
    {TASK_QUEUED,
     {0},
     "{\"id\":\"" ID "\",\"handler\":\"h\",\"lane\":\"io\",\"state\":\"queued\"",
     "due_at"},
    {TASK_SCHEDULED, {0}, "\"due_at\":\"1970-01-01T00:00:00.002Z\"}", "result"},
    {TASK_SUCCEEDED,
     {.type = "application/json", .body = (const unsigned char *)"[1]", .body_len = 3},
     "\"result\":[1]}",
     "error"},
    {TASK_SUCCEEDED,
     {.type = "text/css", .body = (const unsigned char *)"f", .body_len = 1},
     "\"result\":{\"content_type\":\"text/css\",\"text\":\"f\",\"href\":\"/v1/futures/" ID
     "/result\"}}",
     "error"},
    {TASK_SUCCEEDED,
     {.type = "text/plain; charset=latin1", .body = (const unsigned char *)"f", .body_len = 1},
     "\"base64\":\"Zg==\"",
     "\"text\""},
    {TASK_SUCCEEDED,
     {.type = "Text/Plain;charset=UTF-8", .body = (const unsigned char *)"\xff", .body_len = 1},
     "\"base64\":\"/w==\"",
     "\"text\""},
    {TASK_SUCCEEDED,
     {.type = "text/x; charset=utf-8",
      .body = (const unsigned char *)"h\xc3\xa9\n\"",
      .body_len = 5},
     "\"text\":\"h\xc3\xa9\\n\\\"\",\"href\"",
     "base64"},
    {TASK_SUCCEEDED, {.type = "application/json"}, "\"base64\":\"\"", "\"result\":}"},
    {TASK_FAILED,
     {.code = "handler_failed", .message = "m", .error_type = "ValueError", .exit_code = -1},
     "\"error\":{\"code\":\"handler_failed\",\"message\":\"m\",\"type\":\"ValueError\"}}",
     "\"exit_code\""},
    {TASK_FAILED,
     {.code = "exit", .message = "m", .exit_code = 3, .log = "l", .log_len = 1},
     "\"error\":{\"code\":\"exit\",\"message\":\"m\",\"exit_code\":3,\"log\":\"l\"}}",
     "\"signal\""},
    {TASK_FAILED,
     {.code = "signal", .exit_code = -1, .signal = 9},
     "\"error\":{\"code\":\"signal\",\"signal\":\"SIGKILL\"}}",
     "exit_code"},
    {TASK_CANCELLED,
     {.code = "cancelled", .message = "m", .exit_code = -1},
     "\"error\":{\"code\":\"cancelled\",\"message\":\"m\"}}",
     "result"},
};

START_TEST(test_json_out_future_shows_result_or_error)
{
    bool is_done = task_state_is_final(futures[_i].state);
    struct task t = make_task(futures[_i].state, is_done ? &futures[_i].outcome : NULL);
    struct buf b = BUF_INIT;
    future_json_write(&b, &t);
    if (!strstr(b.data, futures[_i].has) || strstr(b.data, futures[_i].has_not))
        ck_abort_msg("%s", b.data);
    b.len = 0;
    future_json_write_summary(&b, &t, NULL);
    ck_assert_ptr_null(strstr(b.data, "\"result\""));
    ck_assert_ptr_null(strstr(b.data, "\"log\""));
    buf_release(&b);
    task_release(&t);
}
END_TEST

START_TEST(test_json_out_problem_names_what_is_wrong)
{
    struct problem p;
    struct buf b = BUF_INIT;
    problem_set(&p, PROBLEM_BAD_JSON, "near \"%s\"", "\xff");
    p.line = 2;
    p.column = 3;
    problem_set_field(&p, "f");
    problem_write(&b, &p);
    ck_assert_str_eq(b.data,
                     "{\"type\":\"/problems/bad_json\",\"title\":\"The body is not valid "
                     "JSON\",\"status\":400,\"detail\":\"near \\\"" BAD
                     "\\\"\",\"code\":\"bad_json\",\"field\":\"f\",\"line\":2,\"column\":3}");
    buf_release(&b);
}
END_TEST

START_TEST(test_json_out_every_error_has_a_problem)
{
    for (int rc = 0; rc >= FUT_ERR_BUSY - 1; rc--) {
        struct problem p;
        problem_from_err(&p, rc);
        ck_assert_uint_ge(problem_status(p.code), 400);
        ck_assert_uint_gt(strlen(p.detail), 0);
    }
    for (int c = 0; c < PROBLEM_COUNT; c++) {
        enum problem_code back;
        ck_assert_ptr_nonnull(problem_name((enum problem_code)c));
        ck_assert(problem_parse(problem_name((enum problem_code)c), &back));
        ck_assert_ptr_nonnull(problem_title((enum problem_code)c));
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("json_out");
    tcase_add_loop_test(t, test_json_out_text_is_always_valid, 0, FUT_COUNT(texts));
    tcase_add_loop_test(t, test_json_out_base64_matches_the_rfc, 0, FUT_COUNT(base64));
    tcase_add_test(t, test_json_out_members_and_commas);
    tcase_add_loop_test(t, test_json_out_future_shows_result_or_error, 0, FUT_COUNT(futures));
    tcase_add_test(t, test_json_out_problem_names_what_is_wrong);
    tcase_add_test(t, test_json_out_every_error_has_a_problem);
    return suite_run_cases("json_out", t, NULL);
}
