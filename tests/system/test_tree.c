/* Tasks that make tasks: what an attempt's token is good for, whose children they are, and the
 * cancel of a whole tree. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* "run": the input is a script for the shell, with a function to ask the daemon. "rest": likewise,
 * without it, with checkpoints. */
static const char handlers[] =
    "{\"run\": {\"exec\": [\"sh\", \"-c\", \"ask() { curl -sS -m 60 -H \\\"Authorization: Bearer "
    "$FUTURED_TOKEN\\\" \\\"$@\\\"; }; . /dev/stdin\"]}, \"rest\": {\"exec\": [\"sh\"], "
    "\"checkpoints\": true}}";

static const char tokens[] = "admin-token-01234567 admin\n";

static struct daemon *start(bool with_tokens)
{
    struct daemon *d = daemon_new();
    daemon_set_handlers(d, handlers);
    daemon_set(d, "MAX_THREADS=4");
    if (with_tokens) {
        dir_write(daemon_dir(d), "tokens.txt", tokens, sizeof(tokens) - 1);
        char *setting = text_printf("FUTURED_TOKENS=%s/tokens.txt", daemon_dir(d));
        daemon_set(d, setting);
        free(setting);
    }
    daemon_start(d);
    return d;
}

static struct http_reply call(struct daemon *d, const char *token, const char *method,
                              const char *path, const char *body)
{
    char *header = text_printf("Authorization: Bearer %s", token);
    const char *const headers[] = {header, NULL};
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = method,
                                                        .path = path,
                                                        .headers = headers,
                                                        .body = body,
                                                        .body_len = body ? strlen(body) : 0});
    free(header);
    return r;
}

static int status_of(struct daemon *d, const char *token, const char *method, const char *path,
                     const char *body)
{
    struct http_reply r = call(d, token, method, path, body);
    int status = (int)r.status;
    http_reply_release(&r);
    return status;
}

