/* Three daemons on one PostgreSQL database: any takes a task, any answers for it, and whichever of
 * them die or stand still, what was acknowledged ends once. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/database.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define NODES 3
#define TASK "{\"handler\":\"sha256\",\"input\":\"hello\"}"
#define NAP "{\"handler\":\"sleep\",\"input\":{\"seconds\":0.05}}"
#define SLOW "{\"handler\":\"sleep\",\"input\":{\"seconds\":600}}"
#define LATE_MS 3000
#define KILLS 6 /* the environment's NODE_KILLS: a longer run, up to KILLS_MAX */
#define KILLS_MAX 1000
#define TASKS_PER_KILL 60

static struct database *db;
static struct daemon *nodes[NODES];

static void setup(void)
{
    db = database_new(1);
    char *url = database_url(db, ""), *setting = text_printf("FUTURED_DB=%s", url);
    for (int i = 0; i < NODES; i++) {
        char *name = text_printf("FUTURED_NODE=node-%d", i);
        nodes[i] = daemon_new();
        daemon_set(nodes[i], setting);
        daemon_set(nodes[i], name);
        daemon_set(nodes[i], "MAX_WORKERS=1");
        daemon_set(nodes[i], "FUTURED_DRAIN=100ms");
        daemon_start(nodes[i]);
        free(name);
    }
    free(setting);
    free(url);
}

static void teardown(void)
{
    for (int i = 0; i < NODES; i++)
        daemon_free(&nodes[i]);
    database_free(&db);
}

static const char *url_of(int node)
{
    return daemon_url(nodes[node]);
}

/* A long-poll at another node than the one that runs the task hears of its end. */
START_TEST(test_nodes_answer_for_each_other)
{
    char id[ID_TEXT_SIZE];
    for (int i = 0; i < 2 * NODES; i++) {
        api_submit(url_of(i % NODES), i % 2 ? NAP : TASK, id);
        int64_t began_ms = clock_mono_ms();
        json_t *f = api_done(url_of((i + 1) % NODES), id);
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        ck_assert_int_eq(api_int(f, "attempt"), 1);
        ck_assert_int_lt(clock_mono_ms() - began_ms, 10 * LATE_MS); /* it runs in between */
        json_decref(f);
    }
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

START_TEST(test_nodes_cancel_wherever_it_runs)
{
    char id[ID_TEXT_SIZE];
    api_submit(url_of(0), SLOW, id);
    api_wait_state(url_of(1), id, "running");
    ck_assert_int_eq(api_cancel(url_of(1), id), 200);
    api_expect_end(url_of(2), id, "cancelled", "cancelled");
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

static void submit_into(int node, const char *session, const char *input, char id[ID_TEXT_SIZE])
{
    char *task =
        text_printf("{\"handler\":\"sleep\",\"session\":\"%s\",\"input\":%s}", session, input);
    api_submit(url_of(node), task, id);
    free(task);
}

static bool is_alone(int node, const char *session)
{
    struct http_reply r = api_get(url_of(node), "/v1/sessions/%s", session);
    bool is = json_is_string(api_at(r.json, "disconnected_at"));
    http_reply_release(&r);
    return is;
}

/* The node that leads is not the one of the stream, and is lost. */
START_TEST(test_nodes_have_clients_of_a_session_anywhere)
{
    static const char *const told[] = {"retry:", "event: started", "event: done"};
    char id[ID_TEXT_SIZE];
    struct http_reply r =
        api_post(url_of(1), "/v1/sessions",
                 "{\"handler\":\"sleep\",\"on_disconnect\":\"cancel\",\"grace\":1}");
    char *session = xstrdup(api_str(r.json, "id"));
    char *url = text_printf("%s/v1/sessions/%s/events?events=started,done", url_of(2), session);
    struct program *client =
        program_start((const char *const[]){"/usr/bin/curl", "-sN", url, NULL}, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(told); i++) {
        char *line = program_wait_line(client, PROGRAM_OUT, told[i], WAIT_LONG_MS);
        ck_assert_msg(line != NULL, "no %s", told[i]);
        free(line);
        if (i == 0) /* longer than the session lasts without its client */
            submit_into(1, session, "{\"ms\":2500}", id);
    }
    ck_assert(!is_alone(1, session));
    submit_into(1, session, "{\"seconds\":600}", id);
    api_wait_state(url_of(2), id, "running");
    daemon_kill(nodes[0]);
    program_signal(client, SIGKILL);
    wait_for(is_alone(1, session));
    api_expect_end(url_of(2), id, "cancelled", "cancelled");
    program_free(&client);
    free(url);
    free(session);
    http_reply_release(&r);
    daemon_stop(nodes[1]);
    daemon_stop(nodes[2]);
}
END_TEST

static char ids[KILLS_MAX * TASKS_PER_KILL][ID_TEXT_SIZE];

static int kills(void)
{
    const char *said = getenv("NODE_KILLS");
    int n = said ? (int)strtol(said, NULL, 10) : KILLS;
    return n < KILLS_MAX ? n : KILLS_MAX;
}

static size_t submit_some(size_t n)
{
    for (int i = 0; i < TASKS_PER_KILL; i++)
        api_submit(url_of(i % NODES), i % 2 ? NAP : TASK, ids[n++]);
    return n;
}

static void expect_all_succeeded(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *f = api_done(url_of((int)(i % NODES)), ids[i]);
        ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s is %s %s", ids[i],
                      api_str(f, "state"), api_str(f, "error.code"));
        json_decref(f);
    }
    char *rows = database_sql(db, "SELECT (SELECT count(*) FROM results) || ' ' ||"
                                  " (SELECT count(*) FROM live)");
    char *expected = text_printf("%zu 0\n", n);
    ck_assert_str_eq(rows, expected);
    free(expected);
    free(rows);
}

