/* What clients say of a task: bytes kept as they came, and every refusal with its place. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api/resources/submission.h"
#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/suite.h"

static const struct {
    const char *text, *input, *type;
} good[] = {
    {"{\"handler\":\"h\"}", "", "application/octet-stream"},
    {"{\"handler\":\"h\",\"input\":\"a\\u00e9\\n\"}", "a\xC3\xA9\n", "text/plain; charset=utf-8"},
    {"{\"handler\":\"h\",\"input\":null}", "null", "application/json"},
    {"{\"handler\":\"h\" , \"input\" : -1.50e2 }", "-1.50e2", "application/json"},
    {" {\"input\":[1, {\"input\":\"}]\\\"\"}] ,\"handler\":\"h\"}\n", "[1, {\"input\":\"}]\\\"\"}]",
     "application/json"},
    {"{\"\\u0069nput\":{\"b\": 1},\"handler\":\"h\"}", "{\"b\": 1}", "application/json"},
    {"{\"handler\":\"h\",\"input\":true}", "true", "application/json"},
    {"{\"handler\":\"h\",\"input\":{}}", "{}", "application/json"},
    {"{\"handler\":\"h\",\"lane\":null,\"timeout\":null,\"retries\":null,\"input\":1}", "1",
     "application/json"},
    {"{\"handler\":\"h\",\"base64\":\"aGVsbG8=\"}", "hello", "application/octet-stream"},
    {"{\"base64\":\"\",\"content_type\":null,\"handler\":\"h\"}", "", "application/octet-stream"},
    {"{\"content_type\":\"image/x\",\"base64\":\"Pz8\\/QX5\\u002b\",\"handler\":\"h\"}", "???A~~",
     "image/x"},
    {"{\"base64\":\"WzFd\",\"content_type\":\"application/json\",\"handler\":\"h\"}", "[1]",
     "application/json"},
};

START_TEST(test_submission_keeps_the_input_as_it_came)
{
    struct submission t;
    struct problem p;
    ck_assert_int_eq(submission_read(good[_i].text, strlen(good[_i].text), &t, &p), 0);
    ck_assert_str_eq(t.handler, "h");
    ck_assert_uint_eq(t.input_len, strlen(good[_i].input));
    ck_assert(memcmp(t.input ? t.input : "", good[_i].input, t.input_len) == 0);
    ck_assert_str_eq(t.input_type, good[_i].type);
    ck_assert(!t.has_lane && t.timeout_ms == 0 && t.retries == -1);
    submission_release(&t);
}
END_TEST

START_TEST(test_submission_reads_the_options)
{
    static const char text[] = "{\"handler\":\"h\",\"lane\":\"cpu\",\"timeout\":1.5,\"retries\":"
                               "100,\"input\":\"a\\u0000b\",\"unique\":\"u\","
                               "\"retry_on\":[\"exit\",\"limit\"],"
                               "\"backoff\":{\"first\":0.5,\"max\":9,\"jitter\":0},"
                               "\"run_at\":\"2027-01-31T10:00:00+02:00\",\"delay\":0,"
                               "\"expires_in\":1.5,\"deadline\":31622400,"
                               "\"queue\":\"mail.1\",\"priority\":-100,\"fair_key\":\"t 42\","
                               "\"callback\":{\"url\":\"https://a/b\"}}";
    struct submission t;
    struct problem p;
    ck_assert_int_eq(submission_read(text, sizeof(text) - 1, &t, &p), 0);
    ck_assert(t.has_lane && t.lane == LANE_CPU);
    ck_assert_int_eq(t.timeout_ms, 1500);
    ck_assert_int_eq(t.retries, 100);
    ck_assert_int_eq(t.times.run_at_wall_ms, 1801382400000);
    ck_assert_int_eq(t.times.delay_ms, 0);
    ck_assert_int_eq(t.times.expires_in_ms, 1500);
    ck_assert_int_eq(t.times.deadline_ms, 31622400000);
    ck_assert_str_eq(t.unique, "u");
    ck_assert_str_eq(t.queue, "mail.1");
    ck_assert_int_eq(t.priority, -100);
    ck_assert_str_eq(t.fair_key, "t 42");
    ck_assert_str_eq(t.callback_url, "https://a/b");
    ck_assert_uint_eq(t.retry.on, RETRY_TEMPORARY | RETRY_EXIT | RETRY_LIMIT);
    ck_assert_int_eq(t.retry.first_ms, 500);
    ck_assert_int_eq(t.retry.max_ms, 9000);
    ck_assert(t.retry.says_jitter && t.retry.jitter_percent == 0);
    ck_assert_uint_eq(t.input_len, 3);
    submission_release(&t);
}
END_TEST

#define T(name, value) "{\"handler\":\"h\",\"" name "\":" value "}"

static const struct {
    const char *text;
    enum problem_code code;
    const char *field, *says;
    int line, column;
} bad[] = {
    {"", PROBLEM_BAD_JSON, "", "empty", 1, 1},
    {" \n ", PROBLEM_BAD_JSON, "", "empty", 1, 1},
    {"{\"handler\":\"h\"", PROBLEM_BAD_JSON, "", "near end of file", 1, 0},
    {"{\"handler\":\"h\",}", PROBLEM_BAD_JSON, "", "'}'", 1, 0},
    {"{\"handler\":\n\n  oops}", PROBLEM_BAD_JSON, "", "oops", 3, 0},
    {"{\"handler\":\"h\"} x", PROBLEM_BAD_JSON, "", "x", 1, 0},
    {"{\"handler\":\"a\",\"handler\":\"b\"}", PROBLEM_BAD_JSON, "", "duplicate", 1, 0},
    {T("input", "{\"a\":1,\"a\":2}"), PROBLEM_BAD_JSON, "", "duplicate", 1, 0},
    {T("input", "\"\xff\""), PROBLEM_BAD_JSON, "", "0xff", 1, 0},
    {T("input", "01"), PROBLEM_BAD_JSON, "", NULL, 1, 0},
    {T("input", "NaN"), PROBLEM_BAD_JSON, "", "NaN", 1, 0},
    {"[]", PROBLEM_WRONG_TYPE, "", "an object, not an array", 0, 0},
    {"\"text\"", PROBLEM_WRONG_TYPE, "", "not a string", 0, 0},
    {"{}", PROBLEM_MISSING_FIELD, "handler", "missing", 0, 0},
    {"{\"handler\":5}", PROBLEM_WRONG_TYPE, "handler",
     "a string that names a handler, not a number", 0, 0},
    {"{\"handler\":\"../x\"}", PROBLEM_INVALID_VALUE, "handler", NULL, 0, 0},
    {"{\"handler\":\"h\\u0000x\"}", PROBLEM_INVALID_VALUE, "handler", NULL, 0, 0},
    {T("inptu", "1"), PROBLEM_UNKNOWN_FIELD, "inptu", "\"input\"", 0, 0},
    {T("lane", "\"gpu\""), PROBLEM_INVALID_VALUE, "lane", "\"io\" or \"cpu\", not gpu", 0, 0},
    {T("lane", "true"), PROBLEM_WRONG_TYPE, "lane", "not true", 0, 0},
    {T("timeout", "\"10\""), PROBLEM_WRONG_TYPE, "timeout", "seconds", 0, 0},
    {T("timeout", "0"), PROBLEM_INVALID_VALUE, "timeout", "not 0", 0, 0},
    {T("timeout", "86400.1"), PROBLEM_INVALID_VALUE, "timeout", "86400", 0, 0},
    {T("timeout", "1e300"), PROBLEM_INVALID_VALUE, "timeout", "1e+300", 0, 0},
    {T("delay", "-1"), PROBLEM_INVALID_VALUE, "delay", "from 0 to 31622400, not -1", 0, 0},
    {T("delay", "31622401"), PROBLEM_INVALID_VALUE, "delay", "31622400", 0, 0},
    {T("delay", "\"1\""), PROBLEM_WRONG_TYPE, "delay", "seconds", 0, 0},
    {T("run_at", "\"tomorrow\""), PROBLEM_INVALID_VALUE, "run_at", "2027-01-31T08:00:00Z", 0, 0},
    {T("run_at", "\"2027-02-29T08:00:00Z\""), PROBLEM_INVALID_VALUE, "run_at", "RFC 3339", 0, 0},
    {T("run_at", "1800000000"), PROBLEM_WRONG_TYPE, "run_at", "not a number", 0, 0},
    {T("expires_in", "0"), PROBLEM_INVALID_VALUE, "expires_in", "from 0.001", 0, 0},
    {T("deadline", "1e9"), PROBLEM_INVALID_VALUE, "deadline", "31622400", 0, 0},
    {T("queue", "\"\""), PROBLEM_INVALID_VALUE, "queue", "1 to 64", 0, 0},
    {T("queue", "\"a b\""), PROBLEM_INVALID_VALUE, "queue", "not a b", 0, 0},
    {T("queue", "\"(callbacks)\""), PROBLEM_INVALID_VALUE, "queue", "1 to 64", 0, 0},
    {T("queue", "\"a\\u0000b\""), PROBLEM_INVALID_VALUE, "queue", NULL, 0, 0},
    {T("priority", "101"), PROBLEM_INVALID_VALUE, "priority", "-100 to 100, not 101", 0, 0},
    {T("priority", "0.5"), PROBLEM_INVALID_VALUE, "priority", "not 0.5", 0, 0},
    {T("priority", "\"high\""), PROBLEM_WRONG_TYPE, "priority", "a whole number", 0, 0},
    {T("fair_key", "\"\""), PROBLEM_INVALID_VALUE, "fair_key", "1 to 128", 0, 0},
    {T("fair_key", "\"a\\u0000b\""), PROBLEM_INVALID_VALUE, "fair_key", NULL, 0, 0},
    {T("retries", "-1"), PROBLEM_INVALID_VALUE, "retries", "0 to 100", 0, 0},
    {T("retries", "1.5"), PROBLEM_INVALID_VALUE, "retries", "not 1.5", 0, 0},
    {T("retries", "[]"), PROBLEM_WRONG_TYPE, "retries", "not an array", 0, 0},
    {T("retry_on", "\"exit\""), PROBLEM_WRONG_TYPE, "retry_on", "an array", 0, 0},
    {T("retry_on", "[\"exit\",\"sleep\"]"), PROBLEM_INVALID_VALUE, "retry_on", "\"limit\"", 0, 0},
    {T("retry_on", "[1]"), PROBLEM_INVALID_VALUE, "retry_on", "an array of", 0, 0},
    {T("backoff", "1"), PROBLEM_WRONG_TYPE, "backoff", "an object", 0, 0},
    {T("backoff", "{\"first\":0}"), PROBLEM_INVALID_VALUE, "backoff.first", "0.001", 0, 0},
    {T("backoff", "{\"max\":86401}"), PROBLEM_INVALID_VALUE, "backoff.max", "86400", 0, 0},
    {T("backoff", "{\"jitter\":1.01}"), PROBLEM_INVALID_VALUE, "backoff.jitter", "0 to 1", 0, 0},
    {T("backoff", "{\"first\":9,\"max\":8}"), PROBLEM_INVALID_VALUE, "backoff.first",
     "no longer than", 0, 0},
    {T("backoff", "{\"factor\":2}"), PROBLEM_UNKNOWN_FIELD, "backoff", "factor", 0, 0},
    {T("base64", "1"), PROBLEM_WRONG_TYPE, "base64", "bytes in base64", 0, 0},
    {T("base64", "\"aGVsbG8\""), PROBLEM_INVALID_VALUE, "base64", "RFC 4648", 0, 0},
    {T("base64", "\"aGVs bG8\""), PROBLEM_INVALID_VALUE, "base64", "RFC 4648", 0, 0},
    {T("base64", "\"aGVs\\u0000G8=\""), PROBLEM_INVALID_VALUE, "base64", NULL, 0, 0},
    {T("base64", "\"AAAA\",\"input\":\"a\\n\""), PROBLEM_INVALID_VALUE, "base64", "not both", 0, 0},
    {T("input", "1,\"base64\":\"AAAA\""), PROBLEM_INVALID_VALUE, "base64", "not both", 0, 0},
    {T("input", "1,\"content_type\":\"a/b\""), PROBLEM_INVALID_VALUE, "content_type", "the type of",
     0, 0},
    {T("base64", "\"AAAA\",\"content_type\":\"\""), PROBLEM_INVALID_VALUE, "content_type",
     "1 to 127", 0, 0},
    {T("base64", "\"AAAA\",\"content_type\":\"application/json\""), PROBLEM_BAD_JSON, "base64",
     NULL, 1, 0},
    {T("unique", "1"), PROBLEM_WRONG_TYPE, "unique", "1 to 255", 0, 0},
    {T("unique", "\"\""), PROBLEM_INVALID_VALUE, "unique", "1 to 255", 0, 0},
    {T("unique", "\"a\\u0000b\""), PROBLEM_INVALID_VALUE, "unique", NULL, 0, 0},
    {T("callback", "\"http://a/\""), PROBLEM_WRONG_TYPE, "callback", "an object with", 0, 0},
    {T("callback", "{}"), PROBLEM_MISSING_FIELD, "callback.url", "missing", 0, 0},
    {T("callback", "{\"url\":1}"), PROBLEM_WRONG_TYPE, "callback.url", "not a number", 0, 0},
    {T("callback", "{\"url\":\"ftp://a\"}"), PROBLEM_INVALID_VALUE, "callback.url", "ftp://a", 0,
     0},
    {T("callback", "{\"url\":\"http://a\",\"x\":1}"), PROBLEM_UNKNOWN_FIELD, "callback",
     "callback.x", 0, 0},
};

START_TEST(test_submission_refuses_and_says_where)
{
    struct submission t;
    struct problem p;
    ck_assert_int_eq(submission_read(bad[_i].text, strlen(bad[_i].text), &t, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, bad[_i].code);
    ck_assert_str_eq(p.field, bad[_i].field);
    ck_assert_int_eq(p.line, bad[_i].line);
    if (bad[_i].column)
        ck_assert_int_eq(p.column, bad[_i].column);
    if (bad[_i].says && !strstr(p.detail, bad[_i].says))
        ck_abort_msg("\"%s\" does not say \"%s\"", p.detail, bad[_i].says);
}
END_TEST

/* jansson swallows a NUL that follows a number or a word; found by tests/fuzz/fuzz_json_check.c. */
static const struct {
    const char *text;
    size_t n;
    int column;
} with_nul[] = {
#define WITH_NUL(text, column)                                                                     \
    {                                                                                              \
        text, sizeof(text) - 1, column                                                             \
    }
    WITH_NUL("null\0", 5),
    WITH_NUL("{\"handler\":\"h\",\"input\":1\0}", 25),
    WITH_NUL("{\"handler\":\"h\",\"retries\":2\0,\"input\":true}", 27),
    WITH_NUL("\0{\"handler\":\"h\"}", 1),
    WITH_NUL("{\"handler\":\"h\"}\0", 16),
};

