/* Walks over JSON as text, and references to results in it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json_walk.h"
#include "core/mem.h"
#include "core/result_ref.h"
#include "tests/support/suite.h"

/* ---- pointers -------------------------------------------------------------------------------- */

/* The examples of RFC 6901, section 5, and what it says of indexes. */
static const char document[] =
    " {\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4,"
    " \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8, \"twice\": 1, \"twice\": {\"x\": [ ]},"
    " \"e\": {}, \"\\u0061z\": [[1 , 2],\"]\\\"\" , [3]]} ";

static const struct {
    const char *pointer, *value; /* NULL: nothing */
} pointers[] = {
    {"/foo", "[\"bar\", \"baz\"]"},
    {"/foo/0", "\"bar\""},
    {"/foo/1", "\"baz\""},
    {"/", "0"},
    {"/a~1b", "1"},
    {"/c%d", "2"},
    {"/e^f", "3"},
    {"/g|h", "4"},
    {"/i\\j", "5"},
    {"/k\"l", "6"},
    {"/ ", "7"},
    {"/m~0n", "8"},
    {"/twice", "{\"x\": [ ]}"},
    {"/twice/x", "[ ]"},
    {"/twice/x/0", NULL},
    {"/az/0/1", "2"},
    {"/az/1", "\"]\\\"\""},
    {"/az/2/0", "3"},
    {"/e", "{}"},
    {"/e/x", NULL},
    {"/foo/2", NULL},
    {"/foo/-", NULL},
    {"/foo/00", NULL},
    {"/foo/01", NULL},
    {"/foo/", NULL},
    {"/foo/4294967296", NULL},
    {"/foo/18446744073709551616", NULL},
    {"/foo/0/0", NULL},
    {"/nothing", NULL},
    {"//", NULL},
};

START_TEST(test_json_walk_pointer)
{
    const char *found;
    size_t n;
    bool is_there = json_walk_point(document, strlen(document), pointers[_i].pointer, &found, &n);
    ck_assert(json_walk_pointer_ok(pointers[_i].pointer));
    ck_assert_msg(is_there == (pointers[_i].value != NULL), "%s", pointers[_i].pointer);
    if (is_there)
        ck_assert_msg(n == strlen(pointers[_i].value) && memcmp(found, pointers[_i].value, n) == 0,
                      "%s: %.*s", pointers[_i].pointer, (int)n, found);
}
END_TEST

START_TEST(test_json_walk_whole_and_scalars)
{
    const char *found;
    size_t n;
    ck_assert(json_walk_point(document, strlen(document), "", &found, &n));
    ck_assert(found == document + 1 && n == strlen(document) - 2);
    ck_assert(json_walk_point(" -1.50e3 ", 9, "", &found, &n));
    ck_assert(n == 7 && memcmp(found, "-1.50e3", n) == 0);
    ck_assert(!json_walk_point("5", 1, "/0", &found, &n));
    ck_assert(!json_walk_point("[]", 2, "/0", &found, &n));
    ck_assert(!json_walk_pointer_ok("x"));
    ck_assert(!json_walk_pointer_ok("/~"));
    ck_assert(!json_walk_pointer_ok("/a~2"));
    ck_assert(!json_walk_member("{}", 2, "a", &found, &n));
}
END_TEST

/* ---- references ------------------------------------------------------------------------------ */

static struct result_refs refs;

static int find(const char *text)
{
    return result_ref_find(text, strlen(text), &refs);
}

