/* The contract of store.h, on every backend: tasks that are suspended until named futures end. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/results.h"
#include "tests/contract/fixture.h"
#include "tests/support/chance.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

/* A promise: a future that is there and that no claim takes. */
static struct task_id promise(void)
{
    struct task t = fixture_task(LANE_IO, "promise", "");
    struct task_spec spec = *t.spec;
    spec.is_promise = true;
    fixture_respec(&t, &spec);
    t.state = TASK_SCHEDULED;
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static void complete(struct task_id id, const char *json)
{
    struct task t;
    struct task_outcome *o =
        json ? task_outcome_new(&(struct task_outcome){.type = CONTENT_JSON,
                                                       .body = (const unsigned char *)json,
                                                       .body_len = strlen(json),
                                                       .exit_code = -1})
             : task_outcome_error("broken", "It is \"broken\".");
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(
        fixture_apply(&k, &t, json ? EVENT_RESOLVE : EVENT_REJECT, &(struct task_in){.outcome = o}),
        0);
    task_outcome_unref(o);
    task_release(&t);
}

static int suspend(struct task *t, int64_t due_in_ms, const struct task_id *ids, size_t n)
{
    struct store_wakes w = {.ids = ids, .n = n};
    return fixture_suspend(&k, t, due_in_ms, &w);
}

/* What the next attempt is told; free() it. */
static char *results(struct task_id id)
{
    struct store_wake_results o = {.id = id, .max_bytes = 1000};
    ck_assert_int_eq(fixture_do(&k, &store_verb_wake_results, &o.op), 0);
    char *text = o.results ? xstrndup((const char *)o.results->body, o.results->len) : NULL;
    task_checkpoint_unref(o.results);
    return text;
}

static void says(struct task_id task, struct task_id future, const char *expected)
{
    char id[ID_TEXT_SIZE];
    char *text = results(task);
    ck_assert_ptr_nonnull(text);
    id_format(future, id);
    const char *at = strstr(text, id);
    ck_assert_msg(at && strncmp(at + strlen(id) + 2, expected, strlen(expected)) == 0, "%s: not %s",
                  text, expected);
    free(text);
}

static void expect_state(struct task_id id, enum task_state state, uint32_t unmet)
{
    struct task seen;
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_msg(seen.state == state, "%s", task_state_name(seen.state));
    ck_assert_uint_eq(seen.unmet, unmet);
    task_release(&seen);
}

START_TEST(test_store_wake_by_the_last_of_several_ends)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    ck_assert(!t.has_suspended);
    struct task_id p[] = {promise(), promise(), promise()};
    struct store_reported seen;
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "half"), 0);
    ck_assert_int_eq(suspend(&t, -1, p, 3), 0);
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert_int_eq(t.due_wall_ms, 0);
    task_release(&t);
    fixture_reopen_kept(&k);
    expect_state(id, TASK_SCHEDULED, 3);
    ck_assert_int_eq(fixture_get_reported(&k, id, &seen), 0);
    ck_assert_uint_eq(seen.n_wakes, 3);
    ck_assert(id_equal(seen.wakes[0], p[0]));
    store_reported_release(&seen);
    complete(p[1], "{\"a\":1}");
    complete(p[0], NULL);
    expect_state(id, TASK_SCHEDULED, 1);
    fixture_reopen_kept(&k);
    struct task cancelled;
    ck_assert_int_eq(fixture_get(&k, p[2], &cancelled), 0);
    ck_assert_int_eq(fixture_apply(&k, &cancelled, EVENT_CANCEL, NULL), 0);
    task_release(&cancelled);
    t = fixture_wait_state(&k, id, TASK_QUEUED);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert(t.has_suspended);
    ck_assert_uint_eq(t.attempt, 1); /* not charged */
    ck_assert_uint_eq(t.unmet, 0);
    ck_assert_ptr_nonnull(t.checkpoint);
    says(id, p[0],
         "{\"state\":\"failed\",\"done\":true,\"error\":{\"code\":\"broken\","
         "\"message\":\"It is \\\"broken\\\".\"}}");
    says(id, p[1], "{\"state\":\"succeeded\",\"done\":true,\"result\":{\"a\":1}}");
    says(id, p[2], "{\"state\":\"cancelled\",\"done\":true}");
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_wake_of_futures_that_are_done)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    struct task_id p[] = {promise(), promise()};
    char large[2000];
    complete(p[0], "1");
    memset(large, '7', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    complete(p[1], large);
    ck_assert_int_eq(suspend(&t, -1, (struct task_id[]){p[0], p[1], p[0]}, 3), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert(t.has_suspended);
    says(id, p[0], "{\"state\":\"succeeded\",\"done\":true,\"result\":1}");
    says(id, p[1], "{\"state\":\"succeeded\",\"done\":true,\"truncated\":true}");
    ck_assert_int_eq(fixture_delete(&k, p[0]), 0);
    says(id, p[0], "{\"state\":null,\"done\":true}");
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_wake_of_an_unknown_future_is_refused)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    struct task_id ids[] = {promise(), id_new()};
    struct store_wakes w = {.ids = ids, .n = 2};
    ck_assert_int_eq(fixture_suspend(&k, &t, -1, &w), FUT_ERR_INVAL);
    ck_assert_uint_eq(w.refused, 1);
    expect_state(id, TASK_RUNNING, 0);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
    end();
}
END_TEST

