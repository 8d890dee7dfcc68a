#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_INIT;
}

void buf_reserve(struct buf *b, size_t n)
{
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
}

void buf_put(struct buf *b, const void *bytes, size_t n)
{
    buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_putc(struct buf *b, char c)
{
    buf_reserve(b, 1);
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}

void buf_put_uint(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_put_int(struct buf *b, int64_t value)
{
    if (value < 0)
        buf_putc(b, '-');
    buf_put_uint(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    buf_reserve(b, 64);
    size_t space = b->cap - b->len;
    int n = vsnprintf(b->data + b->len, space, fmt, ap);
    FUT_ASSERT(n >= 0);
    if ((size_t)n >= space) {
        buf_reserve(b, (size_t)n);
        (void)vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
    }
    b->len += (size_t)n;
    va_end(again);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    FUT_ASSERT(n <= b->len);
    if (!n)
        return;
    b->len -= n;
    memmove(b->data, b->data + n, b->len + 1);
}

char *buf_take(struct buf *b, size_t *out_len)
{
    char *data = b->data;
    *out_len = b->len;
    *b = (struct buf)BUF_INIT;
    return data;
}
