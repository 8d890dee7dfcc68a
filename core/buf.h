/* buf: growable bytes. The owner calls buf_release; buf_take hands the bytes to the caller.
 * Always NUL-terminated behind len once anything was written. Sizes a user controls are limited by
 * the caller. Not thread-safe. */
#ifndef FUT_CORE_BUF_H
#define FUT_CORE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"

struct buf {
    char *data;
    size_t len, cap;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

/* Frees the bytes; b is empty then. */
void buf_release(struct buf *b);
/* Reserves space for n more bytes (and a NUL) behind len. */
void buf_reserve(struct buf *b, size_t n);
/* Appends n bytes. */
void buf_put(struct buf *b, const void *bytes, size_t n);
/* Appends one character. */
void buf_putc(struct buf *b, char c);
/* In decimal. */
void buf_put_uint(struct buf *b, uint64_t value);
void buf_put_int(struct buf *b, int64_t value);
/* Appends what the format makes. */
void buf_printf(struct buf *b, const char *fmt, ...) FUT_PRINTF(2, 3);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Hands the heap bytes over to the caller (free() them) and empties b. NULL when nothing was
 * written. */
char *buf_take(struct buf *b, size_t *out_len);

static inline void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

#endif
