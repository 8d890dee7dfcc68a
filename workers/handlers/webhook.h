/* webhook: signatures as Standard Webhooks has them: HMAC-SHA256 over "{id}.{timestamp}.{body}"
 * with a secret that is shown as "whsec_" and base64. Pure; any thread. */
#ifndef FUT_WORKERS_HANDLERS_WEBHOOK_H
#define FUT_WORKERS_HANDLERS_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define WEBHOOK_SECRET_MIN 16 /* bytes behind the base64 */
#define WEBHOOK_SECRET_MAX 64
#define WEBHOOK_SIGNATURE_SIZE 48 /* "v1,", 44 characters and a NUL */

struct webhook_secret {
    unsigned char bytes[WEBHOOK_SECRET_MAX];
    size_t n;
};

/* Reads "whsec_…". FUT_ERR_INVAL with a sentence that does not show the secret. */
FUT_MUST_CHECK int webhook_secret_parse(const char *text, struct webhook_secret *out,
                                        struct fut_errbuf *err);

/* wall_s: seconds since 1970, as in the webhook-timestamp header. */
void webhook_sign(const struct webhook_secret *secret, const char *id, int64_t wall_s,
                  const void *body, size_t n, char out[WEBHOOK_SIGNATURE_SIZE]);

#endif
