/* Each built-in as a function: known answers, bad input by name of the field, cancel. */
#include <check.h>
#include <jansson.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "workers/handlers/builtins/builtins.h"

static struct run run;

static void call(const char *handler, const void *input, size_t n, const char *type)
{
    run_init(&run, input, n, type, 1 << 20);
    builtins_find(handler)->fn(&run);
}

static void call_json(const char *handler, const char *input)
{
    call(handler, input, strlen(input), CONTENT_JSON);
}

START_TEST(test_echo_gives_bytes_and_type_back)
{
    call("echo", "a\0b\xff", 4, "image/x-test");
    ck_assert_int_eq(run.class, RUN_SUCCESS);
    ck_assert_str_eq(run.type, "image/x-test");
    ck_assert_uint_eq(run.body.len, 4);
    ck_assert_mem_eq(run.body.data, "a\0b\xff", 4);
    run_release(&run);
}
END_TEST

START_TEST(test_echo_of_nothing)
{
    call("echo", NULL, 0, CONTENT_BYTES);
    ck_assert_int_eq(run.class, RUN_SUCCESS);
    ck_assert_uint_eq(run.body.len, 0);
    run_release(&run);
}
END_TEST

START_TEST(test_echo_does_not_pass_bad_json_on)
{
    call_json("echo", "{\"a\":");
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "result_not_json");
    run_release(&run);
}
END_TEST

START_TEST(test_result_over_the_limit)
{
    run_init(&run, "12345", 5, CONTENT_BYTES, 4);
    echo_run(&run);
    ck_assert_str_eq(run.code, "result_too_large");
    run_release(&run);
}
END_TEST

static const struct text_case_of answers[] = {
    {"sha256", "",
     "{\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"bytes\":"
     "0}"},
    {"sha256", "hello",
     "{\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"bytes\":"
     "5}"},
    {"primes", "{\"below\":0}", "{\"below\":0,\"count\":0,\"largest\":null}"},
    {"primes", "{\"below\":2}", "{\"below\":2,\"count\":0,\"largest\":null}"},
    {"primes", "{\"below\":3}", "{\"below\":3,\"count\":1,\"largest\":2}"},
    {"primes", "{\"below\":4}", "{\"below\":4,\"count\":2,\"largest\":3}"},
    {"primes", "{\"below\":10}", "{\"below\":10,\"count\":4,\"largest\":7}"},
    {"primes", "{\"below\":100}", "{\"below\":100,\"count\":25,\"largest\":97}"},
    {"primes", "{\"below\":131072}", "{\"below\":131072,\"count\":12251,\"largest\":131071}"},
    {"primes", "{\"below\":131071}", "{\"below\":131071,\"count\":12250,\"largest\":131063}"},
    {"primes", "{\"below\":1000000}", "{\"below\":1000000,\"count\":78498,\"largest\":999983}"},
    {"primes", "{\"below\":10000000}", "{\"below\":10000000,\"count\":664579,\"largest\":9999991}"},
};

START_TEST(test_builtins_known_answers)
{
    call_json(answers[_i].subject, answers[_i].given);
    ck_assert_int_eq(run.class, RUN_SUCCESS);
    ck_assert_str_eq(run.body.data, answers[_i].expected);
    ck_assert_str_eq(run.type, CONTENT_JSON);
    run_release(&run);
}
END_TEST