/* One after the other dies with what runs there, and comes back. */
START_TEST(test_nodes_die_and_nothing_is_lost)
{
    size_t n = 0;
    for (int i = 0, n_kills = kills(); i < n_kills; i++) {
        int victim = i % NODES;
        n = submit_some(n);
        daemon_kill(nodes[victim]);
        daemon_start(nodes[victim]);
    }
    expect_all_succeeded(n);
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

static int runs_on(const char *id)
{
    char *sql = text_printf("SELECT b.name FROM live l JOIN boots b ON b.boot = l.node"
                            " WHERE b.is_member AND l.key ="
                            " ('x' || replace(substr('%s', 1, 18), '-', ''))::bit(64)::int8",
                            id);
    char *name = database_sql(db, sql);
    int node = strncmp(name, "node-", 5) == 0 ? name[5] - '0' : -1;
    free(name);
    free(sql);
    return node;
}

static int submit_slow(char id[ID_TEXT_SIZE])
{
    api_submit(url_of(0), SLOW, id);
    api_wait_state(url_of(0), id, "running");
    return runs_on(id);
}

struct moved {
    const char *id;
    int asked, was;
};

/* Another node runs it, as its second attempt. */
static bool has_moved(void *ctx)
{
    const struct moved *m = ctx;
    json_t *f = api_future(url_of(m->asked), m->id);
    bool runs = strcmp(api_str(f, "state"), "running") == 0 && api_int(f, "attempt") == 2;
    json_decref(f);
    return runs && runs_on(m->id) != m->was;
}

/* The number of the node that has this name now; 0: none has. */
static int64_t number_of(int node)
{
    char *sql = text_printf("SELECT coalesce(max(boot), 0) FROM boots WHERE is_member"
                            " AND name = 'node-%d'",
                            node);
    char *number = database_sql(db, sql);
    int64_t n = strtoll(number, NULL, 10);
    free(number);
    free(sql);
    return n;
}

struct rejoined {
    int node;
    int64_t before;
};

static bool has_rejoined(void *ctx)
{
    const struct rejoined *r = ctx;
    return number_of(r->node) > r->before;
}

static void drain(int asked, int node, const char *json);

/* In the same process, under a new number, and what it runs it runs. */
static void expect_rejoined(int node, int64_t before)
{
    char id[ID_TEXT_SIZE];
    struct rejoined r = {node, before};
    ck_assert(wait_until(has_rejoined, &r, WAIT_LONG_MS));
    free(daemon_wait_log(nodes[node], "begins_again"));
    for (int i = 0; i < NODES; i++) {
        if (i != node)
            drain(node, i, "{\"draining\":true}");
    }
    for (int i = 0; i < 2 * NODES; i++) {
        api_submit(url_of(i % NODES), i % 2 ? NAP : TASK, id);
        json_t *f = api_done(url_of((i + 1) % NODES), id);
        ck_assert_str_eq(api_str(f, "state"), "succeeded");
        ck_assert_int_eq(api_int(f, "attempt"), 1);
        json_decref(f);
    }
    for (int i = 0; i < NODES; i++) {
        if (i != node)
            drain(node, i, "{\"draining\":false}");
    }
}

/* One that stands still is given up when its lease is over, and begins again when it goes on. */
START_TEST(test_nodes_take_over_from_one_that_stands_still)
{
    char id[ID_TEXT_SIZE];
    int was = submit_slow(id), other = (was + 1) % NODES;
    struct moved m = {id, other, was};
    ck_assert_int_ge(was, 0);
    int64_t number = number_of(was);
    daemon_signal(nodes[was], SIGSTOP);
    char meanwhile[ID_TEXT_SIZE];
    int64_t began_ms = clock_mono_ms();
    api_submit(url_of(other), NAP, meanwhile);
    api_expect_end(url_of(other), meanwhile, "succeeded", "");
    ck_assert_int_lt(clock_mono_ms() - began_ms, 10000);
    ck_assert(wait_until(has_moved, &m, WAIT_LONG_MS));
    ck_assert_int_eq(number_of(was), 0);
    daemon_signal(nodes[was], SIGCONT);
    expect_rejoined(was, number);
    ck_assert_int_eq(api_cancel(url_of(was), id), 200);
    api_expect_end(url_of(other), id, "cancelled", "cancelled");
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

/* Programs that say where they run, one line for each. */
static const char marking[] = "{\"mark\":{\"exec\":[\"sh\",\"-c\",\"echo $$ >>DIR/marks;"
                              " exec sleep 600\"],\"lane\":\"io\"}}";

static pid_t read_mark(int node)
{
    char *text = daemon_read_file(nodes[node], "marks");
    pid_t pid = text && strchr(text, '\n') ? (pid_t)strtol(text, NULL, 10) : 0;
    free(text);
    return pid;
}

static int listen_somewhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    return fd;
}

/* With a socket of its own, or one that it has inherited. */
static void start_with_mark(int node, int inherited)
{
    daemon_stop(nodes[node]);
    if (inherited >= 0)
        daemon_pass_socket(nodes[node], inherited);
    daemon_set_handlers(nodes[node], marking);
    daemon_start(nodes[node]);
}

/* What ran on a node that the others have given up ends with the programs, and it begins again
 * where its clients look for it. */
START_TEST(test_nodes_begin_again_when_they_are_given_up)
{
    char id[ID_TEXT_SIZE];
    int inherited = _i ? listen_somewhere() : -1;
    start_with_mark(0, inherited);
    api_submit(url_of(0), "{\"handler\":\"mark\",\"retries\":0}", id);
    wait_for(read_mark(0) > 0);
    pid_t program = read_mark(0);
    int64_t number = number_of(0);
    free(database_sql(db, "UPDATE boots SET is_member = false WHERE name = 'node-0'"));
    ck_assert(wait_process_end(program, WAIT_LONG_MS));
    expect_rejoined(0, number);
    api_wait_state(url_of(1), id, "running"); /* there, again, as nobody else has the handler */
    json_t *f = api_future(url_of(1), id);
    ck_assert_int_eq(api_int(f, "attempt"), 2);
    json_decref(f);
    ck_assert_int_eq(api_cancel(url_of(2), id), 200);
    api_expect_end(url_of(0), id, "cancelled", "cancelled");
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
    fd_close(&inherited);
}
END_TEST

static void drain(int asked, int node, const char *json)
{
    char *path = text_printf("/v1/nodes/node-%d", node);
    struct http_reply r =
        http_call(url_of(asked),
                  &(struct http_request){
                      .method = "PATCH", .path = path, .body = json, .body_len = strlen(json)});
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
    free(path);
}

struct wanted {
    int asked, node;
    const char *state;
};

/* So the node stands in the list of the one that is asked. */
static bool is_so(void *ctx)
{
    const struct wanted *w = ctx;
    char *name = text_printf("node-%d", w->node);
    struct http_reply r = api_get(url_of(w->asked), "/v1/nodes");
    const json_t *all = json_object_get(r.json, "nodes");
    bool found = false;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *n = json_array_get(all, i);
        found = found || (strcmp(api_str(n, "name"), name) == 0 &&
                          strcmp(api_str(n, "state"), w->state) == 0);
    }
    http_reply_release(&r);
    free(name);
    return found;
}

