/* suspension: an attempt that ends by suspending its task until named futures end: what its program
 * said of them, and why the store may refuse it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/end_codes.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/results.h"
#include "workers/scheduler/internal.h"

#define CIRCLE_NAMED 8 /* tasks of a circle that a message names */

struct suspension {
    struct store_wakes wakes;
    struct task_id ids[]; /* of wakes */
};

static void refuse(struct attempt *a, const char *why)
{
    attempt_end(a, RUN_NEVER, task_outcome_error(end_code_text(END_BAD_SUSPENSION), why));
}

/* The next word of the n bytes, which moves *at behind it; NULL: there is none. */
static const char *next_word(const char *text, size_t n, size_t *at, size_t *out_len)
{
    static const char space[] = " \t\r\n";
    while (*at < n && memchr(space, text[*at], sizeof(space) - 1))
        (*at)++;
    size_t from = *at;
    while (*at < n && !memchr(space, text[*at], sizeof(space) - 1))
        (*at)++;
    *out_len = *at - from;
    return *out_len ? text + from : NULL;
}

/* False: the attempt has ended. */
static bool read_ids(struct attempt *a, const char *text, size_t n)
{
    struct suspension *s = a->suspension;
    size_t at = 0, len;
    for (const char *word; (word = next_word(text, n, &at, &len)) != NULL;) {
        char id[ID_TEXT_SIZE] = "", why[160];
        if (len < sizeof(id))
            memcpy(id, word, len);
        if (s->wakes.n == STORE_WAKES_MAX) {
            refuse(a, "A task is suspended for up to 1000 futures.");
            return false;
        }
        if (!id_parse(id, &s->ids[s->wakes.n])) {
            (void)snprintf(why, sizeof(why),
                           "It was to be suspended until \"%.*s\", which is no id.",
                           len < 64 ? (int)len : 64, word);
            refuse(a, why);
            return false;
        }
        s->wakes.n++;
    }
    return true;
}

void suspension_end(struct attempt *a, uint64_t for_ms, const char *ids, size_t n)
{
    size_t at = 0, len;
    a->retry_after_ms = (int64_t)for_ms;
    if (next_word(ids, n, &at, &len)) {
        a->suspension =
            xcalloc(1, sizeof(*a->suspension) + STORE_WAKES_MAX * sizeof(struct task_id));
        a->suspension->wakes.ids = a->suspension->ids;
        if (!read_ids(a, ids, n))
            return;
        a->retry_after_ms = for_ms ? (int64_t)for_ms : -1;
        a->apply.wakes = &a->suspension->wakes;
    }
    attempt_end(a, RUN_SUSPENDED, NULL);
}

static struct task_outcome *describe_circle(const struct attempt_circle *c)
{
    char id[ID_TEXT_SIZE], text[(CIRCLE_NAMED + 2) * (ID_TEXT_SIZE + 16)];
    size_t named = c->n < CIRCLE_NAMED ? c->n : CIRCLE_NAMED;
    size_t at = (size_t)snprintf(text, sizeof(text), "It would wait for ever: ");
    for (size_t i = 0; i < named; i++) {
        id_format(c->ids[i], id);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s waits for ", id);
    }
    id_format(c->ids[0], id);
    (void)snprintf(text + at, sizeof(text) - at, "%s%s.",
                   c->n > named ? "others, of which the last waits for " : "", id);
    return task_outcome_error(end_code_text(END_DEADLOCK), text);
}

struct task_outcome *suspension_refuse(struct attempt *a, int rc)
{
    const struct store_wakes *w = a->apply.wakes;
    char id[ID_TEXT_SIZE], text[128];
    a->apply.wakes = NULL;
    if (rc == FUT_ERR_CONFLICT)
        return describe_circle(&w->circle);
    id_format(w->ids[w->refused], id);
    (void)snprintf(text, sizeof(text),
                   "It was to be suspended until %s ends, and there is no such future.", id);
    return task_outcome_error(end_code_text(END_BAD_SUSPENSION), text);
}
