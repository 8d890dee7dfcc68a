/* powercut: records what a daemon does to its files under load, then builds what a power cut could
 * have left at each moment, starts a daemon on it, and holds it against what HTTP had answered by
 * then. powercut --tasks 60 --clients 3 --states 300 --seed 1. With --lie 1 the disk says that it
 * has synced and has not: then the check must find losses, or it could find none at all. */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/api.h"
#include "tests/support/chance.h"
#include "tests/support/daemon.h"
#include "tests/support/disk.h"
#include "tests/support/fail.h"
#include "tests/support/ledger.h"
#include "tests/support/options.h"
#include "tests/support/replay.h"
#include "tests/support/text.h"

#define CLIENTS_MAX 16
#define BIG_BYTES 60000 /* so that the log is long enough for checkpoints */
#define SYNC_DELAY_US 3000
#define LATEST 12 /* so many of the latest acknowledged futures are compared to the byte */

/* What HTTP said of one task. */
struct told {
    struct map_node by_key;
    char id[ID_TEXT_SIZE];
    char *shown;           /* the future as it was shown done; NULL */
    const char *state_now; /* of the state that is being checked; NULL: it is not there */
};

struct run {
    struct daemon *d;
    char *record;
    struct mutex mu;
    struct told *told; /* guarded by mu while recording */
    size_t n, cap;
    atomic_ullong next_input;
    unsigned long long tasks;
    size_t breaches;
};

/* ---- recording ------------------------------------------------------------------------------- */

static void mark(struct run *r, char kind, size_t at)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%c %zu", kind, at);
    replay_put_mark(r->record, text);
}

static size_t add(struct run *r, const char *id)
{
    mutex_lock(&r->mu);
    size_t at = r->n++;
    if (at >= r->cap)
        fail("more tasks than there is space for");
    (void)snprintf(r->told[at].id, sizeof(r->told[at].id), "%s", id);
    mutex_unlock(&r->mu);
    return at;
}

static char *body_of(uint64_t input)
{
    if (input % 10 == 3)
        return xstrdup("{\"handler\":\"sleep\",\"input\":{\"ms\":86000000}}");
    char *pad = text_repeat('x', input % 4 == 0 ? BIG_BYTES : 10);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":\"%s\"}", pad);
    free(pad);
    return body;
}

static void breach(struct run *r, const char *what, const char *id, const char *more)
{
    mutex_lock(&r->mu);
    r->breaches++;
    (void)printf("BREACH: %s: %s %s\n", what, id, more);
    (void)fflush(stdout);
    mutex_unlock(&r->mu);
}

static void cancel_it(struct run *r, size_t at)
{
    int status = api_cancel(daemon_url(r->d), r->told[at].id);
    if (status != 200) {
        breach(r, "acknowledged, and its cancel is refused", r->told[at].id, "");
        return;
    }
    mark(r, 'C', at);
}

