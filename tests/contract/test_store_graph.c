/* The contract of store.h, on every backend: tasks that wait for others. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/results.h"
#include "tests/contract/fixture.h"
#include "tests/support/chance.h"

static struct fixture k;

/* n tasks, of which each waits for what edges say. */
static int submit(struct task *tasks, size_t n, struct store_edge *edges, size_t n_edges)
{
    struct store_submit o = {.tasks = tasks, .n = n, .edges = edges, .n_edges = n_edges};
    for (size_t i = 0; i < n_edges; i++)
        tasks[edges[i].child].state = TASK_SCHEDULED;
    return fixture_submit_op(&k, &o);
}

static void make(struct task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
}

static void release(struct task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
}

static struct store_edge inside(const struct task *tasks, size_t parent, size_t child,
                                enum store_on on)
{
    return (struct store_edge){
        .parent = tasks[parent].spec->id, .child = child, .on = on, .is_inside = true};
}

/* Claims the one task that may run, which must be this one. */
static struct task claim(const struct task *expected)
{
    struct task got;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &got), 1);
    ck_assert(id_equal(got.spec->id, expected->spec->id));
    return got;
}

static void finish(const struct task *expected, bool succeeds)
{
    struct task t = claim(expected);
    ck_assert_int_eq(
        succeeds ? fixture_succeed(&k, &t, "r") : fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    task_release(&t);
}

static void expect(const struct task *t, enum task_state state, const char *code)
{
    struct task seen = fixture_wait_state(&k, t->spec->id, state);
    if (code)
        ck_assert_str_eq(seen.outcome->code, code);
    task_release(&seen);
}

/* 0 -> {1, 2} -> 3: what waits is in no line, also behind a restart. */
START_TEST(test_store_graph_diamond_runs_in_order)
{
    struct task t[4];
    fixture_open(&k, fixture_backends[_i]);
    make(t, 4);
    struct store_edge edges[] = {inside(t, 0, 1, STORE_ON_SUCCESS), inside(t, 0, 2, STORE_ON_DONE),
                                 inside(t, 1, 3, STORE_ON_SUCCESS),
                                 inside(t, 2, 3, STORE_ON_SUCCESS)};
    ck_assert_int_eq(submit(t, 4, edges, 4), 0);
    fixture_reopen_kept(&k);
    finish(&t[0], true);
    finish(&t[1], true);
    fixture_reopen_kept(&k);
    expect(&t[3], TASK_SCHEDULED, NULL);
    finish(&t[2], true);
    finish(&t[3], true);
    release(t, 4);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_graph_failure_cancels_transitively)
{
    struct task t[5];
    fixture_open(&k, fixture_backends[_i]);
    make(t, 5);
    struct store_edge edges[] = {
        inside(t, 0, 1, STORE_ON_SUCCESS), inside(t, 1, 2, STORE_ON_SUCCESS),
        inside(t, 0, 3, STORE_ON_FAILURE), inside(t, 3, 4, STORE_ON_FAILURE)};
    ck_assert_int_eq(submit(t, 5, edges, 4), 0);
    finish(&t[0], false);
    expect(&t[1], TASK_CANCELLED, "parent_failed");
    expect(&t[2], TASK_CANCELLED, "parent_failed");
    finish(&t[3], true);
    expect(&t[4], TASK_CANCELLED, "not_needed");
    struct store_edges seen = {.ids = &t[1].spec->id, .n_ids = 1};
    ck_assert_int_eq(fixture_do(&k, &store_verb_edges, &seen.op), 0);
    ck_assert_int_eq(seen.edges[0].on, STORE_ON_SUCCESS);
    free(seen.edges);
    release(t, 5);
    fixture_close(&k);
}
END_TEST

/* More children than one step takes, and as many grandchildren. */
START_TEST(test_store_graph_wide_and_in_steps)
{
    enum { N = 1200 };
    static struct task t[2 * N + 1];
    static struct store_edge edges[2 * N];
    fixture_open(&k, fixture_backends[_i]);
    fixture_stop(&k);
    k.cfg.retention_ms = 0; /* nothing else wakes the writer for the next step */
    fixture_reopen(&k);
    make(t, FUT_COUNT(t));
    for (size_t i = 0; i < N; i++)
        edges[i] = inside(t, 0, i + 1, STORE_ON_SUCCESS);
    for (size_t i = 0; i < N; i++)
        edges[N + i] = inside(t, i + 1, N + i + 1, STORE_ON_SUCCESS);
    ck_assert_int_eq(submit(t, FUT_COUNT(t), edges, FUT_COUNT(edges)), 0);
    finish(&t[0], false);
    for (size_t i = 1; i < FUT_COUNT(t); i++)
        expect(&t[i], TASK_CANCELLED, "parent_failed");
    release(t, FUT_COUNT(t));
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_graph_retry_revives)
{
    struct task t[4], seen;
    fixture_open(&k, fixture_backends[_i]);
    make(t, 4);
    struct store_edge edges[] = {inside(t, 0, 1, STORE_ON_SUCCESS),
                                 inside(t, 1, 2, STORE_ON_SUCCESS),
                                 inside(t, 2, 3, STORE_ON_SUCCESS)};
    ck_assert_int_eq(submit(t, 4, edges, 3), 0);
    finish(&t[0], false);
    expect(&t[3], TASK_CANCELLED, "parent_failed");
    ck_assert_int_eq(fixture_get(&k, t[2].spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), FUT_ERR_STATE); /* its parent is cancelled */
    task_release(&seen);
    ck_assert_int_eq(fixture_get(&k, t[0].spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), 0);
    task_release(&seen);
    for (int i = 1; i < 4; i++)
        expect(&t[i], TASK_SCHEDULED, NULL);
    fixture_reopen_kept(&k);
    for (int i = 0; i < 4; i++)
        finish(&t[i], true);
    release(t, 4);
    fixture_close(&k);
}
END_TEST

/* What a parent came to counts although it is not there any more. */
START_TEST(test_store_graph_deleted_parents_stay_failed)
{
    struct task t[3], seen;
    fixture_open(&k, fixture_backends[_i]);
    make(t, 3);
    struct store_edge edges[] = {inside(t, 0, 1, STORE_ON_SUCCESS),
                                 inside(t, 0, 2, STORE_ON_FAILURE)};
    ck_assert_int_eq(submit(t, 3, edges, 2), 0);
    finish(&t[0], false);
    finish(&t[2], false);
    expect(&t[1], TASK_CANCELLED, "parent_failed");
    ck_assert_int_eq(fixture_delete(&k, t[0].spec->id), 0);
    fixture_reopen_kept(&k);
    ck_assert_int_eq(fixture_get(&k, t[1].spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), FUT_ERR_STATE);
    task_release(&seen);
    ck_assert_int_eq(fixture_get(&k, t[2].spec->id, &seen), 0);
    ck_assert_int_eq(fixture_revive(&k, &seen), 0);
    task_release(&seen);
    finish(&t[2], true);
    release(t, 3);
    fixture_close(&k);
}
END_TEST

/* What was accepted once is no submission: the graph comes back as a whole. */
START_TEST(test_store_graph_revives_beside_a_full_queue)
{
    struct task t[3], seen;
    fixture_open(&k, fixture_backends[_i]);
    make(t, 3);
    struct store_edge edges[] = {inside(t, 0, 1, STORE_ON_SUCCESS),
                                 inside(t, 1, 2, STORE_ON_SUCCESS)};
    ck_assert_int_eq(submit(t, 3, edges, 2), 0);
    finish(&t[0], false);
    expect(&t[2], TASK_CANCELLED, "parent_failed");
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    if (strcmp(k.backend, "memory") != 0) { /* which forgets */
        fixture_reopen(&k);
        ck_assert_int_eq(fixture_get(&k, t[0].spec->id, &seen), 0);
        ck_assert_int_eq(fixture_revive(&k, &seen), 0);
        task_release(&seen);
        for (int i = 1; i < 3; i++)
            expect(&t[i], TASK_SCHEDULED, NULL);
        for (int i = 0; i < 3; i++)
            finish(&t[i], true);
    }
    release(t, 3);
    fixture_close(&k);
}
END_TEST

/* A parent that is there already: it runs, has succeeded, has failed, or is not known. */
START_TEST(test_store_graph_parents_from_before)
{
    struct task parent[2], child[4], running, other;
    fixture_open(&k, fixture_backends[_i]);
    make(parent, 2);
    make(child, 4);
    ck_assert_int_eq(fixture_submit_n(&k, &parent[0], 1), 0);
    running = claim(&parent[0]);
    struct store_edge edge = {.parent = parent[0].spec->id};
    ck_assert_int_eq(submit(&child[0], 1, &edge, 1), 0);
    expect(&child[0], TASK_SCHEDULED, NULL);
    ck_assert_int_eq(fixture_succeed(&k, &running, "r"), 0);
    finish(&child[0], true);
    ck_assert_int_eq(submit(&child[1], 1, &edge, 1), 0);
    expect(&child[1], TASK_QUEUED, NULL); /* nobody would wake it */
    finish(&child[1], true);
    edge.on = STORE_ON_FAILURE;
    ck_assert_int_eq(submit(&child[2], 1, &edge, 1), FUT_ERR_STATE);
    edge.parent = parent[1].spec->id;
    ck_assert_int_eq(submit(&child[2], 1, &edge, 1), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_get(&k, child[2].spec->id, &other), FUT_ERR_NOT_FOUND);
    task_release(&running);
    release(parent, 2);
    release(child, 4);
    fixture_close(&k);
}
END_TEST

/* ---- times beside parents -------------------------------------------------------------------- */

static struct task timed(int64_t delay_ms, int64_t run_at_wall_ms)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.times = (struct task_times){.delay_ms = delay_ms, .run_at_wall_ms = run_at_wall_ms};
    struct task with = {.spec = task_spec_new(&spec), .state = TASK_SCHEDULED};
    task_release(&t);
    return with;
}

