#include "workers/handlers/webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "core/buf.h"
#include "core/mem.h"

#define PREFIX "whsec_"
#define TEXT_MAX ((size_t)BASE64_LEN(WEBHOOK_SECRET_MAX))
#define HMAC_BYTES 32

int webhook_secret_parse(const char *text, struct webhook_secret *out, struct fut_errbuf *err)
{
    unsigned char bytes[BASE64_BYTES(TEXT_MAX)];
    size_t prefix = sizeof(PREFIX) - 1, n = strlen(text);
    ssize_t len = -1;
    if (strncmp(text, PREFIX, prefix) == 0 && n - prefix <= TEXT_MAX)
        len = base64_decode(text + prefix, n - prefix, bytes);
    if (len < WEBHOOK_SECRET_MIN || len > WEBHOOK_SECRET_MAX)
        return fut_fail(err, FUT_ERR_INVAL, "must be \"%s\" and the base64 of %d to %d bytes",
                        PREFIX, WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX);
    memcpy(out->bytes, bytes, (size_t)len);
    out->n = (size_t)len;
    return 0;
}

void webhook_sign(const struct webhook_secret *secret, const char *id, int64_t wall_s,
                  const void *body, size_t n, char out[WEBHOOK_SIGNATURE_SIZE])
{
    unsigned char mac[HMAC_BYTES];
    unsigned mac_len = 0;
    struct buf signed_bytes = BUF_INIT, text = BUF_INIT;
    buf_printf(&signed_bytes, "%s.%lld.", id, (long long)wall_s);
    buf_put(&signed_bytes, body, n);
    const unsigned char *ok =
        HMAC(EVP_sha256(), secret->bytes, (int)secret->n, (const unsigned char *)signed_bytes.data,
             signed_bytes.len, mac, &mac_len);
    FUT_ASSERT(ok && mac_len == HMAC_BYTES);
    base64_put(&text, mac, HMAC_BYTES);
    (void)snprintf(out, WEBHOOK_SIGNATURE_SIZE, "v1,%s", text.data);
    buf_release(&text);
    buf_release(&signed_bytes);
}