/* Begins a task that writes its token to a file of this name and then waits for the file "go". */
static char *begin_named(struct daemon *d, const char *token, const char *name,
                         char id[ID_TEXT_SIZE])
{
    char *script = text_printf("cd %s; echo $FUTURED_TOKEN > %s.new; mv %s.new %s; "
                               "until [ -e go ]; do sleep 0.02; done",
                               daemon_dir(d), name, name, name);
    json_t *body = json_pack("{s:s,s:s}", "handler", "run", "input", script);
    char *text = json_dumps(body, 0);
    struct http_reply r = call(d, token, "POST", "/v1/tasks", text);
    ck_assert_msg(r.status == 202, "%ld %s", (long)r.status, r.body);
    json_t *f = json_loads(r.body, 0, NULL);
    (void)snprintf(id, ID_TEXT_SIZE, "%s", api_str(f, "id"));
    json_decref(f);
    http_reply_release(&r);
    free(text);
    json_decref(body);
    free(script);
    char *line = daemon_wait_file(d, name);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static char *begin_holder(struct daemon *d, const char *token, char id[ID_TEXT_SIZE])
{
    return begin_named(d, token, "token", id);
}

static void let_go(struct daemon *d)
{
    dir_write(daemon_dir(d), "go", "", 0);
}

/* The example of the tutorial: a task submits another one, waits for it, and tells its result. */
START_TEST(test_tree_child_of_a_program)
{
    struct daemon *d = start(false);
    json_t *f =
        api_run(daemon_url(d),
                "{\"handler\":\"run\",\"input\":\""
                "child=$(ask -d '{\\\"handler\\\":\\\"sha256\\\",\\\"input\\\":\\\"x\\\"}'"
                " $FUTURED_URL/v1/tasks | sed 's/.*\\\"id\\\":\\\"\\\\([^\\\"]*\\\\).*/\\\\1/');"
                "ask $FUTURED_URL/v1/futures/$child?wait=30\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    json_t *child = json_loads(api_str(f, "result.text"), 0, NULL);
    ck_assert_msg(child != NULL, "%s", api_str(f, "result.text"));
    ck_assert_str_eq(api_str(child, "state"), "succeeded");
    ck_assert_str_eq(api_str(child, "parent"), api_str(f, "id"));
    ck_assert_ptr_null(api_at(f, "parent"));
    struct http_reply r = api_get(daemon_url(d), "/v1/futures?parent=%s", api_str(f, "id"));
    ck_assert_int_eq(r.status, 200);
    ck_assert(strstr(r.body, api_str(child, "id")) && !strstr(r.body, "\"handler\":\"run\""));
    http_reply_release(&r);
    json_decref(child);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

/* As long as the attempt runs, and for what it is meant for. */
START_TEST(test_tree_scope_of_a_token)
{
    static const char *const ids[] = {"/v1/tasks", "/v1/promises", "/v1/batches"};
    static const char *const bodies[] = {"{\"handler\":\"echo\",\"input\":\"x\"}", "{}",
                                         "{\"handler\":\"echo\",\"inputs\":[1,2]}"};
    static const char *const forbidden[] = {"/v1/futures", "/v1/stats", "/v1/pools",
                                            "/v1/handlers"};
    struct daemon *d = start(true);
    char id[ID_TEXT_SIZE];
    char *token = begin_holder(d, "admin-token-01234567", id);
    for (size_t i = 0; i < FUT_COUNT(ids); i++) {
        struct http_reply r = call(d, token, "POST", ids[i], bodies[i]);
        ck_assert_msg(r.status == 202, "%s: %ld %s", ids[i], (long)r.status, r.body);
        json_t *f = json_loads(r.body, 0, NULL);
        char *path = text_printf("%s/%s", i == 2 ? "/v1/batches" : "/v1/futures", api_str(f, "id"));
        http_reply_release(&r);
        r = call(d, token, "GET", path, NULL);
        ck_assert_int_eq(r.status, 200);
        ck_assert_msg(strstr(r.body, id) != NULL, "no parent: %s", r.body);
        http_reply_release(&r);
        free(path);
        json_decref(f);
    }
    for (size_t i = 0; i < FUT_COUNT(forbidden); i++)
        ck_assert_int_eq(status_of(d, token, "GET", forbidden[i], NULL), 403);
    ck_assert_int_eq(status_of(d, token, "POST", "/v1/futures/cancel", "{}"), 403);
    ck_assert_int_eq(status_of(d, token, "PUT", "/v1/schedules/x", "{}"), 403);
    let_go(d);
    char *path = text_printf("/v1/futures/%s?wait=30", id);
    ck_assert_int_eq(status_of(d, "admin-token-01234567", "GET", path, NULL), 200);
    ck_assert_int_eq(status_of(d, token, "GET", path, NULL), 401);
    struct http_reply r = call(d, token, "POST", "/v1/tasks", bodies[0]);
    ck_assert_int_eq(r.status, 401);
    ck_assert_msg(strstr(r.body, "has ended") != NULL, "%s", r.body);
    http_reply_release(&r);
    char *log = daemon_log(d);
    ck_assert_msg(!strstr(log, token + 8), "the token is in the log");
    free(log);
    free(path);
    free(token);
    daemon_end(&d);
}
END_TEST

/* Without tokens the token still tells whose child it is, and forbids nothing while it is valid. */
START_TEST(test_tree_token_where_none_are_needed)
{
    struct daemon *d = start(false);
    char id[ID_TEXT_SIZE];
    char *token = begin_holder(d, "none", id);
    ck_assert_int_eq(status_of(d, token, "GET", "/v1/stats", NULL), 200);
    let_go(d);
    json_t *f = api_done(daemon_url(d), id);
    json_decref(f);
    ck_assert_int_eq(status_of(d, token, "GET", "/v1/stats", NULL), 401);
    ck_assert_int_eq(status_of(d, "none", "GET", "/v1/stats", NULL), 200);
    free(token);
    daemon_end(&d);
}
END_TEST

/* A key of an attempt is its task's: the next attempt finds what the one before has submitted. */
START_TEST(test_tree_keys_outlive_the_attempt)
{
    struct daemon *d = start(false);
    char *body =
        text_printf("{\"handler\":\"run\",\"retries\":1,\"backoff\":{\"first\":0.01},\"input\":\""
                    "ask -H 'Idempotency-Key: \\\"a\\\"' -d '{\\\"handler\\\":\\\"echo\\\"}'"
                    " $FUTURED_URL/v1/tasks > %s/answer-$FUTURED_ATTEMPT; [ $FUTURED_ATTEMPT = 2 ] "
                    "|| exit 75\"}",
                    daemon_dir(d));
    json_t *f = api_run(daemon_url(d), body);
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    char *one = daemon_read_file(d, "answer-1"), *two = daemon_read_file(d, "answer-2");
    json_t *a = json_loads(one, 0, NULL), *b = json_loads(two, 0, NULL);
    ck_assert_msg(*api_str(a, "id"), "%s", one);
    ck_assert_str_eq(api_str(a, "id"), api_str(b, "id"));
    json_decref(a);
    json_decref(b);
    free(one);
    free(two);
    json_decref(f);
    free(body);
    daemon_end(&d);
}
END_TEST

/* Child and grandchild run and wait; the root is cancelled with all of them. */
START_TEST(test_tree_cancel)
{
    struct daemon *d = start(false);
    char id[ID_TEXT_SIZE], child[ID_TEXT_SIZE];
    char *token = begin_holder(d, "none", id);
    struct http_reply r =
        call(d, token, "POST", "/v1/tasks", "{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}");
    json_t *f = json_loads(r.body, 0, NULL);
    (void)snprintf(child, sizeof(child), "%s", api_str(f, "id"));
    json_decref(f);
    http_reply_release(&r);
    api_wait_state(daemon_url(d), child, "running");
    char *path = text_printf("/v1/futures/%s/cancel?tree=true", id);
    r = api_post(daemon_url(d), path, NULL);
    ck_assert_msg(r.status == 200 && strstr(r.body, "cancelled"), "%ld %s", (long)r.status, r.body);
    http_reply_release(&r);
    f = api_done(daemon_url(d), child);
    ck_assert_str_eq(api_str(f, "state"), "cancelled");
    json_decref(f);
    r = api_post(daemon_url(d), "/v1/futures/01890000-0000-7000-8000-000000000000/cancel?tree=true",
                 NULL);
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    free(path);
    free(token);
    daemon_end(&d);
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------- */

static bool is_lent(void *ctx)
{
    return api_pool_int(daemon_url(ctx), "cpu", "lent") == 1;
}

static bool none_is_lent(void *ctx)
{
    return api_pool_int(daemon_url(ctx), "cpu", "lent") == 0;
}

struct waiting {
    struct daemon *d;
    const char *token, *path;
    int status;
};

static void *wait_there(void *ctx)
{
    struct waiting *w = ctx;
    w->status = status_of(w->d, w->token, "GET", w->path, NULL);
    return NULL;
}

/* The second article's first pitfall: tasks that submit to their own pool, and wait. One slot. */
START_TEST(test_tree_waits_for_its_own_pool)
{
    enum { N = 8 };
    struct daemon *d = start(false);
    char id[N][ID_TEXT_SIZE];
    api_patch_pool(daemon_url(d), "cpu", "{\"capacity\":1}");
    for (int i = 0; i < N; i++)
        api_submit(daemon_url(d),
                   "{\"handler\":\"run\",\"input\":\"ask"
                   " -d '{\\\"handler\\\":\\\"run\\\",\\\"input\\\":\\\"echo below\\\"}'"
                   " $FUTURED_URL/v1/tasks?wait=60\"}",
                   id[i]);
    for (int i = 0; i < N; i++) {
        json_t *f = api_done(daemon_url(d), id[i]);
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        ck_assert_msg(strstr(api_str(f, "result.text"), "below") != NULL, "%s",
                      api_str(f, "result.text"));
        json_decref(f);
    }
    ck_assert(wait_until(none_is_lent, d, WAIT_LONG_MS));
    daemon_end(&d);
}
END_TEST

/* Each of the tasks but the leaves waits for two others, in worker processes, with one slot. */
static void fib(const char *interpreter, const char *name, const char *program, int n, int expected,
                int tasks)
{
    char *sdk = daemon_built("../../workers/sdk");
    char *json = text_printf("{\"fib\": {\"worker\": [\"%s\", \"DIR/%s\"],"
                             " \"env\": {\"PYTHONPATH\": \"%s\", \"SDK\": \"%s\"}}}",
                             interpreter, name, sdk, sdk);
    struct daemon *d = daemon_new();
    dir_write(daemon_dir(d), name, program, strlen(program));
    daemon_set_handlers(d, json);
    daemon_set(d, "MAX_WORKERS=1");
    daemon_start(d);
    char *body = text_printf("{\"handler\":\"fib\",\"input\":%d,\"timeout\":600}", n);
    json_t *f = api_run(daemon_url(d), body);
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s", api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "result"), expected);
    ck_assert(wait_until(none_is_lent, d, WAIT_LONG_MS));
    ck_assert_int_eq(api_pool_int(daemon_url(d), "cpu", "started"), tasks);
    json_decref(f);
    daemon_end(&d);
    free(body);
    free(json);
    free(sdk);
}

START_TEST(test_tree_fib_of_15_with_one_worker)
{
    fib("python3", "fib.py",
        "import futured_worker as worker\n"
        "@worker.handler\n"
        "def fib(task):\n"
        "    n = task.json()\n"
        "    return n if n < 2 else sum(task.map('fib', [n - 1, n - 2]))\n"
        "worker.run()\n",
        15, 610, 1973);
}
END_TEST

/* By map, and by submit, wait and result: both at each level. What fails is told. */
START_TEST(test_tree_fib_in_javascript)
{
    fib("node", "fib.js",
        "const worker = require(process.env.SDK + '/futured_worker.js');\n"
        "worker.handler('fib', async (task) => {\n"
        "  const n = task.json();\n"
        "  if (n < 0) throw new RangeError('below zero');\n"
        "  if (n === 0) {\n"
        "    const below = await task.submit('fib', -1, { key: 'below' });\n"
        "    const again = await task.submit('fib', -1, { key: 'below' });\n"
        "    const { done, notDone } = await task.wait([below]);\n"
        "    if (again.id !== below.id || done[0] !== below || notDone.length) throw new "
        "Error('wait');\n"
        "    const error = await below.result().catch((e) => e);\n"
        "    if (!(error instanceof worker.Failed) || error.error.type !== 'RangeError') throw "
        "error;\n"
        "    if (!(await below.done()) || (await below.cancel())) throw new Error('done');\n"
        "    return 0;\n"
        "  }\n"
        "  if (n < 2) return n;\n"
        "  if (n % 2) {\n"
        "    const two = [await task.submit('fib', n - 1), await task.submit('fib', n - 2)];\n"
        "    return (await two[0].result()) + (await two[1].result({ timeout: 500 }));\n"
        "  }\n"
        "  const [a, b] = await task.map('fib', [n - 1, n - 2]);\n"
        "  return a + b;\n"
        "});\n"
        "worker.run();\n",
        6, 8, 30);
}
END_TEST

START_TEST(test_tree_fib_in_shell)
{
    fib("sh", "fib.sh",
        ". \"$SDK/futured_worker.sh\"\n"
        "handler_fib() {\n"
        "    n=$(cat)\n"
        "    futured_type application/json\n"
        "    [ \"$n\" -ge 0 ] || futured_fail BelowZero 'below zero'\n"
        "    case $n in 0)\n"
        "        id=$(printf %s -1 | futured_submit fib) && futured_wait \"$id\" || exit 1\n"
        "        futured_result \"$id\" 2>\"$futured_dir/why\" && exit 1\n"
        "        grep -q BelowZero \"$futured_dir/why\" || exit 1\n"
        "    esac\n"
        "    if [ \"$n\" -lt 2 ]; then echo \"$n\" && return; fi\n"
        "    results=$(printf '%s\\n' $((n - 1)) $((n - 2)) | futured_map fib) || exit 1\n"
        "    sum=0\n"
        "    for each in $results; do sum=$((sum + each)); done\n"
        "    echo $sum\n"
        "}\n"
        "futured_run\n",
        4, 3, 11);
}
END_TEST

/* In C, as a program and as a plug-in. */
START_TEST(test_tree_fib_in_c)
{
    char *path = daemon_built(_i ? "workers/sdk/examples/fib.so" : "workers/sdk/examples/fib");
    char *json = _i ? text_printf("{\"fib\": {\"plugin\": \"%s\"}}", path)
                    : text_printf("{\"fib\": {\"worker\": [\"%s\"]}}", path);
    static const char *const settings[] = {"MAX_WORKERS=1"};
    struct daemon *d = daemon_start_handlers(json, settings, 1);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"fib\",\"input\":6,\"timeout\":600}");
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s", api_str(f, "error.message"));
    ck_assert_int_eq(api_int(f, "result"), 8);
    ck_assert(wait_until(none_is_lent, d, WAIT_LONG_MS));
    ck_assert_int_eq(api_pool_int(daemon_url(d), "cpu", "started"), 30);
    json_decref(f);
    daemon_end(&d);
    free(json);
    free(path);
}
END_TEST

/* The second wait of two that would never end is told so, with both; the first one goes on. */
START_TEST(test_tree_circle_is_refused)
{
    struct daemon *d = start(false);
    char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];
    api_patch_pool(daemon_url(d), "cpu", "{\"capacity\":2}");
    char *token_a = begin_named(d, "none", "a", a), *token_b = begin_named(d, "none", "b", b);
    char *path_a = text_printf("/v1/futures/%s?wait=60", a);
    char *path_b = text_printf("/v1/futures/%s?wait=60", b);
    struct waiting w = {d, token_a, path_b, 0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_there, &w), 0);
    ck_assert(wait_until(is_lent, d, WAIT_LONG_MS));
    ck_assert_int_eq(status_of(d, token_a, "GET", path_a, NULL), 409); /* for itself */
    struct http_reply r = call(d, token_b, "GET", path_a, NULL);
    ck_assert_int_eq(r.status, 409);
    ck_assert_msg(strstr(r.body, "\"deadlock\"") && strstr(r.body, a) && strstr(r.body, b), "%s",
                  r.body);
    http_reply_release(&r);
    char *body = text_printf("{\"ids\":[\"%s\"]}", a);
    ck_assert_int_eq(status_of(d, token_b, "POST", "/v1/as_completed", body), 409);
    ck_assert_int_eq(status_of(d, token_b, "POST", "/v1/wait", body), 409);
    ck_assert_int_eq(status_of(d, "none", "GET", "/v1/stats", NULL), 200);
    let_go(d);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(w.status, 200);
    ck_assert(wait_until(none_is_lent, d, WAIT_LONG_MS));
    free(body);
    free(path_a);
    free(path_b);
    free(token_a);
    free(token_b);
    daemon_end(&d);
}
END_TEST

/* Submits a task that is suspended for the future `id` once the file "rest" is there. */
static void begin_resting(struct daemon *d, const char *id, char out[ID_TEXT_SIZE])
{
    char *body = text_printf("{\"handler\":\"rest\",\"input\":\"cd %s; until [ -e rest ]; do sleep "
                             "0.02; done; [ -e go ] || printf 'until %s\\\\nsuspend\\\\n' >&3\"}",
                             daemon_dir(d), id);
    api_submit(daemon_url(d), body, out);
    free(body);
}

struct state_wanted {
    struct daemon *d;
    const char *id, *state;
};

static bool has_state(void *ctx)
{
    const struct state_wanted *w = ctx;
    struct http_reply r = api_get(daemon_url(w->d), "/v1/futures/%s", w->id);
    json_t *f = json_loads(r.body, 0, NULL);
    bool has = strcmp(api_str(f, "state"), w->state) == 0;
    json_decref(f);
    http_reply_release(&r);
    return has;
}

/* Every way to wait for b is refused with both ids, but for that of a submission, which answers at
 * once. */
static void expect_circle(struct daemon *d, const char *token, const char *a, const char *b)
{
    char *path = text_printf("/v1/futures/%s?wait=60", b);
    char *result = text_printf("/v1/futures/%s/result?wait=60", b);
    char *ids = text_printf("{\"ids\":[\"%s\"]}", b);
    struct http_reply r = call(d, token, "GET", path, NULL);
    ck_assert_int_eq(r.status, 409);
    ck_assert_msg(strstr(r.body, "\"deadlock\"") && strstr(r.body, a) && strstr(r.body, b), "%s",
                  r.body);
    http_reply_release(&r);
    ck_assert_int_eq(status_of(d, token, "GET", result, NULL), 409);
    ck_assert_int_eq(status_of(d, token, "POST", "/v1/wait", ids), 409);
    ck_assert_int_eq(status_of(d, token, "POST", "/v1/as_completed", ids), 409);
    free(ids);
    free(result);
    free(path);
}

/* What it waits for is suspended for it, or is to begin after it. */
START_TEST(test_tree_circle_through_what_is_stored)
{
    struct daemon *d = start(false);
    char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE], c[ID_TEXT_SIZE];
    char *token = begin_named(d, "none", "a", a);
    dir_write(daemon_dir(d), "rest", "", 0);
    begin_resting(d, a, b);
    ck_assert(wait_until(has_state, &(struct state_wanted){d, b, "scheduled"}, WAIT_LONG_MS));
    expect_circle(d, token, a, b);
    char *body = text_printf("{\"handler\":\"echo\",\"after\":[\"%s\"]}", b);
    api_submit(daemon_url(d), body, c);
    expect_circle(d, token, a, c);
    ck_assert_int_eq(status_of(d, token, "POST", "/v1/tasks?wait=60", body), 202);
    ck_assert(wait_until(none_is_lent, d, WAIT_LONG_MS));
    char *wait_other = text_printf("{\"ids\":[\"%s\"],\"timeout\":0.01}", b);
    ck_assert_int_eq(status_of(d, "none", "POST", "/v1/wait", wait_other), 200);
    let_go(d);
    json_decref(api_done(daemon_url(d), a));
    ck_assert(wait_until(has_state, &(struct state_wanted){d, c, "succeeded"}, WAIT_LONG_MS));
    free(wait_other);
    free(body);
    free(token);
    daemon_end(&d);
}
END_TEST

