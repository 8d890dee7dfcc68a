/* Sessions: tasks that are added to while they run, one stream of their ends, and a limit of their
 * own, over kills of the daemon. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

static struct daemon *d;

static void end(void)
{
    daemon_end(&d);
}

static void open_session(const char *body, char id[ID_TEXT_SIZE])
{
    struct http_reply r = api_post(daemon_url(d), "/v1/sessions", body);
    ck_assert_msg(r.status == 201, "%s", r.body);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

static struct http_reply ask(const char *method, const char *session, const char *what,
                             const char *body, const char *header)
{
    const char *const headers[] = {header, "Content-Type: application/json", NULL};
    char *path = text_printf("/v1/sessions/%s%s", session, what);
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = method,
                                                        .path = path,
                                                        .body = body,
                                                        .body_len = body ? strlen(body) : 0,
                                                        .headers = headers});
    free(path);
    return r;
}

static int status_of(struct http_reply r, const char *code)
{
    int status = r.status;
    if (code)
        ck_assert_msg(strcmp(api_str(r.json, "code"), code) == 0, "%s", r.body);
    http_reply_release(&r);
    return status;
}

static int join(const char *session, const char *body)
{
    return status_of(ask("POST", session, "/tasks", body, "X-No: 1"), NULL);
}

static size_t count_text(const char *text, const char *needle)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, needle)); at += strlen(needle))
        n++;
    return n;
}

static struct http_pending *follow(const char *session, const char *last, char **out_path)
{
    static const char *headers[3];
    static struct http_request req;
    headers[0] = "Accept: application/x-ndjson";
    headers[1] = last;
    headers[2] = NULL;
    *out_path = text_printf("/v1/sessions/%s/events", session);
    req = (struct http_request){.method = "GET", .path = *out_path, .headers = headers};
    return http_begin(daemon_url(d), &req);
}

START_TEST(test_sessions_one_stream_tells_all_ends)
{
    char id[ID_TEXT_SIZE], *path;
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"echo\"}", id);
    struct http_pending *stream = follow(id, NULL, &path);
    ck_assert_int_eq(join(id, "{\"handler\":\"echo\",\"inputs\":[1,2,3]}"), 202);
    char *raw = text_printf("/v1/tasks/echo?session=%s&wait=30", id);
    struct http_reply r =
        api_post(daemon_url(d), raw, "4"); /* it has ended: what follows is later */
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":5,\"session\":\"%s\"}", id);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), "/v1/tasks", body), NULL), 202);
    ck_assert_int_eq(status_of(ask("DELETE", id, "", NULL, "X-No: 1"), NULL), 200);
    r = http_finish(&stream);
    ck_assert_uint_eq(count_text(r.body, "\"event\":\"done\""), 5);
    ck_assert_uint_eq(count_text(r.body, "\"event\":\"end\",\"data\":{\"sent\":5}"), 1);
    const char *third = strstr(r.body, "\"event\":\"done\"");
    third = strstr(strstr(third + 1, "\"event\":\"done\"") + 1, "\"event\":\"done\"");
    char *last =
        text_printf("Last-Event-ID: %d", (int)strtol(strstr(third, "\"id\":") + 5, NULL, 10));
    http_reply_release(&r);
    free(path);
    stream = follow(id, last, &path);
    r = http_finish(&stream);
    ck_assert_uint_eq(count_text(r.body, "\"event\":\"done\""), 2);
    http_reply_release(&r);
    free(last);
    free(path);
    free(body);
    free(raw);
    end();
}
END_TEST

