#include "core/end_codes.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/retry.h"

#define DIED (RETRY_SIGNAL | RETRY_CRASH)

struct row {
    const char *text;
    enum task_event event;
    unsigned retry_on; /* bits of enum retry_end; 0: never */
    const char *sentence;
};

/* What is wrong with the input or the result is wrong at the next attempt, too: never. */
static const struct row rows[] = {
    [END_OK] = {"ok", EVENT_SUCCEED, 0, "A result, or exit 0; this word is in the log alone."},
    [END_RELEASED] = {"released", EVENT_RELEASE, 0,
                      "Given back without being charged; this word is in the log alone."},
    [END_CANCELLED] = {"cancelled", EVENT_CANCEL, 0, "A client cancelled the task or its batch."},
    [END_DAEMON_DIED] = {"daemon_died", EVENT_LOSE, 0, "The daemon ended during the attempt."},
    [END_EXPIRED] = {"expired", EVENT_EXPIRE, 0, "No attempt had begun within `expires_in`."},
    [END_DEADLINE] = {"deadline", EVENT_OVERDUE, 0,
                      "The task had not ended within `deadline`, over all its attempts."},
    [END_PARENT_FAILED] = {"parent_failed", EVENT_CANCEL, 0,
                           "A task whose success it needs (`after`) did not succeed."},
    [END_NOT_NEEDED] = {"not_needed", EVENT_CANCEL, 0,
                        "A task whose failure it was for (`after`) succeeded."},
    [END_BAD_SUSPENSION] = {"bad_suspension", EVENT_FAIL, 0,
                            "The attempt suspended its task for a future that is not known, or for "
                            "more than 1,000."},
    [END_DEADLOCK] = {"deadlock", EVENT_FAIL, 0,
                      "The attempt suspended its task for a future that waits for the task itself; "
                      "the message names the circle."},
    [END_SESSION_BROKEN] = {"session_broken", EVENT_FAIL, 0,
                            "The `init` of its session has failed in a worker process; so do all "
                            "tasks of the session."},
    [END_UNRESOLVED_INPUT] = {"unresolved_input", EVENT_FAIL, 0,
                              "A result to which the input refers (`$result`) is gone, is not "
                              "JSON, or has nothing at the pointer."},
    [END_INPUT_TOO_LARGE] = {"input_too_large", EVENT_FAIL, 0,
                             "The input with the results to which it refers is too large."},
    [END_EXIT] = {"exit", EVENT_FAIL, RETRY_EXIT,
                  "The program exited with another code than 0; 75 is a temporary failure."},
    [END_SIGNAL] = {"signal", EVENT_FAIL, RETRY_SIGNAL, "A signal ended the program."},
    [END_SPAWN_FAILED] = {"spawn_failed", EVENT_FAIL, RETRY_ERROR,
                          "The program's arguments and environment are too large."},
    [END_WORKER_DIED] = {"worker_died", EVENT_FAIL, DIED,
                         "The worker process died or closed its channel."},
    [END_WORKER_PROTOCOL] = {"worker_protocol", EVENT_FAIL, DIED,
                             "The worker did not keep to the protocol and was killed."},
    [END_TIMEOUT] = {"timeout", EVENT_FAIL, RETRY_TIMEOUT,
                     "The attempt did not end within its timeout."},
    [END_CPU_LIMIT] = {"cpu_limit", EVENT_FAIL, RETRY_LIMIT,
                       "More CPU time than the handler's limit."},
    [END_MEMORY_LIMIT] = {"memory_limit", EVENT_FAIL, RETRY_LIMIT,
                          "More memory than the handler's limit."},
    [END_OUTPUT_LIMIT] = {"output_limit", EVENT_FAIL, RETRY_LIMIT,
                          "More output than the handler's limit."},
    [END_FILES_LIMIT] = {"files_limit", EVENT_FAIL, RETRY_LIMIT,
                         "More open files than the handler's limit."},
    [END_PROCESSES_LIMIT] = {"processes_limit", EVENT_FAIL, RETRY_LIMIT,
                             "More processes than the handler's limit."},
    [END_BAD_INPUT] = {"bad_input", EVENT_FAIL, 0, "The handler does not take this input."},
    [END_UNKNOWN_HANDLER] = {"unknown_handler", EVENT_FAIL, 0,
                             "The handler is no longer in the handlers file."},
    [END_RESULT_TOO_LARGE] = {"result_too_large", EVENT_FAIL, 0,
                              "The result is larger than FUTURED_MAX_RESULT."},
    [END_RESULT_NOT_JSON] = {"result_not_json", EVENT_FAIL, 0,
                             "The result should be application/json and is not JSON."},
    [END_HANDLER_FAILED] = {"handler_failed", EVENT_FAIL, RETRY_ERROR,
                            "A worker reported a failure; it may call the failure temporary."},
    [END_HTTP_FAILED] = {"http_failed", EVENT_FAIL, RETRY_ERROR,
                         "A transfer failed; temporary when it is safe to repeat."},
    [END_HTTP_STATUS] = {"http_status", EVENT_FAIL, RETRY_ERROR,
                         "A status in `fail_on`; temporary: 429, 503, and 5xx where the method is "
                         "safe to repeat."},
    [END_NOT_ALLOWED] = {"not_allowed", EVENT_FAIL, RETRY_ERROR,
                         "The URL or its address is not allowed."},
    [END_CALLBACK_FAILED] = {"callback_failed", EVENT_RETRY, RETRY_ERROR,
                             "A callback was not answered with 2xx: always temporary."},
    [END_SUPERSEDED] = {"superseded", EVENT_FAIL, RETRY_ERROR,
                        "The future of the callback was given another life."},
    [END_INTERNAL] = {"internal", EVENT_FAIL, RETRY_ERROR, "A fault of the daemon's own."},
};
_Static_assert(FUT_COUNT(rows) == END_CODE_COUNT, "a row for each code");

const char *end_code_text(enum end_code code)
{
    return rows[code].text;
}

enum task_event end_code_event(enum end_code code)
{
    return rows[code].event;
}

unsigned end_code_of(const char *text)
{
    unsigned code = 0;
    while (code < END_CODE_COUNT && strcmp(rows[code].text, text) != 0)
        code++;
    return code;
}

unsigned end_code_retry_on(const char *text)
{
    unsigned code = end_code_of(text);
    return code < END_CODE_COUNT ? rows[code].retry_on : RETRY_ERROR;
}

static void print_words(const struct row *r)
{
    const char *word;
    unsigned end;
    if (r->event == EVENT_RETRY)
        (void)fputs("always", stdout);
    else if (r->event == EVENT_FAIL && !r->retry_on)
        (void)fputs("never", stdout);
    else
        for (size_t i = 0; (word = retry_end_word(i, &end)) != NULL; i++) {
            if (r->retry_on & end)
                (void)printf("%s%s", r->retry_on & (end - 1) ? " " : "", word);
        }
}

void end_codes_dump(void)
{
    (void)printf("| code | event | `retry_on` | what happened |\n|---|---|---|---|\n");
    for (size_t i = 0; i < FUT_COUNT(rows); i++) {
        (void)printf("| `%s` | %s | ", rows[i].text, task_event_name(rows[i].event));
        print_words(&rows[i]);
        (void)printf(" | %s |\n", rows[i].sentence);
    }
}