static const struct text_case_of mistakes[] = {
    {"primes", "", "not a JSON object"},
    {"primes", "[1]", "must be a JSON object"},
    {"primes", "{\"below\":\n 1x}", "line 2"},
    {"primes", "{}", "field \"below\" is missing"},
    {"primes", "{\"below\":\"ten\"}", "field \"below\" is \"ten\"; allowed: a whole number"},
    {"primes", "{\"below\":-1}", "field \"below\" is -1"},
    {"primes", "{\"below\":1.5}", "field \"below\" is 1.5"},
    {"primes", "{\"below\":1000000000001}", "1000000000001"},
    {"primes", "{\"below\":1,\"above\":2}", "unknown field \"above\"; allowed: \"below\""},
    {"primes", "{\"below\":1,\"below\":2}", "duplicate"},
    {"sleep", "{}", "exactly one of"},
    {"sleep", "{\"ms\":1,\"seconds\":1}", "exactly one of"},
    {"sleep", "{\"ms\":-1}", "field \"ms\" is -1"},
    {"sleep", "{\"seconds\":\"1\"}", "field \"seconds\" is \"1\""},
    {"sleep", "{\"seconds\":1e300}", "field \"seconds\""},
    {"http", "{}", "field \"url\" is missing"},
    {"http", "{\"url\":\"file:///etc/passwd\"}", "field \"url\""},
    {"http", "{\"url\":7}", "field \"url\" is 7"},
    {"http", "{\"url\":\"http://x/\",\"method\":\"GE T\"}", "field \"method\""},
    {"http", "{\"url\":\"http://x/\",\"method\":1}", "field \"method\" is 1"},
    {"http", "{\"url\":\"http://x/\",\"headers\":[]}", "field \"headers\""},
    {"http", "{\"url\":\"http://x/\",\"headers\":{\"a\":1}}", "field \"headers\""},
    {"http", "{\"url\":\"http://x/\",\"headers\":{\"a\":\"b\\r\\nc: d\"}}", "field \"headers\""},
    {"http", "{\"url\":\"http://x/\",\"headers\":{\"a b\":\"c\"}}", "field \"headers\""},
    {"http", "{\"url\":\"http://x/\",\"body\":{}}", "field \"body\" is {}"},
    {"http", "{\"url\":\"http://x/\",\"timeout\":0}", "field \"timeout\" is 0"},
    {"http", "{\"url\":\"http://x/\",\"timeout\":\"1\"}", "field \"timeout\""},
    {"http", "{\"url\":\"http://x/\",\"verify\":false}", "unknown field \"verify\""},
};

START_TEST(test_builtins_name_the_mistake)
{
    call_json(mistakes[_i].subject, mistakes[_i].given);
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "bad_input");
    ck_assert_msg(strstr(run.message.data, mistakes[_i].expected) != NULL, "case %d: %s", _i,
                  run.message.data);
    run_release(&run);
}
END_TEST

START_TEST(test_sleep_sleeps)
{
    int64_t from_ms = clock_mono_ms();
    call_json("sleep", "{\"ms\":30}");
    ck_assert_int_eq(run.class, RUN_SUCCESS);
    ck_assert_int_ge(clock_mono_ms() - from_ms, 30);
    run_release(&run);
}
END_TEST

static void *call_in_thread(void *handler)
{
    builtins_find(handler)->fn(&run);
    return NULL;
}

static const struct {
    const char *handler, *input;
} endless[] = {{"sleep", "{\"seconds\":3600}"}, {"primes", "{\"below\":1000000000000}"}};

START_TEST(test_builtins_end_on_cancel)
{
    pthread_t t;
    const char *input = endless[_i].input;
    run_init(&run, input, strlen(input), CONTENT_JSON, 1 << 20);
    thread_start(&t, "handler", call_in_thread, (void *)(uintptr_t)endless[_i].handler);
    run_cancel(&run);
    thread_join(t); /* the case's timeout is the deadline */
    ck_assert_int_eq(run.class, RUN_FAILED);
    ck_assert_str_eq(run.code, "cancelled");
    run_release(&run);
}
END_TEST

START_TEST(test_sha256_cancelled_before_it_began)
{
    run_init(&run, "x", 1, CONTENT_BYTES, 100);
    run_cancel(&run);
    sha256_run(&run);
    ck_assert_str_eq(run.code, "cancelled");
    run_release(&run);
}
END_TEST

START_TEST(test_run_without_a_result_is_internal)
{
    run_init(&run, NULL, 0, CONTENT_BYTES, 100);
    struct task_outcome *o = run_outcome(&run);
    ck_assert_str_eq(o->code, "internal");
    task_outcome_unref(o);
    run_release(&run);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_echo_gives_bytes_and_type_back, 0},
        {test_echo_of_nothing, 0},
        {test_echo_does_not_pass_bad_json_on, 0},
        {test_result_over_the_limit, 0},
        {test_builtins_known_answers, FUT_COUNT(answers)},
        {test_builtins_name_the_mistake, FUT_COUNT(mistakes)},
        {test_sleep_sleeps, 0},
        {test_builtins_end_on_cancel, FUT_COUNT(endless)},
        {test_sha256_cancelled_before_it_began, 0},
        {test_run_without_a_result_is_internal, 0},
    };
    return suite_run_rows("builtins", 30, NULL, NULL, rows, FUT_COUNT(rows));
}
