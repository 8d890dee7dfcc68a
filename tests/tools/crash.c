/* crash: ends the daemon, or processes of its own, in all the ways of victim.h under load and
 * checks that nothing that it acknowledged is lost or changes. The checker is this process; it
 * knows what HTTP answered, what an exec handler wrote into a journal of its own, and what the
 * daemon said before it released a task, nothing else.
 * crash --rounds 20 --clients 6 --seed 1. Exit status 1 on any breach. The seed is printed: it
 * repeats the choices, not the timing. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/api.h"
#include "tests/support/chance.h"
#include "tests/support/crash_check.h"
#include "tests/support/daemon.h"
#include "tests/support/disk.h"
#include "tests/support/ledger.h"
#include "tests/support/options.h"
#include "tests/support/text.h"
#include "tests/support/victim.h"

#define CLIENTS_MAX 64
/* The futures that are neither cancelled nor done bound the time of the final check. */
#define OPEN_MAX 4000

#define SUSPENDS                                                                                   \
    "{\"exec\": [\"sh\", \"%s\", \"DIR\"], \"checkpoints\": true,"                                 \
    " \"content_type\": \"application/json\", \"lane\": \"cpu\"}"

static const char handlers[] = "{\"journal\": {\"exec\": [\"sh\", \"-c\","
                               " \"echo $FUTURED_TASK_ID $FUTURED_ATTEMPT >> DIR/journal; cat\"],"
                               " \"content_type\": \"application/json\", \"lane\": \"cpu\"},"
                               " \"later\": " SUSPENDS ", \"join\": " SUSPENDS "}";

struct run {
    struct ledger *ledger;
    struct mutex mu;
    struct cond change;
    char url[128]; /* guarded by mu; "" while the daemon is down */
    bool is_ended; /* guarded by mu */
    atomic_ullong next_input;
    struct disk_control *disk;
    unsigned only; /* this victim each round; VICTIMS: all in turn */
    unsigned rounds[VICTIMS], hits[VICTIMS];
};

struct client {
    struct run *run;
    pthread_t thread;
    uint64_t random;
};

/* ---- clients --------------------------------------------------------------------------------- */

/* Waits until the daemon is up. False when it is all over. */
static bool take_url(struct run *r, char *out, size_t size)
{
    mutex_lock(&r->mu);
    while (!*r->url && !r->is_ended)
        cond_wait(&r->change, &r->mu);
    bool go_on = !r->is_ended;
    (void)snprintf(out, size, "%s", r->url);
    mutex_unlock(&r->mu);
    return go_on;
}

static void wait_while_url(struct run *r, const char *url)
{
    mutex_lock(&r->mu);
    while (!r->is_ended && strcmp(r->url, url) == 0)
        cond_wait(&r->change, &r->mu);
    mutex_unlock(&r->mu);
}

/* While it drains it says so: that is as good as no answer. */
static int status_of(const struct http_reply *reply)
{
    bool going = reply->status == 503 && strcmp(api_str(reply->json, "code"), "shutting_down") == 0;
    return going ? 0 : reply->status;
}

/* Returns the reply's status; 0 when the daemon died during it. *out_at is set with 202. awaited:
 * the future that a LEDGER_JOIN waits for. */
static int submit(struct run *r, const char *url, enum ledger_kind kind, const char *awaited,
                  size_t *out_at)
{
    uint64_t input = atomic_fetch_add(&r->next_input, 1);
    char *body = awaited ? ledger_join_body(input, awaited) : ledger_body(kind, input);
    struct http_reply reply = api_post(url, "/v1/tasks", body);
    bool accepted = reply.status == 202 && *api_str(reply.json, "id");
    int status = accepted ? 202 : reply.status == 202 ? 500 : status_of(&reply);
    if (accepted)
        *out_at = ledger_add(r->ledger, kind, input, api_str(reply.json, "id"));
    else if (status != 0)
        ledger_breach(r->ledger, "POST answered %d %s", reply.status, reply.body);
    free(body);
    http_reply_release(&reply);
    return status;
}

