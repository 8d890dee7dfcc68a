/* Two nodes on one database: each sees what the other does, whoever does it, and both together do
 * what one would: limits, pauses, keys and the ends of tasks hold for both. */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/node.h"
#include "storage/session.h"
#include "tests/support/chance.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/storage/postgres/pair.h"

START_TEST(test_nodes_claim_what_another_one_took)
{
    struct task t, none;
    struct task_id id;
    begin();
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&nodes[1], &p);
    id = submit(0, NULL, NULL);
    int64_t began_ms = clock_mono_ms();
    fixture_join(&p);
    ck_assert_int_lt(clock_mono_ms() - began_ms, LATE_MS);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_uint_eq(t.spec->input_len, 1);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 1, &none), 0);
    finish(1, &t);
    began_ms = clock_mono_ms();
    wait_for(has_ended(0, id)); /* who waits at the first one hears of it */
    ck_assert_int_lt(clock_mono_ms() - began_ms, LATE_MS);
    ck_assert_int_eq(fixture_get(&nodes[0], id, &t), 0);
    ck_assert_int_eq(t.state, TASK_SUCCEEDED);
    task_release(&t);
    end();
}
END_TEST

/* By another node: from the answer on it claims nothing, and goes on as soon as it is told. */
START_TEST(test_nodes_drain_another_one)
{
    struct task t, none;
    struct store_node_drain o = {.name = "second", .drains = true};
    begin();
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&nodes[1], &p);
    ck_assert_int_eq(fixture_do(&nodes[0], &store_verb_node_drain, &o.op), 0);
    struct task_id id = submit(0, NULL, NULL);
    ck_assert_int_eq(fixture_recall(&nodes[1], LANE_IO), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 0);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &none), 0);
    struct fixture_parked again = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&nodes[1], &again);
    o = (struct store_node_drain){.name = "second"};
    ck_assert_int_eq(fixture_do(&nodes[0], &store_verb_node_drain, &o.op), 0);
    fixture_join(&again);
    ck_assert(id_equal(t.spec->id, id));
    finish(1, &t);
    end();
}
END_TEST

/* A claim does not look where nothing waited a moment ago; what comes to stand there is found. */
START_TEST(test_nodes_claim_what_comes_before_their_mark)
{
    struct task t;
    begin();
    (void)submit_first(0, -1);
    (void)submit_first(0, -1);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 1);
    finish(1, &t);
    for (int i = 0; i < 2; i++) { /* another node's, and its own */
        struct task_id id = submit_first(i, i);
        ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        finish(1, &t);
    }
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 1);
    finish(1, &t);
    end();
}
END_TEST

/* The number of the node of this name that lives or does not; 0: there is none. */
static int64_t number_of(int node, const char *name, bool is_live)
{
    struct store_node_list o = {.n = 0};
    size_t found = 0;
    int64_t number = 0;
    ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_node_list, &o.op), 0);
    for (size_t i = 0; i < o.n; i++) {
        if (strcmp(o.nodes[i].name, name) != 0 || o.nodes[i].is_live != is_live)
            continue;
        number = o.nodes[i].number;
        found++;
    }
    store_node_list_release(&o);
    ck_assert_uint_le(found, 1);
    return number;
}

static bool lists(int node, const char *name, bool is_live)
{
    return number_of(node, name, is_live) != 0;
}

static atomic_uint beats, times_told;

static void count_beat(void *ctx, struct buf *out)
{
    (void)ctx, (void)out;
    (void)atomic_fetch_add(&beats, 1);
}

static void count_told(void *ctx)
{
    (void)ctx;
    (void)atomic_fetch_add(&times_told, 1);
}

static bool says(int node, const char *name, const char *info)
{
    struct store_node_list o = {.n = 0};
    bool found = false;
    ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_node_list, &o.op), 0);
    for (size_t i = 0; i < o.n; i++)
        found = found || (strcmp(o.nodes[i].name, name) == 0 && o.nodes[i].info &&
                          strcmp(o.nodes[i].info, info) == 0);
    store_node_list_release(&o);
    return found;
}

