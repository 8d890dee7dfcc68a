/* Bearer tokens: the file's lines, what a header may do, and what a bad file is told. */
#include <check.h>
#include <string.h>

#include "api/http/auth.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static const char file[] = "# clients\n"
                           "\n"
                           "submit-token-0123456 submit\r\n"
                           "  both-token-012345678\tread,submit  \n"
                           "admin-token-01234567 admin # not a comment here";

static struct auth *parse(const char *text)
{
    struct auth *a = NULL;
    struct fut_errbuf err = {""};
    ck_assert_msg(auth_parse(text, strlen(text), "tokens", &a, &err) == 0, "%s", err.text);
    return a;
}

static const struct {
    const char *header;
    enum auth_scope scope;
    int rc;
} asks[] = {
    {"Bearer submit-token-0123456", AUTH_SUBMIT, 0},
    {"Bearer submit-token-0123456", AUTH_READ, FUT_ERR_STATE},
    {"Bearer submit-token-0123456", AUTH_ADMIN, FUT_ERR_STATE},
    {"bearer   both-token-012345678 ", AUTH_READ, 0},
    {"BEARER both-token-012345678", AUTH_SUBMIT, 0},
    {"Bearer both-token-012345678", AUTH_ADMIN, FUT_ERR_STATE},
    {"Bearer admin-token-01234567", AUTH_ADMIN, 0},
    {"Bearer admin-token-01234567", AUTH_READ, 0},
    {"Bearer admin-token-0123456", AUTH_READ, FUT_ERR_NOT_FOUND},
    {"Bearer admin-token-012345678", AUTH_READ, FUT_ERR_NOT_FOUND},
    {"Bearer submit-token-0123456 read", AUTH_SUBMIT, FUT_ERR_NOT_FOUND},
    {"Bearer ", AUTH_READ, FUT_ERR_NOT_FOUND},
    {"Bearer", AUTH_READ, FUT_ERR_NOT_FOUND},
    {"Basic submit-token-0123456", AUTH_SUBMIT, FUT_ERR_NOT_FOUND},
    {"", AUTH_READ, FUT_ERR_NOT_FOUND},
    {NULL, AUTH_READ, FUT_ERR_NOT_FOUND},
};

static const char good[] = "submit-token-0123456 submit\nboth-token-012345678 read,submit\n"
                           "admin-token-01234567 admin\ncode-token-012345678 submit,code\n";

START_TEST(test_auth_allows_what_the_scopes_say)
{
    struct auth *a = parse(good);
    char principal[AUTH_PRINCIPAL_SIZE] = "";
    unsigned scopes = 0;
    ck_assert_int_eq(auth_check(a, asks[_i].header, asks[_i].scope, principal, &scopes),
                     asks[_i].rc);
    ck_assert_uint_eq(strlen(principal), asks[_i].rc == 0 ? AUTH_PRINCIPAL_SIZE - 1 : 0);
    auth_free(&a);
    ck_assert_ptr_null(a);
}
END_TEST

/* Whoever may change pools may not for that reason run programs of their own. */
START_TEST(test_auth_code_is_in_no_other_scope)
{
    struct auth *a = parse(good);
    char principal[AUTH_PRINCIPAL_SIZE];
    unsigned scopes = 0;
    ck_assert_int_eq(auth_check(a, "Bearer admin-token-01234567", AUTH_ADMIN, principal, &scopes),
                     0);
    ck_assert_uint_eq(scopes, AUTH_SUBMIT | AUTH_READ | AUTH_ADMIN);
    ck_assert_int_eq(auth_check(a, "Bearer code-token-012345678", AUTH_SUBMIT, principal, &scopes),
                     0);
    ck_assert_uint_eq(scopes, AUTH_SUBMIT | AUTH_CODE);
    auth_free(&a);
}
END_TEST

START_TEST(test_auth_principals_differ_and_stay)
{
    struct auth *a = parse(good);
    unsigned scopes = 0;
    char one[AUTH_PRINCIPAL_SIZE], two[AUTH_PRINCIPAL_SIZE], again[AUTH_PRINCIPAL_SIZE];
    ck_assert_int_eq(auth_check(a, "Bearer submit-token-0123456", AUTH_SUBMIT, one, &scopes), 0);
    ck_assert_int_eq(auth_check(a, "Bearer both-token-012345678", AUTH_SUBMIT, two, &scopes), 0);
    ck_assert_int_eq(auth_check(a, "Bearer submit-token-0123456", AUTH_OPEN, again, &scopes), 0);
    ck_assert_str_ne(one, two);
    ck_assert_str_eq(one, again);
    ck_assert_ptr_null(strstr(one, "submit"));
    auth_free(&a);
}
END_TEST

static const struct text_case bad[] = {
    {"", "holds no token"},
    {"# only a comment\n", "holds no token"},
    {"short read\n", "line 1: a token has 16"},
    {"\n# x\nspaced-token-0123456\n", "line 3: behind the token"},
    {"scope-token-01234567 write\n", "scopes submit, read, admin"},
    {"scope-token-01234567 read,\n", "scopes submit, read, admin"},
    {"scope-token-01234567 read submit\n", "scopes submit, read, admin"},
    {"umlaut-t\xc3\xb6ken-0123456 read\n", "characters of"},
    {"twice-token-01234567 read\ntwice-token-01234567 admin\n", "line 2: this token stands"},
};

START_TEST(test_auth_names_the_line_and_not_the_token)
{
    struct auth *a = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(auth_parse(bad[_i].given, strlen(bad[_i].given), "tokens", &a, &err),
                     FUT_ERR_INVAL);
    ck_assert_ptr_null(a);
    ck_assert_msg(strstr(err.text, bad[_i].expected) != NULL, "%s", err.text);
    ck_assert_ptr_null(strstr(err.text, "-token-"));
}
END_TEST

START_TEST(test_auth_comments_stand_on_lines_of_their_own)
{
    struct auth *a = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(auth_parse(file, sizeof(file) - 1, "tokens", &a, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "line 5"));
}
END_TEST

START_TEST(test_auth_load_names_a_missing_file)
{
    struct auth *a = NULL;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(auth_load("/nowhere/tokens", &a, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/tokens"));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_auth_allows_what_the_scopes_say, FUT_COUNT(asks)},
        {test_auth_code_is_in_no_other_scope, 0},
        {test_auth_principals_differ_and_stay, 0},
        {test_auth_names_the_line_and_not_the_token, FUT_COUNT(bad)},
        {test_auth_comments_stand_on_lines_of_their_own, 0},
        {test_auth_load_names_a_missing_file, 0},
    };
    return suite_run_rows("auth", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
