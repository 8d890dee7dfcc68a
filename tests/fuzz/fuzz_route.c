/* "METHOD PATH": what matches can be built again from the pattern and its captures. */
#include <stdlib.h>
#include <string.h>

#include "api/routes.h"
#include "tests/fuzz/fuzz.h"

static void check_rebuilt(const struct route_match *m, const char *path)
{
    struct buf built = BUF_INIT;
    const struct route_capture *capture = m->captures;
    for (const char *c = m->route->pattern; *c;) {
        if (*c != '{') {
            buf_putc(&built, *c++);
            continue;
        }
        FUT_ASSERT(capture < m->captures + ROUTE_CAPTURES_MAX && capture->n > 0);
        FUT_ASSERT(!memchr(capture->text, '/', capture->n));
        buf_put(&built, capture->text, capture->n);
        capture++;
        c = strchr(c, '}') + 1;
    }
    FUT_ASSERT(built.len == strlen(path) && memcmp(built.data, path, built.len) == 0);
    buf_release(&built);
}

static void try_route(const char *name, const char *path)
{
    struct route_match m;
    struct buf allow = BUF_INIT;
    enum route_method method = route_method_parse(name);
    route_find(&routes_table, method, path, &m);
    route_write_allow(&allow, m.allowed);
    FUT_ASSERT(!m.allowed || strstr(allow.data, "OPTIONS"));
    if (m.route) {
        enum route_method as = method == METHOD_HEAD ? METHOD_GET : method;
        FUT_ASSERT(m.route->method == as && (m.allowed & (unsigned)as));
        check_rebuilt(&m, path);
        FUT_ASSERT(!route_knows_param(m.route, "") && !route_knows_param(m.route, " "));
        (void)route_knows_param(m.route, path);
    }
    buf_release(&allow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n), *space = strchr(text, ' ');
    if (space) {
        *space = '\0';
        try_route(text, space + 1);
    }
    free(text);
    return 0;
}
