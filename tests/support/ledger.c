#include "tests/support/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/sync.h"
#include "core/task.h"
#include "tests/support/api.h"
#include "tests/support/fail.h"
#include "tests/support/sha256.h"
#include "tests/support/text.h"

#define ROUNDING_MS 2 /* of two clocks */

struct entry {
    struct map_node by_key;
    size_t at;
    char id[ID_TEXT_SIZE];
    enum ledger_kind kind;
    uint64_t input;
    bool cancelled;
    int64_t not_before_wall_ms; /* it was shown suspended until then */
    char *shown;                /* the future as it was first shown done; NULL before */
};

struct ledger {
    struct mutex mu;
    struct map map;              /* guarded by mu */
    struct entry **entries;      /* guarded by mu */
    size_t n, cap;               /* guarded by mu */
    bool deaths;                 /* guarded by mu */
    struct ledger_totals totals; /* guarded by mu */
};

struct ledger *ledger_new(void)
{
    struct ledger *l = xnew(struct ledger);
    mutex_init(&l->mu);
    map_init(&l->map);
    return l;
}

void ledger_free(struct ledger **lp)
{
    struct ledger *l = *lp;
    *lp = NULL;
    for (size_t i = 0; i < l->n; i++) {
        free(l->entries[i]->shown);
        free(l->entries[i]);
    }
    free(l->entries);
    map_release(&l->map);
    mutex_destroy(&l->mu);
    free(l);
}

/* ---- what each kind sends and expects -------------------------------------------------------- */

static const char *const bodies[LEDGER_KINDS] = {
    [LEDGER_SHA256] = "{\"handler\":\"sha256\",\"input\":\"input %llu\"}",
    [LEDGER_ECHO] = "{\"handler\":\"echo\",\"input\":%llu}",
    [LEDGER_JOURNAL] = "{\"handler\":\"journal\",\"input\":%llu}",
    [LEDGER_SLEEPER] = "{\"handler\":\"sleep\",\"input\":{\"ms\":86000000},\"retries\":%llu}",
    [LEDGER_LATER] = "{\"handler\":\"later\",\"input\":%llu}",
};

char *ledger_body(enum ledger_kind kind, uint64_t input)
{
    const char *at = strstr(bodies[kind], "%llu");
    if (kind == LEDGER_SLEEPER)
        input = 0;
    return text_printf("%.*s%llu%s", (int)(at - bodies[kind]), bodies[kind],
                       (unsigned long long)input, at + strlen("%llu"));
}

char *ledger_join_body(uint64_t input, const char *id)
{
    return text_printf("{\"handler\":\"join\",\"input\":[%llu,\"%s\"]}", (unsigned long long)input,
                       id);
}

static bool is_digest(const struct entry *e, const json_t *result)
{
    char text[64], hex[SHA256_HEX_SIZE];
    int n = snprintf(text, sizeof(text), "input %llu", (unsigned long long)e->input);
    sha256_hex(text, (size_t)n, hex);
    return strcmp(api_str(result, "sha256"), hex) == 0 && api_int(result, "bytes") == n;
}

static bool is_number(const struct entry *e, const json_t *result)
{
    return json_is_integer(result) && (uint64_t)json_integer_value(result) == e->input;
}

static bool is_never(const struct entry *e, const json_t *result)
{
    (void)e;
    (void)result;
    return false;
}

static bool (*const is_right[LEDGER_KINDS])(const struct entry *, const json_t *) = {
    [LEDGER_SHA256] = is_digest, [LEDGER_ECHO] = is_number,  [LEDGER_JOURNAL] = is_number,
    [LEDGER_SLEEPER] = is_never, [LEDGER_LATER] = is_number, [LEDGER_JOIN] = is_number,
};

/* ---- entries --------------------------------------------------------------------------------- */

static uint64_t key_of(const char *text)
{
    struct task_id id;
    if (!id_parse(text, &id))
        fail("the daemon gave an id that is none: \"%s\"", text);
    return id.hi;
}

size_t ledger_add(struct ledger *l, enum ledger_kind kind, uint64_t input, const char *id)
{
    struct entry *e = xnew(struct entry);
    e->kind = kind;
    e->input = input;
    (void)snprintf(e->id, sizeof(e->id), "%s", id);
    mutex_lock(&l->mu);
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 1024;
        l->entries = xrealloc(l->entries, l->cap * sizeof(e));
    }
    size_t at = e->at = l->n++;
    l->entries[at] = e;
    map_put(&l->map, &e->by_key, key_of(id));
    l->totals.acknowledged++;
    mutex_unlock(&l->mu);
    return at;
}

void ledger_cancelled(struct ledger *l, size_t at)
{
    mutex_lock(&l->mu);
    l->entries[at]->cancelled = true;
    mutex_unlock(&l->mu);
}

void ledger_expect_deaths(struct ledger *l)
{
    mutex_lock(&l->mu);
    l->deaths = true;
    mutex_unlock(&l->mu);
}

