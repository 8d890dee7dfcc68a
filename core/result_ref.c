#include "core/result_ref.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json_quoted.h"
#include "core/json_walk.h"
#include "core/mem.h"

#define KEY "$result"
#define KEY_ALL "$results"
#define DEPTH_MAX 128 /* as submissions may be nested */

struct bracket {
    size_t begin;
    bool is_ref;
};

static int refuse(struct result_refs *refs, const char *why)
{
    (void)snprintf(refs->why, sizeof(refs->why), "%s", why);
    return FUT_ERR_INVAL;
}

bool result_ref_may_be_in(const char *text, size_t n)
{
    return memmem(text, n, "\"" KEY, sizeof(KEY)) != NULL;
}

static int read_all(struct result_refs *refs, struct result_ref *ref)
{
    ref->is_all = true;
    if (json_object_size(ref->root) != 1 || !json_is_true(json_object_get(ref->root, KEY_ALL)))
        return refuse(refs, "All results are written as {\"$results\":true}.");
    return 0;
}

static int read_one(struct result_refs *refs, struct result_ref *ref, const char *text, size_t n)
{
    const json_t *parent = json_object_get(ref->root, KEY);
    const json_t *pointer = json_object_get(ref->root, "pointer");
    size_t members = 1u + (pointer != NULL);
    if (json_object_get(ref->root, KEY_ALL))
        return read_all(refs, ref);
    if (json_object_get(ref->root, "default")) {
        FUT_MUST(json_walk_member(text, n, "default", &ref->missing, &ref->missing_len));
        members++;
    }
    if (!json_is_string(parent) || json_object_size(ref->root) != members)
        return refuse(refs, "A reference is an object of \"$result\", which is a string, and "
                            "\"pointer\" and \"default\", which may be missing.");
    if (pointer && (!json_is_string(pointer) || !json_walk_pointer_ok(json_string_value(pointer))))
        return refuse(refs, "The \"pointer\" of a reference must be a JSON pointer (RFC 6901), "
                            "like \"/items/0\".");
    ref->parent = json_string_value(parent);
    ref->pointer = pointer ? json_string_value(pointer) : "";
    return 0;
}

static int add(struct result_refs *refs, const char *text, size_t begin, size_t end)
{
    if (refs->n == RESULT_REF_MAX)
        return refuse(refs, "An input has at most 10000 references.");
    if (refs->n == refs->cap) {
        refs->cap = refs->cap ? refs->cap * 2 : 8;
        refs->items = xrealloc(refs->items, refs->cap * sizeof(*refs->items));
    }
    struct result_ref *ref = &refs->items[refs->n++];
    *ref = (struct result_ref){.begin = begin, .end = end, .parent = "", .pointer = ""};
    ref->root = json_loadb(text + begin, end - begin, JSON_REJECT_DUPLICATES, NULL);
    return read_one(refs, ref, text + begin, end - begin);
}

int result_ref_find(const char *text, size_t n, struct result_refs *out)
{
    struct bracket open[DEPTH_MAX];
    size_t depth = 0;
    int rc = 0;
    *out = (struct result_refs){0};
    for (size_t at = 0; rc == 0 && at < n;) {
        char c = text[at];
        size_t next = c == '"' ? json_quoted_skip(text, n, at) : at + 1;
        if (c == '"' && depth) {
            size_t colon = json_walk_skip_space(text, n, next);
            open[depth - 1].is_ref |=
                colon < n && text[colon] == ':' &&
                (json_walk_is(text + at, next - at, KEY, sizeof(KEY) - 1) ||
                 json_walk_is(text + at, next - at, KEY_ALL, sizeof(KEY_ALL) - 1));
        } else if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return refuse(out, "The input is nested too deep.");
            open[depth++] = (struct bracket){at, false};
        } else if ((c == '}' || c == ']') && depth && open[--depth].is_ref) {
            rc = add(out, text, open[depth].begin, next);
        }
        at = next;
    }
    return rc;
}

void result_ref_release(struct result_refs *refs)
{
    for (size_t i = 0; i < refs->n; i++)
        json_decref(refs->items[i].root);
    free(refs->items);
    *refs = (struct result_refs){0};
}

void result_ref_write(struct buf *out, const char *parent, const struct result_ref *ref)
{
    buf_printf(out, "{\"" KEY "\":\"%s\"", parent);
    if (*ref->pointer) {
        json_t *pointer = json_string(ref->pointer);
        char *text = json_dumps(pointer, JSON_ENCODE_ANY);
        buf_printf(out, ",\"pointer\":%s", text);
        free(text);
        json_decref(pointer);
    }
    if (ref->missing) {
        buf_puts(out, ",\"default\":");
        buf_put(out, ref->missing, ref->missing_len);
    }
    buf_putc(out, '}');
}
