/* Progress and live log, as a client sees them. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* Waits for a file at a known point, so that the test sees what stands there meanwhile. */
static const char handlers[] =
    "{\"steps\": {\"exec\": [\"sh\", \"-c\", \"echo 'progress 0.25 first quarter' >&3; "
    "echo one >&2; while [ ! -e DIR/go ]; do sleep 0.02; done; "
    "echo two >&2; echo 'progress 1 all' >&3; echo fine\"], \"lane\": \"io\"}}";

static struct daemon *start(void)
{
    return daemon_start_handlers(handlers, NULL, 0);
}

static char *log_of(struct daemon *d, const char *id, const char *query)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/log%s", id, query);
    ck_assert_msg(r.status == 200, "%d %s", r.status, r.body);
    char *text = xstrdup(r.body);
    http_reply_release(&r);
    return text;
}

static void let_go(struct daemon *d)
{
    dir_write(daemon_dir(d), "go", "", 0);
}

START_TEST(test_progress_and_log_of_a_program_while_it_runs)
{
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"steps\"}", id);
    json_t *f = api_wait_text(daemon_url(d), id, "progress.message", "first quarter");
    ck_assert_str_eq(api_str(f, "state"), "running");
    ck_assert(json_number_value(api_at(f, "progress.fraction")) == 0.25);
    json_decref(f);
    char *text = log_of(d, id, "?wait=30");
    ck_assert_str_eq(text, "one\n");
    free(text);
    let_go(d);
    f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    text = log_of(d, id, "");
    ck_assert_str_eq(text, "one\ntwo\n"); /* all of it, now that it is done */
    free(text);
    json_decref(f);
    char *body = text_printf("{\"ids\":[\"%s\"]}", id);
    struct http_reply r = api_post(daemon_url(d), "/v1/as_completed", body);
    free(body);
    ck_assert_ptr_nonnull(strstr(r.body, "succeeded"));
    ck_assert_ptr_null(strstr(r.body, "progress")); /* neither has the future then */
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

START_TEST(test_progress_of_built_ins)
{
    static const char *const bodies[] = {
        "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"io\"}",
        "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"cpu\"}",
        "{\"handler\":\"primes\",\"input\":{\"below\":1000000000000},\"lane\":\"cpu\"}",
        "{\"handler\":\"primes\",\"input\":{\"below\":1000000000000},\"lane\":\"io\"}",
    };
    struct daemon *d = start();
    for (size_t i = 0; i < FUT_COUNT(bodies); i++) {
        char id[ID_TEXT_SIZE];
        api_submit(daemon_url(d), bodies[i], id);
        const char *message = i < 2 ? " of 600.0 s" : " primes so far";
        json_decref(api_wait_text(daemon_url(d), id, "progress.message", message));
        ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    }
    daemon_end(&d);
}
END_TEST

/* The stream of all that happens, as curl prints it. */
START_TEST(test_progress_is_among_all_that_happens)
{
    static const char *const want[] = {"event: submitted", "event: started", "\"fraction\":0.25",
                                       "event: pool", "event: ended"};
    struct daemon *d = start();
    char id[ID_TEXT_SIZE];
    char *url = text_printf("%s/v1/events", daemon_url(d));
    struct program *curl =
        program_start((const char *const[]){"/usr/bin/curl", "-sN", url, NULL}, NULL, NULL);
    free(program_wait_line(curl, PROGRAM_OUT, "event: open", WAIT_LONG_MS));
    api_submit(daemon_url(d), "{\"handler\":\"steps\"}", id);
    json_decref(api_wait_text(daemon_url(d), id, "progress.message", "first quarter"));
    api_patch_pool(daemon_url(d), "cpu", "{\"paused\":true}");
    let_go(d);
    for (size_t i = 0; i < FUT_COUNT(want); i++) {
        char *line = program_wait_line(curl, PROGRAM_OUT, want[i], WAIT_LONG_MS);
        ck_assert_msg(line != NULL, "no %s", want[i]);
        free(line);
    }
    daemon_stop(d); /* ends the stream */
    int status;
    ck_assert(program_wait(curl, WAIT_LONG_MS, &status));
    program_free(&curl);
    free(url);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_progress_and_log_of_a_program_while_it_runs,
        test_progress_of_built_ins,
        test_progress_is_among_all_that_happens,
    };
    return suite_run("progress", tests, FUT_COUNT(tests));
}
