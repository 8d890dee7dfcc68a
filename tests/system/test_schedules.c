/* Schedules on the real binary: they fire, once each, whatever happens to the daemon and its clock;
 * overlaps, what was missed, the file of schedules, and bad input. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/preload/clock.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define QUICK "\"task\":{\"handler\":\"echo\",\"input\":\"x\"}"
#define SLOW "\"task\":{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}"

static struct http_reply call(const struct daemon *d, const char *method, const char *path,
                              const char *body)
{
    struct http_request req = {
        .method = method, .path = path, .body = body, .body_len = body ? strlen(body) : 0};
    return http_call(daemon_url(d), &req);
}

static void expect(const struct daemon *d, const char *method, const char *path, const char *body,
                   int status)
{
    struct http_reply r = call(d, method, path, body);
    ck_assert_msg(r.status == status, "%s %s: %d %s", method, path, r.status, r.body);
    http_reply_release(&r);
}

static json_t *get(const struct daemon *d, const char *name)
{
    struct http_reply r = api_get(daemon_url(d), "/v1/schedules/%s", name);
    ck_assert_msg(r.status == 200, "%s", r.body);
    json_t *schedule = json_incref(r.json);
    http_reply_release(&r);
    return schedule;
}

/* ---- waiting for runs --------------------------------------------------------------------------
 */

struct wanted {
    const struct daemon *d;
    const char *name, *outcome;
    size_t n;
};

static size_t count_runs(const json_t *schedule, const char *outcome)
{
    size_t i, n = 0;
    json_t *run;
    json_array_foreach (json_object_get(schedule, "runs"), i, run) {
        n += strcmp(api_str(run, "outcome"), outcome) == 0;
    }
    return n;
}

static bool has_runs(void *ctx)
{
    const struct wanted *w = ctx;
    json_t *schedule = get(w->d, w->name);
    bool yes = count_runs(schedule, w->outcome) >= w->n;
    json_decref(schedule);
    return yes;
}

/* The schedule when it has so many runs of this outcome; json_decref() it. */
static json_t *await_runs(const struct daemon *d, const char *name, const char *outcome, size_t n)
{
    struct wanted w = {d, name, outcome, n};
    ck_assert_msg(wait_until(has_runs, &w, WAIT_LONG_MS), "no %zu runs %s of %s", n, outcome, name);
    return get(d, name);
}

static const json_t *run_at(const json_t *schedule, size_t i)
{
    return json_array_get(json_object_get(schedule, "runs"), i);
}

/* ---- firing -----------------------------------------------------------------------------------
 */

START_TEST(test_schedules_fire)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    expect(d, "PUT", "/v1/schedules/tick", "{\"every\":1," QUICK "}", 201);
    json_t *s = await_runs(d, "tick", "fired", 2);
    json_t *future = api_done(daemon_url(d), api_str(run_at(s, 1), "future"));
    ck_assert_str_eq(api_str(future, "schedule"), "tick");
    ck_assert_str_eq(api_str(future, "state"), "succeeded");
    ck_assert_uint_eq(json_array_size(json_object_get(s, "next")), 5);
    json_decref(future);
    json_decref(s);
    expect(d, "PATCH", "/v1/schedules/tick", "{\"paused\":true}", 200);
    struct http_reply r = call(d, "POST", "/v1/schedules/tick/run", NULL);
    ck_assert_int_eq(r.status, 202);
    json_decref(api_done(daemon_url(d), api_str(r.json, "id")));
    http_reply_release(&r);
    s = get(d, "tick");
    ck_assert_uint_eq(json_array_size(json_object_get(s, "next")), 0);
    ck_assert(json_is_true(json_object_get(run_at(s, 0), "manual")));
    json_decref(s);
    expect(d, "PATCH", "/v1/schedules/tick", "{\"paused\":false}", 200);
    expect(d, "DELETE", "/v1/schedules/tick", NULL, 204);
    expect(d, "GET", "/v1/schedules/tick", NULL, 404);
    daemon_free(&d);
}
END_TEST

#define ECHO_NEEDING(needs) "\"task\":{\"handler\":\"echo\",\"input\":\"x\",\"needs\":" needs "}"

