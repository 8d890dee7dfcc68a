/* Lanes that are made larger, smaller and paused over HTTP while they work, and what a task says of
 * them that cannot run. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"

#define LONG(lane) "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"lane\":\"" lane "\"}"

struct sight {
    const struct daemon *d;
    const char *lane, *key;
    json_int_t value;
};

static bool is_so(void *ctx)
{
    const struct sight *s = ctx;
    return api_pool_int(daemon_url(s->d), s->lane, s->key) == s->value;
}

static void await_pool(const struct daemon *d, const char *lane, const char *key, json_int_t value)
{
    struct sight s = {d, lane, key, value};
    ck_assert_msg(wait_until(is_so, &s, WAIT_LONG_MS), "%s of %s never was %d", key, lane,
                  (int)value);
}

static void grow_and_shrink(const char *lane, const char *task)
{
    const char *const two[] = {"MAX_THREADS=2", "MAX_WORKERS=2"};
    struct daemon *d = daemon_start_with(two, 2);
    char ids[5][ID_TEXT_SIZE];
    for (int i = 0; i < 5; i++)
        api_submit(daemon_url(d), task, ids[i]);
    await_pool(d, lane, "busy", 2);
    api_patch_pool(daemon_url(d), lane, "{\"capacity\":4}");
    await_pool(d, lane, "busy", 4);
    api_patch_pool(daemon_url(d), lane, "{\"capacity\":1}");
    ck_assert_int_eq(api_pool_int(daemon_url(d), lane, "busy"), 4); /* nothing was cut short */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(api_cancel(daemon_url(d), ids[i]), 200);
    await_pool(d, lane, "busy", 1);
    json_t *last = api_future(daemon_url(d), ids[4]);
    ck_assert_str_eq(api_str(last, "state"), "queued");
    ck_assert_str_eq(api_str(last, "waiting_for.code"), "no_free_slot");
    json_decref(last);
    ck_assert_int_eq(api_cancel(daemon_url(d), ids[3]), 200);
    api_wait_state(daemon_url(d), ids[4], "running");
    daemon_free(&d);
}

START_TEST(test_pools_grow_and_shrink_while_busy_io)
{
    grow_and_shrink("io", LONG("io"));
}
END_TEST

START_TEST(test_pools_grow_and_shrink_while_busy_cpu)
{
    grow_and_shrink("cpu", LONG("cpu"));
}
END_TEST

START_TEST(test_pools_pause_holds_a_lane_until_it_goes_on)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char id[ID_TEXT_SIZE];
    api_patch_pool(daemon_url(d), "cpu", "{\"paused\":true,\"reason\":\"a look\"}");
    api_submit(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}", id);
    json_t *other = api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}");
    ck_assert_str_eq(api_str(other, "state"), "succeeded");
    json_t *f = api_future(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "waiting_for.code"), "lane_paused");
    ck_assert_str_eq(api_str(f, "waiting_for.paused_by"), "client");
    ck_assert_str_eq(api_str(f, "waiting_for.reason"), "a look");
    api_patch_pool(daemon_url(d), "cpu", "{\"paused\":false}");
    json_t *done = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(done, "state"), "succeeded");
    ck_assert_int_eq(api_int(done, "attempt"), 1);
    json_decref(other);
    json_decref(f);
    json_decref(done);
    daemon_end(&d);
}
END_TEST

/* A change by hand is for the moment: a restart knows what is configured. */
START_TEST(test_pools_restart_brings_back_what_is_configured)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char id[ID_TEXT_SIZE];
    api_patch_pool(daemon_url(d), "io", "{\"capacity\":3,\"paused\":true}");
    api_submit(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}", id);
    daemon_stop(d);
    daemon_start(d);
    json_t *done = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(done, "state"), "succeeded");
    ck_assert_int_eq(api_pool_int(daemon_url(d), "io", "capacity"), 20);
    json_decref(done);
    daemon_end(&d);
}
END_TEST

/* ---- workers that do not come to life ---------------------------------------------------------
 */

/* The first child of a process, as an operator would find it. */
static pid_t child_of(pid_t pid)
{
    char path[64], list[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t n = read(fd, list, sizeof(list) - 1);
    (void)close(fd);
    ck_assert_int_gt(n, 0);
    list[n] = '\0';
    return (pid_t)strtol(list, NULL, 10);
}

static bool has_no_worker(void *daemon)
{
    struct http_reply r = api_get(daemon_url(daemon), "/v1/stats");
    bool yes = api_int(r.json, "pools.workers_alive") == 0;
    http_reply_release(&r);
    return yes;
}

/* The one worker is killed while the fork server stands still and can make no other. */
START_TEST(test_pools_broken_workers_are_told_and_heal)
{
    const char *const one[] = {"MAX_WORKERS=1"};
    struct daemon *d = daemon_start_with(one, 1);
    char ids[2][ID_TEXT_SIZE];
    json_t *first = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}");
    json_decref(first); /* so the worker has said hello */
    pid_t fork_server = child_of(daemon_pid(d)), worker = child_of(fork_server);
    ck_assert_int_eq(kill(fork_server, SIGSTOP), 0);
    ck_assert_int_eq(kill(worker, SIGKILL), 0);
    ck_assert(wait_until(has_no_worker, d, WAIT_LONG_MS)); /* or a task would die with it */
    for (int i = 0; i < 2; i++)
        api_submit(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}", ids[i]);
    json_t *f = api_wait_text(daemon_url(d), ids[1], "waiting_for.code", "workers_broken");
    ck_assert_int_eq(api_int(f, "waiting_for.workers_alive"), 0);
    ck_assert_int_ge(api_int(f, "waiting_for.workers_died"), 1);
    json_decref(f);
    ck_assert_int_eq(kill(fork_server, SIGCONT), 0);
    for (int i = 0; i < 2; i++) {
        json_t *done = api_done(daemon_url(d), ids[i]);
        ck_assert_str_eq(api_str(done, "state"), "succeeded");
        ck_assert_int_eq(api_int(done, "attempt"), 1);
        json_decref(done);
    }
    daemon_end(&d);
}
END_TEST

