/* Where the daemon's own requests may go: addresses and URLs, each in its odd forms. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "workers/base/http_allow.h"

static struct http_allow *allow;

static void make(const char *prefixes, const char *networks)
{
    struct fut_errbuf err = {""};
    int rc = http_allow_new(prefixes, networks, &allow, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static void teardown(void)
{
    http_allow_free(&allow);
}

static bool allows(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return http_allow_address(allow, (const struct sockaddr *)(const void *)&v4);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return http_allow_address(allow, (const struct sockaddr *)(const void *)&v6);
}

static const struct text_verdict addresses[] = {
    {"1.1.1.1", true},
    {"93.184.216.34", true},
    {"9.255.255.255", true},
    {"11.0.0.0", true},
    {"172.15.255.255", true},
    {"172.32.0.0", true},
    {"100.63.255.255", true},
    {"100.128.0.0", true},
    {"223.255.255.255", true},
    {"198.17.255.255", true},
    {"198.20.0.0", true},
    {"2606:4700::1111", true},
    {"64:ff9b::101:101", true},
    {"2002:101:101::1", true},
    {"::ffff:1.1.1.1", true},
    {"0.0.0.0", false},
    {"10.0.0.1", false},
    {"100.64.0.1", false},
    {"127.0.0.1", false},
    {"127.255.255.254", false},
    {"169.254.169.254", false},
    {"172.16.0.1", false},
    {"172.31.255.255", false},
    {"192.168.1.1", false},
    {"192.0.0.8", false},
    {"198.18.0.1", false},
    {"224.0.0.1", false},
    {"255.255.255.255", false},
    {"::", false},
    {"::1", false},
    {"fe80::1", false},
    {"fc00::1", false},
    {"fd12:3456::1", false},
    {"ff02::1", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:169.254.169.254", false},
    {"::127.0.0.1", false},
    {"64:ff9b::7f00:1", false},
    {"64:ff9b::a9fe:a9fe", false},
    {"2002:7f00:1::", false},
    {"2002:a9fe:a9fe::1", false},
    {"2001::1", false},
    {"2001:db8::1", false},
    {"64:ff9b:1::1", false},
    {"5f00::1", false},
};

START_TEST(test_http_allow_knows_public_addresses)
{
    make("", "");
    ck_assert_msg(allows(addresses[_i].given) == addresses[_i].expected, "%s", addresses[_i].given);
}
END_TEST

START_TEST(test_http_allow_opens_networks)
{
    make("", " 10.1.0.0/16, 127.0.0.1,fd00::/8 ,::1");
    ck_assert(allows("10.1.255.1") && allows("127.0.0.1") && allows("fdff::1") && allows("::1"));
    ck_assert(allows("::ffff:10.1.0.1") && allows("1.1.1.1"));
    ck_assert(!allows("10.2.0.1") && !allows("127.0.0.2") && !allows("fc00::1"));
    ck_assert(!allows("169.254.169.254"));
    http_allow_free(&allow);
    make("", "0.0.0.0/0");
    ck_assert(allows("169.254.169.254") && allows("127.0.0.1") && !allows("::1"));
}
END_TEST

START_TEST(test_http_allow_knows_no_other_families)
{
    struct sockaddr sa = {.sa_family = AF_UNIX};
    char text[HTTP_ALLOW_ADDRESS_SIZE];
    make("", "0.0.0.0/0,::/0");
    ck_assert(!http_allow_address(allow, &sa));
    http_allow_write_address(&sa, text);
    ck_assert_str_eq(text, "?");
}
END_TEST

static const struct text_verdict urls[] = {
    {"https://api.example.org/v1", true},
    {"https://api.example.org/v1/", true},
    {"https://api.example.org/v1/users?x=1#y", true},
    {"HTTPS://API.Example.ORG/v1", true},
    {"https://api.example.org:443/v1", true},
    {"http://hooks.example.org/", true},
    {"http://hooks.example.org", true},
    {"http://hooks.example.org/any/../path", true},
    {"http://[fd00::1]:8080/x", true},
    {"http://api.example.org/v1", false},
    {"https://api.example.org/", false},
    {"https://api.example.org/v10", false},
    {"https://api.example.org/v1/../admin", false},
    {"https://api.example.org/v1/%2e%2e/admin", false},
    {"https://api.example.org/v1/..%2fadmin", false},
    {"https://api.example.org/v1/..\\admin", false},
    {"https://api.example.org/v1/..;/admin", false},
    {"https://api.example.org:8443/v1", false},
    {"https://api.example.org.evil.example/v1", false},
    {"https://api.example.org@evil.example/v1", false},
    {"https://evil.example/https://api.example.org/v1", false},
    {"https://me:pw@api.example.org/v1", false},
    {"https://api.example.org./v1", false},
    {"http://[fd00::1]/x", false},
    {"ftp://hooks.example.org/", false},
    {"file:///etc/passwd", false},
    {"hooks.example.org", false},
    {"", false},
};

START_TEST(test_http_allow_knows_prefixes)
{
    make("https://api.example.org/v1, http://hooks.example.org,http://[fd00::1]:8080/", "");
    ck_assert_msg(http_allow_url(allow, urls[_i].given) == urls[_i].expected, "%s", urls[_i].given);
}
END_TEST

START_TEST(test_http_allow_without_prefixes_minds_no_url)
{
    make(" , ", "");
    ck_assert(http_allow_url(allow, "http://anything.example/"));
}
END_TEST

static void refuse(const char *prefixes, const char *networks, const char *says)
{
    struct fut_errbuf err = {""};
    ck_assert_int_eq(http_allow_new(prefixes, networks, &allow, &err), FUT_ERR_INVAL);
    ck_assert_msg(strstr(err.text, says) != NULL, "%s", err.text);
    ck_assert_ptr_null(allow);
}

static const struct text_case bad_prefixes[] = {
    {"example.org", "example.org"},
    {"https://a.example/,ftp://b.example/", "ftp://b.example/"},
    {"https://me@a.example/", "no prefix"},
    {"https://a.example/?q", "no prefix"},
    {"https://a.example/%2e%2e/", "no prefix"},
};

START_TEST(test_http_allow_refuses_bad_prefixes)
{
    refuse(bad_prefixes[_i].given, "", bad_prefixes[_i].expected);
}
END_TEST

static const struct text_case bad_networks[] = {
    {"10.0.0.0/33", "10.0.0.0/33"}, {"10.0.0.0/", "no network"}, {"10.0.0.0/-1", "no network"},
    {"10.0.0/8", "no network"},     {"::1/129", "no network"},   {"localhost", "no network"},
    {"127.0.0.1 /8", "no network"},
};

START_TEST(test_http_allow_refuses_bad_networks)
{
    refuse("", bad_networks[_i].given, bad_networks[_i].expected);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_http_allow_knows_public_addresses, FUT_COUNT(addresses)},
        {test_http_allow_opens_networks, 0},
        {test_http_allow_knows_no_other_families, 0},
        {test_http_allow_knows_prefixes, FUT_COUNT(urls)},
        {test_http_allow_without_prefixes_minds_no_url, 0},
        {test_http_allow_refuses_bad_prefixes, FUT_COUNT(bad_prefixes)},
        {test_http_allow_refuses_bad_networks, FUT_COUNT(bad_networks)},
    };
    return suite_run_rows("http_allow", SUITE_TIMEOUT_S, NULL, teardown, rows, FUT_COUNT(rows));
}
