/* json_text: JSON as text: parsed once by jansson, strictly (no duplicate keys, UTF-8 only, limited
 * depth); core/json_walk walks over it after that. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_JSON_TEXT_H
#define FUT_API_TEXT_JSON_TEXT_H

#include <stddef.h>

#include "api/text/problem.h"

#define JSON_TEXT_DEPTH_MAX 128

struct json_t;

/* A mark is skipped. NULL with *p set (line and column) when the text is no JSON value; else
 * json_decref() it. text is not NULL. */
struct json_t *json_text_parse(const char *text, size_t n, struct problem *p);

/* Like json_text_parse, likewise refused, for a body with tasks, whose inputs may be long texts: a
 * string of JSON_TEXT_LONG bytes or more inside of a member "input", "inputs" or "base64", at any
 * depth, is checked, and stands in the tree as an empty string. The text has it: jansson takes a
 * step of dozens of instructions per byte of a string. */
#define JSON_TEXT_LONG 256
struct json_t *json_text_parse_tasks(const char *text, size_t n, struct problem *p);

/* The bytes of a member, known to be there, of the object that is the text. */
void json_text_find_member(const char *text, size_t n, const char *key, const char **out,
                           size_t *out_n);

#endif