/* What a node says of itself is told when it says it: not at the beats, of which there is one a
 * second. */
START_TEST(test_nodes_hear_at_once_what_another_one_is)
{
    enum { TIMES = 20 };
    char info[32];
    begin();
    store_watch_nodes(nodes[0].store, count_told, NULL);
    store_watch_load(nodes[1].store, count_beat, NULL);
    for (int i = 0; i < TIMES; i++) {
        (void)snprintf(info, sizeof(info), "{\"number\":%d}", i);
        unsigned before = atomic_load(&times_told);
        store_publish(nodes[1].store, info);
        wait_for(atomic_load(&times_told) > before);
    }
    ck_assert_uint_lt(atomic_load(&beats), TIMES / 2);
    wait_for(says(0, "second", info));
    store_watch_nodes(nodes[0].store, NULL, NULL);
    store_watch_load(nodes[1].store, NULL, NULL);
    end();
}
END_TEST

/* What ran under a number never counts as running under that of a node that lives. */
START_TEST(test_nodes_get_a_new_number_each_time)
{
    begin();
    int64_t before = number_of(0, "second", true);
    ck_assert_int_gt(before, number_of(0, "first", true));
    fixture_stop(&nodes[1]);
    open_node(1, "second");
    ck_assert_int_gt(number_of(0, "second", true), before);
    end();
}
END_TEST

/* What nodes log in this process. */
static struct {
    struct mutex mu;
    unsigned unknown; /* guarded by mu */
} said = {.mu = {PTHREAD_MUTEX_INITIALIZER}};

static void format_line(struct buf *out, enum log_level level, const char *event,
                        const struct log_field *fields)
{
    (void)level;
    log_format(out, event, fields);
}

static void count_unknown(const char *lines, size_t n)
{
    mutex_lock(&said.mu);
    said.unknown += n > 12 && memcmp(lines, "unknown_news", 12) == 0;
    mutex_unlock(&said.mu);
}

static unsigned n_unknown(void)
{
    mutex_lock(&said.mu);
    unsigned n = said.unknown;
    mutex_unlock(&said.mu);
    return n;
}

/* As a node of a newer version tells it: a record of the kind 99, and one of these of 98. */
static void tell_unknown(void)
{
    free(
        run_sql("INSERT INTO news (n, body) SELECT greatest((SELECT coalesce(max(n), 0) FROM news),"
                " (SELECT max(seen) FROM boots)) + 1, '\\x00' || int8send(99) || int8send(3)"
                " || 'abc'::bytea || int8send(98) || int8send(0)"));
}

/* Each of the two says it once, and both go on hearing what they know. */
START_TEST(test_nodes_skip_what_a_newer_one_tells)
{
    static const struct log_sink sink = {format_line, count_unknown};
    struct task t;
    log_set_sink(&sink);
    begin();
    for (unsigned i = 0; i < 3; i++) {
        tell_unknown();
        struct task_id id = submit(0, NULL, NULL);
        ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 1);
        ck_assert(id_equal(t.spec->id, id));
        finish(1, &t);
        wait_for(has_ended(0, id));
        wait_for(n_unknown() == 2);
    }
    end();
}
END_TEST

static struct task_id open_leased(int node, int64_t grace_ms)
{
    struct store_session_open o = {.session = {.id = id_new(),
                                               .handler = "echo",
                                               .created_wall_ms = clock_wall_ms(),
                                               .on_disconnect = STORE_CANCEL,
                                               .grace_ms = grace_ms}};
    ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_session_open, &o.op), 0);
    return o.session.id;
}

static struct store_session get_session(int node, struct task_id id)
{
    struct store_session_get o = {.id = id};
    ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_session_get, &o.op), 0);
    return o.session;
}

