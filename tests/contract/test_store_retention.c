/* The contract of store.h, on every backend: how long the done futures of queues are kept that say
 * so themselves. */
#include <check.h>
#include <sched.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "tests/contract/fixture.h"

#define HOUR_MS 3600000LL

static struct fixture k;

static void end(void)
{
    fixture_close(&k);
}

static void keep(const char *queue, int64_t ms)
{
    struct store_queue is = {.retention_ms = ms};
    ck_assert_int_eq(fixture_queue_set(&k, queue, STORE_QUEUE_RETENTION, &is), 0);
}

static bool is_there(struct task_id id)
{
    struct task t;
    int rc = fixture_get(&k, id, &t);
    if (rc == 0)
        task_release(&t);
    return rc == 0;
}

/* n tasks in these queues; of a batch, or each for itself. */
static struct task_id submit(const char *const *queues, uint32_t n, bool is_batch,
                             struct task_id *ids)
{
    struct store_batch batch = {.id = id_new(), .total = n, .created_wall_ms = clock_wall_ms()};
    struct task tasks[4];
    for (uint32_t i = 0; i < n; i++) {
        tasks[i] = fixture_task(LANE_IO, "echo", "x");
        struct task_spec spec = *tasks[i].spec;
        spec.queue = queues[i];
        spec.batch = is_batch ? batch.id : spec.batch;
        spec.batch_pos = i;
        ids[i] = spec.id;
        fixture_respec(&tasks[i], &spec);
    }
    struct store_submit o = {.tasks = tasks, .n = n, .batch = is_batch ? &batch : NULL};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    for (uint32_t i = 0; i < n; i++)
        task_release(&tasks[i]);
    return batch.id;
}

static void finish(struct task_id id)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    task_release(&t);
}

static struct task_id finish_new(const char *queue)
{
    struct task_id id;
    (void)submit(&queue, 1, false, &id);
    finish(id);
    return id;
}

START_TEST(test_store_retention_of_a_queue_is_longer)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    keep("audit", HOUR_MS);
    struct task_id kept = finish_new("audit");
    (void)finish_new(NULL);
    (void)finish_new("mail");
    fixture_wait_pruned(&k, 2);
    ck_assert(is_there(kept));
    if (strcmp(k.backend, "memory") != 0) {
        fixture_stop(&k);
        fixture_reopen(&k);
        (void)finish_new(NULL);
        (void)finish_new("audit");
        fixture_wait_pruned(&k, 1);
        ck_assert(is_there(kept));
    }
    ck_assert_int_eq(fixture_delete(&k, kept), 0);
    end();
}
END_TEST

START_TEST(test_store_retention_of_a_queue_is_shorter)
{
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    keep("bulk", 1);
    keep(TASK_QUEUE_DEFAULT, 2);
    (void)finish_new("bulk");
    (void)finish_new(NULL);
    struct task_id other = finish_new("mail");
    fixture_wait_pruned(&k, 2);
    ck_assert(is_there(other));
    end();
}
END_TEST

/* What has ended goes when it was to go. */
START_TEST(test_store_retention_holds_for_what_ends_from_then_on)
{
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    keep("audit", HOUR_MS);
    struct task_id before = finish_new("audit");
    keep("audit", 0);
    (void)finish_new("audit");
    fixture_wait_pruned(&k, 1);
    keep("audit", HOUR_MS);
    struct store_queue_drop o = {.name = "audit"};
    struct task_id second = finish_new("audit");
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_drop, &o.op), 0);
    (void)finish_new("audit");
    fixture_wait_pruned(&k, 2);
    ck_assert(is_there(before));
    ck_assert(is_there(second));
    end();
}
END_TEST

START_TEST(test_store_retention_is_that_of_the_last_end)
{
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    keep("audit", HOUR_MS);
    struct task_id id = finish_new("audit");
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    keep("audit", 1);
    (void)finish_new("audit");
    fixture_wait_pruned(&k, 1);
    ck_assert(is_there(id)); /* it is unfinished */
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    task_release(&t);
    fixture_wait_pruned(&k, 2);
    ck_assert(!is_there(id));
    end();
}
END_TEST

static int find_batch(struct task_id id)
{
    struct store_batch_get o = {.id = id};
    return fixture_batch_get(&k, &o);
}