/* A delay counts from the end of the parents, a time of the clock is the earlier bound; both behind
 * a restart. */
START_TEST(test_store_graph_waits_for_parents_then_for_a_time)
{
    int64_t now_ms = clock_wall_ms();
    struct task t[] = {fixture_task(LANE_IO, "echo", "x"), timed(0, now_ms - 1000), timed(700, 0),
                       timed(0, now_ms + 4000)};
    struct task seen;
    fixture_open(&k, fixture_backends[_i]);
    struct store_edge edges[] = {inside(t, 0, 1, STORE_ON_SUCCESS),
                                 inside(t, 0, 2, STORE_ON_SUCCESS),
                                 inside(t, 0, 3, STORE_ON_SUCCESS)};
    ck_assert_int_eq(submit(t, 4, edges, 3), 0);
    fixture_reopen_kept(&k);
    for (size_t i = 1; i < 4; i++) {
        ck_assert_int_eq(fixture_get(&k, t[i].spec->id, &seen), 0);
        ck_assert_int_eq(seen.due_wall_ms, 0);
        ck_assert_uint_eq(seen.unmet, 1);
        task_release(&seen);
    }
    int64_t ended_ms = clock_wall_ms();
    finish(&t[0], true);
    finish(&t[1], true);
    ck_assert_int_eq(fixture_get(&k, t[2].spec->id, &seen), 0);
    if (clock_wall_ms() < ended_ms + 700) { /* else it may be due already */
        ck_assert_int_eq(seen.state, TASK_SCHEDULED);
        ck_assert_int_ge(seen.due_wall_ms, ended_ms + 700);
    }
    ck_assert_uint_eq(seen.unmet, 0);
    task_release(&seen);
    ck_assert_int_eq(fixture_get(&k, t[3].spec->id, &seen), 0);
    if (clock_wall_ms() < now_ms + 4000)
        ck_assert_int_eq(seen.due_wall_ms, now_ms + 4000);
    task_release(&seen);
    finish(&t[2], true);
    ck_assert_int_ge(clock_wall_ms(), ended_ms + 700);
    fixture_reopen_kept(&k);
    finish(&t[3], true);
    ck_assert_int_ge(clock_wall_ms(), now_ms + 4000);
    release(t, 4);
    fixture_close(&k);
}
END_TEST

