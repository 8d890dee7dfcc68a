/* The handlers file: what is right is read, what is wrong is named. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/unit/workers/handlers/handlers_text.h"

static struct handlers *handlers;
static struct fut_errbuf err;

static int load(const char *text)
{
    return handlers_from_text(text, &handlers, &err);
}

START_TEST(test_handlers_builtins_alone)
{
    static const char *const names[] = {"callback", "echo", "http", "primes", "sha256", "sleep"};
    ck_assert_int_eq(handlers_load(NULL, &handlers, &err), 0);
    const struct catalog *c = handlers_catalog(handlers);
    ck_assert_uint_eq(c->n, FUT_COUNT(names));
    for (size_t i = 0; i < c->n; i++) {
        ck_assert_str_eq(c->items[i].name, names[i]);
        ck_assert_int_gt(c->items[i].timeout_ms, 0);
        ck_assert(handlers_find(handlers, names[i])->fn != NULL);
    }
    ck_assert_ptr_null(handlers_find(handlers, "nope"));
    handlers_free(&handlers);
    ck_assert_ptr_null(handlers);
}
END_TEST

START_TEST(test_handlers_file_is_read)
{
    int rc = load("{\"wordcount\": {\"exec\": [\"wc\", \"-w\"], \"lane\": \"io\", \"timeout\": 1.5,"
                  " \"retries\": 2, \"content_type\": \"text/csv\", \"description\": \"words\","
                  " \"env\": {\"LANG\": \"C\", \"MODE\": \"x\"}, \"cwd\": \"/\","
                  " \"limits\": {\"memory\": \"2M\", \"files\": 64}, \"retry_on\": [\"timeout\"],"
                  " \"backoff\": {\"first\": 0.5, \"jitter\": 0.1}}}");
    ck_assert_msg(rc == 0, "%s", err.text);
    const struct handler_info *info = catalog_find(handlers_catalog(handlers), "wordcount");
    ck_assert_str_eq(info->kind, "exec");
    ck_assert_str_eq(info->description, "words");
    ck_assert_int_eq(info->lane, LANE_IO);
    ck_assert(info->any_lane);
    ck_assert_int_eq(info->timeout_ms, 1500);
    ck_assert_uint_eq(info->retries, 2);
    const struct handler *h = handlers_find(handlers, "wordcount");
    ck_assert_uint_eq(h->exec->limits.memory_bytes, 2u << 20);
    ck_assert_uint_eq(h->exec->limits.files, 64);
    ck_assert_uint_eq(h->info.limits.files, 64);
    ck_assert_uint_eq(h->info.retry.on, RETRY_TEMPORARY | RETRY_TIMEOUT);
    ck_assert_int_eq(h->info.retry.first_ms, 500);
    ck_assert(h->info.retry.says_jitter && h->info.retry.jitter_percent == 10);
    ck_assert_int_eq(h->info.retry.max_ms, 0);
    handlers_free(&handlers);
}
END_TEST

START_TEST(test_handlers_file_makes_the_command)
{
    setenv("PATH", "/nonsense:/usr/bin:/bin", 1);
    setenv("SECRET", "no", 1);
    ck_assert_int_eq(load("{\"w\": {\"exec\": [\"wc\", \"-w\"], \"env\": {\"LANG\": \"C\"}}}"), 0);
    const struct exec_command *c = handlers_find(handlers, "w")->exec;
    int langs = 0;
    ck_assert(strcmp(c->path, "/usr/bin/wc") == 0 || strcmp(c->path, "/bin/wc") == 0);
    ck_assert_str_eq(c->argv[0], "wc");
    ck_assert_str_eq(c->argv[1], "-w");
    ck_assert_ptr_null(c->argv[2]);
    ck_assert_str_eq(c->content_type, CONTENT_TEXT);
    for (char **e = c->env; *e; e++) {
        ck_assert_int_ne(strncmp(*e, "SECRET", 6), 0);
        langs += strcmp(*e, "LANG=C") == 0;
    }
    ck_assert_int_eq(langs, 1);
    handlers_free(&handlers);
}
END_TEST

START_TEST(test_handlers_file_worker)
{
    ck_assert_int_eq(load("{\"w\": {\"worker\": [\"cat\"], \"max_tasks\": 100, \"max_age\": 1.5,"
                          " \"max_rss\": 1048576, \"start_timeout\": 2}}"),
                     0);
    const struct handler *h = handlers_find(handlers, "w");
    ck_assert_str_eq(h->info.kind, "worker");
    ck_assert(h->is_worker && !h->info.any_lane && h->info.lane == LANE_CPU);
    ck_assert(h->worker.max_tasks == 100 && h->worker.max_age_ms == 1500);
    ck_assert(h->worker.max_rss_bytes == 1048576 && h->worker.start_timeout_ms == 2000);
    ck_assert_str_eq(h->exec->content_type, CONTENT_BYTES);
    int found = 0;
    for (char **e = h->exec->env; *e; e++)
        found += strcmp(*e, "FUTURED_WORKER_FD=3") == 0 || strcmp(*e, "FUTURED_HANDLER=w") == 0;
    ck_assert_int_eq(found, 2);
    handlers_free(&handlers);
}
END_TEST

START_TEST(test_handlers_file_names_limits_of_tasks)
{
    ck_assert_int_eq(load("{\"h\": {\"exec\": [\"true\"], \"task_limits\": [\"github\", {\"name\": "
                          "\"a\", \"key\": \"k\"}, {\"name\": \"z\"}]}}"),
                     0);
    const struct catalog *c = handlers_catalog(handlers);
    ck_assert_str_eq(catalog_find(c, "h")->task_limits, "github\nz\na=k");
    ck_assert_ptr_null(catalog_find(c, "echo")->task_limits);
    handlers_free(&handlers);
    ck_assert_int_eq(load("{\"h\": {\"exec\": [\"true\"], \"task_limits\": []}}"), 0);
    ck_assert_ptr_null(catalog_find(handlers_catalog(handlers), "h")->task_limits);
    handlers_free(&handlers);
}
END_TEST

START_TEST(test_handlers_file_may_be_empty)
{
    ck_assert_int_eq(load("{}"), 0);
    ck_assert_uint_eq(handlers_catalog(handlers)->n, 6);
    handlers_free(&handlers);
}
END_TEST

#define H(fields) "{\"h\": {\"exec\": [\"true\"], " fields "}}"
#define W(fields) "{\"h\": {\"worker\": [\"true\"], " fields "}}"
static const struct text_case bad[] = {
    {"", "line 1"},
    {"{\"a\":\n{]}", "line 2, column 2"},
    {"[]", "is not an object"},
    {"{\"a\": {}, \"a\": {}}", "duplicate"},
    {"{\"-a\": {\"exec\": [\"true\"]}}", "handler name \"-a\"; allowed: 1 to 64 of"},
    {"{\"\": {\"exec\": [\"true\"]}}", "handler name \"\""},
    {"{\"a/b\": {\"exec\": [\"true\"]}}", "handler name \"a/b\""},
    {"{\"echo\": {\"exec\": [\"true\"]}}", "handler \"echo\" is the name of a built-in"},
    {"{\"h\": []}", "handler \"h\" is not an object"},
    {"{\"h\": {}}", "handler \"h\": field \"exec\" is missing"},
    {"{\"h\": {\"lane\": \"io\"}}", "field \"exec\" is missing"},
    {"{\"h\": {\"exec\": \"true\"}}", "field \"exec\" is \"true\"; allowed: an array"},
    {"{\"h\": {\"exec\": []}}", "field \"exec\" is []"},
    {"{\"h\": {\"exec\": [\"\"]}}", "field \"exec\" is [\"\"]"},
    {"{\"h\": {\"exec\": [\"true\", 1]}}", "field \"exec\""},
    {"{\"h\": {\"exec\": [\"no-such-program-x\"]}}", "a program that exists"},
    {"{\"h\": {\"exec\": [\"/no/such/program\"]}}", "a program that exists"},
    {"{\"h\": {\"exec\": [\"/etc/passwd\"]}}", "a program that may be executed"},
    {"{\"h\": {\"exec\": [\"/tmp\"]}}", "a program that may be executed"},
    {H("\"lane\": \"gpu\""), "field \"lane\" is \"gpu\"; allowed: \"io\" or \"cpu\""},
    {H("\"lane\": 1"), "field \"lane\" is 1"},
    {H("\"timeout\": 0"), "field \"timeout\" is 0; allowed: a number of seconds"},
    {H("\"timeout\": \"10\""), "field \"timeout\" is \"10\""},
    {H("\"timeout\": 86401"), "field \"timeout\" is 86401"},
    {H("\"retries\": -1"), "field \"retries\" is -1"},
    {H("\"retries\": 101"), "field \"retries\" is 101; allowed: a whole number from 0 to 100"},
    {H("\"retries\": 1.5"), "field \"retries\" is 1.5"},
    {H("\"retry_on\": \"exit\""), "field \"retry_on\" is \"exit\"; allowed: an array of"},
    {H("\"retry_on\": [\"boom\"]"), "field \"retry_on\" is [\"boom\"]; allowed: an array of"},
    {H("\"backoff\": 7"), "field \"backoff\" is 7; allowed: an object"},
    {H("\"backoff\": {\"first\": 0}"),
     "field \"backoff.first\" is 0; allowed: a number of seconds"},
    {H("\"backoff\": {\"first\": 9, \"max\": 8}"),
     "field \"backoff.first\" is 9; allowed: no longer than \"backoff.max\""},
    {H("\"backoff\": {\"jitter\": 2}"), "field \"backoff.jitter\" is 2"},
    {H("\"backoff\": {\"factor\": 2}"), "field \"backoff\""},
    {H("\"limits\": {\"cpu\": 0}"), "field \"limits\" is {\"cpu\":0}; allowed: an object whose"},
    {H("\"limits\": {\"speed\": 1}"), "allowed: an object of cpu, memory"},
    {H("\"task_limits\": \"a\""), "field \"task_limits\" is \"a\"; allowed: an array of up to 4"},
    {H("\"task_limits\": [\"a b\"]"), "field \"task_limits\" is [\"a b\"]; allowed: an array"},
    {H("\"task_limits\": [\"a\", {\"name\": \"a\", \"key\": \"k\"}]"), "different limits"},
    {H("\"task_limits\": [\"a\", \"b\", \"c\", \"d\", \"e\"]"), "up to 4"},
    {H("\"task_limits\": [{\"name\": \"a\", \"key\": \"\"}]"), "field \"task_limits\""},
    {H("\"task_limits\": [{\"name\": \"a\", \"keys\": \"b\"}]"), "field \"task_limits\""},
    {H("\"task_limits\": [7]"), "field \"task_limits\" is [7]"},
    {H("\"content_type\": \"json\""), "field \"content_type\" is \"json\""},
    {H("\"content_type\": \"a/b\\r\\nX: y\""), "field \"content_type\""},
    {H("\"description\": 5"), "field \"description\" is 5"},
    {H("\"env\": []"), "field \"env\" is []"},
    {H("\"env\": {\"A\": 1}"), "field \"env\""},
    {H("\"env\": {\"A=B\": \"1\"}"), "field \"env\""},
    {H("\"env\": {\"FUTURED_TASK_ID\": \"1\"}"), "field \"env\""},
    {H("\"cwd\": \"relative\""), "field \"cwd\" is \"relative\""},
    {H("\"cwd\": \"/no/such/dir\""), "field \"cwd\""},
    {H("\"timeuot\": 5"),
     "unknown field \"timeuot\"; allowed: exec, worker, plugin, lane, timeout"},
    {H("\"worker\": [\"true\"]"), "allowed: one of \"exec\", \"worker\" and \"plugin\""},
    {H("\"plugin\": \"/bin/sh\""), "allowed: one of \"exec\", \"worker\" and \"plugin\""},
    {"{\"x\": {\"plugin\": \"x.so\"}}", "field \"plugin\" is \"x.so\"; allowed: the absolute path"},
    {"{\"x\": {\"plugin\": \"/no/such.so\"}}", "field \"plugin\" is \"/no/such.so\""},
    {"{\"x\": {\"plugin\": \"/tmp\"}}", "field \"plugin\" is \"/tmp\""},
    {"{\"x\": {\"plugin\": [\"/bin/sh\"]}}", "field \"plugin\" is [\"/bin/sh\"]"},
    {H("\"max_tasks\": 5"), "field \"max_tasks\" is 5; allowed: this field for \"worker\""},
    {H("\"start_timeout\": 5"), "field \"start_timeout\" is 5; allowed: this field for"},
    {W("\"lane\": \"io\", \"limits\": {\"cpu\": 1}"),
     "handler \"h\": field \"limits\" is {\"cpu\":1}; allowed: limits without \"cpu\""},
    {W("\"max_tasks\": 0"), "field \"max_tasks\" is 0; allowed: a whole number from 1"},
    {W("\"max_age\": 0"), "field \"max_age\" is 0; allowed: a number of seconds"},
    {W("\"max_age\": \"1h\""), "field \"max_age\" is \"1h\""},
    {W("\"max_rss\": 1000"), "field \"max_rss\" is 1000; allowed: a whole number of bytes"},
    {W("\"start_timeout\": 86401"), "field \"start_timeout\" is 86401"},
};

START_TEST(test_handlers_file_names_the_mistake)
{
    ck_assert_int_eq(load(bad[_i].given), FUT_ERR_INVAL);
    ck_assert_msg(strstr(err.text, bad[_i].expected) != NULL, "case %d: %s", _i, err.text);
    ck_assert_msg(strstr(err.text, "/tmp/test_handlers_") != NULL, "case %d: %s", _i, err.text);
}
END_TEST

START_TEST(test_handlers_file_missing)
{
    ck_assert_int_eq(handlers_load("/no/such/file", &handlers, &err), FUT_ERR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/file"));
    ck_assert_int_eq(handlers_load("/tmp", &handlers, &err), FUT_ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
}
END_TEST

START_TEST(test_handlers_file_limits_the_command)
{
    struct buf text = BUF_INIT;
    buf_puts(&text, "{\"h\": {\"exec\": [\"true\", \"");
    for (int i = 0; i < 70000; i++)
        buf_putc(&text, 'x');
    buf_puts(&text, "\"]}}");
    ck_assert_int_eq(load(text.data), FUT_ERR_TOO_BIG);
    ck_assert_ptr_nonnull(strstr(err.text, "allowed: up to 60000"));
    buf_release(&text);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_handlers_builtins_alone, 0},
        {test_handlers_file_is_read, 0},
        {test_handlers_file_makes_the_command, 0},
        {test_handlers_file_worker, 0},
        {test_handlers_file_may_be_empty, 0},
        {test_handlers_file_names_the_mistake, FUT_COUNT(bad)},
        {test_handlers_file_missing, 0},
        {test_handlers_file_limits_the_command, 0},
        {test_handlers_file_names_limits_of_tasks, 0},
    };
    return suite_run_rows("handlers", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
