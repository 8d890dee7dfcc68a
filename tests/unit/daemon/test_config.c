/* The configuration: defaults, units, and what a bad value is told. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "daemon/config.h"
#include "daemon/cpus.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

START_TEST(test_config_defaults)
{
    struct config c;
    struct fut_errbuf err;
    ck_assert_int_eq(config_load(&c, &err), 0);
    ck_assert_int_ge(c.max_workers, 1);
    ck_assert_int_eq(c.max_threads, 20);
    ck_assert_str_eq(c.listen, "127.0.0.1:8420");
    ck_assert_int_eq(c.max_body_bytes, 4 << 20);
    ck_assert_int_eq(c.retention_ms, 7LL * 24 * 3600 * 1000);
}
END_TEST

static const struct {
    const char *value;
    int64_t ms;
} durations[] = {{"500ms", 500}, {"30", 30000},    {"30s", 30000},
                 {"2m", 120000}, {"1h", 3600000},  {"0", 0},
                 {"1.5", 1500},  {".5s", 500},     {"29.999993562698364", 30000},
                 {"1e-3", 1},    {"0.5h", 1800000}};

START_TEST(test_config_durations)
{
    struct config c;
    struct fut_errbuf err;
    ck_assert_int_eq(setenv("FUTURED_DRAIN", durations[_i].value, 1), 0);
    ck_assert_int_eq(config_load(&c, &err), 0);
    ck_assert_int_eq(c.drain_ms, durations[_i].ms);
}
END_TEST

static const struct text_case_of bad[] = {
    {"MAX_WORKERS", "0", "from 1 to 1024"},
    {"MAX_WORKERS", "many", "a whole number"},
    {"MAX_WORKERS", "4x", "a whole number"},
    {"MAX_WORKERS", "-1", "a whole number"},
    {"MAX_WORKERS", "2.5", "a whole number"},
    {"MAX_WORKERS", "0x4", "a whole number"},
    {"FUTURED_MAX_BODY", "1.0001K", "a size such as"},
    {"FUTURED_DRAIN", "-1s", "a duration such as"},
    {"FUTURED_DRAIN", "1e999", "a duration such as"},
    {"MAX_WORKERS", "99999999999999999999", "a whole number"},
    {"MAX_THREADS", "5000", "from 1 to 4096"},
    {"FUTURED_MAX_BODY", "2T", "a size such as"},
    {"FUTURED_MAX_BODY", "10", "from 1K to 1G"},
    {"FUTURED_MAX_BODY", "9223372036854775807G", "a size such as"},
    {"FUTURED_DRAIN", "soon", "a duration such as"},
    {"FUTURED_DRAIN", "2h", "to 1h"},
    {"FUTURED_LOG", "loud", "debug, info, warn or error"},
    {"FUTURED_STORE", "redis", "sqlite, postgres or memory"},
    {"FUTURED_HTTP_PREFIXES", "b.example", "is no prefix"},
    {"FUTURED_HTTP_NETWORKS", "intranet", "is no network"},
    {"FUTURED_TOKENS", "/nowhere/tokens", "a file that can be read"},
    {"FUTURED_TLS_CERT", "/nowhere/cert", "a file that can be read"},
};

START_TEST(test_config_bad_value_is_named)
{
    struct config c;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(setenv(bad[_i].subject, bad[_i].given, 1), 0);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, bad[_i].subject));
    ck_assert_ptr_nonnull(strstr(err.text, bad[_i].given));
    ck_assert_msg(strstr(err.text, bad[_i].expected) != NULL, "%s", err.text);
}
END_TEST

static const struct text_case_of unlike[] = {
    {"FUTURED_TLS_CERT", "/dev/null", "FUTURED_TLS_KEY is not set"},
    {"FUTURED_TLS_KEY", "/dev/null", "FUTURED_TLS_CERT is not set"},
    {"FUTURED_STORE", "postgres", "FUTURED_DB must be a URL that begins with postgresql://"},
    {"FUTURED_CALLBACK_SECRET", "hush-hush", "FUTURED_CALLBACK_SECRET: "},
    {"FUTURED_CALLBACK_SECRET", "whsec_hush", "FUTURED_CALLBACK_SECRET: "},
};

START_TEST(test_config_secrets_and_pairs)
{
    struct config c;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(setenv(unlike[_i].subject, unlike[_i].given, 1), 0);
    ck_assert_int_eq(config_load(&c, &err), FUT_ERR_INVAL);
    ck_assert_msg(strstr(err.text, unlike[_i].expected) != NULL, "%s", err.text);
    ck_assert_ptr_null(strstr(err.text, "hush"));
}
END_TEST

START_TEST(test_config_good_secret_is_taken)
{
    static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    struct config c;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(setenv("FUTURED_CALLBACK_SECRET", secret, 1), 0);
    ck_assert_msg(config_load(&c, &err) == 0, "%s", err.text);
    ck_assert_str_eq(c.callback_secret, secret);
}
END_TEST

/* What --check-config prints may be given to another daemon. */
START_TEST(test_config_store_of_a_url_is_read_again)
{
    struct config c;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(setenv("FUTURED_DB", "postgres://localhost/jobs", 1), 0);
    ck_assert_msg(config_load(&c, &err) == 0, "%s", err.text);
    ck_assert_str_eq(c.store, "postgres");
    ck_assert_int_eq(setenv("FUTURED_STORE", c.store, 1), 0);
    ck_assert_msg(config_load(&c, &err) == 0, "%s", err.text);
    ck_assert_str_eq(c.store, "postgres");
}
END_TEST

START_TEST(test_config_empty_is_unset)
{
    struct config c;
    struct fut_errbuf err;
    ck_assert_int_eq(setenv("MAX_THREADS", "", 1), 0);
    ck_assert_int_eq(config_load(&c, &err), 0);
    ck_assert_int_eq(c.max_threads, 20);
}
END_TEST

static const struct {
    const char *text;
    int64_t cpus;
} quotas[] = {
    {"max 100000\n", INT64_MAX}, {"100000 100000\n", 1}, {"150000 100000\n", 2},
    {"50000 100000\n", 1},       {"", INT64_MAX},        {"rubbish", INT64_MAX},
};

START_TEST(test_cpus_quota)
{
    ck_assert_int_eq(cpus_from_quota(quotas[_i].text), quotas[_i].cpus);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, test_config_defaults);
    tcase_add_loop_test(tc, test_config_durations, 0, (int)FUT_COUNT(durations));
    tcase_add_loop_test(tc, test_config_bad_value_is_named, 0, (int)FUT_COUNT(bad));
    tcase_add_loop_test(tc, test_config_secrets_and_pairs, 0, (int)FUT_COUNT(unlike));
    tcase_add_test(tc, test_config_good_secret_is_taken);
    tcase_add_test(tc, test_config_store_of_a_url_is_read_again);
    tcase_add_test(tc, test_config_empty_is_unset);
    tcase_add_loop_test(tc, test_cpus_quota, 0, (int)FUT_COUNT(quotas));
    return suite_run_cases("config", tc, NULL);
}
