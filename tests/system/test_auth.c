/* Bearer tokens with scopes, TLS, and the refusal to be reachable without either. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static const char tokens[] = "# token scopes\n"
                             "submit-token-0123456 submit\n"
                             "reader-token-0123456 read\n"
                             "admin-token-01234567 admin\n";

static void set_file(struct daemon *d, const char *setting, const char *file)
{
    char *text = text_printf("%s=%s/%s", setting, daemon_dir(d), file);
    daemon_set(d, text);
    free(text);
}

static struct daemon *start_with_tokens(void)
{
    struct daemon *d = daemon_new();
    dir_write(daemon_dir(d), "tokens.txt", tokens, sizeof(tokens) - 1);
    set_file(d, "FUTURED_TOKENS", "tokens.txt");
    daemon_start(d);
    return d;
}

static struct http_reply ask(const char *base, const char *method, const char *path,
                             const char *token)
{
    static const char body[] = "{\"handler\":\"echo\"}";
    char header[100];
    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s", token ? token : "");
    const char *const headers[] = {token ? header : NULL, NULL};
    bool is_post = strcmp(method, "POST") == 0;
    return http_call(base, &(struct http_request){.method = method,
                                                  .path = path,
                                                  .headers = headers,
                                                  .body = is_post ? body : NULL,
                                                  .body_len = is_post ? sizeof(body) - 1 : 0});
}

static const struct {
    const char *method, *path, *token;
    int status;
} asks[] = {
    {"GET", "/healthz", NULL, 200},
    {"GET", "/readyz", "wrong", 200},
    {"GET", "/v1/openapi.json", NULL, 200},
    {"GET", "/v1/stats", NULL, 401},
    {"GET", "/v1/stats", "wrong-token-01234567", 401},
    {"GET", "/v1/stats", "submit-token-0123456", 403},
    {"GET", "/v1/stats", "reader-token-0123456", 200},
    {"GET", "/v1/stats", "admin-token-01234567", 200},
    {"HEAD", "/v1/stats", NULL, 401},
    {"POST", "/v1/tasks", NULL, 401},
    {"POST", "/v1/tasks", "reader-token-0123456", 403},
    {"POST", "/v1/tasks", "submit-token-0123456", 202},
    {"POST", "/v1/tasks", "admin-token-01234567", 202},
    {"DELETE", "/v1/futures/01234567-89ab-7def-8123-456789abcdef", "submit-token-0123456", 403},
    {"DELETE", "/v1/futures/01234567-89ab-7def-8123-456789abcdef", "admin-token-01234567", 404},
};

START_TEST(test_auth_asks_for_a_token_with_the_scope)
{
    struct daemon *d = start_with_tokens();
    char value[128];
    for (size_t i = 0; i < FUT_COUNT(asks); i++) {
        struct http_reply r = ask(daemon_url(d), asks[i].method, asks[i].path, asks[i].token);
        ck_assert_msg(r.status == asks[i].status, "%s %s %s: %d", asks[i].method, asks[i].path,
                      asks[i].token ? asks[i].token : "-", r.status);
        if (r.status == 401 || r.status == 403)
            ck_assert_ptr_nonnull(http_header(&r, "WWW-Authenticate", value, sizeof(value)));
        http_reply_release(&r);
    }
    struct http_reply r = ask(daemon_url(d), "POST", "/v1/tasks", "reader-token-0123456");
    ck_assert_str_eq(api_str(r.json, "code"), "forbidden");
    ck_assert_ptr_nonnull(strstr(api_str(r.json, "detail"), "\"submit\""));
    http_reply_release(&r);
    char *log = daemon_log(d);
    ck_assert_ptr_null(strstr(log, "-token-"));
    free(log);
    daemon_end(&d);
}
END_TEST

START_TEST(test_auth_reads_the_systemd_credential)
{
    struct daemon *d = daemon_new();
    dir_write(daemon_dir(d), "tokens", tokens, sizeof(tokens) - 1);
    set_file(d, "CREDENTIALS_DIRECTORY", "");
    daemon_start(d);
    struct http_reply r = ask(daemon_url(d), "GET", "/v1/stats", NULL);
    ck_assert_int_eq(r.status, 401);
    http_reply_release(&r);
    r = ask(daemon_url(d), "GET", "/v1/stats", "reader-token-0123456");
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

/* To go on without tokens would let everybody in. */
START_TEST(test_auth_refuses_a_credential_that_cannot_be_read)
{
    struct daemon *d = daemon_new();
    char *said = NULL;
    dir_write(daemon_dir(d), "file", "", 0);
    set_file(d, "CREDENTIALS_DIRECTORY", "file"); /* no directory: neither there nor not there */
    ck_assert_int_eq(daemon_start_refused(d, &said), 78);
    ck_assert_ptr_nonnull(strstr(said, "file/tokens cannot be read"));
    free(said);
    daemon_free(&d);
}
END_TEST

