/* bench_jobs: a queue in plain SQL on PostgreSQL, as job libraries make one: a row per job, taken
 * with FOR UPDATE SKIP LOCKED, one statement and one commit per job to add it and to end it. Each
 * client adds a job, waits for its end and reads the result. Clients and workers are threads with a
 * connection each, and wake each other in memory, which spares the jobs NOTIFY and polling. Prints
 * one line of JSON. */
#include <libpq-fe.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "tests/support/samples.h"

#define MOST_THREADS 512
#define MOST_FETCHED 100
#define ARGS_BYTES 64

static const char schema[] =
    "DROP TABLE IF EXISTS jobs; CREATE TABLE jobs (id bigserial PRIMARY KEY,"
    " state text NOT NULL DEFAULT 'available', queue text NOT NULL DEFAULT 'default',"
    " priority smallint NOT NULL DEFAULT 1, attempt smallint NOT NULL DEFAULT 0,"
    " created_at timestamptz NOT NULL DEFAULT now(), scheduled_at timestamptz NOT NULL DEFAULT"
    " now(), attempted_at timestamptz, finalized_at timestamptz, args text NOT NULL, result text);"
    "CREATE INDEX jobs_fetch ON jobs (state, queue, priority, scheduled_at, id)";
static const char add_sql[] = "INSERT INTO jobs (args) VALUES ($1) RETURNING id";
static const char read_sql[] = "SELECT result FROM jobs WHERE id = $1";
static const char fetch_sql[] =
    "WITH f AS MATERIALIZED (SELECT id FROM jobs WHERE state = 'available' AND queue = 'default'"
    " AND scheduled_at <= now() ORDER BY priority, scheduled_at, id LIMIT $1 FOR UPDATE SKIP"
    " LOCKED) UPDATE jobs j SET state = 'running', attempt = attempt + 1, attempted_at = now()"
    " FROM f WHERE j.id = f.id RETURNING j.id, j.args";
static const char end_sql[] =
    "UPDATE jobs SET state = 'completed', finalized_at = now(), result = $2 WHERE id = $1";

static struct {
    const char *url;
    double clients, workers, fetch, seconds;
    pthread_barrier_t connected; /* of all clients: nobody is measured before */
    sem_t added;                 /* jobs that nobody has taken */
    sem_t ended[MOST_THREADS];   /* by client */
    struct samples samples[MOST_THREADS];
} bench;

/* ---- statements ------------------------------------------------------------------------------ */

static void check(PGconn *pg, const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail("bench_jobs: %s", PQerrorMessage(pg));
}

static PGconn *connect_to(const char *sql)
{
    PGconn *pg = PQconnectdb(bench.url);
    if (PQstatus(pg) != CONNECTION_OK)
        fail("bench_jobs: %s", PQerrorMessage(pg));
    PGresult *r = PQexec(pg, sql);
    check(pg, r);
    PQclear(r);
    return pg;
}

static void prepare(PGconn *pg, const char *name, const char *sql)
{
    PGresult *r = PQprepare(pg, name, sql, 0, NULL);
    check(pg, r);
    PQclear(r);
}

static PGresult *run(PGconn *pg, const char *name, int n, const char *const *values)
{
    PGresult *r = PQexecPrepared(pg, name, n, values, NULL, NULL, 0);
    check(pg, r);
    return r;
}

/* ---- clients and workers --------------------------------------------------------------------- */

