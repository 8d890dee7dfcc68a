/* json_members: the members of one JSON object, found in its text without building a tree: the way
 * of most bodies, which have a few simple members and an input that nobody looks into. Whatever is
 * unusual is left to jansson (json_text), also every refusal, so that there is one judge of what
 * JSON is: what is found here, json_text_parse takes as well. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_JSON_MEMBERS_H
#define FUT_API_TEXT_JSON_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

#define JSON_MEMBERS_MAX 16

/* Pieces of the text. The name is without its quotes, in ASCII and without escapes. */
struct json_member {
    const char *name, *value;
    size_t name_len, value_len;
};

/* True: the n bytes are one object, *out_n is how many members it has, and out are these, each of
 * another name, in the order of the text. False: ask json_text_parse. */
bool json_members_find(const char *text, size_t n, struct json_member out[JSON_MEMBERS_MAX],
                       size_t *out_n);

/* The value as json_text_parse has it, json_decref() it: a string without escapes, a whole number
 * of up to 15 digits, true, false or null. NULL: it is none of these. */
struct json_t *json_members_value(const struct json_member *m);

#endif