/* The time comes first: the end that comes after it disturbs no retry. */
START_TEST(test_store_wake_at_its_time)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    struct task_id p = promise();
    ck_assert_int_eq(suspend(&t, 20, &p, 1), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    says(id, p, "{\"state\":\"scheduled\",\"done\":false}");
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 60000}), 0);
    task_release(&t);
    complete(p, "1");
    expect_state(id, TASK_SCHEDULED, 0);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_gt(t.due_wall_ms, 0);
    ck_assert(!t.is_suspended);
    task_release(&t);
    end();
}
END_TEST

/* Each suspension names its own futures, and another life has none. */
START_TEST(test_store_wake_is_dropped_by_the_next_suspension)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    struct task_id p[] = {promise(), promise()};
    ck_assert_int_eq(suspend(&t, 1, &p[0], 1), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert_int_eq(suspend(&t, -1, &p[1], 1), 0);
    task_release(&t);
    complete(p[0], "1");
    expect_state(id, TASK_SCHEDULED, 1);
    complete(p[1], "2");
    t = fixture_claim_one(&k);
    says(id, p[1], "{\"state\":\"succeeded\",\"done\":true,\"result\":2}");
    ck_assert_int_eq(fixture_suspend(&k, &t, 1, NULL), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert_ptr_null(results(id));
    struct task_id q = promise();
    ck_assert_int_eq(suspend(&t, 1, &q, 1), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_int_eq(t.state, TASK_QUEUED);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert_ptr_null(results(id));
    task_release(&t);
    end();
}
END_TEST

/* A parent of before that lives again: what it came to for `after` stays known as well. */
START_TEST(test_store_wake_of_a_parent_that_lives_again)
{
    begin(_i);
    struct task parent = fixture_task(LANE_IO, "echo", "p"), child, t;
    ck_assert_int_eq(fixture_submit_n(&k, &parent, 1), 0);
    child = fixture_task(LANE_IO, "echo", "c");
    child.state = TASK_SCHEDULED;
    struct store_edge e = {.parent = parent.spec->id, .on = STORE_ON_FAILURE};
    struct store_submit o = {.tasks = &child, .n = 1, .edges = &e, .n_edges = 1};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    struct task c = fixture_claim_one(&k);
    ck_assert(id_equal(c.spec->id, child.spec->id));
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    struct task_id ids[] = {parent.spec->id};
    ck_assert_int_eq(suspend(&c, -1, ids, 1), 0);
    task_release(&c);
    t = fixture_claim_one(&k);
    ck_assert(id_equal(t.spec->id, parent.spec->id));
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0); /* for `after`, the wrong end */
    task_release(&t);
    c = fixture_claim_one(&k);
    ck_assert(id_equal(c.spec->id, child.spec->id));
    says(child.spec->id, parent.spec->id, "{\"state\":\"succeeded\"");
    struct store_edges seen = {.ids = &child.spec->id, .n_ids = 1};
    ck_assert_int_eq(fixture_do(&k, &store_verb_edges, &seen.op), 0);
    ck_assert_uint_eq(seen.n, 1);
    ck_assert_int_eq(seen.edges[0].on, STORE_ON_FAILURE);
    free(seen.edges);
    task_release(&c);
    task_release(&child);
    task_release(&parent);
    end();
}
END_TEST

START_TEST(test_store_wake_by_the_end_of_a_batch)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k), m[2], got;
    struct store_batch batch = {.id = id_new(), .total = 2};
    for (uint32_t i = 0; i < 2; i++) {
        m[i] = fixture_task(LANE_IO, "echo", "m");
        struct task_spec spec = *m[i].spec;
        spec.batch = batch.id;
        spec.batch_pos = i;
        fixture_respec(&m[i], &spec);
    }
    ck_assert_int_eq(fixture_submit_batch(&k, m, 2, &batch), 0);
    ck_assert_int_eq(suspend(&t, -1, &batch.id, 1), 0);
    task_release(&t);
    got = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_succeed(&k, &got, "r"), 0);
    task_release(&got);
    expect_state(id, TASK_SCHEDULED, 1);
    got = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_apply(&k, &got, EVENT_FAIL, NULL), 0);
    task_release(&got);
    got = fixture_wait_state(&k, id, TASK_QUEUED);
    task_release(&got);
    t = fixture_claim_one(&k);
    ck_assert(id_equal(t.spec->id, id));
    says(id, batch.id,
         "{\"state\":null,\"done\":true,\"total\":2,\"counts\":{\"scheduled\":0,\"queued\":0,"
         "\"running\":0,\"succeeded\":1,\"failed\":1,\"cancelled\":0}}");
    task_release(&t);
    task_release(&m[0]);
    task_release(&m[1]);
    end();
}
END_TEST

