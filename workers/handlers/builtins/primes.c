/* primes: {"below": N} gives how many primes are smaller than N, and the largest. Real work of any
 * size: a segmented sieve of Eratosthenes over the odd numbers, in cache-sized pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/builtins/json_input.h"

#define MAX_BELOW 1000000000000LL
#define REPORT_MS 250
#define SEGMENT 65536 /* odd numbers looked at in one step */

static const char *const fields[] = {"below", NULL};

struct sieve {
    uint32_t *primes; /* odd primes up to the root */
    uint64_t *next;   /* for each: index in the coming segment of its next odd multiple */
    size_t n;
    uint64_t below;
    uint64_t count, largest;
    int64_t reported_mono_ms;
    unsigned char composite[SEGMENT];
};

static uint64_t root_of(uint64_t n)
{
    uint64_t r = 0;
    for (uint64_t bit = 1ULL << 31; bit; bit >>= 1) {
        if ((r | bit) * (r | bit) <= n)
            r |= bit;
    }
    return r;
}

/* Fills the base primes by plain sieving up to the root (1,000,000 at most). */
static void base_primes(struct sieve *s)
{
    uint64_t root = root_of(s->below);
    unsigned char *composite = xcalloc(root + 1, 1);
    s->primes = xcalloc(root / 2 + 1, sizeof(*s->primes));
    for (uint64_t i = 3; i <= root; i += 2) {
        if (composite[i])
            continue;
        s->primes[s->n++] = (uint32_t)i;
        for (uint64_t k = i * i; k <= root; k += 2 * i)
            composite[k] = 1;
    }
    free(composite);
    s->next = xcalloc(s->n + 1, sizeof(*s->next));
    for (size_t i = 0; i < s->n; i++)
        s->next[i] = ((uint64_t)s->primes[i] * s->primes[i] - 1) / 2;
}

/* Index i of the segment stands for the odd number 2 * (from + i) + 1. */
static void strike_out(struct sieve *s)
{
    memset(s->composite, 0, sizeof(s->composite));
    for (size_t i = 0; i < s->n; i++) {
        uint64_t k = s->next[i];
        for (; k < SEGMENT; k += s->primes[i])
            s->composite[k] = 1;
        s->next[i] = k - SEGMENT;
    }
}

static void count_segment(struct sieve *s, uint64_t from, uint64_t end)
{
    uint64_t n = end - from < SEGMENT ? end - from : SEGMENT;
    for (uint64_t i = from == 0 ? 1 : 0; i < n; i++) { /* the odd number 1 is no prime */
        if (!s->composite[i]) {
            s->count++;
            s->largest = 2 * (from + i) + 1;
        }
    }
}

static void report(struct run *run, struct sieve *s, uint64_t done, uint64_t end)
{
    char text[64];
    int64_t now_ms = clock_mono_ms();
    if (now_ms - s->reported_mono_ms < REPORT_MS)
        return;
    s->reported_mono_ms = now_ms;
    (void)snprintf(text, sizeof(text), "%llu primes so far", (unsigned long long)s->count);
    run_progress(run, (double)done / (double)end, text);
}

/* False when cancelled. */
static bool sieve_all(struct run *run, struct sieve *s)
{
    uint64_t end = s->below / 2; /* odd numbers 2i+1 < below are those with i < below/2 */
    if (s->below > 2) {
        s->count = 1;
        s->largest = 2;
    }
    for (uint64_t from = 0; from < end; from += SEGMENT) {
        if (run_is_cancelled(run))
            return false;
        report(run, s, from, end);
        strike_out(s);
        count_segment(s, from, end);
    }
    return true;
}

static void count_primes(struct run *run, uint64_t below)
{
    struct sieve *s = xnew(struct sieve);
    s->below = below;
    s->reported_mono_ms = clock_mono_ms();
    base_primes(s);
    if (sieve_all(run, s))
        json_input_succeed(
            run,
            json_pack("{s:I, s:I, s:o}", "below", (json_int_t)below, "count", (json_int_t)s->count,
                      "largest", s->count ? json_integer((json_int_t)s->largest) : json_null()));
    else
        run_fail_cancelled(run);
    free(s->primes);
    free(s->next);
    free(s);
}

void primes_run(struct run *run)
{
    json_t *root = json_input_read(run, fields);
    if (!root)
        return;
    json_t *below = json_object_get(root, "below");
    json_int_t n = json_integer_value(below);
    if (!json_is_integer(below) || n < 0 || n > MAX_BELOW)
        json_input_bad(run, "below", below, "a whole number from 0 to 1000000000000");
    else
        count_primes(run, (uint64_t)n);
    json_decref(root);
}