static int submit_and_cancel(struct run *r, const char *url)
{
    char id[ID_TEXT_SIZE], cancel[ID_TEXT_SIZE + 32];
    size_t at = 0;
    int status = submit(r, url, LEDGER_SLEEPER, NULL, &at);
    if (status != 202)
        return status;
    (void)ledger_entry(r->ledger, at, id);
    (void)snprintf(cancel, sizeof(cancel), "/v1/futures/%s/cancel", id);
    struct http_reply reply = api_post(url, cancel, NULL);
    status = status_of(&reply);
    http_reply_release(&reply);
    if (status == 200)
        ledger_cancelled(r->ledger, at);
    else if (status != 0)
        ledger_breach(r->ledger, "cancel of %s answered %d", id, status);
    return status;
}

static int submit_later_and_join(struct run *r, const char *url)
{
    char id[ID_TEXT_SIZE];
    size_t at = 0;
    int status = submit(r, url, LEDGER_LATER, NULL, &at);
    if (status != 202)
        return status;
    (void)ledger_entry(r->ledger, at, id);
    return submit(r, url, LEDGER_JOIN, id, &at);
}

static int look(struct run *r, const char *url, uint64_t random)
{
    char id[ID_TEXT_SIZE];
    size_t n = ledger_count(r->ledger);
    if (!n)
        return 200;
    /* Mostly recent ones: those are where the crash happens. */
    size_t back = random % 4 ? random / 4 % (n < 100 ? n : 100) : random / 4 % n;
    size_t at = n - 1 - back;
    (void)ledger_entry(r->ledger, at, id);
    bool was_decided = ledger_is_decided(r->ledger, at);
    struct http_reply reply = api_get(url, "/v1/futures/%s?wait=0.2", id);
    int status = status_of(&reply);
    if (status == 200)
        ledger_check(r->ledger, at, reply.json, was_decided);
    else if (status != 0)
        ledger_breach(r->ledger, "%s, acknowledged, answered %d %s", id, reply.status, reply.body);
    http_reply_release(&reply);
    return status;
}