/* The task that a batch has behind its members is found again. */
START_TEST(test_store_graph_behind_a_batch)
{
    struct task t[3];
    fixture_open(&k, fixture_backends[_i]);
    make(t, 3);
    struct store_batch batch = {.id = id_new(), .total = 2, .then = t[2].spec->id};
    for (uint32_t i = 0; i < 2; i++) {
        struct task_spec spec = *t[i].spec;
        spec.batch = batch.id;
        spec.batch_pos = i;
        spec.name = i ? "second" : NULL;
        struct task_spec *member = task_spec_new(&spec);
        task_spec_unref(t[i].spec);
        t[i].spec = member;
    }
    struct store_edge edges[] = {inside(t, 0, 2, STORE_ON_DONE), inside(t, 1, 2, STORE_ON_DONE)};
    t[2].state = TASK_SCHEDULED;
    struct store_submit o = {.tasks = t, .n = 3, .edges = edges, .n_edges = 2, .batch = &batch};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    fixture_reopen_kept(&k);
    struct store_batch_get get = {.id = batch.id};
    ck_assert_int_eq(fixture_batch_get(&k, &get), 0);
    ck_assert_uint_eq(get.batch.total, 2);
    ck_assert_uint_eq(get.batch.counts[TASK_QUEUED], 2);
    ck_assert(id_equal(get.batch.then, t[2].spec->id));
    struct task_id ids[] = {t[2].spec->id, t[0].spec->id, id_new()};
    struct store_edges seen = {.ids = ids, .n_ids = 3};
    ck_assert_int_eq(fixture_do(&k, &store_verb_edges, &seen.op), 0);
    ck_assert_uint_eq(seen.n, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert(id_equal(seen.edges[i].parent, t[i].spec->id));
        ck_assert_uint_eq(seen.edges[i].child, 0);
        ck_assert_int_eq(seen.edges[i].on, STORE_ON_DONE);
        ck_assert(seen.edges[i].is_pending);
    }
    free(seen.edges);
    struct task member;
    ck_assert_int_eq(fixture_get(&k, t[1].spec->id, &member), 0);
    ck_assert_str_eq(member.spec->name, "second");
    task_release(&member);
    finish(&t[0], true);
    finish(&t[1], false);
    finish(&t[2], true);
    release(t, 3);
    fixture_close(&k);
}
END_TEST

