#include "api/http/head.h"

#include <string.h>
#include <strings.h>

static void blame(struct head *h, const char *name, const char *fault)
{
    size_t n = strnlen(name, sizeof(h->field) - 1);
    if (h->fault)
        return;
    h->fault = fault;
    memcpy(h->field, name, n);
    h->field[n] = '\0';
}

/* RFC 9110: what a token may consist of. */
static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool is_usual =
            (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-';
        if (!is_usual && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return n > 0;
}

/* Nothing but text: no bare CR, no other control character but the tab. */
static bool is_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

/* The library writes a NUL over each byte of the end of a line, so CR LF are two of them; behind a
 * NUL that came, and behind a bare LF, which it takes for an end too, there is one. What it has put
 * together from folded lines stands outside the head. */
static bool is_one_line(const struct head *h, const struct head_field *f)
{
    const char *end = f->value + f->value_len;
    return f->name >= h->begin && f->name < h->end && f->value >= h->begin && end + 1 < h->end &&
           end[0] == '\0' && end[1] == '\0';
}

/* The length first: most headers are none of those that are looked for. */
static bool is_named(const struct head_field *f, const char *name, size_t n)
{
    return f->name_len == n && strncasecmp(f->name, name, n) == 0;
}

void head_add(struct head *h, const struct head_field *f)
{
    if (!is_token(f->name, f->name_len))
        blame(h, f->name,
              "A header's name must consist of letters, digits and -, and be followed "
              "by its colon.");
    if (!is_text(f->value, f->value_len) || !is_one_line(h, f))
        blame(h, f->name,
              "A header must be one line of text without control characters, ended by CR LF.");
    h->hosts += is_named(f, "Host", 4);
    h->lengths += is_named(f, "Content-Length", 14);
    h->codings += is_named(f, "Transfer-Encoding", 17);
}

bool head_is_sound(struct head *h, struct problem *p)
{
    if (h->line_has_control)
        blame(h, "", "The request line must be text without control characters.");
    if (h->lengths > 1 || (h->lengths && h->codings))
        blame(h, "Content-Length",
              "Content-Length must come once at most, and not beside Transfer-Encoding.");
    if (h->codings > 1)
        blame(h, "Transfer-Encoding", "Transfer-Encoding must come once at most.");
    if (h->hosts > 1 || (h->needs_host && !h->hosts))
        blame(h, "Host", "Host must come, and once only.");
    if (!h->fault)
        return true;
    problem_set(p, PROBLEM_INVALID_HEADER, "%s", h->fault);
    problem_set_parameter(p, h->field);
    return false;
}
