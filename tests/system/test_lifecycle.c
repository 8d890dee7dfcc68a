/* The life of a future: cancelled, deleted, listed, expired. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"

static const char sleeper[] = "{\"handler\":\"sleep\",\"input\":{\"seconds\":300}}";

START_TEST(test_lifecycle_cancel_takes_a_task_from_the_queue)
{
    static const char *const settings[] = {"MAX_THREADS=1"};
    struct daemon *d = daemon_start_with(settings, 1);
    char first[ID_TEXT_SIZE], second[ID_TEXT_SIZE];
    api_submit(daemon_url(d), sleeper, first);
    api_submit(daemon_url(d), sleeper, second);
    api_wait_state(daemon_url(d), first, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), second), 200);
    json_t *f = api_future(daemon_url(d), second);
    ck_assert_str_eq(api_str(f, "state"), "cancelled");
    ck_assert(json_is_true(api_at(f, "done")));
    ck_assert_str_eq(api_str(f, "error.code"), "cancelled");
    ck_assert_int_eq(api_int(f, "attempt"), 0);
    json_decref(f);
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/result", second);
    ck_assert_int_eq(r.status, 409);
    ck_assert_str_eq(api_str(r.json, "code"), "task_cancelled");
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_lifecycle_cancel_ends_a_running_program)
{
    struct daemon *d = daemon_new();
    daemon_set_handlers(d, "{\"stay\": {\"exec\": [\"sh\", \"-c\","
                           " \"echo $$ > DIR/pid; exec sleep 300\"], \"lane\": \"cpu\"}}");
    daemon_start(d);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), "{\"handler\":\"stay\"}", id);
    char *pid = daemon_wait_file(d, "pid");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    ck_assert(wait_process_end((pid_t)strtol(pid, NULL, 10), WAIT_LONG_MS));
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "state"), "cancelled");
    json_decref(f);
    free(pid);
    daemon_end(&d);
}
END_TEST

START_TEST(test_lifecycle_cancel_frees_the_thread_of_a_running_task)
{
    static const char *const settings[] = {"MAX_THREADS=1"};
    struct daemon *d = daemon_start_with(settings, 1);
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(d), sleeper, id);
    api_wait_state(daemon_url(d), id, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_lifecycle_cancel_wakes_those_who_wait)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char id[ID_TEXT_SIZE], path[128];
    api_submit(daemon_url(d), sleeper, id);
    (void)snprintf(path, sizeof(path), "/v1/futures/%s?wait=50", id);
    struct http_request req = {.method = "GET", .path = path};
    struct http_pending *p = http_begin(daemon_url(d), &req);
    api_wait_state(daemon_url(d), id, "running");
    ck_assert_int_eq(api_cancel(daemon_url(d), id), 200);
    struct http_reply r = http_finish(&p);
    ck_assert_int_eq(r.status, 200);
    ck_assert_str_eq(api_str(r.json, "state"), "cancelled");
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

START_TEST(test_lifecycle_done_futures_cannot_be_cancelled)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_int_eq(api_cancel(daemon_url(d), api_str(f, "id")), 409);
    json_t *after = api_future(daemon_url(d), api_str(f, "id"));
    ck_assert(json_equal(f, after));
    json_decref(after);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

START_TEST(test_lifecycle_delete_forgets_done_futures_only)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char running[ID_TEXT_SIZE];
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    const char *id = api_str(f, "id");
    api_submit(daemon_url(d), sleeper, running);
    struct http_reply r = api_delete(daemon_url(d), "/v1/futures/%s", id);
    ck_assert_int_eq(r.status, 204);
    http_reply_release(&r);
    r = api_get(daemon_url(d), "/v1/futures/%s", id);
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    r = api_delete(daemon_url(d), "/v1/futures/%s", running);
    ck_assert_int_eq(r.status, 409);
    ck_assert_str_eq(api_str(r.json, "code"), "not_done");
    http_reply_release(&r);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

#define LISTED 7

/* Follows the cursors; writes the ids in the order in which they came. Returns how many. */
static size_t list_all(const char *base, const char *filter, char ids[][ID_TEXT_SIZE], size_t max)
{
    char cursor[512] = "";
    size_t n = 0, i;
    const json_t *item;
    for (int pages = 0; pages < 20; pages++) {
        struct http_reply r =
            api_get(base, "/v1/futures?limit=3%s%s%s", filter, *cursor ? "&cursor=" : "", cursor);
        ck_assert_msg(r.status == 200, "%s", r.body);
        json_array_foreach (api_at(r.json, "futures"), i, item) {
            ck_assert_uint_lt(n, max);
            (void)snprintf(ids[n++], ID_TEXT_SIZE, "%s", api_str(item, "id"));
        }
        (void)snprintf(cursor, sizeof(cursor), "%s", api_str(r.json, "next_cursor"));
        http_reply_release(&r);
        if (!*cursor)
            return n;
    }
    ck_abort_msg("the list has no end");
}

