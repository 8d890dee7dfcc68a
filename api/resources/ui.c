/* ui: the web page at /ui/, whose files (api/ui/) the linker has put in. */
#include "api/resources/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/resources/version.h"
#include "core/hash.h"
#include "core/mem.h"

#define HTML "text/html; charset=utf-8"
#define JS "text/javascript; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SVG "image/svg+xml"

/* Scripts and styles of these files alone; no other host is asked for anything; the DOM takes no
 * text as markup. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "        \
    "'self'; "                                                                                     \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "                                \
    "require-trusted-types-for 'script'; trusted-types 'none'"

/* Name, its symbol, its type. */
#define FILES(X)                                                                                   \
    X("index.html", index_html, HTML)                                                              \
    X("style.css", style_css, CSS)                                                                 \
    X("icon.svg", icon_svg, SVG)                                                                   \
    X("start.js", start_js, JS)                                                                    \
    X("app.js", app_js, JS)                                                                        \
    X("dom.js", dom_js, JS)                                                                        \
    X("daemon.js", daemon_js, JS)                                                                  \
    X("words.js", words_js, JS)                                                                    \
    X("parts.js", parts_js, JS)                                                                    \
    X("charts.js", charts_js, JS)                                                                  \
    X("overview.js", overview_js, JS)                                                              \
    X("futures.js", futures_js, JS)                                                                \
    X("future.js", future_js, JS)                                                                  \
    X("batches.js", batches_js, JS)                                                                \
    X("graph.js", graph_js, JS)                                                                    \
    X("failures.js", failures_js, JS)                                                              \
    X("queues.js", queues_js, JS)                                                                  \
    X("schedules.js", schedules_js, JS)                                                            \
    X("workers.js", workers_js, JS)

#define DECLARE(name, symbol, type) extern const char ui_##symbol##_start[], ui_##symbol##_end[];
FILES(DECLARE)

struct file {
    const char *name, *type, *start, *end;
};

#define ROW(name, symbol, type) {name, type, ui_##symbol##_start, ui_##symbol##_end},
static const struct file files[] = {FILES(ROW)};

static void reply(struct request *r, const struct file *f)
{
    char etag[VERSION_ETAG_SIZE];
    size_t n = (uintptr_t)f->end - (uintptr_t)f->start;
    const char *known = http_header(r, "If-None-Match");
    (void)snprintf(etag, sizeof(etag), "\"%016" PRIx64 "\"", hash_bytes(HASH_START, f->start, n));
    request_add_header(r, "ETag", arena_strndup(&r->arena, etag, strlen(etag)));
    request_add_header(r, "Cache-Control", "no-cache");
    request_add_header(r, "Content-Security-Policy", f == files ? POLICY : "default-src 'none'");
    request_add_header(r, "X-Content-Type-Options", "nosniff");
    request_add_header(r, "Referrer-Policy", "no-referrer");
    if (known && version_matches(known, etag))
        request_reply_empty(r, 304);
    else
        request_reply_bytes(r, 200, f->type, f->start, n);
}

void ui_page(struct request *r)
{
    reply(r, &files[0]);
}

void ui_file(struct request *r)
{
    struct problem p;
    for (size_t i = 0; i < FUT_COUNT(files); i++) {
        if (strcmp(files[i].name, r->captures[0]) == 0) {
            reply(r, &files[i]);
            return;
        }
    }
    problem_set(&p, PROBLEM_UNKNOWN_ROUTE, "The page has no file \"%.64s\".", r->captures[0]);
    request_problem(r, &p);
}

void ui_lead(struct request *r)
{
    request_add_header(r, "Location", "/ui/");
    request_reply_empty(r, 303);
}