/* ---- results as inputs ----------------------------------------------------------------------- */

/* In template, "@" is the parent's id. */
static struct task child_of(const struct task *parent, const char *template)
{
    struct buf text = BUF_INIT;
    char id[ID_TEXT_SIZE];
    id_format(parent->spec->id, id);
    for (const char *at = template; *at; at++) {
        if (*at == '@')
            buf_puts(&text, id);
        else
            buf_putc(&text, *at);
    }
    buf_putc(&text, '\0');
    struct task t = fixture_task(LANE_IO, "echo", text.data);
    struct task_spec spec = *t.spec;
    spec.input_type = CONTENT_JSON;
    spec.has_refs = true;
    struct task child = {.spec = task_spec_new(&spec), .state = TASK_SCHEDULED};
    task_release(&t);
    buf_release(&text);
    return child;
}

/* Claims the child and asks for its input: this text, or the code of why there is none. */
static struct task fill(const struct task *child, size_t max, const char *text, const char *code)
{
    struct task got = claim(child);
    ck_assert(got.spec->has_refs);
    ck_assert_uint_eq(got.spec->input_len, child->spec->input_len);
    struct store_fill o = {.spec = got.spec, .max_bytes = max};
    int rc = fixture_do(&k, &store_verb_fill, &o.op);
    ck_assert_int_eq(rc, text ? 0 : FUT_ERR_INVAL);
    if (text) {
        ck_assert_uint_eq(o.filled->input_len, strlen(text));
        ck_assert(memcmp(o.filled->input, text, strlen(text)) == 0);
        ck_assert(id_equal(o.filled->id, child->spec->id));
    } else {
        ck_assert_str_eq(o.refused->code, code);
    }
    task_spec_unref(o.filled);
    task_outcome_unref(o.refused);
    return got;
}