static void wait_for_it(struct run *r, size_t at)
{
    struct http_reply now = api_get(daemon_url(r->d), "/v1/futures/%s", r->told[at].id);
    if (now.status != 200)
        breach(r, "acknowledged, and not there", r->told[at].id, now.body ? now.body : "");
    bool is_there = now.status == 200;
    http_reply_release(&now);
    if (!is_there)
        return;
    json_t *f = api_done(daemon_url(r->d), r->told[at].id);
    r->told[at].shown = json_dumps(f, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(f);
    mark(r, 'D', at);
}

/* Submits one task, cancels it or waits for its end; each answer is marked when it has come. */
static void live(struct run *r, uint64_t input)
{
    char *body = body_of(input);
    struct http_reply reply = api_post(daemon_url(r->d), "/v1/tasks", body);
    free(body);
    if (reply.status != 202)
        fail("POST answered %d %s", reply.status, reply.body);
    size_t at = add(r, api_str(reply.json, "id"));
    mark(r, 'A', at);
    http_reply_release(&reply);
    if (input % 10 == 3)
        cancel_it(r, at);
    else
        wait_for_it(r, at);
}

static void *run_client(void *arg)
{
    struct run *r = arg;
    for (;;) {
        uint64_t input = atomic_fetch_add(&r->next_input, 1);
        if (input >= r->tasks)
            return NULL;
        live(r, input);
    }
}

static void record(struct run *r, unsigned clients, bool lie)
{
    pthread_t threads[CLIENTS_MAX];
    struct disk_control *disk = disk_attach(r->d);
    (void)snprintf(disk->record, sizeof(disk->record), "%s", r->record);
    atomic_store(&disk->sync_delay_us, SYNC_DELAY_US);
    if (lie)
        disk_arm(
            disk, 0,
            &(struct disk_order){.ops = DISK_OP_SYNC, .times = UINT32_MAX, .action = DISK_LIE});
    daemon_start(r->d);
    for (unsigned i = 0; i < clients; i++)
        thread_start(&threads[i], "client", run_client, r);
    for (unsigned i = 0; i < clients; i++)
        thread_join(threads[i]);
    daemon_kill(r->d);
    daemon_set(r->d, "LD_PRELOAD=");
    disk_detach(&disk);
}

/* ---- checking -------------------------------------------------------------------------------- */

static const char *intern(const char *state)
{
    static const char *const states[] = {"scheduled", "queued", "running",
                                         "succeeded", "failed", "cancelled"};
    for (size_t i = 0; i < FUT_COUNT(states); i++) {
        if (strcmp(states[i], state) == 0)
            return states[i];
    }
    return "unknown";
}

static void check_listed(struct run *r, const struct map *map, const json_t *future)
{
    struct task_id id;
    const char *text = api_str(future, "id");
    struct map_node *n = id_parse(text, &id) ? map_get(map, id.hi) : NULL;
    struct told *t = n ? FUT_CONTAINER(n, struct told, by_key) : NULL;
    if (!t) /* its answer did not come any more */
        return;
    if (t->state_now)
        breach(r, "listed twice", text, "");
    t->state_now = intern(api_str(future, "state"));
}

static void read_list(struct run *r, const struct map *map)
{
    char cursor[512] = "";
    do {
        size_t i;
        const json_t *future;
        struct http_reply reply = api_get(daemon_url(r->d), "/v1/futures?limit=1000%s%s",
                                          *cursor ? "&cursor=" : "", cursor);
        if (reply.status != 200)
            breach(r, "the list answers", reply.body ? reply.body : "", "");
        json_array_foreach (api_at(reply.json, "futures"), i, future)
            check_listed(r, map, future);
        (void)snprintf(cursor, sizeof(cursor), "%s", api_str(reply.json, "next_cursor"));
        http_reply_release(&reply);
    } while (*cursor);
}

static void check_bytes(struct run *r, const struct told *t)
{
    struct http_reply reply = api_get(daemon_url(r->d), "/v1/futures/%s", t->id);
    char *now = json_dumps(reply.json, JSON_COMPACT | JSON_SORT_KEYS);
    if (!now || strcmp(now, t->shown) != 0)
        breach(r, "shown otherwise before", t->shown, now ? now : "not JSON");
    free(now);
    http_reply_release(&reply);
}

static void check_mark(struct run *r, const char *text, bool closely)
{
    const struct told *t = &r->told[strtoul(text + 2, NULL, 10)];
    if (!t->state_now)
        breach(r, "lost", t->id, text);
    else if (*text == 'C' && strcmp(t->state_now, "cancelled") != 0)
        breach(r, "cancelled before, now", t->id, t->state_now);
    else if (*text == 'D' && strcmp(t->state_now, "succeeded") != 0)
        breach(r, "succeeded before, now", t->id, t->state_now);
    else if (*text == 'D' && closely)
        check_bytes(r, t);
}

static int on_row(void *run, int n, char **values, char **names)
{
    (void)names;
    if (n > 0 && strcmp(values[0], "ok") != 0)
        breach(run, "integrity_check", values[0], "");
    return 0;
}

static void check_integrity(struct run *r)
{
    sqlite3 *db = NULL;
    char *path = daemon_path(r->d, "futured.db"), *why = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA integrity_check", on_row, r, &why) != SQLITE_OK)
        breach(r, "integrity_check", why ? why : "cannot open", "");
    sqlite3_free(why);
    (void)sqlite3_close(db);
    free(path);
}

/* A daemon that refuses to start on what is left has lost everything that was acknowledged. */
static void check_state(struct run *r, const struct replay *replay, const struct map *map)
{
    size_t n = replay_marks(replay);
    for (size_t i = 0; i < r->n; i++)
        r->told[i].state_now = NULL;
    if (!daemon_try_start(r->d)) {
        breach(r, "the daemon does not start", "", "");
        return;
    }
    read_list(r, map);
    for (size_t i = 0; i < n; i++)
        check_mark(r, replay_mark(replay, i), n - i <= LATEST);
    daemon_kill(r->d);
    check_integrity(r);
}

static size_t count_cuts(const char *record)
{
    struct replay *replay = replay_open(record);
    size_t n = 0;
    while (replay_next(replay))
        n++;
    replay_close(&replay);
    return n;
}

static void index_told(struct run *r, struct map *map)
{
    for (size_t i = 0; i < r->n; i++) {
        struct task_id id;
        if (!id_parse(r->told[i].id, &id))
            fail("the daemon gave an id that is none: %s", r->told[i].id);
        map_put(map, &r->told[i].by_key, id.hi);
    }
}

/* All moments when there are fewer than wanted states, else some by chance; at each one loss at
 * least, all five when there is time. */
static size_t check_all(struct run *r, size_t wanted, uint64_t *random)
{
    size_t cuts = count_cuts(r->record), states = 0;
    if (cuts == 0)
        fail("nothing was recorded");
    size_t per_cut = wanted / cuts > REPLAY_LOSSES ? REPLAY_LOSSES : wanted / cuts;
    struct map map;
    struct replay *replay = replay_open(r->record);
    map_init(&map);
    index_told(r, &map);
    for (size_t cut = 0; replay_next(replay); cut++) {
        if (per_cut == 0 && chance_of(random, cuts) >= wanted)
            continue;
        for (size_t i = 0; i < (per_cut ? per_cut : 1); i++) {
            enum replay_loss loss = (enum replay_loss)((cut + i) % REPLAY_LOSSES);
            size_t before = r->breaches;
            replay_leave(replay, loss, random, daemon_dir(r->d));
            check_state(r, replay, &map);
            states++;
            if (r->breaches > before)
                (void)printf(
                    "  … at moment %zu of %zu, loss %d, %zu operations open, %zu answers\n", cut,
                    cuts, (int)loss, replay_pending(replay), replay_marks(replay));
        }
    }
    (void)printf("powercut: %zu moments, %zu states\n", cuts, states);
    replay_close(&replay);
    map_release(&map);
    return states;
}

int main(int argc, char **argv)
{
    double tasks = 60, clients = 3, wanted = 300, lie = 0;
    double seed = (double)(clock_wall_ms() % 1000000);
    const struct option_row rows[] = {
        {"tasks", NULL, &tasks, "that are submitted while it is recorded"},
        {"clients", NULL, &clients, "that submit them"},
        {"states", NULL, &wanted, "to build and check, about"},
        {"seed", NULL, &seed, "of all choices"},
        {"lie", NULL, &lie, "1: syncs do nothing; the check must find losses"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (clients < 1 || clients > CLIENTS_MAX || tasks < 1)
        return 2;
    struct run r = {.d = daemon_new(), .tasks = (unsigned long long)tasks, .cap = (size_t)tasks};
    uint64_t random = (uint64_t)seed + 1;
    r.told = xcalloc(r.cap, sizeof(*r.told));
    r.record = daemon_path(r.d, "record");
    mutex_init(&r.mu);
    (void)printf("powercut: %.0f tasks, %.0f clients, seed %.0f\n", tasks, clients, seed);
    record(&r, (unsigned)clients, lie > 0);
    size_t states = check_all(&r, (size_t)wanted, &random);
    bool bad = (r.breaches > 0) != (lie > 0) || states == 0;
    (void)printf(
        "powercut: seed %.0f: %zu states of a disk, %zu tasks acknowledged, %zu breaches%s\n", seed,
        states, r.n, r.breaches, lie > 0 ? ", which were to be found" : "");
    for (size_t i = 0; i < r.n; i++)
        free(r.told[i].shown);
    free(r.told);
    free(r.record);
    mutex_destroy(&r.mu);
    daemon_free(&r.d);
    (void)printf("%d passed, %d failed\n", !bad, bad);
    return bad ? 1 : 0;
}
