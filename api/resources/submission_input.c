#include <jansson.h>
#include <string.h>

#include "api/resources/submission.h"
#include "api/text/json_in.h"
#include "core/base64.h"
#include "core/json_quoted.h"
#include "core/result_ref.h"

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Without escapes, the text itself is what it says. */
static void set_text(struct submission *s, const char *quoted, size_t n)
{
    s->input = quoted + 1;
    s->input_len = n - 2;
    if (!memchr(quoted, '\\', n))
        return;
    s->decoded.len = 0;
    json_quoted_decode(quoted, n, &s->decoded);
    s->input = s->decoded.data;
    s->input_len = s->decoded.len;
}

/* The tree does not have a long string (json_text_parse_tasks). */
void submission_input_set(struct submission *s, const struct json_t *value, const char *text,
                          size_t n)
{
    bool is_text = json_is_string(value);
    s->input_type = is_text ? CONTENT_TEXT : CONTENT_JSON;
    if (is_text && n > 2 && json_string_length(value) == 0) {
        set_text(s, text, n);
        return;
    }
    s->input = is_text ? json_string_value(value) : text;
    s->input_len = is_text ? json_string_length(value) : n;
}

void submission_input_plain(struct submission *s, const char *value, size_t n)
{
    bool is_text = *value == '"';
    s->input_type = is_text ? CONTENT_TEXT : CONTENT_JSON;
    s->input = value;
    s->input_len = n;
    if (is_text)
        set_text(s, value, n);
    else
        s->has_refs = result_ref_may_be_in(value, n);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int refuse_bytes(const char *field, const char *why, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "%s", why);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

int submission_input_decode(struct submission *s, const char *quoted, size_t n, struct problem *p)
{
    struct buf text = BUF_INIT;
    bool has_escapes = memchr(quoted, '\\', n) != NULL;
    if (has_escapes)
        json_quoted_decode(quoted, n, &text);
    const char *digits = has_escapes ? text.data : quoted + 1;
    n = has_escapes ? text.len : n - 2;
    buf_reserve(&s->decoded, BASE64_BYTES(n) + 1);
    ssize_t got = base64_decode(digits, n, (unsigned char *)s->decoded.data);
    buf_release(&text);
    if (got < 0)
        return refuse_bytes("base64",
                            "\"base64\" must be bytes in base64, with padding (RFC 4648).", p);
    s->decoded.len = (size_t)got;
    s->is_base64 = true;
    return 0;
}

int submission_input_bytes(struct submission *s, const char *bytes, size_t n, struct problem *p)
{
    s->input = bytes;
    s->input_len = n;
    if (s->said_type)
        s->input_type = s->said_type;
    if (!task_type_is_json(s->input_type))
        return 0;
    int rc = json_in_check(bytes, n, p);
    if (rc != 0)
        problem_set_field(p, s->is_base64 ? "base64" : "bytes");
    return rc;
}

/* The input is what "base64" says, or comes behind the line, with the type that stands beside. */
int submission_input_check(struct submission *s, struct problem *p)
{
    if (!s->is_base64 && !s->has_bytes && !s->said_type)
        return 0;
    if (!s->is_base64 && !s->has_bytes)
        return refuse_bytes("content_type",
                            "\"content_type\" is the type of \"base64\", or of a frame's bytes.",
                            p);
    if (s->has_bytes && (s->input || s->is_base64))
        return refuse_bytes("bytes", "The input stands behind the line or in it, not both.", p);
    if (s->input)
        return refuse_bytes("base64", "A task has \"input\" or \"base64\", not both.", p);
    return s->is_base64 ? submission_input_bytes(s, s->decoded.data, s->decoded.len, p) : 0;
}
