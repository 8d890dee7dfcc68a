#include "workers/handlers/builtins/json_input.h"
#include "core/end_codes.h"

#include <stdlib.h>

#define SHOWN_BYTES 60

static bool is_known(const char *key, const char *const *fields)
{
    for (; *fields; fields++) {
        if (strcmp(key, *fields) == 0)
            return true;
    }
    return false;
}

static bool only_known(struct run *run, json_t *root, const char *const *fields)
{
    const char *key;
    json_t *value;
    json_object_foreach (root, key, value) {
        if (is_known(key, fields))
            continue;
        struct buf list = BUF_INIT;
        for (const char *const *f = fields; *f; f++)
            buf_printf(&list, "%s\"%s\"", f == fields ? "" : ", ", *f);
        run_fail(run, end_code_text(END_BAD_INPUT), "unknown field \"%.*s\"; allowed: %s",
                 SHOWN_BYTES, key, list.data);
        buf_release(&list);
        return false;
    }
    return true;
}

json_t *json_input_read(struct run *run, const char *const *fields)
{
    json_error_t err;
    const char *bytes = run->input_len ? (const char *)run->input : "";
    json_t *root = json_loadb(bytes, run->input_len, JSON_REJECT_DUPLICATES, &err);
    if (!root) {
        run_fail(run, end_code_text(END_BAD_INPUT),
                 "the input is not a JSON object: line %d, column %d: %s", err.line, err.column,
                 err.text);
        return NULL;
    }
    if (!json_is_object(root))
        run_fail(run, end_code_text(END_BAD_INPUT), "the input must be a JSON object");
    else if (only_known(run, root, fields))
        return root;
    json_decref(root);
    return NULL;
}

void json_input_bad(struct run *run, const char *name, const json_t *found, const char *allowed)
{
    if (!found) {
        run_fail(run, end_code_text(END_BAD_INPUT), "field \"%s\" is missing; allowed: %s", name,
                 allowed);
        return;
    }
    char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t n = text ? strlen(text) : 0;
    run_fail(run, end_code_text(END_BAD_INPUT), "field \"%s\" is %.*s%s; allowed: %s", name,
             SHOWN_BYTES, text ? text : "?", n > SHOWN_BYTES ? "…" : "", allowed);
    free(text);
}

static int append(const char *bytes, size_t n, void *body)
{
    buf_put(body, bytes, n);
    return 0;
}

void json_input_succeed(struct run *run, json_t *result)
{
    struct buf body = BUF_INIT;
    if (!result || json_dump_callback(result, append, &body, JSON_COMPACT) != 0)
        run_fail(run, end_code_text(END_INTERNAL), "the result could not be written as JSON");
    else
        run_succeed(run, CONTENT_JSON, &body);
    buf_release(&body);
    json_decref(result);
}
