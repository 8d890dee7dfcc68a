/* cursor: the opaque place in a listing: base64url of a version, the store's key and a check sum,
 * so that a cursor of another version or one that was cut or mistyped is refused. Pure; any thread.
 */
#ifndef FUT_API_TEXT_CURSOR_H
#define FUT_API_TEXT_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#define CURSOR_TEXT_SIZE 17 /* 16 characters and a NUL */

/* Writes a cursor as text. */
void cursor_format(uint64_t before, char out[CURSOR_TEXT_SIZE]);
/* False leaves *out untouched. */
bool cursor_parse(const char *text, uint64_t *out);

#endif