/* A task that another one waits for must not be suspended for that. */
START_TEST(test_tree_circle_by_a_suspension)
{
    struct daemon *d = start(false);
    char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];
    char *token = begin_named(d, "none", "a", a);
    begin_resting(d, a, b);
    char *path = text_printf("/v1/futures/%s?wait=60", b);
    struct waiting w = {d, token, path, 0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_there, &w), 0);
    ck_assert(wait_until(is_lent, d, WAIT_LONG_MS));
    dir_write(daemon_dir(d), "rest", "", 0);
    json_t *f = api_done(daemon_url(d), b);
    ck_assert_str_eq(api_str(f, "error.code"), "deadlock");
    ck_assert_msg(strstr(api_str(f, "error.message"), a), "%s", api_str(f, "error.message"));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(w.status, 200);
    let_go(d);
    json_decref(f);
    free(path);
    free(token);
    daemon_end(&d);
}
END_TEST

/* Answers its RUN with the header line of it. */
static const char program[] = "import os, sys\n"
                              "channel = os.fdopen(3, 'r+b', buffering=0)\n"
                              "channel.write(b'HELLO 1 0' + sys.argv[1].encode() + b'\\n')\n"
                              "line = channel.readline().rstrip()\n"
                              "channel.write(b'DONE %s %d\\n' % (line.split()[1], len(line)))\n"
                              "channel.write(line)\n"
                              "channel.readline()\n";