/* Tasks of a schedule need labels as others do: they run where these are, and wait while they are
 * nowhere. */
START_TEST(test_schedules_need_labels)
{
    struct daemon *d = daemon_new();
    daemon_set(d, "FUTURED_LABELS=gpu");
    daemon_start(d);
    expect(d, "PUT", "/v1/schedules/bad", "{\"every\":1," ECHO_NEEDING("[\"g pu\"]") "}", 422);
    expect(d, "PUT", "/v1/schedules/here", "{\"every\":1," ECHO_NEEDING("[\"gpu\"]") "}", 201);
    json_t *s = await_runs(d, "here", "fired", 1);
    size_t last = json_array_size(json_object_get(s, "runs")) - 1;
    json_t *here = api_done(daemon_url(d), api_str(run_at(s, last), "future"));
    ck_assert_str_eq(api_str(here, "state"), "succeeded");
    ck_assert_str_eq(json_string_value(json_array_get(api_at(here, "needs"), 0)), "gpu");
    json_decref(here);
    json_decref(s);
    expect(d, "PUT", "/v1/schedules/later",
           "{\"every\":3600," ECHO_NEEDING("[\"big\",\"gpu\"]") "}", 201);
    struct http_reply r = call(d, "POST", "/v1/schedules/later/run", NULL);
    ck_assert_int_eq(r.status, 202);
    const char *id = api_str(r.json, "id");
    json_t *waits = api_wait_text(daemon_url(d), id, "waiting_for.code", "no_node_for_needs");
    ck_assert_uint_eq(json_array_size(api_at(waits, "waiting_for.missing")), 1);
    json_decref(waits);
    daemon_kill(d);
    daemon_set(d, "FUTURED_LABELS=gpu,big");
    daemon_start(d);
    json_t *later = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(later, "state"), "succeeded");
    ck_assert_str_eq(api_str(later, "schedule"), "later");
    json_decref(later);
    http_reply_release(&r);
    daemon_free(&d);
}
END_TEST

/* Each second once, and none left out, while the daemon is killed again and again. */
START_TEST(test_schedules_fire_once_each_through_kills)
{
    struct daemon *d = daemon_new();
    daemon_start(d);
    expect(d, "PUT", "/v1/schedules/tick", "{\"every\":1,\"catch_up\":{\"all\":1000}," QUICK "}",
           201);
    for (size_t i = 1; i <= 5; i++) {
        json_decref(await_runs(d, "tick", "fired", i * 2));
        daemon_kill(d);
        daemon_start(d);
    }
    json_t *s = await_runs(d, "tick", "fired", 12);
    size_t n = json_array_size(json_object_get(s, "runs"));
    ck_assert_uint_eq(count_runs(s, "fired"), n);
    for (size_t i = 1; i < n; i++) {
        int64_t later, earlier;
        ck_assert(clock_parse_rfc3339(api_str(run_at(s, i - 1), "at"), &later));
        ck_assert(clock_parse_rfc3339(api_str(run_at(s, i), "at"), &earlier));
        ck_assert_int_eq(later - earlier, 1000);
        ck_assert_str_ne(api_str(run_at(s, i - 1), "future"), api_str(run_at(s, i), "future"));
        json_decref(api_future(daemon_url(d), api_str(run_at(s, i), "future")));
    }
    json_decref(s);
    daemon_free(&d);
}
END_TEST

/* ---- overlaps ---------------------------------------------------------------------------------
 */

