/* The kinds of events that the streams of a batch and of named futures tell on wish. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/told.h"

/* `writes` has the lane's slot until it finds two files, one after the other; in between it ends a
 * character that it has begun. */
static const char handlers[] =
    "{\"flaky\": {\"exec\": [\"sh\", \"-c\", \"if [ -e DIR/again ]; then echo fine; else "
    "touch DIR/again; exit 1; fi\"], \"lane\": \"cpu\"},"
    " \"writes\": {\"exec\": [\"sh\", \"-c\", \"printf 'caf\\\\303' >&2; while [ ! -e DIR/go ]; "
    "do sleep 0.02; done; printf '\\\\251\\\\n' >&2; while [ ! -e DIR/end ]; do sleep 0.02; done; "
    "echo fine\"], \"lane\": \"cpu\"}}";

enum how { BATCH, IDS, BATCH_BY_NAME, N_HOW };

static struct daemon *d;
static char batch[ID_TEXT_SIZE], writer[ID_TEXT_SIZE], flaky[ID_TEXT_SIZE];

/* `writes` runs, and `flaky` waits for its slot. */
static void begin(void)
{
    static const char *const settings[] = {"MAX_WORKERS=1"};
    d = daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
    struct http_reply r = api_post(daemon_url(d), "/v1/batches",
                                   "{\"tasks\":[{\"handler\":\"writes\"},{\"handler\":\"flaky\","
                                   "\"retries\":1,\"retry_on\":[\"exit\"],"
                                   "\"backoff\":{\"first\":0.01}}]}");
    ck_assert_msg(r.status == 202, "%s", r.body);
    const json_t *ids = json_object_get(r.json, "ids");
    (void)snprintf(batch, sizeof(batch), "%s", api_str(r.json, "id"));
    (void)snprintf(writer, sizeof(writer), "%s", json_string_value(json_array_get(ids, 0)));
    (void)snprintf(flaky, sizeof(flaky), "%s", json_string_value(json_array_get(ids, 1)));
    http_reply_release(&r);
    api_wait_state(daemon_url(d), writer, "running");
}

static void end(void)
{
    daemon_end(&d);
}

/* Until the stream has begun: it is open then. */
static struct program *follow(enum how how, const char *query, const char *header)
{
    char *batch_url = text_printf("%s/v1/batches/%s/events%s", daemon_url(d), batch, query);
    char *url = text_printf("%s/v1/as_completed%s", daemon_url(d), query);
    char *body = how == IDS ? text_printf("{\"ids\":[\"%s\",\"%s\"]}", writer, flaky)
                            : text_printf("{\"batch\":\"%s\"}", batch);
    const char *const get[] = {"/usr/bin/curl", "-sN", "-H", header, batch_url, NULL};
    const char *const post[] = {"/usr/bin/curl", "-sN", "-H", header, "-d", body, url, NULL};
    struct program *p = program_start(how == BATCH ? get : post, NULL, NULL);
    told_expect(p, "retry:");
    free(body);
    free(url);
    free(batch_url);
    return p;
}

START_TEST(test_batch_events_tell_all_that_happens)
{
    begin();
    struct program *p = follow((enum how)_i, "?events=started,waiting,log,done", "X-No: 1");
    dir_write(daemon_dir(d), "go", "", 0);
    told_expect(p, "\"next\":6,");
    dir_write(daemon_dir(d), "end", "", 0);
    char *text = told_all(&p);
    told_in_order(text, writer,
                  (const char *const[]){"event: log\ndata: {\"id\":\"ID\",\"from\":0,",
                                        "\"next\":6,", "event: done\nid: 1\ndata: {\"id\":\"ID\"",
                                        NULL});
    told_in_order(text, flaky,
                  (const char *const[]){
                      "event: started\ndata: {\"id\":\"ID\",\"attempt\":1,\"started_at\":\"",
                      "event: waiting\ndata: {\"id\":\"ID\",\"attempt\":1,\"state\":",
                      "event: started\ndata: {\"id\":\"ID\",\"attempt\":2,",
                      "event: done\nid: 2\ndata: {\"id\":\"ID\"",
                      "event: end\ndata: {\"total\":2,\"sent\":2}", NULL});
    ck_assert_uint_eq(text_count(text, "event: started"), 2);
    ck_assert_uint_eq(text_count(text, "event: done"), 2);
    ck_assert_ptr_null(strstr(text, "event: progress"));
    free(text);
    end();
}
END_TEST