START_TEST(test_sessions_last_over_a_kill)
{
    static const char *const settings[] = {"MAX_THREADS=4"};
    char id[ID_TEXT_SIZE], *path;
    d = daemon_start_with(settings, 1);
    open_session("{\"handler\":\"sleep\",\"max_running\":1}", id);
    ck_assert_int_eq(join(id, "{\"handler\":\"sleep\",\"inputs\":[{\"ms\":1},{\"ms\":1},"
                              "{\"ms\":300}]}"),
                     202);
    daemon_kill(d);
    daemon_start(d);
    ck_assert_int_eq(join(id, "{\"handler\":\"sleep\",\"inputs\":[{\"ms\":1}]}"), 202);
    struct http_reply r = ask("GET", id, "", NULL, "X-No: 1");
    ck_assert_int_eq(api_int(r.json, "total"), 4);
    ck_assert_int_eq(api_int(r.json, "max_running"), 1);
    http_reply_release(&r);
    r = ask("DELETE", id, "", NULL, "X-No: 1");
    ck_assert(json_is_true(api_at(r.json, "closed")));
    http_reply_release(&r);
    struct http_pending *stream = follow(id, NULL, &path);
    r = http_finish(&stream);
    ck_assert_uint_eq(count_text(r.body, "\"event\":\"done\""), 4);
    ck_assert_uint_eq(count_text(r.body, "\"state\":\"succeeded\""), 4);
    http_reply_release(&r);
    free(path);
    ck_assert_int_eq(status_of(api_get(daemon_url(d), "/v1/limits/session:%s", id), NULL), 404);
    end();
}
END_TEST

/* Nobody changes the limit of a session but the session. */
START_TEST(test_sessions_own_their_limit)
{
    static const char *const methods[] = {"PUT", "PATCH", "DELETE"};
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"sleep\",\"max_running\":1}", id);
    char *path = text_printf("/v1/limits/session:%s", id);
    for (size_t i = 0; i < FUT_COUNT(methods); i++) {
        struct http_request q = {.method = methods[i],
                                 .path = path,
                                 .body = i < 2 ? "{\"max_running\":5}" : NULL,
                                 .body_len = i < 2 ? 17 : 0};
        ck_assert_int_eq(status_of(http_call(daemon_url(d), &q), "conflict"), 409);
    }
    struct http_reply r = api_get(daemon_url(d), "%s", path);
    ck_assert_int_eq(api_int(r.json, "max_running"), 1);
    http_reply_release(&r);
    r = http_call(daemon_url(d), &(struct http_request){.method = "PUT",
                                                        .path = "/v1/limits/session:mine",
                                                        .body = "{\"max_running\":5}",
                                                        .body_len = 17});
    ck_assert_int_eq(r.status, 201);
    http_reply_release(&r);
    free(path);
    end();
}
END_TEST

START_TEST(test_sessions_repeat_nothing)
{
    static const char tasks[] = "{\"handler\":\"echo\",\"inputs\":[1,2]}";
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"echo\"}", id);
    ck_assert_int_eq(join(id, tasks), 202);
    struct http_reply first = ask("POST", id, "/tasks", tasks, "Idempotency-Key: k");
    ck_assert_int_eq(join(id, tasks), 202);
    struct http_reply again = ask("POST", id, "/tasks", tasks, "Idempotency-Key: k");
    ck_assert_int_eq(again.status, 202);
    ck_assert_str_eq(first.body, again.body);
    ck_assert_uint_eq(json_array_size(json_object_get(again.json, "ids")), 2);
    http_reply_release(&first);
    http_reply_release(&again);
    first = ask("GET", id, "", NULL, "X-No: 1");
    ck_assert_int_eq(api_int(first.json, "total"), 6);
    http_reply_release(&first);
    end();
}
END_TEST

START_TEST(test_sessions_cancel_and_refuse)
{
    static const char slow[] =
        "{\"handler\":\"sleep\",\"inputs\":[{\"seconds\":60},{\"seconds\":60}]}";
    char id[ID_TEXT_SIZE], *path;
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"sleep\",\"max_running\":1}", id);
    ck_assert_int_eq(join(id, slow), 202);
    ck_assert_int_eq(status_of(ask("POST", id, "/cancel", NULL, "X-No: 1"), NULL), 200);
    ck_assert_int_eq(
        status_of(ask("POST", id, "/tasks", "{\"handler\":\"echo\",\"inputs\":[1]}", "X-No: 1"),
                  "invalid_value"),
        422);
    ck_assert_int_eq(
        status_of(ask("POST", id, "/tasks",
                      "{\"tasks\":[{\"handler\":\"sleep\"}],\"fail_fast\":true}", "X-No: 1"),
                  "unknown_field"),
        422);
    ck_assert_int_eq(status_of(ask("DELETE", id, "", NULL, "X-No: 1"), NULL), 200);
    struct http_pending *stream = follow(id, NULL, &path);
    struct http_reply r = http_finish(&stream);
    ck_assert_uint_eq(count_text(r.body, "\"state\":\"cancelled\""), 2);
    http_reply_release(&r);
    free(path);
    ck_assert_int_eq(status_of(ask("POST", id, "/tasks", slow, "X-No: 1"), "session_closed"), 409);
    id[0] = id[0] == 'f' ? '0' : 'f';
    ck_assert_int_eq(status_of(ask("POST", id, "/tasks", slow, "X-No: 1"), "unknown_session"), 404);
    ck_assert_int_eq(status_of(ask("GET", id, "/events", NULL, "X-No: 1"), "unknown_session"), 404);
    ck_assert_int_eq(status_of(ask("GET", "x", "", NULL, "X-No: 1"), "unknown_session"), 404);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), "/v1/sessions", "{}"), "missing_field"),
                     422);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), "/v1/sessions",
                                        "{\"handler\":\"echo\",\"max_running\":0}"),
                               "invalid_value"),
                     422);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), "/v1/sessions", "{\"handler\":\"no\"}"),
                               "unknown_handler"),
                     422);
    end();
}
END_TEST

