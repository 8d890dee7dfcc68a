#include "api/http/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sync.h"

#define FILE_MAX_BYTES (1u << 20)
#define BLANKS " \t\r"

struct entry {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    unsigned scopes;
};

struct auth {
    struct mutex mu; /* guards the rest; held for a comparison with each token */
    struct entry *entries;
    size_t n;
};

static const struct {
    const char *name;
    enum auth_scope scope;
    unsigned allows;
} scopes[] = {
    {"submit", AUTH_SUBMIT, AUTH_SUBMIT},
    {"read", AUTH_READ, AUTH_READ},
    {"admin", AUTH_ADMIN, AUTH_SUBMIT | AUTH_READ | AUTH_ADMIN},
    {"code", AUTH_CODE, AUTH_CODE},
};

const char *auth_scope_name(enum auth_scope scope)
{
    for (size_t i = 0; i < FUT_COUNT(scopes); i++) {
        if (scopes[i].scope == scope)
            return scopes[i].name;
    }
    return "none";
}

/* ---- the file -------------------------------------------------------------------------------- */

struct parse {
    const char *name;
    int line;
    struct fut_errbuf *err;
};

static int refuse(const struct parse *p, const char *why)
{
    return fut_fail(p->err, FUT_ERR_INVAL, "%s, line %d: %s", p->name, p->line, why);
}

/* Adds one scope's bits; false when no scope has this name. */
static bool add_scope(const char *text, size_t n, unsigned *mask)
{
    for (size_t i = 0; i < FUT_COUNT(scopes); i++) {
        if (strlen(scopes[i].name) == n && memcmp(scopes[i].name, text, n) == 0) {
            *mask |= scopes[i].allows;
            return true;
        }
    }
    return false;
}

static bool parse_scopes(const char *text, size_t n, unsigned *mask)
{
    const char *end = text + n;
    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        if (!add_scope(text, (size_t)((comma ? comma : end) - text), mask))
            return false;
        if (!comma)
            return true;
        text = comma + 1;
    }
}