START_TEST(test_schedules_overlap)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    expect(d, "PUT", "/v1/schedules/skip", "{\"every\":1,\"overlap\":\"skip\"," SLOW "}", 201);
    expect(d, "PUT", "/v1/schedules/one", "{\"every\":1,\"overlap\":\"queue_one\"," SLOW "}", 201);
    expect(d, "PUT", "/v1/schedules/new", "{\"every\":1,\"overlap\":\"cancel_running\"," SLOW "}",
           201);
    json_t *s = await_runs(d, "skip", "skipped", 2);
    ck_assert_uint_eq(count_runs(s, "fired"), 1);
    ck_assert_str_eq(api_str(run_at(s, 0), "reason"), "overlap");
    json_decref(s);

    json_decref(await_runs(d, "one", "waiting", 1));
    s = await_runs(d, "one", "skipped", 1);
    size_t last = json_array_size(json_object_get(s, "runs")) - 1;
    (void)api_cancel(daemon_url(d), api_str(run_at(s, last), "future")); /* the first one ends */
    json_decref(s);
    json_decref(await_runs(d, "one", "fired", 2));

    s = await_runs(d, "new", "fired", 3);
    json_t *cancelled = api_done(daemon_url(d), api_str(run_at(s, 1), "future"));
    ck_assert_str_eq(api_str(cancelled, "state"), "cancelled");
    json_decref(cancelled);
    json_decref(s);
    daemon_free(&d);
}
END_TEST

/* ---- the clock --------------------------------------------------------------------------------
 */

/* In place: the daemon has the file mapped. */
static void set_clock(const struct daemon *d, int64_t ahead_ms)
{
    char *path = daemon_path(d, "clock");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert(fd >= 0 && pwrite(fd, &ahead_ms, sizeof(ahead_ms), 0) == sizeof(ahead_ms));
    (void)close(fd);
    free(path);
}

/* With a clock of its own, an hour each: none, last and two of those that are missed. */
static struct daemon *start_with_clock(void)
{
    struct daemon *d = daemon_new();
    char *library = daemon_built("tests/preload/clock.so");
    char *preload = text_printf("LD_PRELOAD=%s", library);
    char *file = text_printf(CLOCK_OFFSET_ENV "=%s/clock", daemon_dir(d));
    daemon_set(d, preload);
    daemon_set(d, file);
    daemon_set(d, "ASAN_OPTIONS=verify_asan_link_order=0");
    set_clock(d, 0);
    daemon_start(d);
    expect(d, "PUT", "/v1/schedules/none", "{\"every\":3600,\"catch_up\":\"none\"," QUICK "}", 201);
    expect(d, "PUT", "/v1/schedules/last", "{\"every\":3600," QUICK "}", 201);
    expect(d, "PUT", "/v1/schedules/two", "{\"every\":3600,\"catch_up\":{\"all\":2}," QUICK "}",
           201);
    free(file);
    free(preload);
    free(library);
    return d;
}

#define HOUR_MS INT64_C(3600000)

static void check_caught_up(const struct daemon *d)
{
    json_t *s = await_runs(d, "none", "skipped", 1);
    ck_assert_uint_eq(count_runs(s, "fired"), 0);
    ck_assert_str_eq(api_str(run_at(s, 0), "reason"), "missed");
    int64_t from, to;
    ck_assert(clock_parse_rfc3339(api_str(run_at(s, 0), "at"), &from));
    ck_assert(clock_parse_rfc3339(api_str(run_at(s, 0), "to"), &to));
    ck_assert_int_eq(to - from, 9 * HOUR_MS);
    json_decref(s);
    s = await_runs(d, "last", "fired", 1);
    ck_assert_uint_eq(count_runs(s, "fired"), 1);
    ck_assert_uint_eq(count_runs(s, "skipped"), 1);
    json_decref(s);
    s = await_runs(d, "two", "fired", 2);
    ck_assert_uint_eq(count_runs(s, "fired"), 2);
    ck_assert_uint_eq(count_runs(s, "skipped"), 1);
    json_decref(s);
}

START_TEST(test_schedules_catch_up_after_downtime)
{
    if (daemon_leaves_out_on_postgres("a clock that is set, which a start compares with its own"))
        return;
    struct daemon *d = start_with_clock();
    daemon_stop(d);
    set_clock(d, 10 * HOUR_MS + HOUR_MS / 2);
    daemon_start(d);
    check_caught_up(d);
    daemon_free(&d);
}
END_TEST

/* The clock steps while the daemon runs: what it steps over is missed; a step back fires nothing
 * again. A change of a schedule makes the daemon look at once. */
