/* json_text: JSON as text: parsed once by jansson, strictly (no duplicate keys, UTF-8 only, limited
 * depth), and walked over afterwards, to find the bytes that a value came as. Pure; any thread;
 * nothing blocks. */
#ifndef FUT_API_TEXT_JSON_TEXT_H
#define FUT_API_TEXT_JSON_TEXT_H

#include <stddef.h>

#include "api/text/problem.h"

#define JSON_TEXT_DEPTH_MAX 128

struct json_t;

/* Bytes of the byte order mark that the text begins with: 0 or 3. RFC 8259: none is sent, and who
 * reads may ignore one. */
size_t json_text_mark(const char *text, size_t n);

/* A mark is skipped. NULL with *p set (line and column) when the text is no JSON value; else
 * json_decref() it. text is not NULL. */
struct json_t *json_text_parse(const char *text, size_t n, struct problem *p);

/* The rest is for texts that were parsed: `at` is a byte in it. */

/* The first byte that is no white space. */
size_t json_text_skip_space(const char *text, size_t n, size_t at);
/* Behind the value that begins at `at`. */
size_t json_text_skip_value(const char *text, size_t n, size_t at);
/* The bytes of a member, known to be there, of the object that is the text. */
void json_text_find_member(const char *text, size_t n, const char *key, const char **out,
                           size_t *out_n);

#endif