static void expect_state(int asked, int node, const char *state)
{
    struct wanted w = {asked, node, state};
    ck_assert_msg(wait_until(is_so, &w, WAIT_LONG_MS), "node-%d is never %s", node, state);
}

/* What runs on a node that is drained goes on there, nothing else starts there, and the other nodes
 * run the rest, also what is submitted to it. */
START_TEST(test_nodes_drain)
{
    char slow[ID_TEXT_SIZE], id[ID_TEXT_SIZE];
    int node = submit_slow(slow), other = (node + 1) % NODES;
    expect_state(other, node, "running");
    drain(other, node, "{\"draining\":true}");
    expect_state(node, node, "draining");
    for (int i = 0; i < 2 * NODES; i++) {
        api_submit(url_of(node), NAP, id);
        api_expect_end(url_of(node), id, "succeeded", "");
    }
    drain(node, other, "{\"draining\":true}");
    drain(node, (node + 2) % NODES, "{\"draining\":true}"); /* the last */
    api_submit(url_of(other), TASK, id);
    json_decref(api_wait_text(url_of(other), id, "waiting_for.code", "node_draining"));
    ck_assert_int_eq(runs_on(slow), node);
    ck_assert_int_eq(api_cancel(url_of(other), slow), 200);
    expect_state(other, node, "drained");
    drain(other, node, "{\"draining\":false}");
    expect_state(other, node, "running");
    api_expect_end(url_of(other), id, "succeeded", "");
    daemon_stop(nodes[other]);
    expect_state(node, other, "gone");
    daemon_start(nodes[other]);
    expect_state(node, other, "running"); /* the drain was of its life before */
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

/* How many tasks of the queue run on each node, as the one that is asked tells. */
static void read_queue(int asked, const char *queue, int64_t out[NODES], int64_t *out_all)
{
    struct http_reply r = api_get(url_of(asked), "/v1/queues/%s", queue);
    ck_assert_int_eq(r.status, 200);
    *out_all = api_int(r.json, "running");
    memset(out, 0, NODES * sizeof(*out));
    size_t at;
    json_t *n;
    json_array_foreach (api_at(r.json, "nodes"), at, n) {
        int node = api_str(n, "name")[strlen("node-")] - '0';
        ck_assert(node >= 0 && node < NODES);
        out[node] = api_int(n, "running");
        ck_assert_int_eq(api_int(n, "lanes.io.running") + api_int(n, "lanes.cpu.running"),
                         out[node]);
    }
    http_reply_release(&r);
}

#define IN_QUEUE 7

struct spread {
    int asked;
    int64_t expected[NODES];
};

static bool tells_spread(void *ctx)
{
    const struct spread *s = ctx;
    int64_t seen[NODES], all;
    read_queue(s->asked, "mail", seen, &all);
    return memcmp(seen, s->expected, sizeof(seen)) == 0 && all == IN_QUEUE;
}

/* Each node tells of a queue where its tasks run, whichever node that is. */
START_TEST(test_nodes_tell_where_queues_run)
{
    char in_queue[IN_QUEUE][ID_TEXT_SIZE], other[ID_TEXT_SIZE];
    struct spread s = {.asked = 0};
    api_submit(url_of(1), SLOW, other);
    for (int i = 0; i < IN_QUEUE; i++) {
        api_submit(url_of(i % NODES),
                   "{\"handler\":\"sleep\",\"input\":{\"seconds\":600},\"queue\":\"mail\"}",
                   in_queue[i]);
        api_wait_state(url_of(i % NODES), in_queue[i], "running");
        int node = runs_on(in_queue[i]);
        ck_assert_int_ge(node, 0);
        s.expected[node]++;
    }
    for (s.asked = 0; s.asked < NODES; s.asked++)
        ck_assert(wait_until(tells_spread, &s, WAIT_LONG_MS));
    for (int i = 0; i < IN_QUEUE; i++)
        ck_assert_int_eq(api_cancel(url_of(i % NODES), in_queue[i]), 200);
    ck_assert_int_eq(api_cancel(url_of(0), other), 200);
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

static bool knows_own(void *node)
{
    struct http_reply r = api_get(daemon_url(node), "/v1/handlers");
    bool knows = strstr(r.body, "\"name\":\"own\"") != NULL;
    http_reply_release(&r);
    return knows;
}

/* A handler that only one node has is known at all of them: its tasks run there, wait for it while
 * it is away, and keep no others waiting. */
START_TEST(test_nodes_have_handlers_of_their_own)
{
    char id[ID_TEXT_SIZE], other[ID_TEXT_SIZE];
    daemon_stop(nodes[1]);
    daemon_set_handlers(nodes[1], "{\"own\":{\"exec\":[\"cat\"],\"lane\":\"io\"}}");
    struct http_reply r = api_post(url_of(0), "/v1/tasks", "{\"handler\":\"own\",\"input\":1}");
    ck_assert_int_eq(r.status, 422);
    http_reply_release(&r);
    daemon_start(nodes[1]);
    ck_assert(wait_until(knows_own, nodes[0], WAIT_LONG_MS));
    ck_assert(wait_until(knows_own, nodes[2], WAIT_LONG_MS));
    for (int i = 0; i < 5; i++) {
        api_submit(url_of(i % NODES), "{\"handler\":\"own\",\"input\":1}", id);
        api_expect_end(url_of(0), id, "succeeded", "");
    }
    daemon_kill(nodes[1]);
    api_submit(url_of(0), "{\"handler\":\"own\",\"input\":1}", id);
    json_decref(api_wait_text(url_of(0), id, "waiting_for.code", "no_node_for_handler"));
    for (int i = 0; i < 4; i++) {
        api_submit(url_of(0), TASK, other);
        api_expect_end(url_of(2), other, "succeeded", "");
    }
    daemon_start(nodes[1]);
    api_expect_end(url_of(0), id, "succeeded", "");
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

static void submit_needing(int asked, const char *needs, const char *task, char id[ID_TEXT_SIZE])
{
    char *json = text_printf("%.*s,\"needs\":%s}", (int)strlen(task) - 1, task, needs);
    api_submit(url_of(asked), json, id);
    free(json);
}

/* Tasks run where all labels are that they need; without such a node they wait, and say why. */
START_TEST(test_nodes_have_labels)
{
    char id[ID_TEXT_SIZE], other[ID_TEXT_SIZE];
    static const char *const labels[NODES] = {"FUTURED_LABELS=", "FUTURED_LABELS=gpu,big",
                                              "FUTURED_LABELS=gpu"};
    for (int i = 1; i < NODES; i++) {
        daemon_stop(nodes[i]);
        daemon_set(nodes[i], labels[i]);
        daemon_start(nodes[i]);
    }
    for (int i = 0; i < NODES; i++) {
        submit_needing(i, "[\"big\",\"gpu\"]", SLOW, id);
        api_wait_state(url_of(0), id, "running");
        ck_assert_int_eq(runs_on(id), 1);
        ck_assert_int_eq(api_cancel(url_of(0), id), 200);
        api_expect_end(url_of(0), id, "cancelled", "cancelled");
    }
    daemon_kill(nodes[1]);
    submit_needing(0, "[\"gpu\",\"big\"]", TASK, id);
    json_t *f = api_wait_text(url_of(2), id, "waiting_for.code", "no_node_for_needs");
    const json_t *missing = json_object_get(json_object_get(f, "waiting_for"), "missing");
    ck_assert_uint_eq(json_array_size(missing), 1);
    ck_assert_str_eq(json_string_value(json_array_get(missing, 0)), "big");
    ck_assert_uint_eq(json_array_size(json_object_get(f, "needs")), 2);
    json_decref(f);
    for (int i = 0; i < 4; i++) {
        submit_needing(0, i % 2 ? "[]" : "[\"gpu\"]", TASK, other);
        api_expect_end(url_of(0), other, "succeeded", "");
    }
    daemon_start(nodes[1]);
    api_expect_end(url_of(0), id, "succeeded", "");
    for (int i = 0; i < NODES; i++)
        daemon_stop(nodes[i]);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("nodes", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_nodes_answer_for_each_other);
    tcase_add_test(t, test_nodes_cancel_wherever_it_runs);
    tcase_add_test(t, test_nodes_have_clients_of_a_session_anywhere);
    tcase_add_test(t, test_nodes_die_and_nothing_is_lost);
    tcase_add_test(t, test_nodes_take_over_from_one_that_stands_still);
    tcase_add_loop_test(t, test_nodes_begin_again_when_they_are_given_up, 0, 2);
    tcase_add_test(t, test_nodes_drain);
    tcase_add_test(t, test_nodes_tell_where_queues_run);
    tcase_add_test(t, test_nodes_have_handlers_of_their_own);
    tcase_add_test(t, test_nodes_have_labels);
    return suite_run_cases("nodes", t, NULL);
}
