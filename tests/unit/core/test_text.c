/* Small files, base64, hashes and pauses. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/backoff.h"
#include "core/base64.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "tests/support/suite.h"

/* ---- files ---- */

static char path[64];

static void write_file(const char *text, size_t n)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static void make_path(void)
{
    (void)snprintf(path, sizeof(path), "/tmp/futured-file-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
}

static void remove_path(void)
{
    (void)unlink(path);
}

START_TEST(test_file_is_read_up_to_its_limit)
{
    struct buf b = BUF_INIT;
    struct fut_errbuf err = {""};
    write_file("0123456789", 10);
    ck_assert_int_eq(file_read(path, 10, &b, &err), 0);
    ck_assert_str_eq(b.data, "0123456789");
    ck_assert_int_eq(file_read_regular(path, 10, &b, &err), 0);
    ck_assert_str_eq(b.data, "01234567890123456789");
    b.len = 0;
    ck_assert_int_eq(file_read(path, 9, &b, &err), FUT_ERR_TOO_BIG);
    ck_assert_ptr_nonnull(strstr(err.text, "larger than 9 bytes"));
    write_file("", 0);
    ck_assert_int_eq(file_read(path, 9, &b, &err), 0);
    ck_assert_uint_eq(b.len, 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_file_says_why_it_cannot_be_read)
{
    struct buf b = BUF_INIT;
    struct fut_errbuf err = {""};
    ck_assert_int_eq(file_read_regular("/dev/null", 9, &b, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "/dev/null is not a regular file"));
    ck_assert_int_eq(file_read("/", 9, &b, &err), FUT_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "Is a directory"));
    remove_path();
    ck_assert_int_eq(file_read(path, 9, &b, &err), FUT_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(file_read_regular(path, 9, &b, &err), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* opening it would block */
    ck_assert_int_eq(file_read_regular(path, 9, &b, &err), FUT_ERR_INVAL);
    buf_release(&b);
}
END_TEST

START_TEST(test_file_text_ends_with_a_nul)
{
    char text[8] = "before";
    write_file("0123456789", 10);
    ck_assert_int_eq(file_read_text(path, text, sizeof(text)), 7);
    ck_assert_str_eq(text, "0123456");
    ck_assert_int_eq(file_read_text("/no such file", text, sizeof(text)), FUT_ERR_IO);
    ck_assert_str_eq(text, "");
}
END_TEST

/* ---- base64: the vectors of RFC 4648, 10 ---- */

static const struct {
    const char *bytes, *text;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

START_TEST(test_base64_matches_the_rfc)
{
    struct buf b = BUF_INIT;
    unsigned char out[BASE64_BYTES(8) + 1];
    size_t n = strlen(vectors[_i].bytes);
    base64_put(&b, vectors[_i].bytes, n);
    ck_assert_str_eq(b.data, vectors[_i].text);
    ck_assert_uint_eq(b.len, BASE64_LEN(n));
    ck_assert_int_eq(base64_decode(b.data, b.len, out), (int)n);
    ck_assert_mem_eq(out, vectors[_i].bytes, n);
    buf_release(&b);
}
END_TEST

START_TEST(test_base64_is_strict)
{
    static const char *const bad[] = {"Zg",   "Zg=",   "Zg= ", "Z===", "====",     "Zm9v ",
                                      "Zm-v", "Zm9v=", "=m9v", "Zg=A", "Zg==Zg==", " Zm9v  "};
    unsigned char out[BASE64_BYTES(8)];
    for (size_t i = 0; i < FUT_COUNT(bad); i++)
        ck_assert_msg(base64_decode(bad[i], strlen(bad[i]), out) == FUT_ERR_INVAL, "%s", bad[i]);
}
END_TEST

/* More than libcrypto takes in one call. */
START_TEST(test_base64_of_much)
{
    size_t n = ((size_t)7 << 20) + 1;
    unsigned char *bytes = xmalloc(n), *out = xmalloc(BASE64_BYTES(BASE64_LEN(n)));
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(i * 131 >> 3);
    base64_put(&b, bytes, n);
    ck_assert_uint_eq(b.len, BASE64_LEN(n));
    ck_assert_int_eq(base64_decode(b.data, b.len, out), (ssize_t)n);
    ck_assert_int_eq(memcmp(out, bytes, n), 0);
    buf_release(&b);
    free(bytes);
    free(out);
}
END_TEST

/* ---- FNV-1a: the vectors of its authors ---- */

START_TEST(test_hash_is_fnv_1a)
{
    ck_assert_uint_eq(hash_text(HASH_START, ""), 0xcbf29ce484222325u);
    ck_assert_uint_eq(hash_text(HASH_START, "a"), 0xaf63dc4c8601ec8cu);
    ck_assert_uint_eq(hash_text(HASH_START, "foobar"), 0x85944171f73967e8u);
    ck_assert_uint_eq(hash_bytes(HASH_START, "foobar", 6), 0x85944171f73967e8u);
    ck_assert_uint_eq(hash_number(HASH_START, 0x7261626f6f66u),
                      hash_bytes(HASH_START, "foobar\0\0", 8));
}
END_TEST

/* ---- pauses ---- */

START_TEST(test_backoff_doubles_up_to_the_longest)
{
    static const int64_t want[] = {100, 100, 200, 400, 800, 1000, 1000};
    int64_t ms = 0;
    for (uint32_t i = 0; i < FUT_COUNT(want); i++)
        ck_assert_int_eq(backoff_ms(i, 100, 1000), want[i]);
    for (size_t i = 1; i < FUT_COUNT(want); i++) {
        ms = backoff_next_ms(ms, 100, 1000);
        ck_assert_int_eq(ms, want[i]);
    }
    ck_assert_int_eq(backoff_ms(1, 500, 100), 100);
    ck_assert_int_eq(backoff_ms(UINT32_MAX, 1, INT64_MAX), INT64_MAX);
}
END_TEST

int main(void)
{
    TCase *files = tcase_create("files"), *rest = tcase_create("rest");
    tcase_add_checked_fixture(files, make_path, remove_path);
    tcase_add_test(files, test_file_is_read_up_to_its_limit);
    tcase_add_test(files, test_file_says_why_it_cannot_be_read);
    tcase_add_test(files, test_file_text_ends_with_a_nul);
    tcase_add_loop_test(rest, test_base64_matches_the_rfc, 0, FUT_COUNT(vectors));
    tcase_add_test(rest, test_base64_is_strict);
    tcase_add_test(rest, test_base64_of_much);
    tcase_add_test(rest, test_hash_is_fnv_1a);
    tcase_add_test(rest, test_backoff_doubles_up_to_the_longest);
    return suite_run_cases("text", files, rest, NULL);
}
