/* json_walk: walks over JSON as text, without building anything: where a value ends, which bytes a
 * member has, which value a JSON pointer (RFC 6901) names. The text is known to be valid JSON; `at`
 * is a byte in it. Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_JSON_WALK_H
#define FUT_CORE_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the byte order mark that the text begins with: 0 or 3. RFC 8259: none is sent, and who
 * reads may ignore one. */
size_t json_walk_mark(const char *text, size_t n);
/* The first byte from `at` on that is no white space; from 0 on, also behind a mark. */
size_t json_walk_skip_space(const char *text, size_t n, size_t at);
/* Behind the value that begins at `at`. */
size_t json_walk_skip_value(const char *text, size_t n, size_t at);
/* Is the quoted string of n bytes, as it was written, this text of key_len bytes? */
bool json_walk_is(const char *quoted, size_t n, const char *key, size_t key_len);
/* Where the value of a member of the object that is the text begins; n: it has none of that name.
 * Of two, the first. */
size_t json_walk_find(const char *text, size_t n, const char *key);
/* The bytes of a member of the object that is the text. False: it has none of that name. Of two,
 * the first. */
bool json_walk_member(const char *text, size_t n, const char *key, const char **out, size_t *out_n);

/* Is this a JSON pointer: empty, or parts that begin with a slash each, "~" only in ~0 and ~1? */
bool json_walk_pointer_ok(const char *pointer);
/* The value that the pointer names in the text. Of members of the same name, the last, as most
 * readers have it. False: there is none. */
bool json_walk_point(const char *text, size_t n, const char *pointer, const char **out,
                     size_t *out_n);

#endif
