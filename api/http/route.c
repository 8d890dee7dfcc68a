#include "api/http/route.h"

#include <string.h>

#include "core/mem.h"

static const struct {
    const char *name;
    enum route_method method;
} methods[] = {
    {"GET", METHOD_GET},         {"POST", METHOD_POST}, {"HEAD", METHOD_HEAD},
    {"PATCH", METHOD_PATCH},     {"PUT", METHOD_PUT},   {"DELETE", METHOD_DELETE},
    {"OPTIONS", METHOD_OPTIONS},
};

enum route_method route_method_parse(const char *method)
{
    for (size_t i = 0; i < FUT_COUNT(methods); i++) {
        if (strcmp(methods[i].name, method) == 0)
            return methods[i].method;
    }
    return METHOD_OTHER;
}

const char *route_method_name(enum route_method method)
{
    for (size_t i = 0; i < FUT_COUNT(methods); i++) {
        if (methods[i].method == method)
            return methods[i].name;
    }
    return "";
}

/* Segment by segment; a {name} takes one segment that is not empty. */
static bool path_matches(const char *pattern, const char *path, struct route_capture *captures)
{
    while (*pattern && *path == '/') {
        size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        if (*pattern == '{') {
            if (have == 0)
                return false;
            *captures++ = (struct route_capture){path, have};
        } else if (want != have || memcmp(pattern, path, have) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return !*pattern && !*path;
}

void route_find(const struct route_table *t, enum route_method method, const char *path,
                struct route_match *out)
{
    enum route_method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    *out = (struct route_match){0};
    for (size_t i = 0; i < t->n; i++) {
        struct route_capture captures[ROUTE_CAPTURES_MAX] = {{0}};
        if (!path_matches(t->rows[i].pattern, path, captures))
            continue;
        out->allowed |= (unsigned)t->rows[i].method | METHOD_OPTIONS;
        if (t->rows[i].method != wanted)
            continue;
        out->route = &t->rows[i];
        memcpy(out->captures, captures, sizeof(captures));
        return;
    }
}

void route_write_allow(struct buf *out, unsigned allowed)
{
    static const enum route_method order[] = {METHOD_GET,    METHOD_HEAD,  METHOD_POST,
                                              METHOD_PUT,    METHOD_PATCH, METHOD_DELETE,
                                              METHOD_OPTIONS};
    const char *comma = "";
    if (allowed & METHOD_GET)
        allowed |= METHOD_HEAD;
    for (size_t i = 0; i < FUT_COUNT(order); i++) {
        for (size_t k = 0; k < FUT_COUNT(methods); k++) {
            if (methods[k].method != order[i] || !(allowed & (unsigned)order[i]))
                continue;
            buf_puts(out, comma);
            buf_puts(out, methods[k].name);
            comma = ", ";
        }
    }
}

bool route_knows_param(const struct route *r, const char *name)
{
    size_t n = strlen(name);
    const char *at = r->params;
    while (n && !strchr(name, ' ') && (at = strstr(at, name))) {
        if (at > r->params && at[-1] == ' ' && at[n] == ' ')
            return true;
        at += n;
    }
    return false;
}