size_t ledger_count(struct ledger *l)
{
    mutex_lock(&l->mu);
    size_t n = l->n;
    mutex_unlock(&l->mu);
    return n;
}

enum ledger_kind ledger_entry(struct ledger *l, size_t at, char out_id[ID_TEXT_SIZE])
{
    mutex_lock(&l->mu);
    const struct entry *e = l->entries[at];
    memcpy(out_id, e->id, ID_TEXT_SIZE);
    enum ledger_kind kind = e->kind;
    mutex_unlock(&l->mu);
    return kind;
}

size_t ledger_find(struct ledger *l, const char *id)
{
    mutex_lock(&l->mu);
    struct map_node *n = map_get(&l->map, key_of(id));
    size_t at = n ? FUT_CONTAINER(n, struct entry, by_key)->at : SIZE_MAX;
    mutex_unlock(&l->mu);
    return at;
}

/* ---- checking -------------------------------------------------------------------------------- */

void ledger_breach(struct ledger *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    mutex_lock(&l->mu);
    l->totals.breaches++;
    (void)fputs("BREACH: ", stdout);
    (void)vprintf(fmt, ap);
    (void)putchar('\n');
    (void)fflush(stdout);
    mutex_unlock(&l->mu);
    va_end(ap);
}

/* Failing is right in one case only: the daemon died under too many of its attempts. */
static bool is_worn_out(const json_t *future)
{
    return strcmp(api_str(future, "error.code"), "daemon_died") == 0 &&
           api_int(future, "attempt") > TASK_DAEMON_DEATHS_MAX;
}

static bool is_killed(const json_t *future)
{
    const char *code = api_str(future, "error.code");
    return strcmp(code, "worker_died") == 0 ||
           (strcmp(code, "signal") == 0 && strcmp(api_str(future, "error.signal"), "SIGKILL") == 0);
}

static bool is_right_end(const struct ledger *l, const struct entry *e, const json_t *future)
{
    const char *state = api_str(future, "state");
    if (strcmp(state, "succeeded") == 0)
        return !e->cancelled && is_right[e->kind](e, api_at(future, "result"));
    if (strcmp(state, "cancelled") == 0)
        return e->kind == LEDGER_SLEEPER;
    return !e->cancelled && (is_worn_out(future) || (l->deaths && is_killed(future)));
}

bool ledger_is_decided(struct ledger *l, size_t at)
{
    mutex_lock(&l->mu);
    bool is = l->entries[at]->shown || l->entries[at]->cancelled;
    mutex_unlock(&l->mu);
    return is;
}

/* Until when it is suspended; 0: it is not, or has no time. */
static int64_t suspended_until(const json_t *future)
{
    int64_t until_wall_ms = 0;
    if (strcmp(api_str(future, "waiting_for.code"), "suspended") == 0)
        (void)clock_parse_rfc3339(api_str(future, "waiting_for.until"), &until_wall_ms);
    return until_wall_ms;
}

static bool begins_too_early(const struct entry *e, const json_t *future)
{
    int64_t started_wall_ms;
    return e->not_before_wall_ms &&
           (!clock_parse_rfc3339(api_str(future, "started_at"), &started_wall_ms) ||
            started_wall_ms < e->not_before_wall_ms - ROUNDING_MS);
}

void ledger_check(struct ledger *l, size_t at, const json_t *future, bool was_decided)
{
    int64_t until_wall_ms = suspended_until(future);
    bool done = json_is_true(api_at(future, "done"));
    char *text = json_dumps(future, JSON_COMPACT | JSON_SORT_KEYS);
    mutex_lock(&l->mu);
    struct entry *e = l->entries[at];
    bool same_id = strcmp(api_str(future, "id"), e->id) == 0;
    bool same = done ? !e->shown || strcmp(e->shown, text) == 0 : !was_decided;
    bool right = !done || is_right_end(l, e, future);
    char *before = xstrdup(e->shown ? e->shown : e->cancelled ? "cancelled" : "not done");
    bool first = done && !e->shown, early = done && begins_too_early(e, future);
    if (until_wall_ms > e->not_before_wall_ms)
        e->not_before_wall_ms = until_wall_ms;
    l->totals.suspended += until_wall_ms > 0;
    if (first) {
        e->shown = xstrdup(text);
        l->totals.shown++;
        l->totals.worn_out += is_worn_out(future);
        l->totals.killed += is_killed(future);
    }
    mutex_unlock(&l->mu);
    if (!same_id || !same)
        ledger_breach(l, "shown before: %s\n        now: %s", before, text);
    if (early && first)
        ledger_breach(l, "it did not wait for its time: %s", text);
    if (!right && first)
        ledger_breach(l, "wrong end: %s", text);
    free(before);
    free(text);
}

struct ledger_totals ledger_totals(struct ledger *l)
{
    mutex_lock(&l->mu);
    struct ledger_totals totals = l->totals;
    mutex_unlock(&l->mu);
    return totals;
}