START_TEST(test_store_retention_a_batch_counts_from_its_end)
{
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    static const char *const queues[] = {"bulk", "bulk"};
    struct task_id ids[2], batch = submit(queues, 2, true, ids);
    keep("bulk", 1);
    finish(ids[0]);
    (void)finish_new("bulk");
    fixture_wait_pruned(&k, 1);
    ck_assert(is_there(ids[0]));
    finish(ids[1]);
    fixture_wait_pruned(&k, 3);
    ck_assert_int_eq(find_batch(batch), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

/* The longest time of its members, in whatever order they end; by the store's, it also goes. */
START_TEST(test_store_retention_a_batch_is_kept_for_the_longest)
{
    static const char *const queues[] = {"audit", "bulk", NULL}, *const most[] = {NULL, "bulk"};
    fixture_open_retaining(&k, fixture_backends[_i], 30);
    struct task_id ids[3], rest[2], kept = submit(queues, 3, true, ids);
    struct task_id goes = submit(most, 2, true, rest);
    keep("bulk", 1);
    keep("audit", HOUR_MS);
    for (size_t i = 0; i < 3; i++)
        finish(ids[i]);
    finish(rest[0]);
    finish(rest[1]);
    fixture_wait_pruned(&k, 2);
    ck_assert_int_eq(find_batch(goes), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(find_batch(kept), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert(is_there(ids[i]));
    end();
}
END_TEST

/* One member's queue says an hour, and a restart is between their ends. */
START_TEST(test_store_retention_of_a_batch_outlives_a_restart)
{
    static const char *const queues[] = {"audit", "mail"};
    fixture_open_retaining(&k, fixture_backends[_i], 1);
    struct task_id ids[2], batch = submit(queues, 2, true, ids);
    keep("audit", HOUR_MS);
    finish(ids[0]);
    struct store_queue_drop o = {.name = "audit"};
    ck_assert_int_eq(fixture_do(&k, &store_verb_queue_drop, &o.op), 0);
    if (strcmp(k.backend, "memory") != 0) {
        fixture_stop(&k);
        fixture_reopen(&k);
    }
    finish(ids[1]);
    (void)finish_new(NULL);
    fixture_wait_pruned(&k, 1);
    ck_assert_int_eq(find_batch(batch), 0);
    ck_assert(is_there(ids[1]));
    ck_assert_int_eq(fixture_delete(&k, ids[0]), 0);
    ck_assert_int_eq(fixture_delete(&k, ids[1]), 0);
    ck_assert_int_eq(find_batch(batch), FUT_ERR_NOT_FOUND);
    (void)finish_new(NULL);
    fixture_wait_pruned(&k, 2);
    end();
}
END_TEST

/* A member that lives again stops the time of its batch. */
START_TEST(test_store_retention_of_a_batch_ends_with_another_life)
{
    static const char *const queues[] = {"bulk", "bulk"};
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    struct task_id ids[2];
    struct task t;
    (void)submit(queues, 2, true, ids);
    keep("bulk", 400);
    finish(ids[0]);
    finish(ids[1]);
    ck_assert_int_eq(fixture_get(&k, ids[1], &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    (void)finish_new("bulk");
    fixture_wait_pruned(&k, 1);
    ck_assert(is_there(ids[0]));
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_CANCEL, NULL), 0);
    task_release(&t);
    fixture_wait_pruned(&k, 3);
    end();
}
END_TEST

/* Many more than one step, beside as many that are kept. */
START_TEST(test_store_retention_of_queues_keeps_up)
{
    enum { N = 300, STEP = 300 };
    static struct task tasks[STEP];
    fixture_open_retaining(&k, fixture_backends[_i], HOUR_MS);
    keep("bulk", 1);
    keep("audit", HOUR_MS);
    for (int i = 0; i < 2 * N; i += STEP) {
        for (int j = 0; j < STEP; j++) {
            tasks[j] = fixture_task(LANE_IO, "echo", "x");
            struct task_spec spec = *tasks[j].spec;
            spec.queue = j % 2 ? "bulk" : "audit";
            fixture_respec(&tasks[j], &spec);
        }
        ck_assert_int_eq(fixture_submit_n(&k, tasks, STEP), 0);
        for (int j = 0; j < STEP; j++) {
            ck_assert_int_eq(fixture_apply(&k, &tasks[j], EVENT_CANCEL, NULL), 0);
            task_release(&tasks[j]);
        }
    }
    fixture_wait_pruned(&k, N);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_retention_of_a_queue_is_longer,
        test_store_retention_of_a_queue_is_shorter,
        test_store_retention_holds_for_what_ends_from_then_on,
        test_store_retention_is_that_of_the_last_end,
        test_store_retention_a_batch_counts_from_its_end,
        test_store_retention_a_batch_is_kept_for_the_longest,
        test_store_retention_of_a_batch_outlives_a_restart,
        test_store_retention_of_a_batch_ends_with_another_life,
        test_store_retention_of_queues_keeps_up,
    };
    return fixture_run_on_all("store_retention", tests, FUT_COUNT(tests));
}