/* A batch is no session, whatever its id. */
START_TEST(test_sessions_cancel_no_batch)
{
    d = daemon_start_with(NULL, 0);
    struct http_reply r = api_post(daemon_url(d), "/v1/batches",
                                   "{\"handler\":\"sleep\",\"inputs\":[{\"seconds\":60}]}");
    char *batch = xstrdup(api_str(r.json, "id"));
    http_reply_release(&r);
    ck_assert_int_eq(status_of(ask("POST", batch, "/cancel", NULL, "X-No: 1"), "unknown_session"),
                     404);
    ck_assert_int_eq(status_of(ask("POST", "x", "/cancel", NULL, "X-No: 1"), "unknown_session"),
                     404);
    r = api_get(daemon_url(d), "/v1/batches/%s", batch);
    ck_assert_int_eq(api_int(api_at(r.json, "counts"), "cancelled"), 0);
    http_reply_release(&r);
    char *path = text_printf("/v1/batches/%s/cancel", batch);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), path, ""), NULL), 200);
    free(path);
    free(batch);
    end();
}
END_TEST

START_TEST(test_sessions_are_listed_in_pages)
{
    char ids[3][ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    for (int i = 0; i < 3; i++)
        open_session(i ? "{\"handler\":\"echo\"}" : "{\"handler\":\"sleep\",\"max_running\":5}",
                     ids[i]);
    struct http_reply r = api_get(daemon_url(d), "/v1/sessions?limit=2");
    const json_t *page = api_at(r.json, "sessions");
    ck_assert_uint_eq(json_array_size(page), 2);
    ck_assert_str_eq(api_str(json_array_get(page, 0), "id"), ids[2]);
    ck_assert_ptr_nonnull(strstr(r.head, "</v1/sessions?limit=2&cursor="));
    char *path = text_printf("/v1/sessions?limit=2&cursor=%s", api_str(r.json, "next_cursor"));
    http_reply_release(&r);
    r = api_get(daemon_url(d), "%s", path);
    page = api_at(r.json, "sessions");
    ck_assert_uint_eq(json_array_size(page), 1);
    ck_assert_str_eq(api_str(json_array_get(page, 0), "id"), ids[0]);
    ck_assert_int_eq(api_int(json_array_get(page, 0), "max_running"), 5);
    ck_assert(json_is_null(api_at(r.json, "next_cursor")));
    http_reply_release(&r);
    free(path);
    ck_assert_int_eq(status_of(api_get(daemon_url(d), "/v1/sessions?cursor=x"), "invalid_cursor"),
                     400);
    end();
}
END_TEST

/* An event that nobody was told of: the stream would be silent. */
START_TEST(test_sessions_refuse_an_event_to_come)
{
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"echo\"}", id);
    ck_assert_int_eq(
        status_of(ask("GET", id, "/events", NULL, "Last-Event-ID: 999999999"), "history_gone"),
        410);
    end();
}
END_TEST