START_TEST(test_submission_refuses_nul_bytes)
{
    struct submission t;
    struct problem p;
    ck_assert_int_eq(submission_read(with_nul[_i].text, with_nul[_i].n, &t, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, PROBLEM_BAD_JSON);
    ck_assert_int_eq(p.line, 1);
    ck_assert_int_eq(p.column, with_nul[_i].column);
}
END_TEST

/* Long texts are not built into the tree of the body. */
static const struct {
    const char *begin, *end, *input_begin, *input_end;
} long_inputs[] = {
    {"{\"handler\":\"h\",\"input\":\"", "\"}", "", ""},
    {"{\"handler\":\"h\",\"input\":\"\\n", "\\u00e9\\\"\"}", "\n", "\xC3\xA9\""},
    {"{\"inp\\u0075t\":\"", "\",\"handler\":\"h\"}", "", ""},
    {"{\"input\": {\"a\":[\"", "\", 1]} ,\"handler\":\"h\"}", "{\"a\":[\"", "\", 1]}"},
    {"{\"input\": [{\"input\":\"x\\n", "\"}],\"handler\":\"h\"}", "[{\"input\":\"x\\n", "\"}]"},
    {"{\"input\":{\"", "\":1},\"handler\":\"h\"}", "{\"", "\":1}"},
};

enum { LONG = 1000 };

static char *around(const char *begin, const char *end, size_t *out_n)
{
    char *filler = xmalloc(LONG);
    memset(filler, 'x', LONG);
    struct buf b = BUF_INIT;
    buf_puts(&b, begin);
    buf_put(&b, filler, LONG);
    buf_puts(&b, end);
    free(filler);
    return buf_take(&b, out_n);
}

START_TEST(test_submission_keeps_long_inputs)
{
    struct submission t;
    struct problem p;
    size_t n, input_n;
    char *text = around(long_inputs[_i].begin, long_inputs[_i].end, &n);
    char *input = around(long_inputs[_i].input_begin, long_inputs[_i].input_end, &input_n);
    ck_assert_int_eq(submission_read(text, n, &t, &p), 0);
    ck_assert_uint_eq(t.input_len, input_n);
    ck_assert(memcmp(t.input, input, input_n) == 0);
    submission_release(&t);
    free(input);
    free(text);
}
END_TEST

/* Nothing but inputs is left out, and a refusal is that of the whole text. */
static const struct {
    const char *begin, *end, *field;
    enum problem_code code;
    int column;
} long_bad[] = {
    {"{\"handler\":\"", "\",\"input\":1}", "handler", PROBLEM_INVALID_VALUE, 0},
    {"{\"handler\":\"h\",\"input\":\"", "\",\"unique\":\"\"}", "unique", PROBLEM_INVALID_VALUE, 0},
    {"{\"handler\":\"h\",\"input\":\"", "\",}", "", PROBLEM_BAD_JSON, 1000 + 27},
    {"{\"handler\":\"h\",\"input\":\"", "\\x\"}", "", PROBLEM_BAD_JSON, 1000 + 26},
    {"{\"handler\":\"h\",\"input\":\"", "\" \"a\"}", "", PROBLEM_BAD_JSON, 0},
    {"{\"handler\":\"h\",\"input\":{\"a\":1,\"b\":\"", "\",\"a\":2}}", "", PROBLEM_BAD_JSON, 0},
};

START_TEST(test_submission_refuses_beside_long_inputs)
{
    struct submission t;
    struct problem p;
    size_t n;
    char *text = around(long_bad[_i].begin, long_bad[_i].end, &n);
    ck_assert_int_eq(submission_read(text, n, &t, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, long_bad[_i].code);
    ck_assert_str_eq(p.field, long_bad[_i].field);
    if (long_bad[_i].column)
        ck_assert_int_eq(p.column, long_bad[_i].column);
    free(text);
}
END_TEST

static const struct {
    const char *name, *value;
} queries[] = {
    {"lane", "cpu"}, {"timeout", "1.5"}, {"retries", "7"}, {"delay", "2"}, {"expires_in", "4"}};

static const char *query_arg(void *ctx, const char *name)
{
    const char *only = ctx;
    for (size_t i = 0; i < FUT_COUNT(queries); i++)
        if (strcmp(queries[i].name, name) == 0)
            return only ? only : queries[i].value;
    return NULL;
}

START_TEST(test_submission_reads_a_query)
{
    struct submission s;
    struct problem p;
    ck_assert_int_eq(submission_read_query(query_arg, NULL, &s, &p), 0);
    ck_assert(s.has_lane && s.lane == LANE_CPU && s.timeout_ms == 1500 && s.retries == 7);
    ck_assert(s.times.delay_ms == 2000 && s.times.expires_in_ms == 4000);
    ck_assert(!s.handler && s.input_len == 0);
    submission_release(&s);
}
END_TEST

START_TEST(test_submission_refuses_a_query_by_its_parameter)
{
    static char text[] = "caf\xe9";
    struct submission s;
    struct problem p;
    ck_assert_int_eq(submission_read_query(query_arg, text, &s, &p), FUT_ERR_INVAL);
    ck_assert_int_eq(p.code, PROBLEM_INVALID_PARAMETER);
    ck_assert_str_eq(p.parameter, "lane");
    ck_assert_str_eq(p.field, "");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("submission");
    tcase_add_loop_test(t, test_submission_keeps_the_input_as_it_came, 0, FUT_COUNT(good));
    tcase_add_test(t, test_submission_reads_the_options);
    tcase_add_loop_test(t, test_submission_refuses_and_says_where, 0, FUT_COUNT(bad));
    tcase_add_loop_test(t, test_submission_refuses_nul_bytes, 0, FUT_COUNT(with_nul));
    tcase_add_loop_test(t, test_submission_keeps_long_inputs, 0, FUT_COUNT(long_inputs));
    tcase_add_loop_test(t, test_submission_refuses_beside_long_inputs, 0, FUT_COUNT(long_bad));
    tcase_add_test(t, test_submission_reads_a_query);
    tcase_add_test(t, test_submission_refuses_a_query_by_its_parameter);
    return suite_run_cases("submission", t, NULL);
}