/* The first one leads; the streams are at the second. */
START_TEST(test_nodes_end_sessions_of_clients_elsewhere)
{
    begin();
    struct task_id kept = open_leased(1, 1500), gone = open_leased(1, 60);
    struct store_session_renew renew = {.id = kept};
    int64_t began_ms = clock_mono_ms();
    do { /* past what it was opened with */
        ck_assert_int_eq(fixture_do(&nodes[1], &store_verb_session_renew, &renew.op), 0);
    } while (clock_mono_ms() < began_ms + 2100);
    ck_assert_int_gt(get_session(1, gone).closed_wall_ms, 0);
    ck_assert(!get_session(0, kept).closed_wall_ms);
    wait_for(get_session(1, kept).closed_wall_ms);
    struct task_id late = open_leased(1, 900); /* whose leader is gone */
    fixture_stop(&nodes[0]);
    wait_for(get_session(1, late).closed_wall_ms);
    fixture_close(&nodes[1]);
}
END_TEST

START_TEST(test_nodes_list_each_other)
{
    begin();
    for (int i = 0; i < 2; i++) {
        ck_assert(lists(i, "first", true));
        ck_assert(lists(i, "second", true));
    }
    fixture_stop(&nodes[1]);
    ck_assert(lists(0, "second", false));
    open_node(1, "second");
    ck_assert(lists(0, "second", true));
    ck_assert(!lists(0, "second", false));
    end();
}
END_TEST

START_TEST(test_nodes_stop_what_another_one_cancels)
{
    struct task t;
    begin();
    struct task_id id = submit(0, NULL, NULL);
    ck_assert_uint_eq(fixture_claim(&nodes[1], LANE_IO, 1, &t), 1);
    struct store_tree_cancel o = {.id = id};
    ck_assert_int_eq(fixture_do(&nodes[0], &store_verb_tree_cancel, &o.op), 0);
    wait_for(is_stopped(1, id, 1));
    ck_assert_int_eq(fixture_succeed(&nodes[1], &t, "1"), FUT_ERR_STALE);
    task_release(&t);
    end();
}
END_TEST

/* A limit of three is three, whichever node starts a task or ends one. */
START_TEST(test_nodes_share_limits)
{
    struct task t[10];
    struct store_limit l = {.name = "db", .max_running = 3, .rate_per_ms = 1000, .rate_burst = 1};
    begin();
    ck_assert_int_eq(fixture_limit_put(&nodes[0], &l), 0);
    for (int i = 0; i < 10; i++)
        (void)submit(i % 2, NULL, "db");
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 2, t), 2);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 5, t + 2), 1);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 5, t + 3), 0);
    finish(1, &t[0]);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 5, t), 1);
    l.max_running = 5;
    ck_assert_int_eq(fixture_limit_put(&nodes[1], &l), 0);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 9, t + 3), 2);
    ck_assert_int_eq(fixture_limit_drop(&nodes[0], "db"), 0);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 9, t + 5), 4);
    for (int i = 0; i < 9; i++)
        finish(i % 2, &t[i]); /* whoever says it: the compare is with the attempt */
    end();
}
END_TEST

START_TEST(test_nodes_share_pauses)
{
    struct task t;
    struct pool_pause pause = {.since_wall_ms = 1, .by = "x", .reason = "y"};
    begin();
    ck_assert_int_eq(fixture_queue_pause(&nodes[0], "mail", &pause), 0);
    (void)submit(1, "mail", NULL);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 0);
    pause.since_wall_ms = 0;
    ck_assert_int_eq(fixture_queue_pause(&nodes[0], "mail", &pause), 0);
    ck_assert_uint_eq(fixture_claim_now(&nodes[1], LANE_IO, 1, &t), 1);
    finish(1, &t);
    end();
}
END_TEST

/* The same request at two nodes is one task. */
START_TEST(test_nodes_share_keys)
{
    struct store_key key = {.key = "order-1", .fingerprint = "1"};
    begin();
    struct task a = fixture_task(LANE_IO, "echo", "x"), b = fixture_task(LANE_IO, "echo", "x");
    struct store_submit first = {.tasks = &a, .n = 1, .key = &key};
    struct store_submit again = {.tasks = &b, .n = 1, .key = &key};
    ck_assert_int_eq(fixture_submit_op(&nodes[0], &first), 0);
    ck_assert_int_eq(fixture_submit_op(&nodes[1], &again), 0);
    ck_assert_int_eq(again.submitted, STORE_REPLAYED);
    ck_assert(id_equal(again.existing, a.spec->id));
    task_release(&a);
    task_release(&b);
    end();
}
END_TEST