/* Each stream of futures by the members that were chosen. */
START_TEST(test_sessions_and_batches_show_chosen_members)
{
    static const struct {
        const char *kind, *what;
    } paths[] = {{"sessions", "events"}, {"batches", "events"}, {"batches", "results"}};
    char id[ID_TEXT_SIZE];
    d = daemon_start_with(NULL, 0);
    open_session("{\"handler\":\"echo\"}", id);
    ck_assert_int_eq(join(id, "{\"handler\":\"echo\",\"inputs\":[7]}"), 202);
    ck_assert_int_eq(status_of(ask("DELETE", id, "", NULL, "X-No: 1"), NULL), 200);
    for (size_t i = 0; i < FUT_COUNT(paths); i++) {
        char *path =
            text_printf("/v1/%s/%s/%s?fields=state,result", paths[i].kind, id, paths[i].what);
        struct http_reply r = api_get(daemon_url(d), "%s", path);
        ck_assert_msg(strstr(r.body, "\"state\":\"succeeded\",\"result\":7}") &&
                          !strstr(r.body, "lane"),
                      "%s: %s", path, r.body);
        http_reply_release(&r);
        free(path);
        path = text_printf("/v1/%s/%s/%s?fields=state,colour", paths[i].kind, id, paths[i].what);
        ck_assert_int_eq(status_of(api_get(daemon_url(d), "%s", path), "invalid_parameter"), 400);
        free(path);
    }
    end();
}
END_TEST

/* ---- what prepares worker processes ---------------------------------------------------------- */

static const struct {
    const char *before, *path, *why;
} tours[] = {
    {"\"python3\", ", "../../workers/sdk/examples/tour.py", "ValueError: a bad init"},
    {"\"node\", ", "../../workers/sdk/examples/tour.js", "TypeError: a bad init"},
    {"\"sh\", ", "../../workers/sdk/examples/tour.sh", "Exit: exit status 3"},
    {"", "workers/sdk/examples/tour", "a bad init"},
    {NULL, "workers/sdk/examples/tour.so", "a bad init"},
};

static void start_tour(int i)
{
    static const char *const settings[] = {"MAX_WORKERS=2"};
    char *path = daemon_built(tours[i].path);
    char *handlers =
        tours[i].before ? text_printf("{\"prepared\": {\"worker\": [%s\"%s\"], \"lane\": \"cpu\"}}",
                                      tours[i].before, path)
                        : text_printf("{\"prepared\": {\"plugin\": \"%s\"}}", path);
    d = daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
    free(handlers);
    free(path);
}

/* Runs a task of the session; its result, or its error's code and message. free(). */
static char *run_in(const char *session)
{
    char *path = text_printf("/v1/tasks/prepared?session=%s&wait=60", session);
    struct http_reply r = api_post(daemon_url(d), path, "1");
    const json_t *error = json_object_get(r.json, "error");
    ck_assert_msg(r.status == 200, "%s", r.body);
    char *said = error ? text_printf("%s: %s", api_str(error, "code"), api_str(error, "message"))
                       : api_result(daemon_url(d), api_str(r.json, "id"));
    http_reply_release(&r);
    free(path);
    return said;
}

static void must_say(const char *session, const char *text)
{
    char *said = run_in(session);
    ck_assert_str_eq(said, text);
    free(said);
}

/* In each language: two sessions apart from each other, and one whose init fails. */
START_TEST(test_sessions_prepare_their_processes)
{
    char first[ID_TEXT_SIZE], second[ID_TEXT_SIZE], bad[ID_TEXT_SIZE];
    start_tour(_i);
    open_session("{\"handler\":\"prepared\",\"init\":{\"input\":\"first\"}}", first);
    open_session("{\"handler\":\"prepared\",\"init\":{\"base64\":\"c2Vjb25k\","
                 "\"content_type\":\"text/plain\"}}",
                 second);
    open_session("{\"handler\":\"prepared\",\"init\":{\"input\":\"bad\"}}", bad);
    for (int i = 0; i < 3; i++) {
        must_say(first, "first");
        must_say(second, "second");
    }
    ck_assert_int_eq(join(bad, "{\"handler\":\"prepared\",\"inputs\":[1,2,3,4,5,6]}"), 202);
    ck_assert_int_eq(status_of(ask("DELETE", bad, "", NULL, "X-No: 1"), NULL), 200);
    char *path;
    struct http_pending *stream = follow(bad, NULL, &path);
    struct http_reply r = http_finish(&stream);
    ck_assert_msg(count_text(r.body, "\"code\":\"session_broken\"") == 6, "%s", r.body);
    http_reply_release(&r);
    free(path);
    r = ask("GET", bad, "", NULL, "X-No: 1");
    ck_assert_str_eq(api_str(r.json, "broken"), tours[_i].why);
    http_reply_release(&r);
    must_say(first, "first");
    end();
}
END_TEST

