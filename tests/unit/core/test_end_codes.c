/* The table of how attempts end, against one written by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/end_codes.h"
#include "core/mem.h"
#include "core/retry.h"
#include "tests/support/suite.h"

static const struct {
    enum end_code code;
    const char *text;
    enum task_event event;
    unsigned retry_on;
} rows[] = {
    {END_OK, "ok", EVENT_SUCCEED, 0},
    {END_RELEASED, "released", EVENT_RELEASE, 0},
    {END_CANCELLED, "cancelled", EVENT_CANCEL, 0},
    {END_DAEMON_DIED, "daemon_died", EVENT_LOSE, 0},
    {END_EXPIRED, "expired", EVENT_EXPIRE, 0},
    {END_DEADLINE, "deadline", EVENT_OVERDUE, 0},
    {END_PARENT_FAILED, "parent_failed", EVENT_CANCEL, 0},
    {END_NOT_NEEDED, "not_needed", EVENT_CANCEL, 0},
    {END_BAD_SUSPENSION, "bad_suspension", EVENT_FAIL, 0},
    {END_DEADLOCK, "deadlock", EVENT_FAIL, 0},
    {END_SESSION_BROKEN, "session_broken", EVENT_FAIL, 0},
    {END_UNRESOLVED_INPUT, "unresolved_input", EVENT_FAIL, 0},
    {END_INPUT_TOO_LARGE, "input_too_large", EVENT_FAIL, 0},
    {END_EXIT, "exit", EVENT_FAIL, RETRY_EXIT},
    {END_SIGNAL, "signal", EVENT_FAIL, RETRY_SIGNAL},
    {END_SPAWN_FAILED, "spawn_failed", EVENT_FAIL, RETRY_ERROR},
    {END_WORKER_DIED, "worker_died", EVENT_FAIL, RETRY_SIGNAL | RETRY_CRASH},
    {END_WORKER_PROTOCOL, "worker_protocol", EVENT_FAIL, RETRY_SIGNAL | RETRY_CRASH},
    {END_TIMEOUT, "timeout", EVENT_FAIL, RETRY_TIMEOUT},
    {END_CPU_LIMIT, "cpu_limit", EVENT_FAIL, RETRY_LIMIT},
    {END_MEMORY_LIMIT, "memory_limit", EVENT_FAIL, RETRY_LIMIT},
    {END_OUTPUT_LIMIT, "output_limit", EVENT_FAIL, RETRY_LIMIT},
    {END_FILES_LIMIT, "files_limit", EVENT_FAIL, RETRY_LIMIT},
    {END_PROCESSES_LIMIT, "processes_limit", EVENT_FAIL, RETRY_LIMIT},
    {END_BAD_INPUT, "bad_input", EVENT_FAIL, 0},
    {END_UNKNOWN_HANDLER, "unknown_handler", EVENT_FAIL, 0},
    {END_RESULT_TOO_LARGE, "result_too_large", EVENT_FAIL, 0},
    {END_RESULT_NOT_JSON, "result_not_json", EVENT_FAIL, 0},
    {END_HANDLER_FAILED, "handler_failed", EVENT_FAIL, RETRY_ERROR},
    {END_HTTP_FAILED, "http_failed", EVENT_FAIL, RETRY_ERROR},
    {END_HTTP_STATUS, "http_status", EVENT_FAIL, RETRY_ERROR},
    {END_NOT_ALLOWED, "not_allowed", EVENT_FAIL, RETRY_ERROR},
    {END_CALLBACK_FAILED, "callback_failed", EVENT_RETRY, RETRY_ERROR},
    {END_SUPERSEDED, "superseded", EVENT_FAIL, RETRY_ERROR},
    {END_INTERNAL, "internal", EVENT_FAIL, RETRY_ERROR},
};
_Static_assert(FUT_COUNT(rows) == END_CODE_COUNT, "a row for each code");

START_TEST(test_end_codes_row)
{
    ck_assert_str_eq(end_code_text(rows[_i].code), rows[_i].text);
    ck_assert_int_eq(end_code_event(rows[_i].code), rows[_i].event);
    ck_assert_uint_eq(end_code_retry_on(rows[_i].text), rows[_i].retry_on);
}
END_TEST

START_TEST(test_end_codes_are_unique)
{
    for (int i = 0; i < END_CODE_COUNT; i++) {
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(end_code_text((enum end_code)i), end_code_text((enum end_code)k));
    }
}
END_TEST

START_TEST(test_end_codes_of_handlers_are_errors)
{
    ck_assert_uint_eq(end_code_retry_on("no_such_city"), RETRY_ERROR);
    ck_assert_uint_eq(end_code_retry_on("Exit"), RETRY_ERROR);
    ck_assert_uint_eq(end_code_retry_on(""), RETRY_ERROR);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_loop_test(tc, test_end_codes_row, 0, END_CODE_COUNT);
    tcase_add_test(tc, test_end_codes_are_unique);
    tcase_add_test(tc, test_end_codes_of_handlers_are_errors);
    return suite_run_cases("end_codes", tc, NULL);
}