START_TEST(test_result_ref_finds)
{
    static const char text[] = "[{\"$result\":\"a\"}, {\"x\":{\"pointer\":\"/y~1z\", \"$result\" :"
                               " \"b\"}}, \"$result\", {\"k\":\"$result\"}]";
    ck_assert_int_eq(find(text), 0);
    ck_assert_uint_eq(refs.n, 2);
    ck_assert_str_eq(refs.items[0].parent, "a");
    ck_assert_str_eq(refs.items[0].pointer, "");
    ck_assert_uint_eq(refs.items[0].begin, 1);
    ck_assert_uint_eq(refs.items[0].end, 16);
    ck_assert_str_eq(refs.items[1].parent, "b");
    ck_assert_str_eq(refs.items[1].pointer, "/y~1z");
    ck_assert(text[refs.items[1].begin] == '{' && text[refs.items[1].end - 1] == '}');
    result_ref_release(&refs);
    ck_assert_int_eq(find("[{\"$results\" : true},{\"$result\":\"a\",\"default\": {\"x\":1} }]"),
                     0);
    ck_assert_uint_eq(refs.n, 2);
    ck_assert(refs.items[0].is_all && !refs.items[1].is_all);
    ck_assert_uint_eq(refs.items[1].missing_len, 7);
    ck_assert(memcmp(refs.items[1].missing, "{\"x\":1}", 7) == 0);
    result_ref_release(&refs);
    ck_assert_int_eq(find("{\"a\":[1,{\"b\":\"{\\\"$result\\\":1}\"}]}"), 0);
    ck_assert_uint_eq(refs.n, 0);
    result_ref_release(&refs);
}
END_TEST

static const char *const bad[] = {
    "{\"$result\":1}",
    "{\"$results\":false}",
    "{\"$results\":true,\"pointer\":\"\"}",
    "{\"$results\":true,\"$result\":\"a\"}",
    "{\"$result\":null}",
    "{\"$result\":\"a\",\"x\":1}",
    "{\"$result\":\"a\",\"pointer\":1}",
    "{\"$result\":\"a\",\"pointer\":\"x\"}",
    "{\"$result\":\"a\",\"pointer\":\"/~\"}",
    "{\"$result\":{\"$result\":\"a\"}}",
    "[{\"$result\":\"a\",\"pointer\":{\"$result\":\"b\"}}]",
};

START_TEST(test_result_ref_refuses)
{
    ck_assert_msg(find(bad[_i]) == FUT_ERR_INVAL, "%s", bad[_i]);
    ck_assert(*refs.why);
    result_ref_release(&refs);
}
END_TEST

START_TEST(test_result_ref_at_most)
{
    static const struct result_ref kinds[] = {
        {.pointer = ""}, {.pointer = "/\"", .missing = "null", .missing_len = 4}};
    struct buf text = BUF_INIT;
    for (int i = 0; i <= RESULT_REF_MAX; i++) {
        buf_putc(&text, i ? ',' : '[');
        result_ref_write(&text, "a", &kinds[i % 2]);
    }
    buf_putc(&text, ']');
    ck_assert_int_eq(result_ref_find(text.data, text.len, &refs), FUT_ERR_INVAL);
    ck_assert_uint_eq(refs.n, RESULT_REF_MAX);
    ck_assert_str_eq(refs.items[1].pointer, "/\"");
    ck_assert_uint_eq(refs.items[1].missing_len, 4);
    result_ref_release(&refs);
    buf_release(&text);
}
END_TEST

START_TEST(test_result_ref_quick_look)
{
    static const char yes[] = "{\"$result\":\"a\"}", no[] = "{\"$resul\":\"result\"}",
                      all[] = "{\"$results\":true}";
    ck_assert(result_ref_may_be_in(all, sizeof(all) - 1));
    ck_assert(result_ref_may_be_in(yes, sizeof(yes) - 1));
    ck_assert(!result_ref_may_be_in(no, sizeof(no) - 1));
    ck_assert(!result_ref_may_be_in("", 0));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("all");
    tcase_add_loop_test(c, test_json_walk_pointer, 0, FUT_COUNT(pointers));
    tcase_add_test(c, test_json_walk_whole_and_scalars);
    tcase_add_test(c, test_result_ref_finds);
    tcase_add_loop_test(c, test_result_ref_refuses, 0, FUT_COUNT(bad));
    tcase_add_test(c, test_result_ref_at_most);
    tcase_add_test(c, test_result_ref_quick_look);
    return suite_run_cases("core: walks over JSON, references", c, NULL);
}
