#include "tests/support/crash_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/text.h"

#define END_LIMIT_MS 180000

/* Waits for the end of one future and checks it. */
static void check_one(struct daemon *d, struct ledger *l, size_t at, int64_t deadline_mono_ms)
{
    char id[ID_TEXT_SIZE];
    bool done = false;
    if (ledger_entry(l, at, id) == LEDGER_SLEEPER)
        (void)api_cancel(daemon_url(d), id); /* 409 where it was cancelled before */
    while (!done) {
        struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s?wait=5", id);
        if (r.status != 200) {
            ledger_breach(l, "lost: %s, acknowledged, answers %d %s", id, r.status,
                          r.error ? r.error : r.body);
            done = true;
        } else {
            ledger_check(l, at, r.json);
            done = json_is_true(api_at(r.json, "done"));
        }
        if (!done && clock_mono_ms() > deadline_mono_ms) {
            ledger_breach(l, "not done in time: %s", r.body);
            done = true;
        }
        http_reply_release(&r);
    }
}

static void check_each(struct daemon *d, struct ledger *l)
{
    int64_t deadline_mono_ms = clock_mono_ms() + END_LIMIT_MS;
    size_t n = ledger_count(l);
    for (size_t i = 0; i < n; i++)
        check_one(d, l, i, deadline_mono_ms);
}

/* ---- the list -------------------------------------------------------------------------------- */

struct seen {
    size_t *times;  /* per place in the ledger */
    size_t unknown; /* submitted, but the answer did not come through */
    char last[ID_TEXT_SIZE];
};

static void note_listed(struct ledger *l, struct seen *seen, const json_t *future)
{
    const char *id = api_str(future, "id");
    size_t at = ledger_find(l, id);
    if (*seen->last && strcmp(id, seen->last) >= 0)
        ledger_breach(l, "listed out of order or twice: %s after %s", id, seen->last);
    (void)snprintf(seen->last, sizeof(seen->last), "%s", id);
    if (at == SIZE_MAX)
        seen->unknown++;
    else
        seen->times[at]++;
}

static void read_list(struct daemon *d, struct ledger *l, struct seen *seen)
{
    char cursor[512] = "";
    do {
        size_t i;
        const json_t *future;
        struct http_reply r =
            api_get(daemon_url(d), "/v1/futures?limit=1000%s%s", *cursor ? "&cursor=" : "", cursor);
        if (r.status != 200)
            ledger_breach(l, "the list answers %d %s", r.status, r.body);
        json_array_foreach (api_at(r.json, "futures"), i, future)
            note_listed(l, seen, future);
        (void)snprintf(cursor, sizeof(cursor), "%s", api_str(r.json, "next_cursor"));
        http_reply_release(&r);
    } while (*cursor);
}

static void check_list(struct daemon *d, struct ledger *l)
{
    size_t n = ledger_count(l);
    struct seen seen = {.times = xcalloc(n + 1, sizeof(*seen.times))};
    read_list(d, l, &seen);
    for (size_t i = 0; i < n; i++) {
        char id[ID_TEXT_SIZE];
        (void)ledger_entry(l, i, id);
        if (seen.times[i] != 1)
            ledger_breach(l, "%s is listed %zu times", id, seen.times[i]);
    }
    (void)printf("list: %zu acknowledged futures, once each, and %zu whose answer was cut off\n", n,
                 seen.unknown);
    free(seen.times);
}

/* ---- the journal ----------------------------------------------------------------------------- */

/* An attempt is counted before it runs, so none is written down twice, and the attempt that the
 * outcome names was written down. A drain that stops one does not charge it: the same number runs
 * again. */
static void check_outcome(struct daemon *d, struct ledger *l, const char *journal, const char *id,
                          size_t drains)
{
    json_t *f = api_future(daemon_url(d), id);
    json_int_t attempt = api_int(f, "attempt");
    bool succeeded = strcmp(api_str(f, "state"), "succeeded") == 0;
    for (json_int_t a = 1; a <= attempt + 1; a++) {
        char *line = text_printf("%s %lld\n", id, (long long)a);
        size_t times = text_count(journal, line);
        if (times > 1 + drains || (times && a > attempt) || (!times && a == attempt && succeeded))
            ledger_breach(l, "%s has %lld attempts, but attempt %lld ran %zu times", id,
                          (long long)attempt, (long long)a, times);
        free(line);
    }
    json_decref(f);
}

static void check_journal(struct daemon *d, struct ledger *l, size_t drains)
{
    char *journal = daemon_read_file(d, "journal");
    size_t n = ledger_count(l), tasks = 0;
    for (size_t i = 0; journal && i < n; i++) {
        char id[ID_TEXT_SIZE];
        if (ledger_entry(l, i, id) != LEDGER_JOURNAL)
            continue;
        check_outcome(d, l, journal, id, drains);
        tasks++;
    }
    (void)printf("journal: %zu runs of %zu acknowledged tasks\n",
                 journal ? text_count(journal, "\n") : 0, tasks);
    free(journal);
}

void crash_check(struct daemon *d, struct ledger *l, size_t drains)
{
    daemon_start(d);
    check_each(d, l);
    check_list(d, l);
    check_journal(d, l, drains);
    daemon_stop(d);
    daemon_start(d);
    check_each(d, l); /* nothing that was shown may look different after a calm restart */
    daemon_stop(d);
}
