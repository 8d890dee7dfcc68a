#include "tests/support/crash_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/text.h"

/* Waits for the end of one future and checks it. */
static void check_one(struct daemon *d, struct ledger *l, size_t at, int64_t deadline_mono_ms)
{
    char id[ID_TEXT_SIZE];
    bool done = false;
    if (ledger_entry(l, at, id) == LEDGER_SLEEPER)
        (void)api_cancel(daemon_url(d), id); /* 409 where it was cancelled before */
    while (!done) {
        bool in_time = clock_mono_ms() < deadline_mono_ms, decided = ledger_is_decided(l, at);
        struct http_reply r =
            api_get(daemon_url(d), "/v1/futures/%s%s", id, in_time ? "?wait=5" : "");
        if (r.status != 200) {
            ledger_breach(l, "lost: %s, acknowledged, answers %d %s", id, r.status,
                          r.error ? r.error : r.body);
            done = true;
        } else {
            ledger_check(l, at, r.json, decided);
            done = json_is_true(api_at(r.json, "done"));
        }
        if (!done && !in_time) {
            ledger_breach(l, "not done in time: %s", r.body);
            done = true;
        }
        http_reply_release(&r);
    }
}

static void check_each(struct daemon *d, struct ledger *l, int limit_s)
{
    int64_t deadline_mono_ms = clock_mono_ms() + (int64_t)limit_s * 1000;
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

static void check_listed(struct ledger *l, struct seen *seen, const json_t *future)
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
            check_listed(l, seen, future);
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
 * again, as often as the daemon has said so. */
static void check_attempt(struct daemon *d, struct ledger *l, const char *journal, const char *id,
                          json_int_t a, json_int_t attempts, bool succeeded)
{
    char *line = text_printf("%s %lld\n", id, (long long)a);
    char *said = text_printf("task=%s attempt=%lld\n", id, (long long)a);
    size_t ran = text_count(journal, line), released = text_count(daemon_kept(d), said);
    if (ran > 1 + released || (ran && a > attempts) || (!ran && a == attempts && succeeded))
        ledger_breach(l,
                      "journal: %s has %lld attempts, but attempt %lld ran %zu times, released "
                      "%zu times",
                      id, (long long)attempts, (long long)a, ran, released);
    free(said);
    free(line);
}

static void check_outcome(struct daemon *d, struct ledger *l, const char *journal, const char *id)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s", id);
    json_int_t attempts = api_int(r.json, "attempt");
    bool succeeded = strcmp(api_str(r.json, "state"), "succeeded") == 0;
    for (json_int_t a = 1; r.status == 200 && a <= attempts + 1; a++) /* lost: that was said */
        check_attempt(d, l, journal, id, a, attempts, succeeded);
    http_reply_release(&r);
}

static void check_journal(struct daemon *d, struct ledger *l)
{
    char *journal = daemon_read_file(d, "journal");
    size_t n = ledger_count(l), tasks = 0;
    for (size_t i = 0; journal && i < n; i++) {
        char id[ID_TEXT_SIZE];
        if (ledger_entry(l, i, id) != LEDGER_JOURNAL)
            continue;
        check_outcome(d, l, journal, id);
        tasks++;
    }
    (void)printf("journal: %zu runs of %zu acknowledged tasks; %zu releases\n",
                 journal ? text_count(journal, "\n") : 0, tasks,
                 text_count(daemon_kept(d), CRASH_RELEASES));
    free(journal);
}

/* ---- suspensions ----------------------------------------------------------------------------- */

/* A suspension is not charged: all attempts but the last one have died with the daemon. */
static void check_charged(struct ledger *l, const json_t *future)
{
    json_int_t charged = 1;
    size_t i;
    const json_t *attempt;
    json_array_foreach (api_at(future, "attempts"), i, attempt)
        charged += strcmp(api_str(attempt, "error.code"), "daemon_died") == 0;
    if (strcmp(api_str(future, "state"), "succeeded") == 0 && api_int(future, "attempt") != charged)
        ledger_breach(l, "%s has %lld attempts, of which %lld are to be charged",
                      api_str(future, "id"), (long long)api_int(future, "attempt"),
                      (long long)charged);
}

static void check_suspended(struct daemon *d, struct ledger *l)
{
    size_t n = ledger_count(l), tasks = 0;
    for (size_t i = 0; i < n; i++) {
        char id[ID_TEXT_SIZE];
        enum ledger_kind kind = ledger_entry(l, i, id);
        if (kind != LEDGER_LATER && kind != LEDGER_JOIN)
            continue;
        struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s", id);
        check_charged(l, r.json);
        http_reply_release(&r);
        tasks++;
    }
    (void)printf("suspended: %zu acknowledged tasks, %zu times seen waiting for their time\n",
                 tasks, ledger_totals(l).suspended);
}

void crash_check(struct daemon *d, struct ledger *l, int limit_s)
{
    daemon_start(d);
    check_each(d, l, limit_s);
    check_list(d, l);
    check_journal(d, l);
    check_suspended(d, l);
    daemon_stop(d);
    if (ledger_totals(l).breaches)
        return; /* it is decided, and what does not end would be waited for once more */
    daemon_start(d);
    check_each(d, l, limit_s); /* nothing that was shown may look different after a calm restart */
    daemon_stop(d);
}
