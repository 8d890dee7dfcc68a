/* Bodies with tasks: which long strings stay out of the tree, and that nothing else changes. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/suite.h"

/* Each "~" stands for a long text in quotes; in the second text for one that stays in the tree. */
static const struct {
    const char *body, *tree;
} cases[] = {
    {"{\"input\":~}", "{\"input\":\"\"}"},
    {"{\"handler\":~,\"input\":~}", "{\"handler\":~,\"input\":\"\"}"},
    {"{\"input\":~,\"queue\":~}", "{\"input\":\"\",\"queue\":~}"},
    {"{\"input\" : [1,{\"a\":~,\"b\":[~]},~] , \"queue\":~}",
     "{\"input\":[1,{\"a\":\"\",\"b\":[\"\"]},\"\"],\"queue\":~}"},
    {"{\"input\":1,\"queue\":~}", "{\"input\":1,\"queue\":~}"},
    {"{\"input\":\"a\",\"queue\":~}", "{\"input\":\"a\",\"queue\":~}"},
    {"{\"input\":{~:~}}", "{\"input\":{~:\"\"}}"},
    {"{\"inputs\":[~,~,\"a\"],\"handler\":~}", "{\"inputs\":[\"\",\"\",\"a\"],\"handler\":~}"},
    {"{\"tasks\":[{\"input\":~,\"queue\":~},{\"queue\":~},{\"base64\":~}],\"queue\":~}",
     "{\"tasks\":[{\"input\":\"\",\"queue\":~},{\"queue\":~},{\"base64\":\"\"}],\"queue\":~}"},
    {"{\"\\u0069nput\":~,\"then\":{\"input\":~,\"queue\":~}}",
     "{\"input\":\"\",\"then\":{\"input\":\"\",\"queue\":~}}"},
    {"[~,{\"input\":~},~]", "[~,{\"input\":\"\"},~]"},
    /* Refused, as the whole text is: */
    {"{\"input\":~", NULL},
    {"{\"input\":[~}", NULL},
    {"{\"input\":]~}", NULL},
    {"{\"input\":~,\"input\":~}", NULL},
    {"{\"input\":~,\"a\":\"\x01\"}", NULL},
};

static void put_with_texts(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text != '~') {
            buf_putc(out, *text);
            continue;
        }
        buf_puts(out, "\"");
        for (size_t i = 0; i < JSON_TEXT_LONG; i++)
            buf_puts(out, i % 7 ? "t" : "\\\"");
        buf_puts(out, "\"");
    }
}

START_TEST(test_json_text_leaves_out_long_inputs)
{
    struct buf body = BUF_INIT, tree = BUF_INIT;
    struct problem p = {0}, whole = {0};
    put_with_texts(&body, cases[_i].body);
    json_t *got = json_text_parse_tasks(body.data, body.len, &p);
    ck_assert_msg((got != NULL) == (cases[_i].tree != NULL), "%s", cases[_i].body);
    if (got) {
        put_with_texts(&tree, cases[_i].tree);
        json_t *expected = json_text_parse(tree.data, tree.len, &whole);
        ck_assert_msg(json_equal(got, expected), "%s", cases[_i].body);
        json_decref(expected);
    } else { /* with the place in the whole text */
        ck_assert_ptr_null(json_text_parse(body.data, body.len, &whole));
        ck_assert_str_eq(p.detail, whole.detail);
        ck_assert_int_eq(p.column, whole.column);
    }
    json_decref(got);
    buf_release(&body);
    buf_release(&tree);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_json_text_leaves_out_long_inputs, FUT_COUNT(cases)},
    };
    return suite_run_rows("json_text", 30, NULL, NULL, rows, FUT_COUNT(rows));
}
