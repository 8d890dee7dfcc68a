/* dispatch: from a path and a method to the step that answers, and the checks that all routes
 * share. */
#include "api/http/dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/http/loop.h"
#include "api/http/mhd.h"
#include "api/http/origin.h"
#include "api/http/shared.h"
#include "api/text/params.h"
#include "core/mem.h"

/* ---- what came ------------------------------------------------------------------------------- */

static bool bad_arg(struct request *r, enum problem_code code, const char *name, const char *why)
{
    struct problem p;
    problem_set(&p, code, "The query parameter \"%.64s\" %s; known here:%.120s", name, why,
                *r->route->params ? r->route->params : " none ");
    p.detail[strlen(p.detail) - 1] = '.';
    problem_set_parameter(&p, name);
    request_refuse_body(r, &p);
    return false;
}

static bool take_arg(struct request *r, const struct params_pair *came)
{
    char *name = arena_strndup(&r->arena, came->name, came->name_len);
    char *text = arena_strndup(&r->arena, came->value, came->value_len);
    if (!params_decode_form(name) || !params_decode_form(text))
        return bad_arg(r, PROBLEM_INVALID_PARAMETER,
                       arena_strndup(&r->arena, came->name, came->name_len),
                       "is badly percent-encoded");
    if (!route_knows_param(r->route, name))
        return bad_arg(r, PROBLEM_UNKNOWN_PARAMETER, name, "is not known");
    if (request_arg(r, name))
        return bad_arg(r, PROBLEM_INVALID_PARAMETER, name, "was given twice");
    request_add_arg(r, name, text);
    return true;
}

/* False: the refusal is kept. */
static bool take_args(struct request *r)
{
    const char *rest = r->query ? r->query : "";
    struct params_pair came;
    while (params_next(&rest, &came)) {
        if (!take_arg(r, &came))
            return false;
    }
    return true;
}

/* Decoded parts of the path must stay one part: no slash, no control characters. */
static bool take_captures(struct request *r, const struct route_match *m)
{
    for (int i = 0; i < ROUTE_CAPTURES_MAX && m->captures[i].text; i++) {
        char *s = arena_strndup(&r->arena, m->captures[i].text, m->captures[i].n);
        if (!params_decode(s) || strchr(s, '/'))
            return false;
        for (const char *c = s; *c; c++) {
            if ((unsigned char)*c < 0x20 || *c == 0x7F)
                return false;
        }
        r->captures[i] = s;
    }
    return true;
}

/* ---- first steps of requests that reach no route --------------------------------------------- */

static void refuse_path(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_UNKNOWN_ROUTE, "There is nothing at %.200s.", r->path);
    request_problem(r, &p);
}

static void refuse_encoding(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_PATH, "The path %.200s is badly percent-encoded.", r->path);
    request_problem(r, &p);
}

void dispatch_refuse_kept(struct request *r)
{
    request_problem(r, r->refusal);
}

static void refuse_method(struct request *r)
{
    struct problem p;
    struct buf allow = BUF_INIT;
    route_write_allow(&allow, r->allowed);
    problem_set(&p, PROBLEM_METHOD_NOT_ALLOWED, "%.200s takes %s.", r->path, allow.data);
    request_add_header(r, "Allow", arena_strndup(&r->arena, allow.data, allow.len));
    buf_release(&allow);
    request_problem(r, &p);
}

void dispatch_refuse_headers(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_HEADERS_TOO_LARGE, "Request line, headers and cookies are too many.");
    p.limit = r->api->cfg.max_header_bytes;
    r->closes = true;
    request_problem(r, &p);
}

void dispatch_refuse_size(struct request *r)
{
    struct problem p;
    size_t limit = r->body_limit;
    problem_set(&p, PROBLEM_BODY_TOO_LARGE, "The body has more than %zu bytes.", limit);
    p.limit = limit;
    request_problem(r, &p);
}

void dispatch_refuse_coding(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_HEADER,
                "Of the transfer codings only \"chunked\" is understood.");
    problem_set_parameter(&p, "Transfer-Encoding");
    r->closes = true;
    request_problem(r, &p);
}

void dispatch_refuse_body(struct request *r)
{
    request_refuse_bytes(r, "Too many bytes of other requests are in memory; nothing was stored.");
}

static void refuse_packed(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_UNSUPPORTED_ENCODING,
                "The Content-Encoding \"%.64s\" is not understood; send the bytes as they are.",
                http_header(r, "Content-Encoding"));
    problem_set_parameter(&p, "Content-Encoding");
    request_add_header(r, "Accept-Encoding", "identity");
    request_problem(r, &p);
}

static void refuse_submit(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_SHUTTING_DOWN, "The daemon is shutting down; nothing was stored.");
    p.retry_after_s = 1;
    request_problem(r, &p);
}