/* ---- at random: suspensions, ends, restarts ---------------------------------------------------
 */

#define TASKS 6
#define STEPS 60
#define LATER_MS 3600000 /* after the walk */
#define ROUNDING_MS 2    /* of two clocks */

static uint64_t random_state;

static unsigned pick(unsigned n)
{
    return (unsigned)chance_of(&random_state, n);
}

/* What the walk knows of a task beside what the store says. */
struct walker {
    struct task_id id;
    struct task running;       /* spec NULL: it does not run */
    struct task_id for_ids[3]; /* what it was suspended for last */
    size_t n_for;
    int64_t due_mono_ms; /* until when it was suspended last, at the latest; 0: without a time */
    char saved[16];      /* its checkpoint; "": none */
};

static bool is_done(struct task_id id)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    bool done = task_state_is_final(t.state);
    task_release(&t);
    return done;
}

static size_t count_unended(const struct walker *w)
{
    size_t unended = 0;
    for (size_t i = 0; i < w->n_for; i++)
        unended += !is_done(w->for_ids[i]);
    return unended;
}

/* Read before the task's state: what is not due now may be so a moment later. */
static bool may_be_due(const struct walker *w)
{
    return w->due_mono_ms && clock_mono_ms() >= w->due_mono_ms - ROUNDING_MS;
}

/* Has what it was suspended for come? */
static bool may_go_on(const struct walker *w)
{
    bool waits = w->n_for || w->due_mono_ms;
    return !waits || (w->n_for && count_unended(w) == 0) || may_be_due(w);
}

/* A suspended task waits as long as one of its futures does, or until its time: neither shorter
 * nor, but for its time, longer. */
static void check(const struct walker *w)
{
    struct task t;
    size_t unended = count_unended(w);
    ck_assert_int_eq(fixture_get(&k, w->id, &t), 0);
    if (t.state == TASK_SCHEDULED) {
        ck_assert_uint_eq(t.unmet, unended);
        ck_assert_msg(unended || (!w->n_for && w->due_mono_ms), "a wake-up was lost");
        ck_assert_int_eq(t.due_wall_ms != 0, w->due_mono_ms != 0);
    } else {
        ck_assert_msg(t.state == TASK_RUNNING || may_go_on(w), "it goes on too early");
    }
    task_release(&t);
}

/* With its checkpoint and with the ends of what it waited for. */
static void begins(struct walker *w, struct task *got)
{
    const char *saved = got->checkpoint ? (const char *)got->checkpoint->body : "";
    ck_assert_str_eq(saved, w->saved);
    ck_assert(!(w->n_for || w->due_mono_ms) || got->has_suspended);
    ck_assert_msg(may_go_on(w), "it begins too early");
    for (size_t i = 0; i < w->n_for; i++)
        says(w->id, w->for_ids[i], is_done(w->for_ids[i]) ? "{\"state\":\"succeeded\"" : "");
    ck_assert_uint_eq(got->attempt - got->daemon_deaths, 1);
    w->running = *got;
}