/* Until the others have given it up, nobody takes what runs on a node; then they do, and the end
 * that it reports later counts no more. */
static bool claims_again(void *task)
{
    return fixture_claim_now(&nodes[0], LANE_IO, 1, task) == 1;
}

START_TEST(test_nodes_give_back_what_ran_on_one_that_is_gone)
{
    struct task t, again;
    begin();
    struct task_id id = submit(0, NULL, NULL);
    ck_assert_uint_eq(fixture_claim(&nodes[1], LANE_IO, 1, &t), 1);
    ck_assert_uint_eq(fixture_claim_now(&nodes[0], LANE_IO, 1, &again), 0);
    free(run_sql("UPDATE boots SET is_member = false WHERE name = 'second'"));
    ck_assert(wait_until(claims_again, &again, WAIT_LONG_MS / 2));
    ck_assert(id_equal(again.spec->id, id));
    ck_assert_uint_eq(again.attempt, 2);
    ck_assert_int_eq(fixture_succeed(&nodes[1], &t, "1"), FUT_ERR_READ_ONLY);
    finish(0, &again);
    task_release(&t);
    end();
}
END_TEST

/* What runs on another node is none of this one's business. */
START_TEST(test_nodes_tell_what_runs_here)
{
    struct task t, found[2];
    begin();
    struct task_id id = submit(0, NULL, NULL);
    ck_assert_uint_eq(fixture_claim(&nodes[1], LANE_IO, 1, &t), 1);
    for (int i = 0; i < 2; i++) {
        struct store_list o = {
            .filter = {.states = 1u << TASK_RUNNING, .lane = -1, .runs_here = true},
            .limit = 2,
            .tasks = found};
        ck_assert_int_eq(fixture_do(&nodes[i], &store_verb_list, &o.op), 0);
        ck_assert_uint_eq(o.n, (size_t)i);
        ck_assert_uint_eq(o.next, 0);
    }
    ck_assert(id_equal(found[0].spec->id, id));
    task_release(&found[0]);
    finish(1, &t);
    end();
}
END_TEST

START_TEST(test_nodes_have_names_of_their_own)
{
    struct fut_errbuf err = {""};
    struct store *s = NULL;
    begin();
    int rc = store_open(&nodes[1].cfg, &s, &err);
    ck_assert_msg(rc == FUT_ERR_BUSY && strstr(err.text, "FUTURED_NODE") != NULL, "%d: %s", rc,
                  err.text);
    end();
}
END_TEST

/* ---- whatever happens, both know the same -----------------------------------------------------
 */

#define STEPS 300
#define RUNNING_MAX 20

static struct {
    struct task tasks[RUNNING_MAX];
    size_t n;
} running;

static unsigned chance(unsigned n)
{
    static uint64_t state = 17;
    return (unsigned)chance_of(&state, n);
}

static void submit_any(int node)
{
    static const char *const queues[] = {NULL, "a", "b", "c"};
    static const char *const keys[] = {NULL, "x", "y"};
    static const char *const limits[] = {NULL, NULL, "few", "rate"};
    struct task t = fixture_task(chance(2) ? LANE_IO : LANE_CPU, chance(2) ? "echo" : "sum", "x");
    struct task_spec spec = *t.spec;
    spec.queue = queues[chance(4)];
    spec.fair_key = keys[chance(3)];
    spec.limits = limits[chance(4)];
    spec.priority = chance(4) ? 0 : (int)chance(5) - 2;
    spec.retries = 1;
    fixture_respec(&t, &spec);
    ck_assert_int_eq(fixture_submit_n(&nodes[node], &t, 1), 0);
    task_release(&t);
}

static void claim_any(int node)
{
    size_t space = RUNNING_MAX - running.n, want = 1 + chance(4);
    if (space)
        running.n += fixture_claim_now(&nodes[node], chance(2) ? LANE_IO : LANE_CPU,
                                       want < space ? want : space, running.tasks + running.n);
}

