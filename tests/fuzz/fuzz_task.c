/* The body of POST /v1/tasks. A mark before it makes the parser read what would otherwise be read
 * without a tree (json_members): both say the same, and it alone refuses. */
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

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_retry(const struct retry_policy *a, const struct retry_policy *b)
{
    return a->on == b->on && a->first_ms == b->first_ms && a->max_ms == b->max_ms &&
           a->says_jitter == b->says_jitter && a->jitter_percent == b->jitter_percent;
}

static void check_same(const struct submission *a, const struct submission *b)
{
    FUT_ASSERT(same_text(a->handler, b->handler) && same_text(a->unique, b->unique) &&
               same_text(a->queue, b->queue) && same_text(a->fair_key, b->fair_key) &&
               same_text(a->callback_url, b->callback_url));
    FUT_ASSERT(!a->input == !b->input && a->input_len == b->input_len &&
               (!a->input || memcmp(a->input, b->input, a->input_len) == 0));
    FUT_ASSERT(same_text(a->input_type, b->input_type) && a->has_refs == b->has_refs);
    FUT_ASSERT(a->has_lane == b->has_lane && a->lane == b->lane && a->timeout_ms == b->timeout_ms);
    FUT_ASSERT(a->times.delay_ms == b->times.delay_ms &&
               a->times.run_at_wall_ms == b->times.run_at_wall_ms &&
               a->times.expires_in_ms == b->times.expires_in_ms &&
               a->times.deadline_ms == b->times.deadline_ms);
    FUT_ASSERT(a->once == b->once && a->retries == b->retries && a->priority == b->priority &&
               same_retry(&a->retry, &b->retry));
    FUT_ASSERT(a->limits.n == b->limits.n && a->session.hi == b->session.hi &&
               a->session.lo == b->session.lo &&
               json_equal((json_t *)(uintptr_t)a->after, (json_t *)(uintptr_t)b->after) ==
                   (a->after != NULL));
}

static void check_by_tree(const struct submission *t, const char *text, size_t n)
{
    struct submission by_tree;
    struct problem p;
    char *marked = malloc(n + 3);
    FUT_ASSERT(marked);
    memcpy(marked, "\xEF\xBB\xBF", 3);
    memcpy(marked + 3, text, n);
    int rc = json_walk_mark(text, n) ? 0 : submission_read(marked, n + 3, &by_tree, &p);
    FUT_ASSERT(rc == 0);
    if (!json_walk_mark(text, n)) {
        check_same(t, &by_tree);
        submission_release(&by_tree);
    }
    free(marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct submission t;
    struct problem p;
    char *text = fuzz_bytes(data, n);
    if (submission_read(text, n, &t, &p) == 0) {
        check_task(&t);
        check_input(&t, text, n);
        check_by_tree(&t, text, n);
        submission_release(&t);
    } else {
        fuzz_check_problem(&p); /* by the tree, too: what it refuses no other one takes */
    }
    free(text);
    return 0;
}
