/* The contract of store.h, on every backend: tasks that were submitted by others. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "tests/contract/fixture.h"

static struct fixture k;

/* A task that names its parent. */
static struct task make(const struct task *parent)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    if (parent)
        spec.parent = parent->spec->id;
    fixture_respec(&t, &spec);
    return t;
}

static int submit_under(const struct task *parent, uint32_t attempt, const struct task *tasks,
                        size_t n)
{
    struct store_submit o = {
        .tasks = tasks, .n = n, .parent = parent->spec->id, .parent_attempt = attempt};
    return fixture_submit_op(&k, &o);
}

/* A running task without a parent. */
static struct task run_root(void)
{
    (void)fixture_submit(&k, LANE_IO, "root");
    return fixture_claim_one(&k);
}

/* Submits a task under a running one and lets it run. */
static struct task run_under(const struct task *parent)
{
    struct task t = make(parent);
    ck_assert_int_eq(submit_under(parent, parent->attempt, &t, 1), 0);
    task_release(&t);
    return fixture_claim_one(&k);
}

static int cancel_tree(struct task_id id)
{
    struct store_tree_cancel o = {.id = id};
    return fixture_do(&k, &store_verb_tree_cancel, &o.op);
}

static void expect(struct task_id id, enum task_state state)
{
    struct task t = fixture_wait_state(&k, id, state);
    task_release(&t);
}

START_TEST(test_store_tree_parent_is_kept)
{
    struct task seen;
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root(), child = run_under(&root);
    ck_assert_int_eq(fixture_get(&k, child.spec->id, &seen), 0);
    ck_assert(id_equal(seen.spec->parent, root.spec->id));
    task_release(&seen);
    fixture_reopen_kept(&k);
    ck_assert_int_eq(fixture_get(&k, child.spec->id, &seen), 0);
    ck_assert(id_equal(seen.spec->parent, root.spec->id));
    task_release(&seen);
    ck_assert_int_eq(fixture_get(&k, root.spec->id, &seen), 0);
    ck_assert(!seen.spec->parent.hi);
    task_release(&seen);
    task_release(&child);
    task_release(&root);
    fixture_close(&k);
}
END_TEST

