/* auth: bearer tokens and what each of them allows. Read at boot and at each reload from a file of
 * lines `token scope[,scope…]`. Any thread may ask, also during a reload. Tokens are kept as
 * SHA-256 digests and compared in constant time, all of them on each request: neither a match nor
 * its place shows in the time. Only auth_load blocks (it reads the file). */
#ifndef FUT_API_HTTP_AUTH_H
#define FUT_API_HTTP_AUTH_H

#include <stddef.h>

#include "core/err.h"

/* Bits. AUTH_ADMIN includes SUBMIT and READ; no other scope includes CODE, which is for submitting
 * to handlers whose input is a program. */
enum auth_scope { AUTH_OPEN = 0, AUTH_SUBMIT = 1, AUTH_READ = 2, AUTH_ADMIN = 4, AUTH_CODE = 8 };

#define AUTH_TOKEN_MIN 16 /* bytes: shorter ones can be guessed */
#define AUTH_TOKEN_MAX 512
#define AUTH_TOKENS_MAX 1000
#define AUTH_PRINCIPAL_SIZE 17 /* 16 hex digits that stand for a token, and a NUL */

struct auth;

/* 0, or FUT_ERR_INVAL (the line is named, the token is not) / FUT_ERR_IO with a sentence in err. */
FUT_MUST_CHECK int auth_load(const char *path, struct auth **out, struct fut_errbuf *err);
/* Reads tokens from text (n bytes) as auth_load does from a file; name: what err calls it. */
FUT_MUST_CHECK int auth_parse(const char *text, size_t n, const char *name, struct auth **out,
                              struct fut_errbuf *err);
/* From now on a has the tokens of *with, which is freed and becomes NULL. Any thread. */
void auth_replace(struct auth *a, struct auth **with);
/* NULLs. NULL ok. */
void auth_free(struct auth **a);

/* May the bearer of this Authorization header (NULL: there is none) use a route of this scope?
 * 0 with its principal and all of its scopes (bits); FUT_ERR_NOT_FOUND: no bearer token, or not one
 * of ours; FUT_ERR_STATE: the token is known and lacks the scope. */
FUT_MUST_CHECK int auth_check(struct auth *a, const char *header, enum auth_scope scope,
                              char out_principal[AUTH_PRINCIPAL_SIZE], unsigned *out_scopes);
/* The token of this Authorization header, and its length; NULL: there is none. */
const char *auth_bearer(const char *header, size_t *out_n);
/* "submit", "read", "admin", "code". */
const char *auth_scope_name(enum auth_scope scope);

#endif