/* ---- each worker ------------------------------------------------------------------------------
 */

/* The first worker in this state, or NULL; json_decref() it. */
static json_t *worker_in(const struct daemon *d, const char *state)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/workers");
    json_t *w, *found = NULL;
    size_t i;
    json_array_foreach (json_object_get(r.json, "workers"), i, w) {
        if (!found && strcmp(api_str(w, "state"), state) == 0)
            found = json_incref(w);
    }
    http_reply_release(&r);
    return found;
}

struct seeker {
    const struct daemon *d;
    const char *state;
};

static bool has_worker_in(void *ctx)
{
    const struct seeker *s = ctx;
    json_t *w = worker_in(s->d, s->state);
    json_decref(w);
    return w != NULL;
}

START_TEST(test_pools_each_worker_is_shown)
{
    const char *const one[] = {"MAX_WORKERS=1"};
    struct daemon *d = daemon_start_with(one, 1);
    struct seeker idle = {d, "idle"}, busy = {d, "busy"};
    char id[ID_TEXT_SIZE];
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}"));
    ck_assert(wait_until(has_worker_in, &idle, WAIT_LONG_MS));
    json_t *w = worker_in(d, "idle");
    ck_assert_str_eq(api_str(w, "program"), "futured");
    ck_assert_int_eq(api_int(w, "tasks_done"), 1);
    ck_assert_int_eq(api_int(w, "pid"), child_of(child_of(daemon_pid(d))));
    ck_assert_int_gt(api_int(w, "rss_bytes"), 100000);
    json_decref(w);
    api_submit(daemon_url(d), LONG("cpu"), id);
    ck_assert(wait_until(has_worker_in, &busy, WAIT_LONG_MS));
    w = worker_in(d, "busy");
    ck_assert_str_eq(api_str(w, "task"), id);
    ck_assert_int_eq(api_int(w, "tasks"), 1);
    json_decref(w);
    daemon_free(&d);
}
END_TEST

/* A queue of three behind one slot: each knows its place, which gets better. */
START_TEST(test_pools_position_in_the_queue)
{
    const char *const one[] = {"MAX_THREADS=1"};
    struct daemon *d = daemon_start_with(one, 1);
    char ids[4][ID_TEXT_SIZE];
    for (int i = 0; i < 4; i++)
        api_submit(daemon_url(d), LONG("io"), ids[i]);
    await_pool(d, "io", "busy", 1);
    for (int i = 1; i < 4; i++) {
        json_t *f = api_future(daemon_url(d), ids[i]);
        ck_assert_int_eq(api_int(f, "waiting_for.position"), i);
        json_decref(f);
    }
    ck_assert_int_eq(api_cancel(daemon_url(d), ids[1]), 200);
    json_t *f = api_future(daemon_url(d), ids[3]);
    ck_assert_int_eq(api_int(f, "waiting_for.position"), 2);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

/* Its task waits and says why; others in the lane run. */
START_TEST(test_pools_a_program_that_does_not_start_says_its_last_words)
{
    struct daemon *d = daemon_new();
    char id[ID_TEXT_SIZE];
    daemon_set_handlers(
        d, "{\"nlp\":{\"worker\":[\"/bin/sh\",\"-c\",\"echo no model >&2; exit 3\"]}}");
    daemon_start(d);
    api_submit(daemon_url(d), "{\"handler\":\"nlp\",\"input\":\"x\"}", id);
    json_t *f = api_wait_text(daemon_url(d), id, "waiting_for.code", "program_broken");
    ck_assert_str_eq(api_str(f, "waiting_for.last_words"), "it exited with 3: no model");
    ck_assert_str_eq(api_str(f, "state"), "queued");
    json_decref(f);
    json_decref(api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"x\"}"));
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_pools_grow_and_shrink_while_busy_io,
                                  test_pools_grow_and_shrink_while_busy_cpu,
                                  test_pools_pause_holds_a_lane_until_it_goes_on,
                                  test_pools_restart_brings_back_what_is_configured,
                                  test_pools_broken_workers_are_told_and_heal,
                                  test_pools_each_worker_is_shown,
                                  test_pools_position_in_the_queue,
                                  test_pools_a_program_that_does_not_start_says_its_last_words};
    return suite_run("pools", tests, FUT_COUNT(tests));
}