/* Only the attempt that runs submits: not one before or behind it, and nothing comes half. */
START_TEST(test_store_tree_only_a_running_attempt_submits)
{
    struct task seen;
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root();
    struct task two[] = {make(&root), make(&root)};
    ck_assert_int_eq(submit_under(&root, root.attempt + 1, two, 2), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_get(&k, two[0].spec->id, &seen), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(submit_under(&root, root.attempt, &two[0], 1), 0);
    ck_assert_int_eq(fixture_apply(&k, &root, EVENT_RELEASE, NULL), 0);
    ck_assert_int_eq(submit_under(&root, root.attempt, &two[1], 1), FUT_ERR_STALE);
    for (int i = 0; i < 2; i++) {
        struct task t = fixture_claim_one(&k);
        ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
        ck_assert_int_eq(submit_under(&t, t.attempt, &two[1], 1), FUT_ERR_STALE);
        task_release(&t);
    }
    ck_assert_int_eq(fixture_get(&k, two[1].spec->id, &seen), FUT_ERR_NOT_FOUND);
    task_release(&two[0]);
    task_release(&two[1]);
    task_release(&root);
    fixture_close(&k);
}
END_TEST

static size_t list(const char *filter, struct task_id *out)
{
    struct task tasks[8];
    struct store_list o = {.limit = 8, .tasks = tasks};
    ck_assert_int_eq(task_filter_read(filter, &o.filter), 0);
    ck_assert_int_eq(fixture_list(&k, &o), 0);
    for (size_t i = 0; i < o.n; i++) {
        out[i] = tasks[i].spec->id;
        task_release(&tasks[i]);
    }
    return o.n;
}

START_TEST(test_store_tree_filter_by_parent)
{
    char id[ID_TEXT_SIZE], filter[64];
    struct task_id found[8];
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root(), a = run_under(&root), b = run_under(&root), c = run_under(&a);
    id_format(root.spec->id, id);
    (void)snprintf(filter, sizeof(filter), "parent=%s", id);
    ck_assert_uint_eq(list(filter, found), 2);
    ck_assert(id_equal(found[0], b.spec->id) && id_equal(found[1], a.spec->id));
    ck_assert_int_eq(fixture_succeed(&k, &a, "r"), 0);
    (void)snprintf(filter, sizeof(filter), "state=running&parent=%s", id);
    ck_assert_uint_eq(list(filter, found), 1);
    (void)snprintf(filter, sizeof(filter), "parent=%s", id);
    struct store_bulk bulk = fixture_bulk(&k, STORE_BULK_CANCEL, filter);
    ck_assert_uint_eq(bulk.changed, 1);
    ck_assert_uint_eq(bulk.seen, 2); /* and no other future */
    expect(b.spec->id, TASK_CANCELLED);
    expect(c.spec->id, TASK_RUNNING);
    bulk = fixture_bulk(&k, STORE_BULK_RETRY, filter);
    ck_assert_uint_eq(bulk.changed, 1);
    bulk = fixture_bulk(&k, STORE_BULK_DELETE, filter);
    ck_assert_uint_eq(bulk.changed, 1);
    ck_assert_uint_eq(list(filter, found), 1);
    task_release(&root);
    task_release(&a);
    task_release(&b);
    task_release(&c);
    fixture_close(&k);
}
END_TEST

/* root -> {done -> below, running}; another root stays. */
START_TEST(test_store_tree_cancel_reaches_all)
{
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root(), other = run_root(), done = run_under(&root);
    struct task below = run_under(&done), running = run_under(&root), foreign = run_under(&other);
    ck_assert_int_eq(fixture_succeed(&k, &done, "r"), 0);
    struct task queued = make(&below);
    ck_assert_int_eq(submit_under(&below, below.attempt, &queued, 1), 0);
    ck_assert_int_eq(cancel_tree(root.spec->id), 0);
    expect(root.spec->id, TASK_CANCELLED);
    expect(running.spec->id, TASK_CANCELLED);
    expect(below.spec->id, TASK_CANCELLED);
    expect(queued.spec->id, TASK_CANCELLED);
    expect(done.spec->id, TASK_SUCCEEDED);
    expect(other.spec->id, TASK_RUNNING);
    expect(foreign.spec->id, TASK_RUNNING);
    struct task late = make(&running);
    ck_assert_int_eq(submit_under(&running, running.attempt, &late, 1), FUT_ERR_STALE);
    ck_assert_int_eq(cancel_tree(late.spec->id), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(cancel_tree(root.spec->id), 0); /* again: nothing is left to do */
    struct task *all[] = {&root, &other, &done, &below, &running, &foreign, &queued, &late};
    for (size_t i = 0; i < FUT_COUNT(all); i++)
        task_release(all[i]);
    fixture_close(&k);
}
END_TEST

/* The root is done; there are more below it than one step takes. */
START_TEST(test_store_tree_cancel_in_steps)
{
    enum { N = 1500 };
    static struct task t[N];
    fixture_open(&k, fixture_backends[_i]);
    fixture_stop(&k);
    k.cfg.retention_ms = 0; /* nothing else wakes the writer for the next step */
    fixture_reopen(&k);
    struct task root = run_root(), middle = run_under(&root);
    for (size_t i = 0; i < N; i++)
        t[i] = make(&middle);
    ck_assert_int_eq(submit_under(&middle, middle.attempt, t, N), 0);
    ck_assert_int_eq(fixture_succeed(&k, &middle, "r"), 0);
    ck_assert_int_eq(fixture_succeed(&k, &root, "r"), 0);
    ck_assert_int_eq(cancel_tree(root.spec->id), 0);
    fixture_reopen_kept(&k); /* it goes on where it was */
    for (size_t i = 0; i < N; i++) {
        expect(t[i].spec->id, TASK_CANCELLED);
        task_release(&t[i]);
    }
    expect(root.spec->id, TASK_SUCCEEDED);
    task_release(&middle);
    task_release(&root);
    fixture_close(&k);
}
END_TEST

/* Deeper ones first, those of one parent in order; a priority counts more. */
START_TEST(test_store_tree_goes_to_the_bottom_first)
{
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root();
    struct task_id behind = fixture_submit(&k, LANE_IO, "behind");
    struct task a = make(&root), b = make(&root);
    ck_assert_int_eq(submit_under(&root, root.attempt, &a, 1), 0);
    ck_assert_int_eq(submit_under(&root, root.attempt, &b, 1), 0);
    struct task first = fixture_claim_one(&k);
    ck_assert(id_equal(first.spec->id, a.spec->id));
    struct task deeper = make(&first);
    ck_assert_int_eq(submit_under(&first, first.attempt, &deeper, 1), 0);
    const struct task_id order[] = {deeper.spec->id, b.spec->id, behind};
    for (size_t i = 0; i < FUT_COUNT(order); i++) {
        struct task next = fixture_claim_one(&k);
        ck_assert(id_equal(next.spec->id, order[i]));
        task_release(&next);
    }
    task_release(&deeper);
    task_release(&first);
    task_release(&a);
    task_release(&b);
    task_release(&root);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_tree_batch_knows_its_parent)
{
    fixture_open(&k, fixture_backends[_i]);
    struct task root = run_root(), member = make(&root);
    struct task_spec spec = *member.spec;
    struct store_batch batch = {.id = id_new(), .total = 1, .parent = root.spec->id};
    spec.batch = batch.id;
    spec.id = id_new();
    fixture_respec(&member, &spec);
    struct store_submit o = {.tasks = &member,
                             .n = 1,
                             .batch = &batch,
                             .parent = root.spec->id,
                             .parent_attempt = root.attempt};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    fixture_reopen_kept(&k);
    struct store_batch_get get = {.id = batch.id};
    ck_assert_int_eq(fixture_batch_get(&k, &get), 0);
    ck_assert(id_equal(get.batch.parent, root.spec->id));
    task_release(&member);
    task_release(&root);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_tree_parent_is_kept,           test_store_tree_only_a_running_attempt_submits,
        test_store_tree_filter_by_parent,         test_store_tree_cancel_reaches_all,
        test_store_tree_cancel_in_steps,          test_store_tree_batch_knows_its_parent,
        test_store_tree_goes_to_the_bottom_first,
    };
    return fixture_run_on_all("store contract: trees", tests, FUT_COUNT(tests));
}
