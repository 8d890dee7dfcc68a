/* json_in: reads the JSON objects that clients send, by a table of their members. The value's type,
 * null, and members that nobody knows are dealt with here, so that a row's own function looks at
 * the value alone. Every refusal is a struct problem that says where and why. Pure; any thread;
 * nothing blocks. */
#ifndef FUT_API_TEXT_JSON_IN_H
#define FUT_API_TEXT_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/text/problem.h"

struct json_t;

enum json_in_type {
    JSON_IN_ANY,
    JSON_IN_STRING, /* without a NUL character */
    JSON_IN_NUMBER,
    JSON_IN_BOOL,
    JSON_IN_ARRAY,
    JSON_IN_OBJECT,
};

/* One member that an object may have. */
struct json_in_field {
    const char *name;    /* with the object's prefix: "callback.url" */
    const char *allowed; /* what it must be: "a number of seconds, 0 or more" */
    enum json_in_type type;
    bool is_nullable; /* null is the same as leaving it out */
    unsigned tags;    /* bits; the reader's own */
    /* Takes the value, of the right type, into what the object is read to. 0, or FUT_ERR_INVAL with
     * *p set. */
    int (*set)(void *to, const struct json_in_field *f, const struct json_t *v, struct problem *p);
};

/* What an object may have. */
struct json_in_object {
    const char *what;   /* "a task" */
    const char *prefix; /* of the members' names: "callback."; "" for the body itself */
    const struct json_in_field *fields;
    size_t n;
    unsigned tags; /* only fields that have one of these bits are known; 0: all */
};

/* Sets each member of v in the order in which they came. 0, or FUT_ERR_INVAL with *p set; then some
 * may have been set. */
FUT_MUST_CHECK int json_in_read(const struct json_in_object *o, const struct json_t *v, void *to,
                                struct problem *p);

/* The row of a member, whose name has n bytes, none of them 0; NULL: it is not known here. */
const struct json_in_field *json_in_find(const struct json_in_object *o, const char *name,
                                         size_t n);
/* Sets one member, as json_in_read does. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int json_in_set(const struct json_in_field *f, const struct json_t *v, void *to,
                               struct problem *p);

/* For the functions of the rows: set *p to a refusal that names the field and what is allowed, and
 * return FUT_ERR_INVAL. */
int json_in_wrong_type(const struct json_in_field *f, const struct json_t *v, struct problem *p);
int json_in_bad_value(const struct json_in_field *f, const char *came, struct problem *p);
int json_in_bad_number(const struct json_in_field *f, double came, struct problem *p);

/* Is this text (n bytes) one well-formed JSON value? 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int json_in_check(const char *text, size_t n, struct problem *p);

#endif
