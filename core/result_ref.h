/* result_ref: references to results in the input of a task: an object {"$result":"NAME"} or
 * {"$result":"NAME","pointer":"/a/0","default":…} anywhere in JSON, in place of which the task gets
 * the result of the task of that name or id, or the value in it that the pointer (RFC 6901) names,
 * or the default when there is no such value. {"$results":true} stands for all results that there
 * are to be had. Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_RESULT_REF_H
#define FUT_CORE_RESULT_REF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define RESULT_REF_MAX 10000 /* in one input */

struct buf;
struct json_t;

struct result_ref {
    size_t begin, end;   /* the bytes of the object in the text */
    bool is_all;         /* {"$results":true}: no parent, no pointer, no default */
    const char *parent;  /* a name or an id, as it was written; owned by root */
    const char *pointer; /* likewise; "": the whole result */
    const char *missing; /* the default as it was written, in the text; NULL: there is none */
    size_t missing_len;
    struct json_t *root;
};

struct result_refs {
    struct result_ref *items; /* in the order of the text */
    size_t n, cap;
    char why[160]; /* a sentence, when they could not be read */
};

/* May there be a reference in the text? A quick look that is never wrong when it says no; the key
 * is written without escapes. */
bool result_ref_may_be_in(const char *text, size_t n);
/* The references in a text that is valid JSON. 0, or FUT_ERR_INVAL with out->why: one is not
 * written as it must be. result_ref_release in both cases. */
FUT_MUST_CHECK int result_ref_find(const char *text, size_t n, struct result_refs *out);
/* Frees what was found; empty after that. */
void result_ref_release(struct result_refs *refs);
/* Appends a reference to this parent (a name or an id), with the pointer and the default of `ref`.
 */
void result_ref_write(struct buf *out, const char *parent, const struct result_ref *ref);

#endif