/* RFC 6750: what may stand behind "Bearer". */
static bool is_token(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && (strchr("-._~+/", text[i]) || (text[i] >= '0' && text[i] <= '9') ||
                     (text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z')))
        i++;
    while (i < n && text[i] == '=')
        i++;
    return i == n && text[0] != '=';
}

static bool is_known(const struct auth *a, const unsigned char *digest)
{
    for (size_t i = 0; i < a->n; i++) {
        if (CRYPTO_memcmp(a->entries[i].digest, digest, SHA256_DIGEST_LENGTH) == 0)
            return true;
    }
    return false;
}

/* One line, NUL-terminated, that is neither empty nor a comment. */
static int parse_entry(const struct parse *p, struct auth *a, const char *token)
{
    struct entry e = {.scopes = 0};
    size_t n = strcspn(token, BLANKS);
    const char *rest = token + n + strspn(token + n, BLANKS);
    size_t n_rest = strcspn(rest, BLANKS);
    if (n < AUTH_TOKEN_MIN || n > AUTH_TOKEN_MAX || !is_token(token, n))
        return refuse(p, "a token has 16 to 512 characters of A-Z a-z 0-9 - . _ ~ + / and = at "
                         "its end");
    if (rest[n_rest + strspn(rest + n_rest, BLANKS)] || !parse_scopes(rest, n_rest, &e.scopes))
        return refuse(p, "behind the token goes a comma list of the scopes submit, read, "
                         "admin, code");
    (void)SHA256((const unsigned char *)token, n, e.digest);
    if (is_known(a, e.digest))
        return refuse(p, "this token stands in an earlier line already");
    if (a->n == AUTH_TOKENS_MAX)
        return refuse(p, "there are more than 1000 tokens");
    a->entries[a->n++] = e;
    return 0;
}

static int parse_lines(struct parse *p, struct auth *a, const char *text, size_t n)
{
    char line[AUTH_TOKEN_MAX + 64];
    int rc = 0;
    for (const char *end = text + n; rc == 0 && text < end; p->line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((newline ? newline : end) - text);
        if (len >= sizeof(line) || memchr(text, '\0', len)) {
            rc = refuse(p, "too long, or no text");
        } else {
            memcpy(line, text, len);
            line[len] = '\0';
            const char *begin = line + strspn(line, BLANKS);
            rc = *begin && *begin != '#' ? parse_entry(p, a, begin) : 0;
        }
        text += len + 1;
    }
    OPENSSL_cleanse(line, sizeof(line));
    return rc;
}

int auth_parse(const char *text, size_t n, const char *name, struct auth **out,
               struct fut_errbuf *err)
{
    struct parse p = {name, 1, err};
    struct auth *a = xnew(struct auth);
    mutex_init(&a->mu);
    a->entries = xcalloc(AUTH_TOKENS_MAX, sizeof(*a->entries));
    int rc = parse_lines(&p, a, text, n);
    if (rc == 0 && a->n == 0)
        rc =
            fut_fail(err, FUT_ERR_INVAL, "%s holds no token; a line is: token scope[,scope]", name);
    if (rc != 0)
        auth_free(&a);
    else
        *out = a;
    return rc;
}

int auth_load(const char *path, struct auth **out, struct fut_errbuf *err)
{
    struct buf text = BUF_INIT; /* in one piece: there is no second copy of the tokens in memory */
    int rc = file_read(path, FILE_MAX_BYTES, &text, err);
    if (rc == 0)
        rc = auth_parse(text.data, text.len, path, out, err);
    else
        rc = FUT_ERR_INVAL;
    if (text.data)
        OPENSSL_cleanse(text.data, text.cap);
    buf_release(&text);
    return rc;
}

void auth_replace(struct auth *a, struct auth **with)
{
    struct auth *now = *with;
    mutex_lock(&a->mu);
    struct entry *before = a->entries;
    a->entries = now->entries;
    a->n = now->n;
    mutex_unlock(&a->mu);
    now->entries = before;
    auth_free(with);
}

void auth_free(struct auth **a)
{
    if (!*a)
        return;
    free((*a)->entries);
    mutex_destroy(&(*a)->mu);
    free(*a);
    *a = NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The scopes of the token with this digest; 0 when there is none. Looks at every entry. */
static unsigned find_scopes(struct auth *a, const unsigned char *digest)
{
    unsigned found = 0;
    mutex_lock(&a->mu);
    for (size_t i = 0; i < a->n; i++) {
        int differs = CRYPTO_memcmp(a->entries[i].digest, digest, SHA256_DIGEST_LENGTH);
        found |= a->entries[i].scopes & (0u - (unsigned)(differs == 0));
    }
    mutex_unlock(&a->mu);
    return found;
}

const char *auth_bearer(const char *header, size_t *out_n)
{
    static const char scheme[] = "Bearer ";
    if (!header || strncasecmp(header, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    const char *token = header + sizeof(scheme) - 1;
    token += strspn(token, " ");
    *out_n = strcspn(token, BLANKS);
    return token[*out_n + strspn(token + *out_n, BLANKS)] ? NULL : token;
}

int auth_check(struct auth *a, const char *header, enum auth_scope scope,
               char out_principal[AUTH_PRINCIPAL_SIZE], unsigned *out_scopes)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    size_t n = 0;
    const char *token = auth_bearer(header, &n);
    if (!token || n > AUTH_TOKEN_MAX)
        return FUT_ERR_NOT_FOUND;
    (void)SHA256((const unsigned char *)token, n, digest);
    unsigned allowed = find_scopes(a, digest);
    if (!allowed)
        return FUT_ERR_NOT_FOUND;
    if ((allowed & (unsigned)scope) != (unsigned)scope)
        return FUT_ERR_STATE;
    for (int i = 0; i < (AUTH_PRINCIPAL_SIZE - 1) / 2; i++)
        (void)snprintf(out_principal + (ptrdiff_t)2 * i, 3, "%02x", digest[i]);
    *out_scopes = allowed;
    return 0;
}