/* The address and the token are for workers that say that they submit: a program that passes on
 * what it is given cannot give away what it never had. */
START_TEST(test_tree_token_for_workers_that_submit_alone)
{
    struct daemon *d = daemon_new();
    dir_write(daemon_dir(d), "raw.py", program, sizeof(program) - 1);
    daemon_set_handlers(
        d, "{\"does\": {\"worker\": [\"python3\", \"DIR/raw.py\", \" submits=1\"],"
           " \"content_type\": \"text/plain\"}, \"does_not\": {\"worker\": [\"python3\","
           " \"DIR/raw.py\", \"\"], \"content_type\": \"text/plain\"}}");
    daemon_start(d);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"does\",\"input\":\"\"}");
    const char *line = api_str(f, "result.text");
    ck_assert_msg(strstr(line, " url=") && strstr(line, " token="), "%s", line);
    json_decref(f);
    f = api_run(daemon_url(d), "{\"handler\":\"does_not\",\"input\":\"\"}");
    line = api_str(f, "result.text");
    ck_assert_msg(strstr(line, "RUN ") && !strstr(line, "url=") && !strstr(line, "token="), "%s",
                  line);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_tree_child_of_a_program,
                            test_tree_token_for_workers_that_submit_alone,
                            test_tree_scope_of_a_token,
                            test_tree_token_where_none_are_needed,
                            test_tree_keys_outlive_the_attempt,
                            test_tree_cancel,
                            test_tree_waits_for_its_own_pool,
                            test_tree_circle_is_refused,
                            test_tree_circle_through_what_is_stored,
                            test_tree_circle_by_a_suspension};
    TCase *all = tcase_create("all"), *slow = tcase_create("slow");
    tcase_set_timeout(all, SUITE_TIMEOUT_S);
    tcase_set_timeout(slow, 5 * SUITE_TIMEOUT_S); /* 5 s on an idle machine */
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(all, tests[i]);
    tcase_add_test(slow, test_tree_fib_of_15_with_one_worker);
    tcase_add_test(slow, test_tree_fib_in_javascript);
    tcase_add_test(slow, test_tree_fib_in_shell);
    tcase_add_loop_test(slow, test_tree_fib_in_c, 0, 2);
    return suite_run_cases("system: tree", all, slow, NULL);
}