START_TEST(test_lifecycle_list_pages_show_each_future_once_newest_first)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char made[LISTED][ID_TEXT_SIZE], listed[LISTED + 1][ID_TEXT_SIZE];
    for (size_t i = 0; i < LISTED; i++)
        api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}", made[i]);
    size_t n = list_all(daemon_url(d), "", listed, FUT_COUNT(listed));
    ck_assert_uint_eq(n, LISTED);
    for (size_t i = 0; i < LISTED; i++)
        ck_assert_str_eq(listed[i], made[LISTED - 1 - i]);
    daemon_free(&d);
}
END_TEST

START_TEST(test_lifecycle_list_filters_by_state_handler_and_lane)
{
    static const struct {
        const char *filter;
        size_t n;
    } cases[] = {{"&state=running", 1},
                 {"&state=succeeded", 3},
                 {"&handler=sha256", 2},
                 {"&lane=io", 2},
                 {"&lane=cpu", 2},
                 {"&handler=sleep&lane=cpu", 0},
                 {"&state=running,succeeded", 4},
                 {"&state=failed", 0}};
    struct daemon *d = daemon_start_with(NULL, 0);
    char running[ID_TEXT_SIZE], ids[8][ID_TEXT_SIZE];
    json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}"));
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":1}"));
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":2}"));
    api_submit(daemon_url(d), sleeper, running);
    api_wait_state(daemon_url(d), running, "running");
    for (size_t i = 0; i < FUT_COUNT(cases); i++) {
        size_t n = list_all(daemon_url(d), cases[i].filter, ids, FUT_COUNT(ids));
        ck_assert_msg(n == cases[i].n, "%s: %zu instead of %zu", cases[i].filter, n, cases[i].n);
    }
    daemon_free(&d);
}
END_TEST

struct future_ref {
    const char *base, *id;
};

static bool is_gone(void *ctx)
{
    const struct future_ref *ref = ctx;
    struct http_reply r = api_get(ref->base, "/v1/futures/%s", ref->id);
    bool gone = r.status == 404;
    http_reply_release(&r);
    return gone;
}

START_TEST(test_lifecycle_done_futures_expire_after_the_retention)
{
    static const char *const settings[] = {"FUTURED_RETENTION=1s", "FUTURED_DRAIN=0"};
    struct daemon *d = daemon_start_with(settings, 2);
    char running[ID_TEXT_SIZE];
    api_submit(daemon_url(d), sleeper, running);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    struct future_ref ref = {daemon_url(d), api_str(f, "id")};
    ck_assert(wait_until(is_gone, &ref, WAIT_LONG_MS));
    api_wait_state(daemon_url(d), running, "running");
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_lifecycle_cancel_takes_a_task_from_the_queue,
        test_lifecycle_cancel_ends_a_running_program,
        test_lifecycle_cancel_frees_the_thread_of_a_running_task,
        test_lifecycle_cancel_wakes_those_who_wait,
        test_lifecycle_done_futures_cannot_be_cancelled,
        test_lifecycle_delete_forgets_done_futures_only,
        test_lifecycle_list_pages_show_each_future_once_newest_first,
        test_lifecycle_list_filters_by_state_handler_and_lane,
        test_lifecycle_done_futures_expire_after_the_retention,
    };
    return suite_run("lifecycle", tests, FUT_COUNT(tests));
}