static int act(struct run *r, const char *url, uint64_t random)
{
    size_t at;
    uint64_t dice = random % 100;
    random /= 100;
    struct ledger_totals t = ledger_totals(r->ledger);
    if (dice >= 60 || t.acknowledged - t.shown > OPEN_MAX)
        return look(r, url, random);
    if (dice < 25)
        return submit(r, url, LEDGER_SHA256, NULL, &at);
    if (dice < 40)
        return submit(r, url, LEDGER_ECHO, NULL, &at);
    if (dice < 49)
        return submit(r, url, LEDGER_JOURNAL, NULL, &at);
    if (dice < 55)
        return submit_later_and_join(r, url);
    return submit_and_cancel(r, url);
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    char url[128];
    while (take_url(c->run, url, sizeof(url))) {
        if (act(c->run, url, chance_next(&c->random)) == 0)
            wait_while_url(c->run, url);
    }
    return NULL;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void tell(struct run *r, const char *url, bool is_ended)
{
    mutex_lock(&r->mu);
    (void)snprintf(r->url, sizeof(r->url), "%s", url);
    r->is_ended = is_ended;
    cond_broadcast(&r->change);
    mutex_unlock(&r->mu);
}

/* A refusal while it drains (503) is no breach; see submit. */
static void play_round(struct run *r, struct daemon *d, int round, uint64_t *random)
{
    enum victim v = (enum victim)(r->only < VICTIMS ? r->only : (unsigned)round % VICTIMS);
    victim_prepare(v, r->disk, random);
    bool started = daemon_try_start(d); /* a point may come before it listens */
    if (started) {
        tell(r, daemon_url(d), false);
        if (!victim_kill(v, d, random))
            ledger_breach(r->ledger, "it did not end as it should have: %s", victim_name(v));
    }
    tell(r, "", false);
    bool hit = victim_was_hit(v, r->disk);
    if (!started && !(v == VICTIM_POINT && hit))
        ledger_breach(r->ledger, "it did not start");
    r->rounds[v]++;
    r->hits[v] += hit;
    struct ledger_totals t = ledger_totals(r->ledger);
    (void)printf("round %d: %s%s; %zu acknowledged, %zu seen done, %zu breaches\n", round,
                 victim_name(v), hit ? "" : " (not reached)", t.acknowledged, t.shown, t.breaches);
    (void)fflush(stdout);
}

static void play(struct run *r, struct daemon *d, int rounds, size_t clients, uint64_t seed)
{
    struct client *all = xcalloc(clients, sizeof(*all));
    for (size_t i = 0; i < clients; i++) {
        all[i].run = r;
        all[i].random = seed * 1000003 + i + 1;
        thread_start(&all[i].thread, "client", run_client, &all[i]);
    }
    for (int round = 1; round <= rounds; round++)
        play_round(r, d, round, &seed);
    tell(r, "", true);
    for (size_t i = 0; i < clients; i++)
        thread_join(all[i].thread);
    free(all);
}

int main(int argc, char **argv)
{
    double rounds = 20, clients = 6, only = VICTIMS, limit_s = 180;
    double seed = (double)(clock_wall_ms() % 1000000);
    const struct option_row rows[] = {
        {"rounds", NULL, &rounds, "of load and kill -9"},
        {"victim", NULL, &only,
         "0 daemon, 1 point, 2 drain, 3 fork server, 4 workers; 5 all in turn"},
        {"clients", NULL, &clients, "that make the load"},
        {"seed", NULL, &seed, "of all choices"},
        {"limit", NULL, &limit_s, "seconds in which all must have ended, after the last round"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (clients < 1 || clients > CLIENTS_MAX)
        return 2;
    struct run r = {.ledger = ledger_new(), .only = (unsigned)only};
    mutex_init(&r.mu);
    cond_init(&r.change);
    struct daemon *d = daemon_new();
    char *script = daemon_built("../../tests/crash/suspend.sh");
    char *entries = text_printf(handlers, script, script);
    daemon_set_handlers(d, entries);
    free(entries);
    free(script);
    daemon_set(d, "FUTURED_LOG=debug"); /* the steps of the drain, and what they give back */
    daemon_keep_lines(d, CRASH_RELEASES);
    daemon_set(d, "FUTURED_DRAIN=200ms");
    daemon_set(d, "FUTURED_KILL_GRACE=100ms");
    r.disk = disk_attach(d);
    ledger_expect_deaths(r.ledger);
    (void)printf("crash: %d rounds, %d clients, seed %.0f\n", (int)rounds, (int)clients, seed);
    play(&r, d, (int)rounds, (size_t)clients, (uint64_t)seed + 1);
    crash_check(d, r.ledger, (int)limit_s);
    struct ledger_totals t = ledger_totals(r.ledger);
    for (int v = 0; v < VICTIMS; v++)
        (void)printf("  %-12s %4u rounds, %4u hit\n", victim_name((enum victim)v), r.rounds[v],
                     r.hits[v]);
    if (r.rounds[VICTIM_POINT])
        victim_print_points();
    (void)printf(
        "crash: seed %.0f: %d kills, %zu acknowledged, %zu there with the right end (%zu of "
        "them worn out by rule, %zu killed), %zu breaches\n",
        seed, (int)rounds, t.acknowledged, t.shown, t.worn_out, t.killed, t.breaches);
    bool failed = t.breaches || t.shown != t.acknowledged || !t.acknowledged;
    daemon_free(&d);
    disk_detach(&r.disk);
    ledger_free(&r.ledger);
    cond_destroy(&r.change);
    mutex_destroy(&r.mu);
    (void)printf("%d passed, %d failed\n", !failed, failed);
    return failed ? 1 : 0;
}
