#include "api/resources/idempotency.h"

#include <openssl/evp.h>
#include <string.h>

#include "api/http/mhd.h"
#include "core/buf.h"

#define HEADER "Idempotency-Key"

static size_t parse_quoted(const char *s, char *out)
{
    size_t n = 0;
    for (s++; *s && *s != '"'; s++) {
        if (*s == '\\' && *++s != '"' && *s != '\\')
            return 0;
        if (*s < 0x20 || *s > 0x7E || n == TASK_KEY_MAX)
            return 0;
        out[n++] = *s;
    }
    return *s == '"' && !s[1 + strspn(s + 1, " \t")] ? n : 0;
}

static size_t parse_bare(const char *s, char *out)
{
    size_t n = 0;
    for (; *s && *s != ' ' && *s != '\t'; s++) {
        if (*s < 0x21 || *s > 0x7E || strchr("\",\\", *s) || n == TASK_KEY_MAX)
            return 0;
        out[n++] = *s;
    }
    return s[strspn(s, " \t")] ? 0 : n;
}

bool idempotency_parse(const char *header, char out[TASK_KEY_MAX + 1])
{
    header += strspn(header, " \t");
    size_t n = *header == '"' ? parse_quoted(header, out) : parse_bare(header, out);
    out[n] = '\0';
    return n > 0;
}

/* Lengths keep the parts apart. */
static void put_part(struct buf *b, const char *text)
{
    buf_printf(b, "%zu:", text ? strlen(text) + 1 : 0);
    buf_puts(b, text ? text : "");
}

/* What decides on the outcome beside the body: the query in the order of the route's own list, so
 * that a client may write it in any. */
static void write_head(struct request *r, struct buf *b)
{
    char name[32];
    put_part(b, r->path);
    put_part(b, http_header(r, "Content-Type"));
    for (const char *at = r->route->params; *(at += strspn(at, " "));) {
        size_t n = strcspn(at, " ");
        FUT_ASSERT(n < sizeof(name));
        memcpy(name, at, n);
        name[n] = '\0';
        at += n;
        if (strcmp(name, "wait") != 0)
            put_part(b, request_arg(r, name));
    }
}

struct evp_md_ctx_st *idempotency_begin(struct request *r)
{
    struct buf head = BUF_INIT;
    if (!http_header(r, HEADER))
        return NULL;
    EVP_MD_CTX *print = EVP_MD_CTX_new();
    write_head(r, &head);
    if (!print || EVP_DigestInit_ex(print, EVP_sha256(), NULL) != 1)
        FUT_BUG("SHA-256 failed");
    idempotency_put(print, head.data, head.len);
    buf_release(&head);
    return print;
}

void idempotency_put(struct evp_md_ctx_st *print, const char *bytes, size_t n)
{
    if (print && EVP_DigestUpdate(print, bytes, n) != 1)
        FUT_BUG("SHA-256 failed");
}

void idempotency_drop(struct evp_md_ctx_st **print)
{
    EVP_MD_CTX_free(*print);
    *print = NULL;
}

static void make_fingerprint(struct request *r, unsigned char out[STORE_FINGERPRINT_SIZE])
{
    struct evp_md_ctx_st *print = idempotency_begin(r);
    idempotency_put(print, r->body.len ? r->body.data : "", r->body.len);
    if (EVP_DigestFinal_ex(print, out, NULL) != 1)
        FUT_BUG("SHA-256 failed");
    idempotency_drop(&print);
}

static int refuse(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_HEADER,
                HEADER " must be 1 to %d printable ASCII characters, best as a quoted string.",
                TASK_KEY_MAX);
    problem_set_parameter(&p, HEADER);
    request_problem(r, &p);
    return FUT_ERR_INVAL;
}

int idempotency_read(struct request *r, struct evp_md_ctx_st *print)
{
    char key[TASK_KEY_MAX + 1];
    struct buf full = BUF_INIT;
    const char *header = http_header(r, HEADER);
    if (!header)
        return 0;
    if (!idempotency_parse(header, key))
        return refuse(r);
    buf_printf(&full, "%s:%s", r->principal, key);
    struct store_key *out = arena_alloc(&r->arena, sizeof(*out));
    out->key = arena_strndup(&r->arena, full.data, full.len);
    buf_release(&full);
    if (!print)
        make_fingerprint(r, out->fingerprint);
    else if (EVP_DigestFinal_ex(print, out->fingerprint, NULL) != 1)
        FUT_BUG("SHA-256 failed");
    r->key = out;
    return 0;
}

void idempotency_add_replayed(struct request *r)
{
    request_add_header(r, "Idempotency-Replayed", "true");
}

void idempotency_refuse_deleted(struct request *r, const char *what)
{
    struct problem p;
    problem_set(&p, PROBLEM_BUSY,
                "The %s that this submission stood for was deleted just now; send it again.", what);
    p.retry_after_s = 1;
    request_problem(r, &p);
}
