/* Strings of JSON as text, held against jansson; and well-formed UTF-8. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json_quoted.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "tests/support/suite.h"

#define TEXT(s) s, sizeof(s) - 1
static const struct {
    const char *quoted;
    size_t n;
    bool ok;
} cases[] = {
    {TEXT("\"\""), true},
    {TEXT("\"plain text of more than eight bytes\""), true},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\""), true},
    {TEXT("\"\\u0000\""), true},
    {TEXT("\"\\ud83d\\ude00\""), true},
    {TEXT("\"\x7f\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""), true},
    {TEXT("\""), false},
    {TEXT("\"no end"), false},
    {TEXT("no begin\""), false},
    {TEXT("\"a\"b\""), false},
    {TEXT("\"a line\nfeed\""), false},
    {TEXT("\"a nul \0 byte\""), false},
    {TEXT("\"\\x\""), false},
    {TEXT("\"\\u12g4\""), false},
    {TEXT("\"\\u123\""), false},
    {TEXT("\"\\ud83d\""), false},
    {TEXT("\"\\ud83d\\n\""), false},
    {TEXT("\"\\ud83d\\u0041\""), false},
    {TEXT("\"\\ude00\""), false},
    {TEXT("\"\\\""), false},
    {TEXT("\"\\\0\""), false},
    {TEXT("\"\xC3\""), false},
    {TEXT("\"\xED\xA0\x80\""), false},
    {TEXT("\"\xC0\xAF\""), false},
    {TEXT("\"\xF4\x90\x80\x80\""), false},
};

/* On the heap, so that a sanitizer sees each byte read too many. */
static void check_one(const char *quoted, size_t n)
{
    char *copy = xmalloc(n);
    memcpy(copy, quoted, n);
    json_t *theirs = json_loadb(copy, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool ours = json_quoted_ok(copy, n);
    ck_assert_msg(ours == json_is_string(theirs), "%.*s", (int)n, quoted);
    if (ours) {
        struct buf out = BUF_INIT;
        json_quoted_decode(copy, n, &out);
        ck_assert_uint_eq(out.len, json_string_length(theirs));
        ck_assert(!out.len || memcmp(out.data, json_string_value(theirs), out.len) == 0);
        ck_assert_uint_eq(json_quoted_skip(copy, n, 0), n);
        ck_assert_uint_eq(json_quoted_check(copy, n), n);
        ck_assert(utf8_ok(out.data ? out.data : "", out.len));
        buf_release(&out);
    }
    json_decref(theirs);
    free(copy);
}

START_TEST(test_json_quoted_table)
{
    ck_assert_msg(json_quoted_ok(cases[_i].quoted, cases[_i].n) == cases[_i].ok, "case %d", _i);
    check_one(cases[_i].quoted, cases[_i].n);
}
END_TEST

/* Damaged strings, between white space that jansson would skip: none here. */
START_TEST(test_json_quoted_agrees_with_jansson)
{
    static const char seedling[] = "\"0123456789 \\n\\\\ \\u00e9\\ud83d\\ude00 "
                                   "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 abcdefgh\"";
    static const char letters[] = "\"\\\\unrdDeE08aA \x01\n\x80\xBF\xC2\xE0\xED\xF0\xF4\xFF";
    uint32_t seed = 7;
    for (int round = 0; round < 100000; round++) {
        char copy[sizeof(seedling)];
        memcpy(copy, seedling, sizeof(seedling));
        for (int i = 0; i < 2; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[1 + (seed >> 8) % (sizeof(seedling) - 2)] =
                letters[(seed >> 24) % (sizeof(letters) - 1)];
        }
        check_one(copy, sizeof(seedling) - 1);
    }
}
END_TEST

START_TEST(test_json_quoted_skip)
{
    static const struct {
        const char *text;
        size_t end;
    } rows[] = {
        {"\"a\",1", 3},           {"\"\\\"\",1", 4}, {"\"\\\\\",1", 4}, {"\"a\\\"b\\\"c\" \"", 9},
        {"\"\\\\\\\"\\\\\" ", 8}, {"\"no end", 7},   {"\"no end\\", 8}, {"\"no end\\\"", 9}};
    for (size_t i = 0; i < FUT_COUNT(rows); i++)
        ck_assert_msg(json_quoted_skip(rows[i].text, strlen(rows[i].text), 0) == rows[i].end,
                      "row %zu", i);
}
END_TEST

/* Each place of a mark before, in and behind the steps in which strings are read, with another
 * string behind. */
START_TEST(test_json_quoted_marks_at_each_place)
{
    static const char *const marks[] = {"\\\"", "\\\\", "\\n", "\xC3\xA9", "\x01"};
    const char *mark = marks[_i];
    for (size_t before = 0; before < 40; before++) {
        for (size_t behind = 0; behind < 40; behind++) {
            struct buf text = BUF_INIT;
            buf_puts(&text, "\"");
            for (size_t i = 0; i < before; i++)
                buf_putc(&text, (char)('a' + i % 26));
            buf_puts(&text, mark);
            for (size_t i = 0; i < behind; i++)
                buf_putc(&text, (char)('A' + i % 26));
            buf_puts(&text, "\"");
            check_one(text.data, text.len);
            size_t end = text.len;
            buf_puts(&text, ",\"x\"");
            ck_assert_uint_eq(json_quoted_skip(text.data, text.len, 0), end);
            ck_assert_uint_eq(json_quoted_check(text.data, text.len), *mark == 1 ? 0 : end);
            ck_assert_ptr_eq(json_quoted_skip_plain(text.data + 1, text.data + text.len),
                             text.data + 1 + before);
            buf_release(&text);
        }
    }
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_json_quoted_table, FUT_COUNT(cases)},
        {test_json_quoted_agrees_with_jansson, 0},
        {test_json_quoted_skip, 0},
        {test_json_quoted_marks_at_each_place, 5},
    };
    return suite_run_rows("json_quoted", 30, NULL, NULL, rows, FUT_COUNT(rows));
}
