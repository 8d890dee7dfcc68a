/* hostile: what hostile clients cost the others. A daemon of its own; one client that asks for
 * /healthz and for a task with its result, in turn, while an attack goes on and while none does,
 * turn by turn; its p99, the verdicts of what was tried, and the daemon's memory. Prints Markdown.
 *
 * Attacker and client are one thread: before each request of the client the attack takes a step, so
 * that the daemon is at work on both and nobody else's CPU time is measured.
 * Exit status 1 when an answer was wrong, missing, or did not come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/address.h"
#include "tests/support/daemon.h"
#include "tests/support/fail.h"
#include "tests/support/hold.h"
#include "tests/support/hostile.h"
#include "tests/support/options.h"
#include "tests/support/response.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

#define TURNS_MAX 50
#define PER_STEP 4 /* wrong requests before each right one */
#define DRIPS 2    /* bytes before each right request, on as many connections */

struct options {
    double turns, requests, connections;
};

#define POST "POST /v1/tasks HTTP/1.1\r\nHost: x\r\n"

static const struct attack {
    const char *name;
    double share;     /* of --connections that are opened and stay */
    const char *text; /* which say this */
    char drip;        /* and then this, byte by byte; 0 nothing */
    bool is_wrong;    /* and requests of every wrong kind, each on a connection of its own */
} attacks[] = {
    {"every kind of wrong request", 0, "", 0, true},
    {"connections that say nothing", 1, "", 0, false},
    {"half requests", 1, POST "Content-Length: 4000000\r\n\r\n{", 0, false},
    {"slow headers", 0.2, "GET /healthz HTTP/1.1\r\nX: ", 'y', false},
    {"slow bodies", 0.2, POST "Content-Length: 4000000\r\n\r\n{", ' ', false},
    {"slow chunked bodies", 0.2, POST "Transfer-Encoding: chunked\r\n\r\nfffff\r\n", ' ', false},
};

struct victim {
    int fd;
    struct buf in;
};

struct run {
    const struct options *o;
    struct daemon *d;
    struct victim victim;
    struct hostile_idle *idle; /* of the attack that goes on */
    size_t next;               /* wrong request */
    struct hostile_report report;
    size_t *tried;   /* of each wrong request */
    size_t bytes;    /* dripped */
    size_t idle_kib; /* the most while the latest attack went on */
};

/* ---- the client that is served --------------------------------------------------------------- */

static const char *const asked[] = {
    "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /v1/tasks?wait=30 HTTP/1.1\r\nHost: x\r\nContent-Length: 29\r\n\r\n"
    "{\"handler\":\"echo\",\"input\":17}",
};
#define ASKED FUT_COUNT(asked)

