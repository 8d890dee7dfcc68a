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

/* All bytes in hexadecimal. */
static const char pairs[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                            "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                            "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                            "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
                            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                            "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/* The top n bytes of half, and what follows them. */
static char *put_bytes(char *out, uint64_t half, int n, char behind)
{
    for (int i = 0; i < n; i++, half <<= 8, out += 2)
        memcpy(out, pairs + 2 * (half >> 56), 2);
    *out = behind;
    return out + 1;
}

void id_format(struct task_id id, char out[ID_TEXT_SIZE])
{
    out = put_bytes(out, id.hi, 4, '-');
    out = put_bytes(out, id.hi << 32, 2, '-');
    out = put_bytes(out, id.hi << 48, 2, '-');
    out = put_bytes(out, id.lo, 2, '-');
    (void)put_bytes(out, id.lo << 16, 6, '\0');
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
