/* tls: certificate and key for HTTPS, read once at boot from PEM files. They are checked here, so
 * that the operator gets a sentence and not a failed handshake. Blocks for reading; main thread. */
#ifndef FUT_API_HTTP_TLS_H
#define FUT_API_HTTP_TLS_H

#include "core/err.h"

struct tls_pair {
    char *cert_pem, *key_pem; /* NUL-terminated; both NULL: no TLS */
};

/* cert: the chain, the server's own certificate first. 0, or FUT_ERR_INVAL with a sentence in err
 * that names the file: unreadable, no PEM, expired, or key and certificate that are no pair. */
FUT_MUST_CHECK int tls_load(const char *cert_path, const char *key_path, struct tls_pair *out,
                            struct fut_errbuf *err);
/* Wipes the key. Nothing happens when empty. */
void tls_release(struct tls_pair *p);

#endif