/* Two clients' keys never meet. */
START_TEST(test_auth_keeps_idempotency_keys_apart)
{
    static const char body[] = "{\"handler\":\"echo\"}";
    static const char *const who[] = {"Authorization: Bearer submit-token-0123456",
                                      "Authorization: Bearer admin-token-01234567"};
    struct daemon *d = start_with_tokens();
    char ids[2][ID_TEXT_SIZE];
    for (size_t i = 0; i < 2; i++) {
        const char *const headers[] = {who[i], "Idempotency-Key: \"same\"", NULL};
        struct http_reply r =
            http_call(daemon_url(d), &(struct http_request){.method = "POST",
                                                            .path = "/v1/tasks",
                                                            .headers = headers,
                                                            .body = body,
                                                            .body_len = sizeof(body) - 1});
        ck_assert_int_eq(r.status, 202);
        (void)snprintf(ids[i], sizeof(ids[i]), "%s", api_str(r.json, "id"));
        http_reply_release(&r);
    }
    ck_assert_str_ne(ids[0], ids[1]);
    daemon_end(&d);
}
END_TEST

static void expect_refused(struct daemon *d, const char *complaint)
{
    char *said;
    int status = daemon_start_refused(d, &said);
    ck_assert_msg(status == 78 && strstr(said, complaint), "%d: %s", status, said);
    free(said);
    daemon_free(&d);
}

START_TEST(test_auth_refuses_to_be_reachable_without_tokens)
{
    struct daemon *d = daemon_new();
    daemon_set(d, "FUTURED_LISTEN=0.0.0.0:0");
    expect_refused(d, "without tokens");
}
END_TEST

START_TEST(test_auth_refuses_bad_files)
{
    struct daemon *d = daemon_new();
    daemon_set(d, "FUTURED_TOKENS=/nowhere/tokens");
    expect_refused(d, "FUTURED_TOKENS is \"/nowhere/tokens\"");
    d = daemon_new();
    dir_write(daemon_dir(d), "t", "short read\n", 11);
    set_file(d, "FUTURED_TOKENS", "t");
    expect_refused(d, "line 1");
    d = daemon_new();
    dir_write(daemon_dir(d), "c", "no pem\n", 7);
    set_file(d, "FUTURED_TLS_CERT", "c");
    expect_refused(d, "FUTURED_TLS_KEY is not set");
    d = daemon_new();
    dir_write(daemon_dir(d), "c", "no pem\n", 7);
    set_file(d, "FUTURED_TLS_CERT", "c");
    set_file(d, "FUTURED_TLS_KEY", "c");
    expect_refused(d, "no certificate in PEM form");
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

static void make_certificate(const struct daemon *d)
{
    char *key = daemon_path(d, "key.pem"), *cert = daemon_path(d, "cert.pem"), *err = NULL;
    const char *const argv[] = {"/usr/bin/env",
                                "openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:prime256v1",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                "/CN=localhost",
                                "-addext",
                                "subjectAltName=IP:127.0.0.1",
                                "-keyout",
                                key,
                                "-out",
                                cert,
                                NULL};
    int status = program_run(argv, NULL, 60000, NULL, &err);
    ck_assert_msg(status == 0, "openssl: %s", err);
    free(err);
    free(key);
    free(cert);
}

/* What curl, which trusts the daemon's certificate, gets from the path. */
static char *curl(const struct daemon *d, const char *path, const char *data)
{
    char *url = text_printf("https://%s%s", daemon_address(d), path);
    char *cert = daemon_path(d, "cert.pem"), *out = NULL, *err = NULL;
    const char *const argv[] = {"/usr/bin/env",     "curl", "-sS",      "-m", "60",
                                "--noproxy",        "*",    "--cacert", cert, url,
                                data ? "-d" : NULL, data,   NULL};
    int status = program_run(argv, NULL, 80000, &out, &err);
    ck_assert_msg(status == 0, "curl: %s", err);
    free(err);
    free(cert);
    free(url);
    return out;
}

START_TEST(test_auth_serves_tls)
{
    struct daemon *d = daemon_new();
    make_certificate(d);
    set_file(d, "FUTURED_TLS_CERT", "cert.pem");
    set_file(d, "FUTURED_TLS_KEY", "key.pem");
    daemon_start(d);
    char *health = curl(d, "/healthz", NULL);
    ck_assert_str_eq(health, "{\"status\":\"ok\"}\n");
    char *future = curl(d, "/v1/tasks?wait=30", "{\"handler\":\"sleep\",\"input\":{\"ms\":300}}");
    ck_assert_ptr_nonnull(strstr(future, "\"state\":\"succeeded\""));
    struct http_reply plain = api_get(daemon_url(d), "/healthz");
    ck_assert_int_ne(plain.status, 200);
    http_reply_release(&plain);
    free(health);
    free(future);
    daemon_end(&d);
}
END_TEST

START_TEST(test_auth_refuses_a_key_of_another_certificate)
{
    struct daemon *d = daemon_new();
    make_certificate(d);
    char *key = daemon_read_file(d, "key.pem");
    make_certificate(d);
    dir_write(daemon_dir(d), "key.pem", key, strlen(key));
    free(key);
    set_file(d, "FUTURED_TLS_CERT", "cert.pem");
    set_file(d, "FUTURED_TLS_KEY", "key.pem");
    expect_refused(d, "does not belong to the certificate");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_auth_asks_for_a_token_with_the_scope,
        test_auth_reads_the_systemd_credential,
        test_auth_refuses_a_credential_that_cannot_be_read,
        test_auth_keeps_idempotency_keys_apart,
        test_auth_refuses_to_be_reachable_without_tokens,
        test_auth_refuses_bad_files,
        test_auth_serves_tls,
        test_auth_refuses_a_key_of_another_certificate,
    };
    return suite_run("auth", tests, FUT_COUNT(tests));
}
