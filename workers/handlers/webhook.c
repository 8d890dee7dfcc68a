#include "workers/handlers/webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"

#define PREFIX "whsec_"
#define TEXT_MAX ((size_t)4 * ((WEBHOOK_SECRET_MAX + 2) / 3))
#define HMAC_BYTES 32

/* -1: not base64. EVP_DecodeBlock counts the padding as zero bytes and skips white space. */
static int decode(const char *text, size_t n, unsigned char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789+/";
    size_t digits = strspn(text, alphabet);
    size_t padding = n - digits;
    if (n % 4 != 0 || padding > 2 || strspn(text + digits, "=") != padding)
        return -1;
    int len = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n);
    return len < 0 ? -1 : len - (int)padding;
}

int webhook_secret_parse(const char *text, struct webhook_secret *out, struct fut_errbuf *err)
{
    unsigned char bytes[TEXT_MAX];
    size_t prefix = sizeof(PREFIX) - 1, n = strlen(text);
    int len = -1;
    if (strncmp(text, PREFIX, prefix) == 0 && n - prefix <= TEXT_MAX)
        len = decode(text + prefix, n - prefix, bytes);
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
    unsigned char mac[HMAC_BYTES], text[WEBHOOK_SIGNATURE_SIZE - 3];
    unsigned mac_len = 0;
    struct buf signed_bytes = BUF_INIT;
    buf_printf(&signed_bytes, "%s.%lld.", id, (long long)wall_s);
    buf_put(&signed_bytes, body, n);
    const unsigned char *ok =
        HMAC(EVP_sha256(), secret->bytes, (int)secret->n, (const unsigned char *)signed_bytes.data,
             signed_bytes.len, mac, &mac_len);
    FUT_ASSERT(ok && mac_len == HMAC_BYTES);
    (void)EVP_EncodeBlock(text, mac, HMAC_BYTES);
    (void)snprintf(out, WEBHOOK_SIGNATURE_SIZE, "v1,%s", (const char *)text);
    buf_release(&signed_bytes);
}