/* Not where that ends a task for good. */
static void restart(struct walker *all)
{
    bool may = strcmp(k.backend, "memory") != 0;
    for (size_t i = 0; i < TASKS; i++)
        may = may && all[i].running.daemon_deaths < TASK_DAEMON_DEATHS_MAX;
    if (!may)
        return;
    for (size_t i = 0; i < TASKS; i++)
        task_release(&all[i].running);
    fixture_reopen(&k);
}

static void claim_one(struct walker *all)
{
    struct task t;
    if (!fixture_claim_now(&k, LANE_IO, 1, &t))
        return;
    for (size_t i = 0; i < TASKS; i++) {
        if (id_equal(all[i].id, t.spec->id)) {
            begins(&all[i], &t);
            return;
        }
    }
    ck_abort_msg("a claim of an unknown task");
}

/* For futures, until a time, or both; the time is now, soon, or after the walk. */
static void suspend_one(struct walker *w, const struct task_id *promises, size_t n)
{
    static const int64_t times[] = {-1, -1, 0, 1, 5, LATER_MS};
    int64_t due_in_ms = times[pick(FUT_COUNT(times))];
    w->n_for = due_in_ms < 0 ? 1 + pick(3) : pick(4);
    for (size_t i = 0; i < w->n_for; i++)
        w->for_ids[i] = promises[(pick((unsigned)n) + i) % n];
    w->due_mono_ms = due_in_ms < 0 ? 0 : clock_mono_ms() + due_in_ms;
    if (w->n_for)
        ck_assert_int_eq(suspend(&w->running, due_in_ms, w->for_ids, w->n_for), 0);
    else
        ck_assert_int_eq(fixture_suspend(&k, &w->running, due_in_ms, NULL), 0);
    for (size_t i = 1; i < w->n_for; i++) /* each counts once */
        for (size_t j = 0; j < i; j++)
            if (id_equal(w->for_ids[i], w->for_ids[j]))
                w->for_ids[i--] = w->for_ids[--w->n_for];
    task_release(&w->running);
}

/* Nothing is lost: each goes on by its time, or when its futures end; what is to wait for a time
 * after the walk and for nothing else still does. */
static void end_one(struct walker *w)
{
    struct task t;
    bool is_later = w->due_mono_ms > clock_mono_ms() + LATER_MS / 2;
    bool is_running = w->running.spec != NULL;
    task_release(&w->running);
    for (size_t i = 0; !is_running && i < w->n_for; i++) {
        if (!is_done(w->for_ids[i]))
            complete(w->for_ids[i], "1");
    }
    t = fixture_wait_state(&k, w->id,
                           is_running              ? TASK_RUNNING
                           : is_later && !w->n_for ? TASK_SCHEDULED
                                                   : TASK_QUEUED);
    task_release(&t);
}

START_TEST(test_store_wake_walks)
{
    long rounds = fixture_setting("FUT_WALKS", 1);
    for (long round = 0; round < rounds; round++) {
        struct walker all[TASKS] = {0};
        struct task_id promises[8];
        size_t n = FUT_COUNT(promises);
        begin(_i);
        for (size_t i = 0; i < TASKS; i++)
            all[i].id = fixture_submit(&k, LANE_IO, "x");
        for (size_t i = 0; i < n; i++)
            promises[i] = promise();
        for (int step = 0; step < STEPS; step++) {
            struct walker *w = &all[pick(TASKS)];
            size_t at = pick((unsigned)n);
            unsigned what = pick(12);
            if (what == 0) {
                restart(all);
            } else if (what < 4) {
                if (!is_done(promises[at]))
                    complete(promises[at], "1");
                promises[at] = promise();
            } else if (what < 7) {
                claim_one(all);
            } else if (w->running.spec && what < 9) {
                (void)snprintf(w->saved, sizeof(w->saved), "%d", step);
                ck_assert_int_eq(fixture_checkpoint(&k, &w->running, w->saved), 0);
            } else if (w->running.spec) {
                suspend_one(w, promises, n);
            }
            check(w);
        }
        for (size_t i = 0; i < TASKS; i++)
            end_one(&all[i]);
        end();
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_wake_by_the_last_of_several_ends,
        test_store_wake_of_futures_that_are_done,
        test_store_wake_of_an_unknown_future_is_refused,
        test_store_wake_at_its_time,
        test_store_wake_is_dropped_by_the_next_suspension,
        test_store_wake_of_a_parent_that_lives_again,
        test_store_wake_by_the_end_of_a_batch,
        test_store_wake_walks,
    };
    return fixture_run_on_all("store contract: wakes", tests, FUT_COUNT(tests));
}
