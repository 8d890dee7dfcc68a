#include "api/idempotency.h"

#include <openssl/evp.h>
#include <string.h>

#include "api/http.h"
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

static void make_fingerprint(struct request *r, unsigned char out[STORE_FINGERPRINT_SIZE])
{
    struct buf head = BUF_INIT;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    write_head(r, &head);
    if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(c, head.data, head.len) != 1 ||
        EVP_DigestUpdate(c, r->body.len ? r->body.data : "", r->body.len) != 1 ||
        EVP_DigestFinal_ex(c, out, NULL) != 1)
        FUT_BUG("SHA-256 failed");
    EVP_MD_CTX_free(c);
    buf_release(&head);
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

int idempotency_read(struct request *r, struct store_key *out, bool *out_present)
{
    char key[TASK_KEY_MAX + 1];
    struct buf full = BUF_INIT;
    const char *header = http_header(r, HEADER);
    *out_present = false;
    if (!header)
        return 0;
    if (!idempotency_parse(header, key))
        return refuse(r);
    buf_printf(&full, "%s:%s", r->principal, key);
    out->key = arena_strndup(&r->arena, full.data, full.len);
    buf_release(&full);
    make_fingerprint(r, out->fingerprint);
    *out_present = true;
    return 0;
}

void idempotency_add_replayed(struct request *r)
{
    request_add_header(r, "Idempotency-Replayed", "true");
}