START_TEST(test_sessions_are_prepared_again_after_a_kill)
{
    char id[ID_TEXT_SIZE], bad[ID_TEXT_SIZE];
    start_tour(0);
    open_session("{\"handler\":\"prepared\",\"init\":{\"input\":\"first\"}}", id);
    open_session("{\"handler\":\"prepared\",\"init\":{\"input\":\"bad\"}}", bad);
    must_say(id, "first");
    must_say(bad, "session_broken: ValueError: a bad init");
    daemon_kill(d);
    daemon_start(d);
    must_say(id, "first");
    ck_assert_int_eq(status_of(ask("POST", bad, "/tasks",
                                   "{\"handler\":\"prepared\",\"inputs\":[1]}", "X-No: 1"),
                               "session_broken"),
                     409);
    end();
}
END_TEST

#define PROGRAM(session)                                                                           \
    "{\"prepared\": {\"lane\": \"cpu\", \"worker\": [\"python3\", \"-c\", \"import os, sys; "      \
    "sys.path.insert(0, 'SDK')\\nimport futured_worker as w\\n" session                            \
    "@w.handler\\ndef run(task):\\n return str(task.session or os.getpid())\\nw.run()\"]}}"

static void start_program(const char *form)
{
    static const char *const settings[] = {"MAX_WORKERS=1"};
    char *sdk = daemon_built("../../workers/sdk");
    const char *at = strstr(form, "SDK");
    char *handlers = text_printf("%.*s%s%s", (int)(at - form), form, sdk, at + strlen("SDK"));
    d = daemon_start_handlers(handlers, settings, FUT_COUNT(settings));
    free(handlers);
    free(sdk);
}

START_TEST(test_sessions_renew_their_processes)
{
    char id[ID_TEXT_SIZE], *pids[6];
    start_program(PROGRAM("@w.session\\ndef session(init):\\n pass\\n"));
    open_session("{\"handler\":\"prepared\",\"max_tasks\":2}", id);
    for (size_t i = 0; i < FUT_COUNT(pids); i++)
        pids[i] = run_in(id);
    for (size_t i = 0; i < FUT_COUNT(pids); i += 2) {
        ck_assert_str_eq(pids[i], pids[i + 1]);
        ck_assert(i == 0 || strcmp(pids[i], pids[i - 1]) != 0);
    }
    for (size_t i = 0; i < FUT_COUNT(pids); i++)
        free(pids[i]);
    end();
}
END_TEST

/* Numbers above all: a reader that makes them anew loses digits. */
START_TEST(test_sessions_give_the_init_as_it_came)
{
    char id[ID_TEXT_SIZE];
    start_program(PROGRAM("@w.session\\ndef session(init):\\n return init.input.decode()\\n"));
    open_session("{\"init\":{\"input\": [1, 12345678901234567890,{\"n\": 1.50}] },"
                 "\"handler\":\"prepared\"}",
                 id);
    must_say(id, "[1, 12345678901234567890,{\"n\": 1.50}]");
    end();
}
END_TEST

START_TEST(test_sessions_of_programs_that_take_no_init)
{
    char id[ID_TEXT_SIZE];
    start_program(PROGRAM(""));
    open_session("{\"handler\":\"prepared\",\"init\":{}}", id);
    must_say(id, "session_broken: the worker program takes no sessions with an init (sessions=1 of "
                 "its HELLO)");
    end();
}
END_TEST

#define SAYS_MS 10000

#define FIFO_PROGRAM                                                                               \
    "{\"prepared\": {\"lane\": \"io\", \"worker\": [\"python3\", \"-c\", \"import sys; "           \
    "sys.path.insert(0, 'SDK')\\nimport futured_worker as w\\n"                                    \
    "class Kept:\\n def __init__(self, path):\\n  self.path = path\\n"                             \
    " def __del__(self):\\n  open(self.path, 'w').write('closed')\\n"                              \
    "@w.session\\ndef session(init):\\n"                                                           \
    " path = init.input.decode()\\n open(path).read()\\n return Kept(path)\\n"                     \
    "@w.handler\\ndef run(task):\\n open(task.session.path, 'w').write('ran')\\n"                  \
    "w.run(concurrency=2)\"]}}"

