/* json_quoted: one string of JSON (RFC 8259) as text, in quotes, read without a parser's tree.
 * Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_JSON_QUOTED_H
#define FUT_CORE_JSON_QUOTED_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Behind the string whose opening quote is at `at`; n when it has no end. */
size_t json_quoted_skip(const char *text, size_t n, size_t at);
/* Behind the ASCII that p begins with: no control character, no quote, no backslash. */
const char *json_quoted_skip_plain(const char *p, const char *end);
/* The bytes, quotes included, of the string that the text begins with; 0 when it begins with none
 * as jansson takes it: with its quotes, UTF-8, no control character, known escapes, pairs of
 * surrogates only. NUL is a character as any other, written \u0000. */
size_t json_quoted_check(const char *text, size_t n);
/* Whether the n bytes are such a string and nothing else. */
bool json_quoted_ok(const char *quoted, size_t n);
/* Appends the decoded text of a string for which json_quoted_ok is true. */
void json_quoted_decode(const char *quoted, size_t n, struct buf *out);

#endif