START_TEST(test_schedules_follow_the_clock)
{
    struct daemon *d = start_with_clock();
    set_clock(d, 10 * HOUR_MS + HOUR_MS / 2);
    expect(d, "PUT", "/v1/schedules/tick", "{\"every\":1," QUICK "}", 201);
    check_caught_up(d);
    json_t *before = get(d, "last");
    set_clock(d, 5 * HOUR_MS);
    expect(d, "DELETE", "/v1/schedules/tick", NULL, 204);
    expect(d, "PUT", "/v1/schedules/tick", "{\"every\":1," QUICK "}", 201);
    json_decref(await_runs(d, "tick", "fired", 2));
    json_t *after = get(d, "last");
    size_t n = json_array_size(json_object_get(before, "runs"));
    ck_assert_uint_eq(json_array_size(json_object_get(after, "runs")), n);
    for (size_t i = 0; i < n; i++) /* their futures may have gone on */
        ck_assert_str_eq(api_str(run_at(before, i), "at"), api_str(run_at(after, i), "at"));
    json_decref(before);
    json_decref(after);
    daemon_free(&d);
}
END_TEST

#define PARENT "01a21d75-b8d1-7000-860e-c57b71d751cf"

/* ---- the file ---------------------------------------------------------------------------------
 */

static void write_schedules(const struct daemon *d, const char *text)
{
    dir_write(daemon_dir(d), "schedules.json", text, strlen(text));
}

static void reload(struct daemon *d, const char *word)
{
    daemon_signal(d, SIGHUP);
    free(daemon_wait_log(d, word));
}

START_TEST(test_schedules_of_a_file)
{
    struct daemon *d = daemon_new();
    char *setting = text_printf("FUTURED_SCHEDULES=%s/schedules.json", daemon_dir(d));
    daemon_set(d, setting);
    write_schedules(d,
                    "{\"a\": {\"cron\":\"@daily\"," QUICK "},\n \"b\": {\"every\":60," QUICK "}}");
    daemon_start(d);
    json_t *a = get(d, "a");
    ck_assert_str_eq(api_str(a, "source"), "file");
    expect(d, "PUT", "/v1/schedules/a", "{\"every\":5," QUICK "}", 409);
    expect(d, "DELETE", "/v1/schedules/a", NULL, 409);
    expect(d, "PUT", "/v1/schedules/own", "{\"every\":60," QUICK "}", 201);

    write_schedules(d, "{\"b\": {\"every\":60," QUICK "},\n\n \"c\": {\"every\":0," QUICK "}}");
    reload(d, "reload_refused");
    char *log = daemon_log(d);
    ck_assert_msg(strstr(log, "line 3") && strstr(log, "\\\"c\\\"") && strstr(log, "every"), "%s",
                  log);
    free(log);
    json_t *same = get(d, "a");
    ck_assert(json_equal(a, same));
    expect(d, "GET", "/v1/schedules/c", NULL, 404);

    write_schedules(d, "{\"c\": {\"every\":60," QUICK "}}");
    reload(d, "schedules_loaded");
    free(daemon_wait_log(d, " reloaded "));
    expect(d, "GET", "/v1/schedules/a", NULL, 404);
    expect(d, "GET", "/v1/schedules/c", NULL, 200);
    expect(d, "GET", "/v1/schedules/own", NULL, 200);

    daemon_stop(d);
    char *said = NULL;
    write_schedules(d, "{\"c\": {\"every\":60,\"task\":{\"handler\":\"nope\"}}}");
    ck_assert_int_ne(daemon_start_refused(d, &said), 0);
    ck_assert_msg(strstr(said, "line 1") && strstr(said, "task.handler"), "%s", said);
    free(said);
    free(setting);
    json_decref(a);
    json_decref(same);
    daemon_free(&d);
}
END_TEST

/* ---- bad input --------------------------------------------------------------------------------
 */