static void refuse_early(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_NOT_READY, "%s", REQUEST_EARLY);
    p.retry_after_s = 1;
    request_problem(r, &p);
}

/* ---- browsers -------------------------------------------------------------------------------- */

static void refuse_host(struct request *r)
{
    struct problem p;
    problem_set(
        &p, PROBLEM_UNKNOWN_HOST,
        "\"%.200s\" is not a name of this daemon; ask for localhost or its address, or name "
        "it in FUTURED_HOSTS.",
        r->host);
    problem_set_parameter(&p, "Host");
    request_problem(r, &p);
}

static void refuse_origin(struct request *r)
{
    struct problem p;
    const char *origin = http_header(r, "Origin");
    problem_set(&p, PROBLEM_FOREIGN_ORIGIN,
                "A page of %.200s may not ask here; the operator can name its origin in "
                "FUTURED_ORIGINS. Behind a proxy, let it pass the Host on.",
                origin && *origin ? origin : "another site");
    problem_set_parameter(&p, origin ? "Origin" : "Sec-Fetch-Site");
    request_problem(r, &p);
}

/* What was found of the same bytes before holds: the rules stay as they are. */
static bool is_our_host(struct request *r, const char *host)
{
    const struct api_config *c = &r->api->cfg;
    size_t n = strlen(host);
    if (n && strcmp(host, r->loop->our_host) == 0)
        return true;
    if (!origin_host_is_ours(c->origins, host, c->n_listen_fds ? NULL : c->listen))
        return false;
    if (n < sizeof(r->loop->our_host))
        memcpy(r->loop->our_host, host, n + 1);
    return true;
}

/* NULL when the request may go on, else the step that refuses it. Without tokens a web page could
 * else run tasks here in the name of whoever looks at it. */
static request_step *check_browser(struct request *r)
{
    const struct api_config *c = &r->api->cfg;
    struct origin_headers h = {r->host, http_header(r, "Origin"), http_header(r, "Sec-Fetch-Site")};
    if (h.host && !c->auth && !r->loop->listener->is_unix && !is_our_host(r, h.host))
        return refuse_host;
    if (!h.origin && !h.fetch_site) /* no browser */
        return NULL;
    enum origin_verdict verdict = origin_judge(c->origins, &h);
    if (verdict == ORIGIN_ALLOWED)
        r->cors_origin = h.origin;
    if (r->route && r->route->flags & ROUTE_LINKED)
        return NULL;
    return verdict == ORIGIN_FOREIGN ? refuse_origin : NULL;
}

/* What a page may send, asked before it does. */
static void add_preflight(struct request *r, const char *methods)
{
    request_add_header(r, "Access-Control-Allow-Methods", methods);
    request_add_header(r, "Access-Control-Allow-Headers",
                       "Authorization, Content-Type, Idempotency-Key, If-None-Match, "
                       "Last-Event-ID, Prefer, traceparent");
    request_add_header(r, "Access-Control-Max-Age", "600");
    if (http_header(r, "Access-Control-Request-Private-Network"))
        request_add_header(r, "Access-Control-Allow-Private-Network", "true");
}

static void reply_options(struct request *r)
{
    struct buf allow = BUF_INIT;
    route_write_allow(&allow, r->allowed);
    const char *methods = arena_strndup(&r->arena, allow.data, allow.len);
    buf_release(&allow);
    request_add_header(r, "Allow", methods);
    if (r->cors_origin && http_header(r, "Access-Control-Request-Method"))
        add_preflight(r, methods);
    request_reply_empty(r, 204);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void refuse_token(struct request *r)
{
    struct problem p;
    bool came = http_header(r, "Authorization") != NULL;
    problem_set(&p, PROBLEM_UNAUTHORIZED, "%s",
                came ? "The bearer token is not one that this daemon knows."
                     : "Send a token: \"Authorization: Bearer TOKEN\".");
    request_add_header(r, "WWW-Authenticate",
                       came ? "Bearer realm=\"futured\", error=\"invalid_token\""
                            : "Bearer realm=\"futured\"");
    request_problem(r, &p);
}

static void refuse_scope(struct request *r)
{
    struct problem p;
    const char *scope = auth_scope_name(r->route->scope);
    problem_set(&p, PROBLEM_FORBIDDEN, "This needs a token with the scope \"%s\".", scope);
    p.scope = scope;
    request_problem(r, &p);
}

void dispatch_refuse_ended(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_UNAUTHORIZED,
                "This is the token of an attempt that has ended; it was valid while the attempt "
                "ran.");
    request_add_header(r, "WWW-Authenticate", "Bearer realm=\"futured\", error=\"invalid_token\"");
    request_problem(r, &p);
}

static void refuse_attempt(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_FORBIDDEN,
                "The token of a running attempt is good for submitting tasks, and for waiting for "
                "futures, reading and cancelling them by their ids.");
    request_problem(r, &p);
}