static void succeed_with(struct task *t, const char *type, const char *body)
{
    struct task_outcome *o = task_outcome_new(&(struct task_outcome){.type = type,
                                                                     .body = (const void *)body,
                                                                     .body_len = strlen(body),
                                                                     .exit_code = -1,
                                                                     .log = ""});
    ck_assert_int_eq(fixture_apply(&k, t, EVENT_SUCCEED, &(struct task_in){.outcome = o}), 0);
    task_outcome_unref(o);
}

/* The attempt that succeeded counts, not one before; each attempt of the child reads anew, also
 * behind a restart and in another life. */
START_TEST(test_store_graph_fills_inputs)
{
    struct task parent, child, got;
    fixture_open(&k, fixture_backends[_i]);
    parent = fixture_task(LANE_IO, "echo", "x");
    child = child_of(&parent, "{\"a\": [{\"$result\":\"@\",\"pointer\":\"/n\"}, 2], "
                              "\"b\":{\"$result\":\"@\"}}");
    struct task both[] = {parent, child};
    struct store_edge edge = inside(both, 0, 1, STORE_ON_SUCCESS);
    ck_assert_int_eq(submit(both, 2, &edge, 1), 0);
    got = claim(&parent);
    struct task_outcome *why = task_outcome_error("exit", "first");
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_FAIL, &(struct task_in){.outcome = why}), 0);
    task_outcome_unref(why);
    ck_assert_int_eq(fixture_revive(&k, &got), 0);
    task_release(&got);
    expect(&child, TASK_SCHEDULED, NULL); /* it lives again, too */
    got = claim(&parent);
    succeed_with(&got, CONTENT_JSON, " {\"n\": 1.0} ");
    task_release(&got);
    got = fill(&child, 100, "{\"a\": [1.0, 2], \"b\":{\"n\": 1.0}}", NULL);
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_RELEASE, NULL), 0);
    task_release(&got);
    fixture_reopen_kept(&k);
    got = fill(&child, 100, "{\"a\": [1.0, 2], \"b\":{\"n\": 1.0}}", NULL);
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_FAIL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &got), 0);
    task_release(&got);
    got = fill(&child, 20, NULL, "input_too_large");
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_RELEASE, NULL), 0);
    task_release(&got);
    ck_assert_int_eq(fixture_delete(&k, parent.spec->id), 0);
    got = fill(&child, 100, NULL, "unresolved_input");
    task_release(&got);
    release(both, 2);
    fixture_close(&k);
}
END_TEST

/* A default stands for whatever there is not. */
START_TEST(test_store_graph_fills_defaults)
{
    struct task parent, child, got;
    fixture_open(&k, fixture_backends[_i]);
    parent = fixture_task(LANE_IO, "echo", "x");
    child = child_of(&parent, "[{\"$result\":\"@\",\"pointer\":\"/x\",\"default\": [1, {}] }]");
    struct task both[] = {parent, child};
    struct store_edge edge = inside(both, 0, 1, STORE_ON_DONE);
    ck_assert_int_eq(submit(both, 2, &edge, 1), 0);
    finish(&parent, false);
    got = fill(&child, 100, "[[1, {}]]", NULL);
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_RELEASE, NULL), 0);
    task_release(&got);
    ck_assert_int_eq(fixture_delete(&k, parent.spec->id), 0);
    got = fill(&child, 100, "[[1, {}]]", NULL);
    task_release(&got);
    release(both, 2);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_graph_fills_no_text)
{
    struct task parent, child, got;
    fixture_open(&k, fixture_backends[_i]);
    parent = fixture_task(LANE_IO, "echo", "x");
    child = child_of(&parent, "{\"$result\":\"@\"}");
    struct task both[] = {parent, child};
    struct store_edge edge = inside(both, 0, 1, STORE_ON_SUCCESS);
    ck_assert_int_eq(submit(both, 2, &edge, 1), 0);
    got = claim(&parent);
    succeed_with(&got, CONTENT_TEXT, "1");
    task_release(&got);
    got = fill(&child, 100, NULL, "unresolved_input");
    task_release(&got);
    release(both, 2);
    fixture_close(&k);
}
END_TEST