static const struct {
    const char *body;
    int status;
    const char *field;
} bad[] = {
    {"{", 400, ""},
    {"[]", 422, ""},
    {"{" QUICK "}", 422, "cron"},
    {"{\"every\":1}", 422, "task"},
    {"{\"every\":1,\"cron\":\"@daily\"," QUICK "}", 422, "cron"},
    {"{\"cron\":\"* * * *\"," QUICK "}", 422, "cron"},
    {"{\"cron\":\"0 0 31 2 *\"," QUICK "}", 422, "cron"},
    {"{\"rrule\":\"FREQ=NEVER\"," QUICK "}", 422, "rrule"},
    {"{\"rrule\":\"FREQ=DAILY;UNTIL=20200101\"," QUICK "}", 422, "rrule"},
    {"{\"every\":0.5," QUICK "}", 422, "every"},
    {"{\"every\":\"1\"," QUICK "}", 422, "every"},
    {"{\"every\":1,\"timezone\":\"Mars\"," QUICK "}", 422, "timezone"},
    {"{\"every\":1,\"timezone\":\"../passwd\"," QUICK "}", 422, "timezone"},
    {"{\"every\":1,\"start\":\"tomorrow\"," QUICK "}", 422, "start"},
    {"{\"every\":1,\"until\":\"2020-01-01T00:00:00Z\"," QUICK "}", 422, "every"},
    {"{\"every\":1,\"start\":\"2031-01-01T00:00:00Z\",\"until\":\"2030-01-01T00:00:00Z\"," QUICK
     "}",
     422, "until"},
    {"{\"every\":1,\"jitter\":-1," QUICK "}", 422, "jitter"},
    {"{\"every\":1,\"overlap\":\"maybe\"," QUICK "}", 422, "overlap"},
    {"{\"every\":1,\"catch_up\":{\"all\":0}," QUICK "}", 422, "catch_up"},
    {"{\"every\":1,\"catch_up\":\"all\"," QUICK "}", 422, "catch_up"},
    {"{\"every\":1,\"task\":{\"handler\":\"nope\"}}", 422, "task.handler"},
    {"{\"every\":1,\"task\":{\"input\":1}}", 422, "task.handler"},
    {"{\"every\":1,\"task\":{\"handler\":\"echo\",\"retries\":-1}}", 422, "task.retries"},
    {"{\"every\":1,\"often\":true," QUICK "}", 422, "often"},
    {"{\"every\":1,\"task\":{\"handler\":\"echo\",\"after\":[\"" PARENT "\"]}}", 422, "task.after"},
    {"{\"every\":1,\"task\":{\"handler\":\"echo\",\"input\":[{\"$result\":\"" PARENT "\"}]}}", 422,
     "task.input"},
};

START_TEST(test_schedules_bad_input)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct http_reply r = call(d, "PUT", "/v1/schedules/s", bad[i].body);
        ck_assert_msg(r.status == bad[i].status, "%s: %d %s", bad[i].body, r.status, r.body);
        ck_assert_msg(strcmp(api_str(r.json, "field"), bad[i].field) == 0, "%s: %s", bad[i].body,
                      r.body);
        http_reply_release(&r);
    }
    char name[80];
    (void)snprintf(name, sizeof(name), "/v1/schedules/%065d", 0);
    expect(d, "PUT", name, "{\"every\":1," QUICK "}", 422);
    expect(d, "PUT", "/v1/schedules/-x", "{\"every\":1," QUICK "}", 422);
    expect(d, "GET", "/v1/schedules/s", NULL, 404);
    expect(d, "DELETE", "/v1/schedules/s", NULL, 404);
    expect(d, "PATCH", "/v1/schedules/s", "{\"paused\":true}", 404);
    expect(d, "PATCH", "/v1/schedules/s", "{\"paused\":1}", 422);
    expect(d, "PATCH", "/v1/schedules/s", "{}", 422);
    expect(d, "POST", "/v1/schedules/s/run", NULL, 404);
    expect(d, "GET", "/v1/schedules?limit=0", NULL, 400);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_schedules_fire,
        test_schedules_need_labels,
        test_schedules_fire_once_each_through_kills,
        test_schedules_overlap,
        test_schedules_catch_up_after_downtime,
        test_schedules_follow_the_clock,
        test_schedules_of_a_file,
        test_schedules_bad_input,
    };
    return suite_run("schedules", tests, FUT_COUNT(tests));
}