static void run_job(PGconn *pg, size_t client)
{
    char args[ARGS_BYTES + 1], id[24];
    (void)snprintf(args, sizeof(args), "%-*zu", ARGS_BYTES, client);
    PGresult *r = run(pg, "add", 1, (const char *const[]){args});
    (void)snprintf(id, sizeof(id), "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    (void)sem_post(&bench.added);
    while (sem_wait(&bench.ended[client]) != 0)
        ;
    r = run(pg, "read", 1, (const char *const[]){id});
    if (PQntuples(r) != 1 || strcmp(PQgetvalue(r, 0, 0), args) != 0)
        fail("bench_jobs: a wrong result");
    PQclear(r);
}

static void *be_client(void *ended)
{
    size_t client = (size_t)((sem_t *)ended - bench.ended);
    PGconn *pg = connect_to("SET jit = off");
    prepare(pg, "add", add_sql);
    prepare(pg, "read", read_sql);
    (void)pthread_barrier_wait(&bench.connected);
    int64_t until_us = clock_mono_us() + (int64_t)(bench.seconds * 1e6);
    for (int64_t now_us; (now_us = clock_mono_us()) < until_us;) {
        run_job(pg, client);
        samples_add(&bench.samples[client], clock_mono_us() - now_us);
    }
    PQfinish(pg);
    return NULL;
}

/* Ends each of the jobs, which give back what they were given. */
static void end_jobs(PGconn *pg, const PGresult *jobs)
{
    for (int i = 0; i < PQntuples(jobs); i++) {
        const char *const values[] = {PQgetvalue(jobs, i, 0), PQgetvalue(jobs, i, 1)};
        PQclear(run(pg, "end", 2, values));
        (void)sem_post(&bench.ended[strtoul(values[1], NULL, 10)]);
    }
}

static void *be_worker(void *unused)
{
    PGconn *pg = connect_to("SET enable_seqscan = off; SET jit = off");
    prepare(pg, "fetch", fetch_sql);
    prepare(pg, "end", end_sql);
    for (;;) {
        char text[24];
        int n = 1;
        while (sem_wait(&bench.added) != 0)
            ;
        while (n < (int)bench.fetch && sem_trywait(&bench.added) == 0)
            n++;
        (void)snprintf(text, sizeof(text), "%d", n);
        PGresult *jobs = run(pg, "fetch", 1, (const char *const[]){text});
        for (int i = PQntuples(jobs); i < n; i++)
            (void)sem_post(&bench.added);
        end_jobs(pg, jobs);
        PQclear(jobs);
    }
    return unused;
}

static void report(void)
{
    struct samples all = {0};
    for (size_t i = 0; i < (size_t)bench.clients; i++) {
        for (size_t j = 0; j < bench.samples[i].n; j++)
            samples_add(&all, bench.samples[i].us[j]);
    }
    (void)printf("{\"rate\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
                 (double)all.n / bench.seconds, samples_ms(&all, 0.5), samples_ms(&all, 0.99),
                 samples_ms(&all, 1));
    samples_release(&all);
}

int main(int argc, char **argv)
{
    bench.clients = 64, bench.workers = 8, bench.fetch = 8, bench.seconds = 2;
    const struct option_row rows[] = {
        {"url", &bench.url, NULL, "of the database"},
        {"clients", NULL, &bench.clients, "how many add jobs, one at a time each"},
        {"workers", NULL, &bench.workers, "how many run jobs"},
        {"fetch", NULL, &bench.fetch, "jobs that a worker takes at once, at most"},
        {"seconds", NULL, &bench.seconds, "how long"},
    };
    pthread_t clients[MOST_THREADS] = {0}, worker;
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (!bench.url || bench.clients < 1 || bench.clients > MOST_THREADS || bench.workers < 1 ||
        bench.fetch < 1 || bench.fetch > MOST_FETCHED)
        fail("bench_jobs: --url, --clients, --workers or --fetch is off");
    PQfinish(connect_to(schema));
    (void)sem_init(&bench.added, 0, 0);
    for (size_t i = 0; i < (size_t)bench.clients; i++)
        (void)sem_init(&bench.ended[i], 0, 0);
    for (size_t i = 0; i < (size_t)bench.workers; i++) {
        if (pthread_create(&worker, NULL, be_worker, NULL) != 0)
            fail("bench_jobs: no thread");
    }
    (void)pthread_barrier_init(&bench.connected, NULL, (unsigned)bench.clients);
    for (size_t i = 0; i < (size_t)bench.clients; i++) {
        if (pthread_create(&clients[i], NULL, be_client, &bench.ended[i]) != 0)
            fail("bench_jobs: no thread");
    }
    for (size_t i = 0; i < (size_t)bench.clients; i++)
        (void)pthread_join(clients[i], NULL);
    report();
    return 0; /* the workers end with the process */
}
