/* json_out: writes JSON straight into a buffer. A tree per answer would cost more than the rest of
 * the request. The caller opens and closes objects and arrays with buf_putc; the comma before a key
 * is set here. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_JSON_OUT_H
#define FUT_API_TEXT_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/task_needs.h"

/* A comma, unless an object, array or the whole text begins here. */
void json_out_comma(struct buf *b);
/* The comma when one is due, then "key": — key needs no escaping. */
void json_out_key(struct buf *b, const char *key);

/* One value: a quoted string of n bytes. Bytes that are not UTF-8 become U+FFFD. */
void json_out_text(struct buf *b, const char *s, size_t n);
/* One value: the bytes as quoted base64 (RFC 4648, padded). */
void json_out_base64(struct buf *b, const void *bytes, size_t n);

/* A key with its value. */
void json_out_str(struct buf *b, const char *key, const char *value);   /* NULL writes null */
void json_out_plain(struct buf *b, const char *key, const char *value); /* needs no escaping */
void json_out_int(struct buf *b, const char *key, int64_t value);
void json_out_uint(struct buf *b, const char *key, uint64_t value);
void json_out_bool(struct buf *b, const char *key, bool value);
/* Milliseconds as seconds without needless zeros (1500 → 1.5). */
void json_out_seconds(struct buf *b, const char *key, int64_t ms);
/* RFC 3339 in UTC with milliseconds; null when wall_ms is 0. */
void json_out_time(struct buf *b, const char *key, int64_t wall_ms);
/* A member with labels of nodes as an array. */
void json_out_labels(struct buf *out, const char *key, const struct task_needs *labels);

#endif
