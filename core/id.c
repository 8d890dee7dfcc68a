#include "core/id.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/number.h"
#include "core/sync.h"

#define VERSION 7ULL
#define POOL 64
#define NODE_BITS 6 /* of the counter, its lowest ones */

static struct {
    struct mutex mu;
    uint64_t last;         /* guarded by mu: 60 bits, ms << 12 | counter */
    uint64_t node;         /* guarded by mu */
    bool has_node;         /* guarded by mu */
    uint64_t random[POOL]; /* guarded by mu */
    size_t remaining;      /* guarded by mu */
} gen = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

/* hi without its version nibble: ms << 12 | counter, so that +1 carries into the milliseconds. */
static uint64_t to_serial(uint64_t hi)
{
    return hi >> 16 << 12 | (hi & 0xfff);
}

static uint64_t to_hi(uint64_t serial)
{
    return serial >> 12 << 16 | VERSION << 12 | (serial & 0xfff);
}

static uint64_t next_random(void)
{
    if (gen.remaining == 0) {
        if (getrandom(gen.random, sizeof(gen.random), 0) != sizeof(gen.random))
            FUT_BUG("getrandom");
        gen.remaining = POOL;
    }
    return gen.random[--gen.remaining];
}

/* The next serial behind the last one; where nodes share a store, of those that are this node's. */
static uint64_t next_serial(uint64_t now)
{
    if (!gen.has_node)
        return now > gen.last ? now : gen.last + 1;
    uint64_t next = (gen.last >> NODE_BITS) + 1;
    uint64_t at = now >> NODE_BITS;
    return (at > next ? at : next) << NODE_BITS | gen.node;
}

struct task_id id_new(void)
{
    uint64_t now = (uint64_t)clock_wall_ms() << 12;
    struct task_id id;
    mutex_lock(&gen.mu);
    gen.last = next_serial(now);
    id.hi = to_hi(gen.last);
    id.lo = 1ULL << 63 | next_random() >> 2;
    mutex_unlock(&gen.mu);
    return id;
}

void id_use_node(unsigned node)
{
    FUT_ASSERT(node < ID_NODES);
    mutex_lock(&gen.mu);
    gen.node = node;
    gen.has_node = true;
    mutex_unlock(&gen.mu);
}

void id_seed(uint64_t hi)
{
    mutex_lock(&gen.mu);
    if (to_serial(hi) > gen.last)
        gen.last = to_serial(hi);
    mutex_unlock(&gen.mu);
}

/* The top n digits of *half, which loses them; with what follows them. */
static char *put_digits(char *out, uint64_t *half, int n, char behind)
{
    for (int i = 0; i < n; i++) {
        *out++ = "0123456789abcdef"[*half >> 60];
        *half <<= 4;
    }
    *out++ = behind;
    return out;
}

void id_format(struct task_id id, char out[ID_TEXT_SIZE])
{
    out = put_digits(out, &id.hi, 8, '-');
    out = put_digits(out, &id.hi, 4, '-');
    out = put_digits(out, &id.hi, 4, '-');
    out = put_digits(out, &id.lo, 4, '-');
    (void)put_digits(out, &id.lo, 12, '\0');
}

bool id_parse(const char *text, struct task_id *out)
{
    uint64_t half[2] = {0, 0};
    int digits = 0;
    if (strnlen(text, ID_TEXT_SIZE) != ID_TEXT_SIZE - 1)
        return false;
    for (int i = 0; i < ID_TEXT_SIZE - 1; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int v = number_hex(text[i]);
        if (v < 0)
            return false;
        half[digits / 16] = half[digits / 16] << 4 | (uint64_t)v;
        digits++;
    }
    if ((half[0] >> 12 & 15) != VERSION || half[0] >> 63)
        return false;
    *out = (struct task_id){half[0], half[1]};
    return true;
}
