/* The contract of store.h, on every backend: circles of waits, which are refused: of suspensions,
 * of `after`, and of waits under tokens. */
#include <check.h>
#include <string.h>

#include "core/attempt_token.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/results.h"
#include "tests/contract/fixture.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

static struct task claim(void)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    return t;
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

static int suspend(struct task *t, int64_t due_in_ms, const struct task_id *ids, size_t n)
{
    struct store_wakes w = {.ids = ids, .n = n};
    return fixture_suspend(&k, t, due_in_ms, &w);
}

static void expect_circle(struct task *t, const struct task_id *ids, size_t n,
                          const struct task_id *circle, size_t n_circle)
{
    struct store_wakes w = {.ids = ids, .n = n};
    ck_assert_int_eq(fixture_suspend(&k, t, -1, &w), FUT_ERR_CONFLICT);
    ck_assert_uint_eq(w.circle.n, n_circle);
    for (size_t i = 0; i < n_circle; i++)
        ck_assert(id_equal(w.circle.ids[i], circle[i]));
}

/* a for itself; a for b that is suspended for a; a for c that is to begin after b; a for the batch
 * of such a c. With a time there is no circle. */
START_TEST(test_store_wake_circles_are_refused)
{
    begin(_i);
    struct task_id a = fixture_submit(&k, LANE_IO, "a");
    struct task ta = claim();
    struct task_id b = fixture_submit(&k, LANE_IO, "b");
    struct task tb = claim();
    struct task c = fixture_task(LANE_IO, "echo", "c");
    struct store_batch batch = {.id = id_new(), .total = 1};
    struct task_spec spec = *c.spec;
    spec.batch = batch.id;
    fixture_respec(&c, &spec);
    c.state = TASK_SCHEDULED;
    struct store_edge e = {.parent = b, .on = STORE_ON_DONE};
    struct store_submit o = {.tasks = &c, .n = 1, .edges = &e, .n_edges = 1, .batch = &batch};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    expect_circle(&ta, &a, 1, &a, 1);
    ck_assert_int_eq(suspend(&tb, -1, &a, 1), 0);
    expect_circle(&ta, &b, 1, (struct task_id[]){a, b}, 2);
    struct task_id p = promise();
    expect_circle(&ta, (struct task_id[]){p, c.spec->id}, 2, (struct task_id[]){a, c.spec->id, b},
                  3);
    expect_circle(&ta, &batch.id, 1, (struct task_id[]){a, batch.id, c.spec->id, b}, 4);
    ck_assert_int_eq(suspend(&ta, 60000, &b, 1), 0);
    task_release(&ta);
    task_release(&tb);
    task_release(&c);
    end();
}
END_TEST

/* ---- circles with waits under tokens -----------------------------------------------------------
 */

/* A running task that has a token, and a wait under it. */
struct asker {
    struct task task;
    struct attempt_token *token;
    struct attempt_who who;
    struct attempt_wait wait;
};

static struct attempt_tokens *tokens;

static void begin_asker(struct asker *a)
{
    char text[ATTEMPT_TOKEN_SIZE];
    (void)fixture_submit(&k, LANE_IO, "x");
    *a = (struct asker){.task = claim()};
    a->who = (struct attempt_who){.task = a->task.spec->id, .attempt = 1, .lane = LANE_IO};
    a->token = attempt_token_begin(tokens, &a->who, text);
    ck_assert_int_eq(attempt_token_find(tokens, text, strlen(text), &a->who), 0);
}

static void end_asker(struct asker *a)
{
    attempt_token_end(tokens, &a->token);
    task_release(&a->task);
}

static void ask(struct asker *a, const struct task_id *ids, size_t n, bool is_any)
{
    struct attempt_circle c;
    attempt_token_go_on(tokens, &a->wait);
    a->wait = (struct attempt_wait){0};
    ck_assert_int_eq(attempt_token_wait(tokens, &a->wait, a->who.number, ids, n, is_any, &c), 0);
}