/* ---- at random ------------------------------------------------------------------------------- */

static uint64_t random_state = 7;

static unsigned pick(unsigned n)
{
    return (unsigned)chance_of(&random_state, n);
}

#define NODES 24
static enum store_on on[NODES][NODES];
static bool has[NODES][NODES];

/* What must hold when nothing is left to do: a task waits exactly as long as a parent of it has not
 * ended, and was cancelled for a parent exactly when one has ended otherwise. */
static void check_quiet(const struct task *t)
{
    enum task_state state[NODES];
    for (size_t i = 0; i < NODES; i++) {
        struct task seen;
        size_t unended = 0, wrong = 0;
        ck_assert_int_eq(fixture_get(&k, t[i].spec->id, &seen), 0);
        state[i] = seen.state;
        for (size_t p = 0; p < i; p++) {
            if (!has[p][i])
                continue;
            bool good = state[p] == TASK_SUCCEEDED;
            unended += !task_state_is_final(state[p]);
            wrong += task_state_is_final(state[p]) && on[p][i] != STORE_ON_DONE &&
                     (on[p][i] == STORE_ON_SUCCESS) != good;
        }
        if (wrong)
            ck_assert_msg(state[i] == TASK_CANCELLED, "%zu is %s", i, task_state_name(state[i]));
        else if (unended)
            ck_assert_msg(state[i] == TASK_SCHEDULED, "%zu is %s", i, task_state_name(state[i]));
        else
            ck_assert_msg(state[i] != TASK_SCHEDULED && state[i] != TASK_CANCELLED, "%zu is %s", i,
                          task_state_name(state[i]));
        task_release(&seen);
    }
}

static size_t count(enum task_state state)
{
    struct store_stats s;
    store_stats(k.store, &s);
    return s.live[LANE_IO][state];
}

START_TEST(test_store_graph_walks)
{
    for (int round = 0; round < 12; round++) {
        struct task t[NODES], got;
        struct store_edge edges[NODES * NODES];
        size_t n = 0;
        fixture_open(&k, fixture_backends[_i]);
        make(t, NODES);
        memset(has, 0, sizeof(has));
        for (size_t c = 1; c < NODES; c++) {
            for (size_t p = 0; p < c; p++) {
                if (pick(6))
                    continue;
                has[p][c] = true;
                on[p][c] = (enum store_on)pick(3);
                edges[n++] = inside(t, p, c, on[p][c]);
            }
        }
        ck_assert_int_eq(submit(t, NODES, edges, n), 0);
        check_quiet(t);
        while (count(TASK_QUEUED)) {
            ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &got), 1);
            if (pick(5) == 0 && strcmp(k.backend, "memory") != 0) {
                task_release(&got);
                fixture_reopen(&k); /* it is queued again */
                continue;
            }
            ck_assert_int_eq(pick(3) ? fixture_succeed(&k, &got, "r")
                                     : fixture_apply(&k, &got, EVENT_FAIL, NULL),
                             0);
            task_release(&got);
            check_quiet(t);
        }
        ck_assert_uint_eq(count(TASK_SCHEDULED), 0);
        release(t, NODES);
        fixture_close(&k);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_graph_diamond_runs_in_order,
        test_store_graph_failure_cancels_transitively,
        test_store_graph_wide_and_in_steps,
        test_store_graph_retry_revives,
        test_store_graph_revives_beside_a_full_queue,
        test_store_graph_deleted_parents_stay_failed,
        test_store_graph_parents_from_before,
        test_store_graph_fills_inputs,
        test_store_graph_waits_for_parents_then_for_a_time,
        test_store_graph_behind_a_batch,
        test_store_graph_fills_defaults,
        test_store_graph_fills_no_text,
        test_store_graph_walks,
    };
    return fixture_run_on_all("store contract: graph", tests, FUT_COUNT(tests));
}