/* What a process prepares for a session that ends meanwhile it lets go of, and runs nothing of it.
 */
START_TEST(test_sessions_end_while_they_are_prepared)
{
    char id[ID_TEXT_SIZE], said[16] = "", *path;
    start_program(FIFO_PROGRAM);
    path = text_printf("%s/fifo", daemon_dir(d));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    char *body = text_printf("{\"handler\":\"prepared\",\"init\":{\"input\":\"%s\"}}", path);
    open_session(body, id);
    ck_assert_int_eq(join(id, "{\"handler\":\"prepared\",\"inputs\":[1]}"), 202);
    FILE *to = fopen(path, "w"); /* from here on the process prepares the session */
    ck_assert_int_eq(status_of(ask("POST", id, "/cancel", NULL, "X-No: 1"), NULL), 200);
    ck_assert_int_eq(status_of(ask("DELETE", id, "", NULL, "X-No: 1"), NULL), 200);
    (void)fclose(to);
    struct pollfd from = {.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), .events = POLLIN};
    ck_assert_int_eq(poll(&from, 1, SAYS_MS), 1);
    ck_assert_int_gt(read(from.fd, said, sizeof(said) - 1), 0);
    ck_assert_str_eq(said, "closed");
    (void)close(from.fd);
    free(body);
    free(path);
    end();
}
END_TEST

START_TEST(test_sessions_refuse_a_bad_init)
{
    static const struct {
        const char *members, *field;
    } bad[] = {
        {"\"handler\":\"echo\",\"init\":{\"input\":1}", "init"},
        {"\"handler\":\"echo\",\"max_tasks\":1", "max_tasks"},
        {"\"handler\":\"prepared\",\"init\":7", "init"},
        {"\"handler\":\"prepared\",\"max_tasks\":0", "max_tasks"},
        {"\"handler\":\"prepared\",\"init\":{\"input\":1,\"base64\":\"YQ==\"}", "init"},
        {"\"handler\":\"prepared\",\"init\":{\"base64\":\"%\"}", "init.base64"},
        {"\"handler\":\"prepared\",\"init\":{\"content_type\":\"\"}", "init.content_type"},
    };
    d = daemon_start_handlers("{\"prepared\": {\"worker\": [\"cat\"]}}", NULL, 0);
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        char *body = text_printf("{%s}", bad[i].members);
        struct http_reply r = api_post(daemon_url(d), "/v1/sessions", body);
        ck_assert_msg(r.status == 422, "%s: %s", body, r.body);
        ck_assert_str_eq(api_str(r.json, "field"), bad[i].field);
        http_reply_release(&r);
        free(body);
    }
    size_t n = ((size_t)1 << 20) + 1;
    char *text = xmalloc(n + 1);
    memset(text, 'x', n);
    text[n] = '\0';
    char *body = text_printf("{\"handler\":\"prepared\",\"init\":{\"input\":\"%s\"}}", text);
    ck_assert_int_eq(status_of(api_post(daemon_url(d), "/v1/sessions", body), "invalid_value"),
                     422);
    free(body);
    free(text);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_sessions_one_stream_tells_all_ends,
        test_sessions_last_over_a_kill,
        test_sessions_own_their_limit,
        test_sessions_repeat_nothing,
        test_sessions_cancel_and_refuse,
        test_sessions_cancel_no_batch,
        test_sessions_are_listed_in_pages,
        test_sessions_refuse_an_event_to_come,
        test_sessions_and_batches_show_chosen_members,
        test_sessions_are_prepared_again_after_a_kill,
        test_sessions_renew_their_processes,
        test_sessions_give_the_init_as_it_came,
        test_sessions_of_programs_that_take_no_init,
        test_sessions_end_while_they_are_prepared,
        test_sessions_refuse_a_bad_init,
    };
    TCase *t = suite_case("sessions", SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(t, tests[i]);
    tcase_add_loop_test(t, test_sessions_prepare_their_processes, 0, (int)FUT_COUNT(tours));
    return suite_run_cases("system: sessions", t, NULL);
}
