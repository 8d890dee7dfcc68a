/* The body of POST /v1/tasks. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/resources/submission.h"
#include "api/text/params.h"
#include "core/json_walk.h"
#include "tests/fuzz/fuzz.h"
#include "workers/base/json_check.h"

/* A long text is read by us, not by jansson. */
static void check_text(const struct submission *t, const char *text, size_t n)
{
    size_t mark = json_walk_mark(text, n);
    json_t *root =
        json_loadb(text + mark, n - mark, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *input = json_object_get(root, "input");
    FUT_ASSERT(json_string_length(input) == t->input_len);
    FUT_ASSERT(memcmp(json_string_value(input), t->input, t->input_len) == 0);
    json_decref(root);
}

static void check_input(const struct submission *t, const char *text, size_t n)
{
    if (!t->input)
        return;
    if (strcmp(t->input_type, CONTENT_JSON) != 0) {
        FUT_ASSERT(strcmp(t->input_type, CONTENT_TEXT) == 0);
        check_text(t, text, n);
        return;
    }
    FUT_ASSERT(t->input >= text && t->input + t->input_len <= text + n);
    FUT_ASSERT(json_check(t->input, t->input_len)); /* a second opinion */
}

static void check_task(const struct submission *t)
{
    FUT_ASSERT(task_handler_name_ok(t->handler));
    FUT_ASSERT(t->timeout_ms >= 0 && t->timeout_ms <= TASK_TIMEOUT_MAX_MS);
    FUT_ASSERT(t->retries >= -1 && t->retries <= TASK_RETRIES_MAX);
    FUT_ASSERT(!t->unique || (*t->unique && strlen(t->unique) <= TASK_KEY_MAX));
    FUT_ASSERT(!t->callback_url || params_url_ok(t->callback_url));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct submission t;
    struct problem p;
    char *text = fuzz_bytes(data, n);
    if (submission_read(text, n, &t, &p) == 0) {
        check_task(&t);
        check_input(&t, text, n);
        submission_release(&t);
    } else {
        fuzz_check_problem(&p);
    }
    free(text);
    return 0;
}
