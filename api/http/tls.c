#include "api/http/tls.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/file.h"

#define FILE_MAX_BYTES (1u << 20)

static int refuse(struct fut_errbuf *err, const char *path, const char *what)
{
    return fut_fail(err, FUT_ERR_INVAL, "cannot use %s for TLS: %s", path, what);
}

/* *out: heap, NUL-terminated. */
static int read_pem(const char *path, char **out, struct fut_errbuf *err)
{
    struct buf text = BUF_INIT;
    int rc = file_read(path, FILE_MAX_BYTES, &text, err);
    size_t n;
    if (rc == 0 && text.len == 0)
        rc = refuse(err, path, "it is empty");
    if (rc == 0) {
        *out = buf_take(&text, &n);
        return 0;
    }
    if (text.data)
        OPENSSL_cleanse(text.data, text.cap);
    buf_release(&text);
    return FUT_ERR_INVAL;
}

static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return 0;
}

static int check_pair(X509 *cert, EVP_PKEY *key, const char *cert_path, const char *key_path,
                      struct fut_errbuf *err)
{
    if (!cert)
        return refuse(err, cert_path, "it holds no certificate in PEM form");
    if (!key)
        return refuse(err, key_path, "it holds no private key in PEM form without a password");
    if (X509_check_private_key(cert, key) != 1)
        return refuse(err, key_path, "the key does not belong to the certificate");
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        return refuse(err, cert_path, "the certificate has expired");
    return 0;
}

static int check_texts(const struct tls_pair *p, const char *cert_path, const char *key_path,
                       struct fut_errbuf *err)
{
    BIO *cert_in = BIO_new_mem_buf(p->cert_pem, -1), *key_in = BIO_new_mem_buf(p->key_pem, -1);
    X509 *cert = cert_in ? PEM_read_bio_X509(cert_in, NULL, no_password, NULL) : NULL;
    EVP_PKEY *key = key_in ? PEM_read_bio_PrivateKey(key_in, NULL, no_password, NULL) : NULL;
    int rc = check_pair(cert, key, cert_path, key_path, err);
    EVP_PKEY_free(key);
    X509_free(cert);
    (void)BIO_free(key_in);
    (void)BIO_free(cert_in);
    return rc;
}

int tls_load(const char *cert_path, const char *key_path, struct tls_pair *out,
             struct fut_errbuf *err)
{
    struct tls_pair p = {NULL, NULL};
    int rc = read_pem(cert_path, &p.cert_pem, err);
    if (rc == 0)
        rc = read_pem(key_path, &p.key_pem, err);
    if (rc == 0)
        rc = check_texts(&p, cert_path, key_path, err);
    if (rc != 0)
        tls_release(&p);
    else
        *out = p;
    return rc;
}

void tls_release(struct tls_pair *p)
{
    if (p->key_pem)
        OPENSSL_cleanse(p->key_pem, strlen(p->key_pem));
    free(p->key_pem);
    free(p->cert_pem);
    *p = (struct tls_pair){NULL, NULL};
}