static void victim_open(struct victim *v, const char *address)
{
    struct sockaddr_in to;
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!address_parse(address, &to) || connect(v->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("no connection to %s: errno %d", address, errno);
}

/* Microseconds until the answer, which must be 200. */
static int64_t victim_ask(struct victim *v, const char *text)
{
    int64_t began_mono_us = clock_mono_us();
    struct response r;
    char bytes[4096];
    v->in.len = 0;
    if (fd_write_all(v->fd, text, strlen(text)) != 0)
        fail("the served client's connection ended");
    do {
        ssize_t n = recv(v->fd, bytes, sizeof(bytes), 0);
        if (n <= 0)
            fail("the served client got no answer: errno %d", n < 0 ? errno : 0);
        buf_put(&v->in, bytes, (size_t)n);
    } while (response_parse(v->in.data, v->in.len, &r) != RESPONSE_WHOLE);
    if (r.status != 200)
        fail("the served client got %d: %.200s", r.status, v->in.data);
    return clock_mono_us() - began_mono_us;
}

/* ---- attacks --------------------------------------------------------------------------------- */

static void begin(struct run *run, const struct attack *a)
{
    size_t n = (size_t)(a->share * run->o->connections);
    run->idle = n ? hostile_hold(daemon_address(run->d), n, a->text) : NULL;
    if (run->idle && hostile_count(run->idle) < n)
        fail("only %zu of %zu connections could be had", hostile_count(run->idle), n);
}

static void end(struct run *run)
{
    if (run->idle)
        hostile_drop(&run->idle);
}

static void ask_served(struct run *run, const struct attack *a, struct samples out[ASKED])
{
    struct hostile_one wrong[PER_STEP];
    size_t n = a->is_wrong ? PER_STEP : 0;
    for (size_t i = 0; i < n; i++) {
        wrong[i] = hostile_begin(daemon_address(run->d), run->next);
        run->tried[run->next]++;
        run->next = (run->next + 1) % hostile_kinds();
    }
    if (a->drip) {
        hostile_drip(run->idle, DRIPS, a->drip);
        run->bytes += DRIPS;
    }
    for (size_t i = 0; i < ASKED; i++)
        samples_add(&out[i], victim_ask(&run->victim, asked[i]));
    for (size_t i = 0; i < n; i++)
        hostile_end(&wrong[i], &run->report);
}

static const struct attack none = {"none", 0, "", 0, false};

/* p99 of each that was asked, in ms. */
static void measure(struct run *run, const struct attack *a, double out_p99[ASKED])
{
    struct samples samples[ASKED] = {{NULL, 0, 0}};
    begin(run, a);
    for (size_t i = 0; i < (size_t)run->o->requests; i++)
        ask_served(run, a, samples);
    if (run->idle || a->is_wrong)
        run->idle_kib = hostile_rss_kib(daemon_pid(run->d));
    end(run);
    for (size_t i = 0; i < ASKED; i++) {
        out_p99[i] = samples_ms(&samples[i], 0.99);
        samples_release(&samples[i]);
    }
}

/* ---- turns and the table --------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_size);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void try_attack(struct run *run, const struct attack *a)
{
    static double quiet[ASKED][TURNS_MAX], attacked[ASKED][TURNS_MAX], ratio[ASKED][TURNS_MAX];
    size_t turns = (size_t)run->o->turns;
    size_t first_kib = 0, last_kib = 0;
    run->bytes = 0;
    for (size_t t = 0; t < turns; t++) {
        double p99[2][ASKED];
        measure(run, t % 2 ? a : &none, p99[t % 2]);
        measure(run, t % 2 ? &none : a, p99[1 - t % 2]);
        for (size_t i = 0; i < ASKED; i++) {
            quiet[i][t] = p99[0][i];
            attacked[i][t] = p99[1][i];
            ratio[i][t] = p99[1][i] / p99[0][i];
        }
        first_kib = t ? first_kib : run->idle_kib;
        last_kib = run->idle_kib;
    }
    printf("| %s | %zu × %zu", a->name, turns, (size_t)(a->share * run->o->connections));
    printf(" | %zu", a->is_wrong ? run->report.tried : run->bytes);
    for (size_t i = 0; i < ASKED; i++)
        printf(" | %.2f → %.2f | %.2f", median(quiet[i], turns), median(attacked[i], turns),
               median(ratio[i], turns));
    printf(" | %.1f → %.1f |\n", (double)first_kib / 1024, (double)last_kib / 1024);
    (void)fflush(stdout);
}

static void print_kinds(const struct run *run)
{
    puts("\nTried of each kind of wrong request:");
    for (size_t i = 0, n; i < hostile_kinds(); i += n) {
        size_t tried = 0;
        for (n = 0; i + n < hostile_kinds() && hostile_name(i + n) == hostile_name(i); n++)
            tried += run->tried[i + n];
        printf("%s%s %zu", i ? ", " : "", hostile_name(i), tried);
    }
    const struct hostile_report *r = &run->report;
    printf(".\n\n%zu tried: %zu refused, %zu closed, %zu served (rightly), %zu left by us while "
           "they waited, %zu wrong, %zu hung. %s\n",
           r->tried, r->refused, r->closed, r->served, r->given_up, r->wrong, r->hung, r->what);
}

static void run_all(struct run *run)
{
    double warm[ASKED];
    victim_open(&run->victim, daemon_address(run->d));
    for (size_t i = 0; i < FUT_COUNT(attacks); i++) /* memory that is taken once */
        measure(run, &attacks[i], warm);
    run->report = (struct hostile_report){0};
    memset(run->tried, 0, hostile_kinds() * sizeof(*run->tried));
    puts("| attack | turns × held connections | requests, or bytes dripped | /healthz p99 ms | "
         "ratio | task p99 ms | ratio | RSS MiB, first → last turn "
         "|\n|---|---:|---:|---:|---:|---:|---:|---:|");
    for (size_t i = 0; i < FUT_COUNT(attacks); i++)
        try_attack(run, &attacks[i]);
    print_kinds(run);
}

int main(int argc, char **argv)
{
    struct options o = {.turns = 5, .requests = 1000, .connections = 10000};
    const struct option_row rows[] = {
        {"turns", NULL, &o.turns, "with and without each attack"},
        {"requests", NULL, &o.requests, "of the served client in each turn, of each sort"},
        {"connections", NULL, &o.connections, "that are held"},
    };
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    if (o.turns < 1 || o.turns > TURNS_MAX || o.requests < 1)
        fail("--turns (1..%d) or --requests is off", TURNS_MAX);
    size_t n = hold_possible((size_t)o.connections);
    if (n < (size_t)o.connections)
        (void)fprintf(stderr, "NOTE: only %zu connections: the hard limit of ulimit -n\n", n);
    o.connections = (double)n;
    char *limit = text_printf("FUTURED_MAX_CONNECTIONS=%zu", n + 500);
    const char *settings[] = {limit};
    struct run run = {.o = &o, .tried = xcalloc(hostile_kinds(), sizeof(size_t))};
    run.d = daemon_start_with(settings, 1);
    run_all(&run);
    fd_close(&run.victim.fd);
    buf_release(&run.victim.in);
    daemon_end(&run.d);
    free(run.tried);
    free(limit);
    return run.report.wrong || run.report.hung ? 1 : 0;
}
