/* Five tasks that do the worst among a thousand: the other 995 bring their results, each of the
 * five ends with an error of its own, and nothing of them is left. Once with a program per task,
 * and once where all thousand are tasks of the same few workers. Every one of them is bounded by
 * itself, too: what the limits miss does no harm to the machine that runs this. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define TASKS 1000
#define MAX_WORKERS 3
#define MAX_WORKERS_SETTING "MAX_WORKERS=3"
#define PROGRAM_EVERY 10 /* of the good ones, so many run as programs */

#define ROGUES 5

static const struct rogue {
    size_t place;
    const char *name;
} rogues[ROGUES] = {{100, "crash"}, {300, "hog"}, {500, "spin"}, {700, "bomb"}, {900, "endless"}};

/* NULL: a good one. */
static const char *rogue_at(size_t place)
{
    for (size_t i = 0; i < ROGUES; i++) {
        if (rogues[i].place == place)
            return rogues[i].name;
    }
    return NULL;
}

/* ---- a program per task ---- */

#define PERL(name, script, rest)                                                                   \
    "\"" name "\": {\"exec\": [\"perl\", \"-e\", \"" script "\"], \"timeout\": 60" rest "},"

static const char exec_handlers[] =
    "{" PERL("crash", "$x = 'x' x 20000000; print unpack('p', pack('L!', 8))", "") /**/
    PERL("hog", "for (1..300) { push @a, 'x' x 1048576; select(undef,undef,undef,0.005) } sleep 30",
         ", \"limits\": {\"memory\": \"64M\"}")                                  /**/
    PERL("spin", "for (1..4e9) { $i++ }", ", \"limits\": {\"cpu\": 0.5}")        /**/
    PERL("bomb", "fork for 1..6; sleep 30", ", \"limits\": {\"processes\": 16}") /**/
    PERL("endless", "for (1..100000) { print 'x' x 10000 }",
         ", \"limits\": {\"output\": \"1M\"}") /**/
    "\"count\": {\"exec\": [\"wc\", \"-c\"], \"content_type\": \"application/json\","
    " \"limits\": {\"cpu\": 30, \"memory\": \"256M\", \"output\": \"64K\", \"processes\": 4}}}";

static void put_program_task(struct buf *b, size_t place)
{
    const char *rogue = rogue_at(place), *good = place % PROGRAM_EVERY == 1 ? "count" : "sha256";
    buf_printf(b, "{\"handler\":\"%s\",\"input\":\"%zu\"}", rogue ? rogue : good, place);
}

/* ---- workers, each of which does whatever comes ---- */

static const char worker_handlers[] =
    "{\"work\": {\"worker\": [\"python3\", \"%s\"], \"timeout\": 60, \"env\": {\"ROGUES\": "
    "\"%s\"}, \"limits\": {\"cpu\": 2, \"memory\": \"96M\", \"output\": \"1M\", \"processes\": "
    "16}}}";

static void put_worker_task(struct buf *b, size_t place)
{
    const char *rogue = rogue_at(place), *quote = rogue ? "\"" : "";
    char number[24];
    (void)snprintf(number, sizeof(number), "%zu", place);
    buf_printf(b, "{\"handler\":\"work\",\"input\":%s%s%s}", quote, rogue ? rogue : number, quote);
}

/* ---- all of them ---- */

static const struct cast {
    void (*put_task)(struct buf *b, size_t place);
    const char *codes[ROGUES];
    bool gives_numbers; /* a good one's result is its place */
} programs = {put_program_task,
              {"signal", "memory_limit", "cpu_limit", "processes_limit", "output_limit"},
              false},
  workers = {put_worker_task,
             {"worker_died", "memory_limit", "cpu_limit", "processes_limit", "output_limit"},
             true};

static char *batch_body(const struct cast *c)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_puts(&b, "{\"tasks\":[");
    for (size_t i = 0; i < TASKS; i++) {
        buf_puts(&b, i ? "," : "");
        c->put_task(&b, i);
    }
    buf_puts(&b, "]}");
    return buf_take(&b, &len);
}

/* One request waits for a minute at most, and a slow machine may need more. */
static bool is_batch_done(struct daemon *d, const char *id)
{
    char *body = text_printf("{\"batch\":\"%s\",\"timeout\":50}", id);
    struct http_reply r = api_post(daemon_url(d), "/v1/wait", body);
    ck_assert_msg(r.status == 200 && r.json, "%d %s", r.status, r.body);
    bool is = json_array_size(json_object_get(r.json, "not_done")) == 0;
    http_reply_release(&r);
    free(body);
    return is;
}

/* The results, a line for each task in order of submission; free() it. */
static char *run_all(struct daemon *d, const struct cast *c)
{
    char *body = batch_body(c);
    json_t *made = api_batch(daemon_url(d), body);
    while (!is_batch_done(d, api_str(made, "id")))
        ;
    struct http_reply all = api_get(daemon_url(d), "/v1/batches/%s/results", api_str(made, "id"));
    ck_assert_int_eq(all.status, 200);
    char *lines = xstrdup(all.body);
    http_reply_release(&all);
    json_decref(made);
    free(body);
    return lines;
}

static void check_good(const struct cast *c, const json_t *f, size_t place)
{
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%zu is %s (%s)", place,
                  api_str(f, "state"), api_str(f, "error.message"));
    if (c->gives_numbers)
        ck_assert_int_eq(api_int(f, "result.number"), (json_int_t)place);
}