/* Is it the token of an attempt? Then the attempt asks, and *out is the step that refuses it, or
 * NULL. Where no tokens are configured it may do what everybody may. */
static bool take_attempt(struct request *r, request_step **out)
{
    struct attempt_tokens *attempts = r->api->cfg.attempts;
    size_t n;
    if (!attempts || !attempt_token_any(attempts))
        return false;
    const char *token = auth_bearer(http_header(r, "Authorization"), &n);
    int rc = token ? attempt_token_find(attempts, token, n, &r->attempt) : FUT_ERR_INVAL;
    if (rc == FUT_ERR_INVAL)
        return false;
    *out = rc != 0 ? dispatch_refuse_ended : NULL;
    if (rc == 0 && r->api->cfg.auth && !(r->route->flags & ROUTE_ATTEMPTS))
        *out = refuse_attempt;
    if (rc == 0 && r->attempt.takes_code)
        r->scopes |= AUTH_CODE;
    /* The same for all attempts of a task: what one has submitted the next one finds. */
    if (rc == 0)
        (void)snprintf(r->principal, sizeof(r->principal), "%016" PRIx64, r->attempt.task.hi);
    return true;
}

/* NULL when the request may go on, else the step that refuses it. */
static request_step *check_token(struct request *r)
{
    struct auth *auth = r->api->cfg.auth;
    request_step *refuse;
    /* Without tokens a socket's permissions say who may send programs; nothing does on TCP. */
    r->scopes = auth || !r->loop->listener->is_unix ? 0 : AUTH_CODE;
    if (r->route->scope == AUTH_OPEN)
        return NULL;
    if (take_attempt(r, &refuse))
        return refuse;
    if (!auth)
        return NULL;
    int rc = auth_check(auth, http_header(r, "Authorization"), r->route->scope, r->principal,
                        &r->scopes);
    return rc == 0 ? NULL : rc == FUT_ERR_STATE ? refuse_scope : refuse_token;
}

static bool turns_away(const struct request *r)
{
    return r->route->flags & ROUTE_SUBMITS && atomic_load(&r->api->is_quiesced) &&
           !r->api->cfg.n_listen_fds;
}

/* What is open to everybody needs no store. */
static bool is_early(const struct request *r)
{
    return r->route->scope != AUTH_OPEN && !atomic_load(&r->api->is_attached);
}

/* Runs when the request is complete. */
static void run_route(struct request *r)
{
    if (turns_away(r)) /* by now */
        refuse_submit(r);
    else
        r->route->run(r);
}

/* A request may name the whole URL; its host is then the one that counts (RFC 9112, 3.2.2). */
static void split_target(struct request *r)
{
    static const char *const schemes[] = {"http://", "https://"};
    r->host = http_header(r, "Host");
    for (size_t i = 0; i < FUT_COUNT(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(r->path, schemes[i], n) != 0)
            continue;
        size_t host_len = strcspn(r->path + n, "/");
        r->host = arena_strndup(&r->arena, r->path + n, host_len);
        r->path += n + host_len;
        if (!*r->path)
            r->path = "/";
        return;
    }
}

/* The bytes of a body count as they are; nobody unpacks them. */
static bool is_packed(const struct request *r)
{
    const char *coding = http_header(r, "Content-Encoding");
    return coding && *coding && strcasecmp(coding, "identity") != 0;
}

/* The step that refuses the request by its head alone, or answers OPTIONS; NULL: it may go on. */
static request_step *judge(struct request *r)
{
    struct route_match m;
    route_find(r->api->routes, r->method, r->path, &m);
    r->allowed = m.allowed;
    r->route = m.route;
    r->body_limit = r->api->cfg.max_body_bytes;
    request_step *refuse = check_browser(r);
    if (refuse)
        return refuse;
    if (r->method == METHOD_OPTIONS && strcmp(r->path, "*") == 0)
        r->allowed =
            METHOD_GET | METHOD_POST | METHOD_PUT | METHOD_PATCH | METHOD_DELETE | METHOD_OPTIONS;
    if (!r->allowed)
        return refuse_path;
    if (!m.route)
        return r->method == METHOD_OPTIONS ? reply_options : refuse_method;
    if (!take_captures(r, &m))
        return refuse_encoding;
    refuse = check_token(r); /* before its body takes any memory */
    if (refuse)
        return refuse;
    if (!take_args(r))
        return dispatch_refuse_kept;
    if (is_packed(r))
        return refuse_packed;
    if (is_early(r))
        return refuse_early;
    return turns_away(r) ? refuse_submit : NULL;
}

void dispatch_begin(struct request *r)
{
    split_target(r);
    r->next = judge(r);
    r->is_refused = r->next != NULL;
    if (r->is_refused)
        return;
    r->next = run_route;
    r->keeps_body = r->route->flags & ROUTE_HAS_BODY;
    if (r->route->open)
        r->route->open(r);
}