static void end_any(int node)
{
    if (!running.n)
        return;
    size_t at = chance((unsigned)running.n);
    struct task t = running.tasks[at];
    running.tasks[at] = running.tasks[--running.n];
    if (chance(5) == 0) {
        struct store_tree_cancel o = {.id = t.spec->id};
        ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_tree_cancel, &o.op), 0);
        task_release(&t);
        return;
    }
    finish(node, &t);
}

static void change_settings(int node)
{
    struct store_limit few = {
        .name = "few", .max_running = 1 + chance(4), .rate_per_ms = 1000, .rate_burst = 1};
    struct store_limit rate = {
        .name = "rate", .rate_tasks = 50, .rate_per_ms = 1000, .rate_burst = 1 + chance(5)};
    struct pool_pause pause = {.since_wall_ms = chance(2), .by = "x", .reason = "y"};
    ck_assert_int_eq(fixture_limit_put(&nodes[node], chance(2) ? &few : &rate), 0);
    ck_assert_int_eq(fixture_queue_pause(&nodes[node], chance(2) ? "a" : "b", &pause), 0);
}

/* What the node counts, which the rows must say, too. */
static void check_counts(int node)
{
    struct store_queue_list o = {.name = TASK_QUEUE_DEFAULT};
    ck_assert_int_eq(fixture_do(&nodes[node], &store_verb_queue_list, &o.op), 0);
    free(o.queues);
    free(o.fair);
    ck_assert_int_eq(fixture_recall(&nodes[node], LANE_IO), 0);
    struct store_stats st = fixture_stats(&nodes[node]);
    for_each_lane (lane) {
        for (int state = TASK_SCHEDULED; state <= TASK_RUNNING; state++) {
            char sql[128];
            (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM live WHERE lane=%d AND state=%d",
                           (int)lane, state);
            char *n = run_sql(sql);
            ck_assert_msg(strtoull(n, NULL, 10) == st.live[lane][state],
                          "node %d, lane %d, state %d: %s rows, it counts %llu", node, (int)lane,
                          state, n, (unsigned long long)st.live[lane][state]);
            free(n);
        }
    }
}

START_TEST(test_nodes_know_the_same)
{
    begin();
    running.n = 0;
    for (int i = 0; i < STEPS; i++) {
        int node = (int)chance(2);
        unsigned what = chance(10);
        if (what < 4)
            submit_any(node);
        else if (what < 7)
            claim_any(node);
        else if (what < 9)
            end_any(node);
        else
            change_settings(node);
        if (i % 50 == 49) {
            check_counts(0);
            check_counts(1);
        }
    }
    while (running.n)
        end_any((int)chance(2));
    fixture_stop(&nodes[1]); /* and one that comes later */
    check_counts(0);
    open_node(1, "third");
    check_counts(1);
    end();
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_nodes_claim_what_another_one_took, 0},
        {test_nodes_claim_what_comes_before_their_mark, 0},
        {test_nodes_drain_another_one, 0},
        {test_nodes_skip_what_a_newer_one_tells, 0},
        {test_nodes_end_sessions_of_clients_elsewhere, 0},
        {test_nodes_list_each_other, 0},
        {test_nodes_hear_at_once_what_another_one_is, 0},
        {test_nodes_get_a_new_number_each_time, 0},
        {test_nodes_stop_what_another_one_cancels, 0},
        {test_nodes_share_limits, 0},
        {test_nodes_share_pauses, 0},
        {test_nodes_share_keys, 0},
        {test_nodes_give_back_what_ran_on_one_that_is_gone, 0},
        {test_nodes_tell_what_runs_here, 0},
        {test_nodes_have_names_of_their_own, 0},
        {test_nodes_know_the_same, 0},
    };
    fixture_database_share();
    int status = suite_run_rows("postgres: nodes", 120, NULL, NULL, rows, FUT_COUNT(rows));
    fixture_database_free();
    return status;
}