static void check_rogue(const struct cast *c, const json_t *f, size_t i)
{
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_msg(strcmp(api_str(f, "error.code"), c->codes[i]) == 0, "%s: %s: %s", rogues[i].name,
                  api_str(f, "error.code"), api_str(f, "error.message"));
    ck_assert_int_gt(api_int(f, "error.max_rss"), 1000000);
    ck_assert_ptr_nonnull(api_at(f, "error.cpu_seconds"));
}

/* looked_at: with each rogue's future. */
static void check_all(struct daemon *d, const struct cast *c, void (*looked_at)(const json_t *f))
{
    size_t good = 0, bad = 0;
    char *lines = run_all(d, c);
    for (char *at = lines, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        *end = '\0';
        json_t *f = json_loads(at, 0, NULL);
        if (rogue_at(good + bad)) {
            check_rogue(c, f, bad++);
            looked_at(f);
        } else {
            check_good(c, f, good++ + bad);
        }
        json_decref(f);
    }
    ck_assert_uint_eq(bad, ROGUES);
    ck_assert_uint_eq(good, TASKS - ROGUES);
    free(lines);
}

/* ---- is anything left? ---- */

static bool has_environment(const char *pid, const char *needle, size_t n)
{
    static char text[65536];
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    fd_close(&fd);
    return got > 0 && memmem(text, (size_t)got, needle, n) != NULL;
}

static size_t count_with_environment(const char *needle)
{
    DIR *dir = opendir("/proc");
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += isdigit((unsigned char)*e->d_name) &&
             has_environment(e->d_name, needle, strlen(needle));
    (void)closedir(dir);
    return n;
}

/* No process that was started for this task is left anywhere. */
static bool is_gone(void *id)
{
    char *needle = text_printf("FUTURED_TASK_ID=%s", (const char *)id);
    size_t n = count_with_environment(needle);
    free(needle);
    return n == 0;
}

static void program_is_gone(const json_t *f)
{
    ck_assert_msg(wait_until(is_gone, (void *)(uintptr_t)api_str(f, "id"), WAIT_LONG_MS),
                  "the %s lives on", api_str(f, "handler"));
}

/* No process of the workers but those that the daemon shows. */
static bool is_workers_alone(void *ctx)
{
    struct daemon *d = ctx;
    char *needle = text_printf("ROGUES=%s", daemon_dir(d));
    struct http_reply r = api_get(daemon_url(d), "/v1/workers");
    size_t i, shown = 0;
    json_t *w;
    json_array_foreach (json_object_get(r.json, "workers"), i, w)
        shown += strcmp(api_str(w, "program"), "work") == 0;
    bool yes = shown == MAX_WORKERS && count_with_environment(needle) == shown;
    http_reply_release(&r);
    free(needle);
    return yes;
}

static void nothing_to_look_at(const json_t *f)
{
    (void)f;
}

/* ---- the tests ---- */

static struct daemon *start(const char *handlers)
{
    static const char *const settings[] = {MAX_WORKERS_SETTING};
    return daemon_start_handlers(handlers, settings, 1);
}

START_TEST(test_rogues_five_among_a_thousand)
{
    struct daemon *d = start(exec_handlers);
    check_all(d, &programs, program_is_gone);
    daemon_end(&d);
}
END_TEST

/* A few warm processes have all of them, good and bad, with all limits at once: the good ones'
 * times do not add up to a limit, and whoever did the worst is replaced. */
START_TEST(test_rogues_five_among_a_thousand_on_workers)
{
    struct daemon *d = daemon_new();
    char *program = daemon_built("../../tests/system/rogue.py");
    char *handlers = text_printf(worker_handlers, program, daemon_dir(d));
    daemon_set(d, MAX_WORKERS_SETTING);
    daemon_set_handlers(d, handlers);
    daemon_start(d);
    check_all(d, &workers, nothing_to_look_at);
    ck_assert_msg(wait_until(is_workers_alone, d, WAIT_LONG_MS), "not %d workers and no more",
                  MAX_WORKERS);
    daemon_end(&d);
    free(handlers);
    free(program);
}
END_TEST

START_TEST(test_rogues_crash_is_told_in_detail)
{
    struct daemon *d =
        start("{\"bad\": {\"exec\": [\"perl\", \"-e\", \"$x = 'x' x 20000000; print STDERR 'last "
              "words'; kill 9, $$; sleep 9\"]}}");
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"bad\"}");
    ck_assert_str_eq(api_str(f, "error.code"), "signal");
    ck_assert_str_eq(api_str(f, "error.signal"), "SIGKILL");
    ck_assert_str_eq(api_str(f, "error.log"), "last words");
    ck_assert_int_gt(api_int(f, "error.max_rss"), 20000000);
    ck_assert(json_is_boolean(api_at(f, "error.killed_for_memory")));
    json_t *again = api_future(daemon_url(d), api_str(f, "id")); /* from the disk, the same */
    ck_assert(json_equal(api_at(f, "error"), api_at(again, "error")));
    json_decref(again);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_rogues_five_among_a_thousand,
        test_rogues_five_among_a_thousand_on_workers,
        test_rogues_crash_is_told_in_detail,
    };
    return suite_run("rogues", tests, FUT_COUNT(tests));
}
