/* Five tasks that do the worst among a thousand: the other 995 bring their results, each of the
 * five ends with an error of its own, and nothing of them is left. Every one of them is bounded by
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
#define PROGRAM_EVERY 10 /* of the good ones, so many run as programs */

#define PERL(name, script, rest)                                                                   \
    "\"" name "\": {\"exec\": [\"perl\", \"-e\", \"" script "\"], \"timeout\": 60" rest "},"

static const char handlers[] =
    "{" PERL("crash", "$x = 'x' x 20000000; print unpack('p', pack('L!', 8))", "") /**/
    PERL("hog", "for (1..300) { push @a, 'x' x 1048576; select(undef,undef,undef,0.005) } sleep 30",
         ", \"limits\": {\"memory\": \"64M\"}")                                  /**/
    PERL("spin", "for (1..4e9) { $i++ }", ", \"limits\": {\"cpu\": 0.5}")        /**/
    PERL("bomb", "fork for 1..6; sleep 30", ", \"limits\": {\"processes\": 16}") /**/
    PERL("endless", "for (1..100000) { print 'x' x 10000 }",
         ", \"limits\": {\"output\": \"1M\"}") /**/
    "\"count\": {\"exec\": [\"wc\", \"-c\"], \"content_type\": \"application/json\","
    " \"limits\": {\"cpu\": 30, \"memory\": \"256M\", \"output\": \"64K\", \"processes\": 4}}}";

static const struct {
    size_t place;
    const char *handler, *code;
} rogues[] = {
    {100, "crash", "signal"},         {300, "hog", "memory_limit"},     {500, "spin", "cpu_limit"},
    {700, "bomb", "processes_limit"}, {900, "endless", "output_limit"},
};

/* NULL: a good one. */
static const char *rogue_at(size_t place)
{
    for (size_t i = 0; i < FUT_COUNT(rogues); i++) {
        if (rogues[i].place == place)
            return rogues[i].handler;
    }
    return NULL;
}

static char *batch_body(void)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_puts(&b, "{\"tasks\":[");
    for (size_t i = 0; i < TASKS; i++) {
        const char *rogue = rogue_at(i), *good = i % PROGRAM_EVERY == 1 ? "count" : "sha256";
        buf_printf(&b, "%s{\"handler\":\"%s\",\"input\":\"%zu\"}", i ? "," : "",
                   rogue ? rogue : good, i);
    }
    buf_puts(&b, "]}");
    return buf_take(&b, &len);
}

/* The results, a line for each task in order of submission; free() it. */
static char *run_all(struct daemon *d)
{
    char *body = batch_body();
    struct http_reply r = api_post(daemon_url(d), "/v1/batches", body);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.error ? r.error : r.body);
    struct http_reply all =
        api_get(daemon_url(d), "/v1/batches/%s/results?wait=60", api_str(r.json, "id"));
    ck_assert_int_eq(all.status, 200);
    char *lines = xstrdup(all.body);
    http_reply_release(&all);
    http_reply_release(&r);
    free(body);
    return lines;
}

static void check_good(const json_t *f, size_t place)
{
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%zu is %s (%s)", place,
                  api_str(f, "state"), api_str(f, "error.message"));
}

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

/* Is there a process anywhere that was started for this task? */
static bool is_gone(void *id)
{
    char *needle = text_printf("FUTURED_TASK_ID=%s", (const char *)id);
    DIR *dir = opendir("/proc");
    bool found = false;
    for (const struct dirent *e; !found && (e = readdir(dir)) != NULL;)
        found = isdigit((unsigned char)*e->d_name) &&
                has_environment(e->d_name, needle, strlen(needle));
    (void)closedir(dir);
    free(needle);
    return !found;
}

static void check_rogue(const json_t *f, size_t i)
{
    ck_assert_str_eq(api_str(f, "handler"), rogues[i].handler);
    ck_assert_str_eq(api_str(f, "state"), "failed");
    ck_assert_msg(strcmp(api_str(f, "error.code"), rogues[i].code) == 0, "%s: %s: %s",
                  rogues[i].handler, api_str(f, "error.code"), api_str(f, "error.message"));
    ck_assert_int_gt(api_int(f, "error.max_rss"), 1000000);
    ck_assert_ptr_nonnull(api_at(f, "error.cpu_seconds"));
    ck_assert_msg(wait_until(is_gone, (void *)(uintptr_t)api_str(f, "id"), WAIT_LONG_MS),
                  "the %s lives on", rogues[i].handler);
}

START_TEST(test_rogues_five_among_a_thousand)
{
    struct daemon *d = daemon_new();
    size_t good = 0, bad = 0;
    daemon_set(d, "MAX_WORKERS=3");
    daemon_set_handlers(d, handlers);
    daemon_start(d);
    char *lines = run_all(d);
    for (char *at = lines, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        *end = '\0';
        json_t *f = json_loads(at, 0, NULL);
        if (rogue_at(good + bad))
            check_rogue(f, bad++);
        else
            check_good(f, good++ + bad);
        json_decref(f);
    }
    ck_assert_uint_eq(bad, FUT_COUNT(rogues));
    ck_assert_uint_eq(good, TASKS - FUT_COUNT(rogues));
    free(lines);
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

START_TEST(test_rogues_crash_is_told_in_detail)
{
    struct daemon *d = daemon_new();
    daemon_set_handlers(
        d, "{\"bad\": {\"exec\": [\"perl\", \"-e\", \"$x = 'x' x 20000000; print STDERR 'last "
           "words'; kill 9, $$; sleep 9\"]}}");
    daemon_start(d);
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
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_rogues_five_among_a_thousand,
        test_rogues_crash_is_told_in_detail,
    };
    return suite_run("rogues", tests, FUT_COUNT(tests));
}