/* What the store says of the wait that a asks for. */
static void expect_answer(struct asker *a, const struct task_id *ids, size_t n, bool is_any,
                          const struct task_id *circle, size_t n_circle)
{
    struct store_find_circle o = {.task = a->who.task, .ids = ids, .n = n, .is_any = is_any};
    ask(a, ids, n, is_any);
    int rc = fixture_do(&k, &store_verb_find_circle, &o.op);
    ck_assert_int_eq(rc, n_circle ? FUT_ERR_CONFLICT : 0);
    if (n_circle)
        ck_assert_uint_eq(o.circle.n, n_circle);
    for (size_t i = 0; i < n_circle; i++)
        ck_assert(id_equal(o.circle.ids[i], circle[i]));
}

static void begin_with_tokens(int i, struct asker *askers, size_t n)
{
    begin(i);
    tokens = attempt_token_table_new();
    store_set_tokens(k.store, tokens);
    for (size_t at = 0; at < n; at++)
        begin_asker(&askers[at]);
}

static void end_with_tokens(struct asker *askers, size_t n)
{
    end();
    for (size_t at = 0; at < n; at++)
        end_asker(&askers[at]);
    attempt_token_table_free(&tokens);
}

/* b is suspended for a, so a must not wait for b, nor for x that waits for b. Of several of which
 * the first is enough all must wait for a. */
START_TEST(test_store_wake_circle_closed_under_a_token)
{
    struct asker all[3], *a = &all[0], *b = &all[1], *x = &all[2];
    begin_with_tokens(_i, all, 3);
    struct task_id p = promise(), ia = a->who.task, ib = b->who.task, ix = x->who.task;
    expect_answer(a, &ib, 1, false, NULL, 0);
    ck_assert(!store_has_waits(k.store));
    attempt_token_go_on(tokens, &a->wait);
    a->wait = (struct attempt_wait){0};
    ck_assert_int_eq(suspend(&b->task, -1, &ia, 1), 0);
    ck_assert(store_has_waits(k.store));
    expect_answer(a, &ib, 1, false, (struct task_id[]){ia, ib}, 2);
    expect_answer(a, (struct task_id[]){p, ib}, 2, false, (struct task_id[]){ia, ib}, 2);
    expect_answer(a, (struct task_id[]){p, ib}, 2, true, NULL, 0);
    expect_answer(a, &p, 1, false, NULL, 0);
    ask(x, &ib, 1, false);
    expect_answer(a, &ix, 1, false, (struct task_id[]){ia, ix, ib}, 3);
    ask(x, (struct task_id[]){ib, p}, 2, true);
    expect_answer(a, &ix, 1, false, NULL, 0);
    end_with_tokens(all, 3);
}
END_TEST

/* b, which a waits for under its token, is suspended for a, or for what waits for a; so is b when a
 * waits for the first of two that both wait for b. */
START_TEST(test_store_wake_circle_closed_by_a_suspension)
{
    struct asker all[4], *a = &all[0], *b = &all[1], *c = &all[2], *d = &all[3];
    begin_with_tokens(_i, all, 4);
    struct task_id p = promise(), ia = a->who.task, ib = b->who.task, ic = c->who.task,
                   id = d->who.task;
    ask(a, &ib, 1, false);
    expect_circle(&b->task, &ia, 1, (struct task_id[]){ib, ia}, 2);
    ck_assert_int_eq(suspend(&c->task, -1, &ia, 1), 0);
    expect_circle(&b->task, &ic, 1, (struct task_id[]){ib, ic, ia}, 3);
    ask(a, (struct task_id[]){p, ib}, 2, true);
    ck_assert_int_eq(suspend(&d->task, -1, &ib, 1), 0);
    ask(a, (struct task_id[]){id, ib}, 2, true);
    expect_circle(&b->task, &ic, 1, (struct task_id[]){ib, ic, ia, id}, 4);
    ask(a, (struct task_id[]){p, ib}, 2, true);
    ck_assert_int_eq(suspend(&b->task, -1, &ic, 1), 0);
    end_with_tokens(all, 4);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_wake_circles_are_refused,
        test_store_wake_circle_closed_under_a_token,
        test_store_wake_circle_closed_by_a_suspension,
    };
    return fixture_run_on_all("store contract: circles", tests, FUT_COUNT(tests));
}
