#include "api/text/json_out.h"

#include <string.h>

#include "core/base64.h"
#include "core/clock.h"
#include "core/json_quoted.h"
#include "core/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static bool needs_comma(const struct buf *b)
{
    char last = b->len ? b->data[b->len - 1] : '[';
    return last != '{' && last != '[';
}

void json_out_comma(struct buf *b)
{
    if (needs_comma(b))
        buf_putc(b, ',');
}

/* Every answer has dozens of them: one look at the space for all four pieces. */
void json_out_key(struct buf *b, const char *key)
{
    size_t n = strlen(key);
    bool comma = needs_comma(b);
    buf_reserve(b, n + sizeof(",\"\":"));
    char *at = b->data + b->len;
    if (comma)
        *at++ = ',';
    *at++ = '"';
    memcpy(at, key, n + 1); /* the quote comes where its NUL is */
    memcpy(at + n, "\":", sizeof("\":"));
    b->len = (size_t)(at - b->data) + n + 2;
}

/* Behind the ASCII that stands for itself. */
static const char *skip_plain(const char *p, const char *end)
{
    end = json_quoted_skip_plain(p, end);
    const char *del = memchr(p, 0x7F, (size_t)(end - p));
    return del ? del : end;
}

/* Writes the one character at s that is not plain; returns how many bytes it took. */
static size_t put_special(struct buf *b, const char *text, size_t remaining)
{
    const unsigned char *s = (const unsigned char *)text;
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    size_t n = *s < 0x80 ? 0 : utf8_len(s, remaining);
    if (n) {
        buf_put(b, s, n);
        return n;
    }
    if (*s < sizeof(letters) && letters[*s])
        buf_put(b, (char[]){'\\', letters[*s]}, 2);
    else if (*s < 0x80)
        buf_put(b, (char[]){'\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15]}, 6);
    else
        buf_puts(b, REPLACEMENT);
    return 1;
}

void json_out_text(struct buf *b, const char *s, size_t n)
{
    const char *p = s, *end = s + n;
    buf_reserve(b, n + 2);
    buf_putc(b, '"');
    while (p < end) {
        const char *run = p;
        p = skip_plain(p, end);
        if (p > run)
            buf_put(b, run, (size_t)(p - run));
        if (p < end)
            p += put_special(b, p, (size_t)(end - p));
    }
    buf_putc(b, '"');
}

void json_out_plain(struct buf *b, const char *key, const char *value)
{
    size_t n = strlen(value);
    json_out_key(b, key);
    buf_reserve(b, n + 2);
    char *at = b->data + b->len;
    *at++ = '"';
    memcpy(at, value, n + 1);
    at[n] = '"';
    at[n + 1] = '\0';
    b->len += n + 2;
}

void json_out_base64(struct buf *b, const void *bytes, size_t n)
{
    buf_putc(b, '"');
    base64_put(b, bytes, n);
    buf_putc(b, '"');
}

void json_out_str(struct buf *b, const char *key, const char *value)
{
    json_out_key(b, key);
    if (value)
        json_out_text(b, value, strlen(value));
    else
        buf_put(b, "null", 4);
}

void json_out_uint(struct buf *b, const char *key, uint64_t value)
{
    json_out_key(b, key);
    buf_put_uint(b, value);
}

void json_out_int(struct buf *b, const char *key, int64_t value)
{
    json_out_key(b, key);
    buf_put_int(b, value);
}

void json_out_bool(struct buf *b, const char *key, bool value)
{
    json_out_key(b, key);
    buf_puts(b, value ? "true" : "false");
}

void json_out_seconds(struct buf *b, const char *key, int64_t ms)
{
    json_out_int(b, key, ms / 1000);
    int rest = (int)(ms % 1000);
    if (rest == 0)
        return;
    buf_printf(b, ".%03d", rest);
    while (b->data[b->len - 1] == '0')
        b->data[--b->len] = '\0';
}

void json_out_time(struct buf *b, const char *key, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_SIZE];
    if (!wall_ms) {
        json_out_str(b, key, NULL);
        return;
    }
    clock_rfc3339(wall_ms, text);
    json_out_plain(b, key, text);
}

void json_out_labels(struct buf *out, const char *key, const struct task_needs *labels)
{
    json_out_key(out, key);
    buf_putc(out, '[');
    for (size_t i = 0; i < labels->n; i++) {
        json_out_comma(out);
        json_out_text(out, labels->items[i], strlen(labels->items[i]));
    }
    buf_putc(out, ']');
}
