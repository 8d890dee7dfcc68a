/* Batches on the real binary: a directory mapped over worker processes, and what a restart leaves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TEXTS 40
#define MANY 300
#define SCRIPT_MS 60000

/* {"handler":…,"inputs":[{"ms":…} × n]} */
static char *sleeps(int n, int ms)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_puts(&b, "{\"handler\":\"sleep\",\"inputs\":[");
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s{\"ms\":%d}", i ? "," : "", ms);
    buf_puts(&b, "]}");
    return buf_take(&b, &len);
}

static void write_texts(const char *dir)
{
    for (size_t i = 0; i < TEXTS; i++) {
        char *words = text_repeat('a', 2 * i + 2), *name = text_printf("text-%02zu", i);
        for (size_t at = 1; at < 2 * i + 2; at += 2)
            words[at] = at % 4 == 1 ? '\n' : ' ';
        char *text = text_printf("\"a\"\\ \tx\xC3\xA4 %s", words);
        dir_write(dir, name, text, strlen(text));
        free(text);
        free(name);
        free(words);
    }
}

START_TEST(test_batches_map_a_directory_over_the_workers)
{
    struct daemon *d = daemon_new();
    char *dir = dir_new(), *script = daemon_built("../../tests/system/map.sh"), *out, *err;
    daemon_set(d, "MAX_WORKERS=2");
    daemon_set_handlers(d, "{\"words\": {\"exec\": [\"wc\", \"-w\"], \"lane\": \"cpu\"}}");
    daemon_start(d);
    write_texts(dir);
    const char *argv[] = {script, daemon_url(d), dir, "words", NULL};
    int status = program_run(argv, NULL, SCRIPT_MS, &out, &err);
    ck_assert_msg(status == 0, "%d: %s%s", status, out, err);
    const char *at = out;
    for (size_t i = 0; i < TEXTS; i++) { /* in order, and right */
        char *want = text_printf("text-%02zu %zu\n", i, i + 3);
        ck_assert_msg(strncmp(at, want, strlen(want)) == 0, "%s is not at: %s", want, at);
        at += strlen(want);
        free(want);
    }
    ck_assert_uint_eq(text_count(err, "progress "), TEXTS);
    ck_assert_ptr_nonnull(strstr(err, "40 done, progress 1\n"));
    free(out);
    free(err);
    free(script);
    dir_free(&dir);
    daemon_end(&d);
}
END_TEST

START_TEST(test_batches_survive_a_kill)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *body = sleeps(100, 20);
    json_t *made = api_batch(daemon_url(d), body);
    daemon_keep_port(d);
    daemon_kill(d);
    daemon_start(d);
    struct http_reply r =
        api_get(daemon_url(d), "/v1/batches/%s/results?wait=60", api_str(made, "id"));
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(text_count(r.body, "\"state\":\"succeeded\""), 100);
    const char *at = r.body;
    for (size_t i = 0; i < 100; i++) {
        const char *id = json_string_value(json_array_get(json_object_get(made, "ids"), i));
        ck_assert_ptr_nonnull(id);
        at = strstr(at, id);
        ck_assert_msg(at != NULL, "result %zu is not in its place", i);
    }
    http_reply_release(&r);
    json_decref(made);
    free(body);
    daemon_end(&d);
}
END_TEST

START_TEST(test_batches_cancel_stays_durable)
{
    static const char *const settings[] = {"MAX_THREADS=2"};
    struct daemon *d = daemon_start_with(settings, 1);
    char *body = sleeps(2000, 60000);
    json_t *made = api_batch(daemon_url(d), body);
    char *path = text_printf("/v1/batches/%s/cancel", api_str(made, "id"));
    struct http_reply r = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.body);
    http_reply_release(&r);
    daemon_keep_port(d);
    daemon_kill(d); /* in the middle of it, or just behind */
    daemon_start(d);
    r = api_get(daemon_url(d), "/v1/batches/%s/events", api_str(made, "id"));
    ck_assert_int_eq(r.status, 200);
    ck_assert_uint_eq(text_count(r.body, "\"state\":\"cancelled\""), 2000);
    http_reply_release(&r);
    free(path);
    free(body);
    json_decref(made);
    daemon_end(&d);
}
END_TEST

/* With the chunks of its coding: how many of them begin with a line? */
START_TEST(test_batches_send_small_results_together)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *body = sleeps(MANY, 0), *out, *err;
    json_t *made = api_batch(daemon_url(d), body);
    char *url = text_printf("%s/v1/batches/%s/results?wait=60", daemon_url(d), api_str(made, "id"));
    const char *argv[] = {"/usr/bin/curl", "-sS", "--raw", url, NULL};
    for (int i = 0; i < 2; i++) { /* the first one waits for them */
        int status = program_run(argv, NULL, SCRIPT_MS, &out, &err);
        ck_assert_msg(status == 0, "%d: %s%s", status, out, err);
        ck_assert_uint_eq(text_count(out, "\"state\":\"succeeded\""), MANY);
        if (i == 1)
            ck_assert_uint_le(text_count(out, "\r\n{"), MANY / 2);
        free(out);
        free(err);
    }
    free(url);
    free(body);
    json_decref(made);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_batches_map_a_directory_over_the_workers,
        test_batches_survive_a_kill,
        test_batches_cancel_stays_durable,
        test_batches_send_small_results_together,
    };
    return suite_run("batches", tests, FUT_COUNT(tests));
}
