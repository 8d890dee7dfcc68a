/* hash: FNV-1a of 64 bits, for values that nobody attacks: versions, check sums, marks. A hash is
 * begun with HASH_START and continued with what is added. Pure; any thread. */
#ifndef FUT_CORE_HASH_H
#define FUT_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xCBF29CE484222325u

static inline uint64_t hash_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001B3u;
}

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = hash_byte(hash, ((const unsigned char *)bytes)[i]);
    return hash;
}

/* The characters without the NUL. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = hash_byte(hash, (unsigned char)*text);
    return hash;
}

/* The eight bytes, the lowest first. */
static inline uint64_t hash_number(uint64_t hash, uint64_t number)
{
    for (int i = 0; i < 8; i++, number >>= 8)
        hash = hash_byte(hash, (unsigned char)(number & 0xFF));
    return hash;
}

#endif