/* Without `events` progress is told, as ever; with it what it names, and nothing else. */
START_TEST(test_batch_events_tell_what_is_named)
{
    begin();
    struct program *plain = follow((enum how)_i, "", "X-No: 1");
    struct program *progress = follow((enum how)_i, "?events=progress", "X-No: 1");
    struct program *ends = follow((enum how)_i, "?events=done&fields=state", "X-No: 1");
    struct program *begun = follow((enum how)_i, "?events=started", "X-No: 1");
    struct program *logs = follow((enum how)_i, "?events=log", "X-No: 1");
    dir_write(daemon_dir(d), "go", "", 0);
    told_expect(plain, "\"log_end\":6");
    told_expect(progress, "\"log_end\":6");
    dir_write(daemon_dir(d), "end", "", 0);
    char *text = told_all(&plain);
    ck_assert_uint_eq(text_count(text, "event: done"), 2);
    ck_assert_ptr_null(strstr(text, "event: started"));
    free(text);
    text = told_all(&progress);
    ck_assert_ptr_null(strstr(text, "event: done"));
    ck_assert_ptr_nonnull(strstr(text, "event: end\ndata: {\"total\":2,\"sent\":0}"));
    free(text);
    text = told_all(&ends);
    ck_assert_uint_eq(text_count(text, "event: "), 3);
    ck_assert_uint_eq(text_count(text, "event: done"), 2);
    free(text);
    text = told_all(&begun);
    ck_assert_uint_eq(text_count(text, "event: "), 3);
    ck_assert_uint_eq(text_count(text, "event: started"), 2);
    free(text);
    text = told_all(&logs);
    told_in_order(text, writer, (const char *const[]){"{\"id\":\"ID\",\"from\":", NULL});
    ck_assert_ptr_null(strstr(text, "event: done"));
    free(text);
    end();
}
END_TEST

/* What is over is told with all that it wrote; that attempts began is not repeated. */
START_TEST(test_batch_events_of_what_has_ended)
{
    begin();
    dir_write(daemon_dir(d), "go", "", 0);
    dir_write(daemon_dir(d), "end", "", 0);
    json_decref(api_done(daemon_url(d), flaky));
    struct program *p = follow((enum how)_i, "?events=started,log,done", "X-No: 1");
    char *text = told_all(&p);
    told_in_order(
        text, writer,
        (const char *const[]){
            "event: log\ndata: {\"id\":\"ID\",\"from\":0,\"next\":6,\"text\":\"café\\n\"}",
            "event: done\nid: 1\ndata: {\"id\":\"ID\"", NULL});
    ck_assert_ptr_null(strstr(text, "event: started"));
    free(text);
    p = follow((enum how)_i, "?events=log,done", "Last-Event-ID: 1");
    text = told_all(&p);
    ck_assert_ptr_null(strstr(text, writer));
    told_in_order(text, flaky,
                  (const char *const[]){"event: done\nid: 2\ndata: {\"id\":\"ID\"",
                                        "{\"total\":2,\"sent\":1}", NULL});
    free(text);
    end();
}
END_TEST

static void expect_refused(struct http_reply r)
{
    ck_assert_msg(r.status == 400, "%s", r.body);
    ck_assert_str_eq(api_str(r.json, "code"), "invalid_parameter");
    ck_assert_str_eq(api_str(r.json, "parameter"), "events");
    http_reply_release(&r);
}

START_TEST(test_batch_events_refuse_other_kinds)
{
    static const char *const kinds[] = {"ended", "", "done,", ",done", "gone", "true"};
    char path[64];
    begin();
    for (size_t i = 0; i < FUT_COUNT(kinds); i++) {
        (void)snprintf(path, sizeof(path), "/v1/as_completed?events=%s", kinds[i]);
        expect_refused(api_get(daemon_url(d), "/v1/batches/%s/events?events=%s", batch, kinds[i]));
        expect_refused(api_post(daemon_url(d), path, "{\"ids\":[]}"));
    }
    dir_write(daemon_dir(d), "go", "", 0);
    dir_write(daemon_dir(d), "end", "", 0);
    end();
}
END_TEST

int main(void)
{
    TCase *t = suite_case("batch events", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_loop_test(t, test_batch_events_tell_all_that_happens, 0, N_HOW);
    tcase_add_loop_test(t, test_batch_events_tell_what_is_named, 0, N_HOW);
    tcase_add_loop_test(t, test_batch_events_of_what_has_ended, 0, N_HOW);
    tcase_add_test(t, test_batch_events_refuse_other_kinds);
    return suite_run_cases("system: batch events", t, NULL);
}
