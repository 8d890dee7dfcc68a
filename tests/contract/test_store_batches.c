/* The contract of store.h, on every backend: batches, keys, tasks that wait, reports. */
#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
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

enum { N = 5 };

/* A batch of N tasks on the io lane. */
static struct task_id submit_batch(bool fail_fast, struct task tasks[N])
{
    struct store_batch batch = {
        .id = id_new(), .total = N, .fail_fast = fail_fast, .created_wall_ms = clock_wall_ms()};
    for (uint32_t i = 0; i < N; i++) {
        struct task plain = fixture_task(LANE_IO, "echo", "member");
        struct task_spec spec = *plain.spec;
        spec.batch = batch.id;
        spec.batch_pos = i;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        task_release(&plain);
    }
    ck_assert_int_eq(fixture_submit_batch(&k, tasks, N, &batch), 0);
    return batch.id;
}

static void release_all(struct task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
}

static struct store_batch read_batch(struct task_id id)
{
    struct store_batch_get o = {.id = id};
    ck_assert_int_eq(fixture_batch_get(&k, &o), 0);
    return o.batch;
}

START_TEST(test_store_batch_counts_its_members)
{
    begin(_i);
    struct task tasks[N], claimed[2];
    struct task_id id = submit_batch(false, tasks);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, claimed), 2);
    ck_assert(id_equal(claimed[0].spec->batch, id));
    ck_assert_int_eq(fixture_succeed(&k, &claimed[0], "r"), 0);
    ck_assert_int_eq(fixture_apply(&k, &claimed[1], EVENT_FAIL, NULL), 0);
    struct store_batch b = read_batch(id);
    ck_assert_uint_eq(b.total, N);
    ck_assert_uint_eq(b.counts[TASK_QUEUED], N - 2);
    ck_assert_uint_eq(b.counts[TASK_SUCCEEDED], 1);
    ck_assert_uint_eq(b.counts[TASK_FAILED], 1);
    ck_assert(!b.fail_fast && !b.cancelling);
    ck_assert_int_gt(b.finished_wall_ms, 0);
    struct store_batch_get wrong = {.id = {id.hi, id.lo ^ 1}};
    ck_assert_int_eq(fixture_batch_get(&k, &wrong), FUT_ERR_NOT_FOUND);
    release_all(tasks, N);
    release_all(claimed, 2);
    end();
}
END_TEST

static struct store_batch_list list_batches(enum store_batches which, uint64_t before,
                                            struct store_batch_row *rows)
{
    struct store_batch_list o = {.which = which, .before = before, .limit = 2, .rows = rows};
    ck_assert_int_eq(fixture_do(&k, &store_verb_batch_list, &o.op), 0);
    return o;
}

START_TEST(test_store_batches_are_listed)
{
    begin(_i);
    struct task tasks[N], claimed[3];
    struct store_batch_row rows[2];
    struct task_id ids[3];
    for (int i = 0; i < 3; i++) {
        ids[i] = submit_batch(i == 1, tasks);
        release_all(tasks, N);
    }
    ck_assert_int_eq(fixture_batch_cancel(&k, ids[2]), 0); /* is done */
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed[i]), 1);
    ck_assert(id_equal(claimed[2].spec->batch, ids[0]));
    ck_assert_int_eq(fixture_succeed(&k, &claimed[0], "r"), 0);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[1], "r"), 0);
    ck_assert_int_eq(fixture_apply(&k, &claimed[2], EVENT_FAIL, NULL), 0);
    release_all(claimed, 3);
    struct store_batch_list o;
    do /* a batch is cancelled in steps */
        o = list_batches(STORE_BATCHES_DONE, 0, rows);
    while (o.n == 0);
    ck_assert_uint_eq(o.n, 1);
    ck_assert(id_equal(rows[0].batch.id, ids[2]));
    ck_assert_uint_eq(rows[0].batch.counts[TASK_CANCELLED], N);
    o = list_batches(STORE_BATCHES_ALL, 0, rows);
    ck_assert(o.n == 2 && o.next == ids[1].hi);
    ck_assert(id_equal(rows[0].batch.id, ids[2]) && id_equal(rows[1].batch.id, ids[1]));
    ck_assert(rows[1].batch.fail_fast && rows[1].unfinished == N);
    o = list_batches(STORE_BATCHES_UNFINISHED, 0, rows);
    ck_assert(o.n == 2 && o.next == 0);
    ck_assert(id_equal(rows[1].batch.id, ids[0]));
    o = list_batches(STORE_BATCHES_ALL, ids[1].hi, rows);
    ck_assert(o.n == 1 && o.next == 0 && rows[0].batch.total == N && rows[0].unfinished == N - 3);
    ck_assert_uint_eq(rows[0].batch.counts[TASK_SUCCEEDED], 2);
    ck_assert_uint_eq(rows[0].batch.counts[TASK_FAILED], 1);
    end();
}
END_TEST

START_TEST(test_store_batch_members_in_order)
{
    begin(_i);
    struct task tasks[N], page[2], claimed;
    struct task_id id = submit_batch(false, tasks);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed), 1);
    ck_assert_int_eq(fixture_succeed(&k, &claimed, "first"), 0);
    for (uint32_t from = 0; from < N; from += 2) {
        struct store_members o = {
            .id = id, .from = from, .with_body = true, .page = {.limit = 2, .tasks = page}};
        ck_assert_int_eq(fixture_members(&k, &o), 0);
        ck_assert_uint_eq(o.page.n, N - from < 2 ? N - from : 2);
        for (size_t i = 0; i < o.page.n; i++)
            ck_assert(id_equal(page[i].spec->id, tasks[from + i].spec->id));
        if (from == 0)
            ck_assert_mem_eq(page[0].outcome->body, "first", 5);
        release_all(page, o.page.n);
    }
    release_all(tasks, N);
    task_release(&claimed);
    end();
}
END_TEST

START_TEST(test_store_batch_cancel_ends_all_unfinished)
{
    begin(_i);
    struct task tasks[N], claimed;
    struct task_id id = submit_batch(false, tasks);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed), 1);
    ck_assert_int_eq(fixture_batch_cancel(&k, id), 0);
    for (int i = 0; i < N; i++) {
        struct task t = fixture_wait_state(&k, tasks[i].spec->id, TASK_CANCELLED);
        ck_assert_str_eq(t.outcome->code, "cancelled");
        task_release(&t);
    }
    ck_assert_int_eq(fixture_succeed(&k, &claimed, "late"), FUT_ERR_STALE);
    ck_assert_int_eq(fixture_batch_cancel(&k, id_new()), FUT_ERR_NOT_FOUND);
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED] + stats.live[LANE_IO][TASK_RUNNING], 0);
    release_all(tasks, N);
    task_release(&claimed);
    end();
}
END_TEST

START_TEST(test_store_batch_fail_fast)
{
    begin(_i);
    struct task tasks[N], claimed[2];
    struct task_id id = submit_batch(true, tasks);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, claimed), 2);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[0], "kept"), 0);
    ck_assert_int_eq(fixture_apply(&k, &claimed[1], EVENT_FAIL, NULL), 0);
    for (int i = 2; i < N; i++) {
        struct task t = fixture_wait_state(&k, tasks[i].spec->id, TASK_CANCELLED);
        task_release(&t);
    }
    struct store_batch b = read_batch(id);
    ck_assert_uint_eq(b.counts[TASK_SUCCEEDED], 1);
    ck_assert_uint_eq(b.counts[TASK_FAILED], 1);
    ck_assert_uint_eq(b.counts[TASK_CANCELLED], N - 2);
    release_all(tasks, N);
    release_all(claimed, 2);
    end();
}
END_TEST

START_TEST(test_store_get_many)
{
    begin(_i);
    struct task_id ids[3] = {fixture_submit(&k, LANE_IO, "1"), id_new(),
                             fixture_submit(&k, LANE_CPU, "2")};
    struct store_brief briefs[3];
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    struct store_get_many o = {.ids = ids, .n = 3, .briefs = briefs};
    ck_assert_int_eq(fixture_get_many(&k, &o), 0);
    ck_assert(briefs[0].found && briefs[0].state == TASK_SUCCEEDED && briefs[0].seq == t.seq);
    ck_assert(!briefs[1].found);
    ck_assert(briefs[2].found && briefs[2].state == TASK_QUEUED && briefs[2].seq == 0);
    task_release(&t);
    end();
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

static struct store_submit submit_keyed(const char *key, unsigned char print, struct task_id *out)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct store_key sk = {.key = key, .fingerprint = {print}};
    struct store_submit o = {.tasks = &t, .n = 1, .key = &sk};
    *out = t.spec->id;
    (void)fixture_submit_op(&k, &o);
    task_release(&t);
    return o;
}

START_TEST(test_store_idempotency_key)
{
    begin(_i);
    struct task_id first, other;
    struct store_submit o = submit_keyed("key-1", 1, &first);
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_NEW);
    o = submit_keyed("key-1", 1, &other);
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_REPLAYED);
    ck_assert(id_equal(o.existing, first));
    o = submit_keyed("key-1", 2, &other);
    ck_assert_int_eq(o.op.rc, FUT_ERR_CONFLICT);
    o = submit_keyed("key-2", 2, &other);
    ck_assert_int_eq(o.submitted, STORE_NEW);
    struct store_stats stats;
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.submitted, 2);
    end();
}
END_TEST

static struct store_submit submit_unique(const char *unique, struct task_id *out)
{
    struct task t = fixture_unique(unique);
    struct store_submit o = {.tasks = &t, .n = 1};
    *out = t.spec->id;
    (void)fixture_submit_op(&k, &o);
    task_release(&t);
    return o;
}

START_TEST(test_store_unique_coalesces_while_unfinished)
{
    begin(_i);
    struct task_id first, second;
    struct task t;
    (void)submit_unique("nightly", &first);
    struct store_submit o = submit_unique("nightly", &second);
    ck_assert_int_eq(o.op.rc, 0);
    ck_assert_int_eq(o.submitted, STORE_COALESCED);
    ck_assert(id_equal(o.existing, first));
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    o = submit_unique("nightly", &second);
    ck_assert_int_eq(o.submitted, STORE_COALESCED); /* onto the running one, too */
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    o = submit_unique("nightly", &second);
    ck_assert_int_eq(o.submitted, STORE_NEW);
    task_release(&t);
    end();
}
END_TEST

/* ---- tasks that wait for others, reports ------------------------------------------------------
 */

START_TEST(test_store_callback_is_queued_by_the_end_of_its_task)
{
    begin(_i);
    struct task plain[2] = {fixture_task(LANE_IO, "echo", "x"),
                            fixture_task(LANE_CPU, "tell", "y")};
    struct task_spec specs[2] = {*plain[0].spec, *plain[1].spec};
    specs[0].callback = specs[1].id;
    specs[1].after = specs[0].id;
    struct task two[2] = {{.spec = task_spec_new(&specs[0]), .state = TASK_QUEUED},
                          {.spec = task_spec_new(&specs[1]), .state = TASK_SCHEDULED}};
    struct task t, child;
    ck_assert_int_eq(fixture_submit_n(&k, two, 2), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    child = fixture_wait_state(&k, specs[1].id, TASK_SCHEDULED);
    ck_assert(id_equal(child.spec->after, specs[0].id));
    task_release(&child);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &child), 1);
    ck_assert(id_equal(child.spec->id, specs[1].id));
    static const char begin[] = "y\n{\"id\":\"", says[] = "\"state\":\"succeeded\",\"attempt\":1,";
    ck_assert_uint_gt(child.spec->input_len, sizeof(begin));
    ck_assert_int_eq(memcmp(child.spec->input, begin, sizeof(begin) - 1), 0);
    ck_assert_ptr_nonnull(memmem(child.spec->input, child.spec->input_len, says, sizeof(says) - 1));
    task_release(&child);
    task_release(&t);
    release_all(two, 2);
    release_all(plain, 2);
    end();
}
END_TEST

/* ---- the callback of a batch ----------------------------------------------------------------- */

static atomic_int done;

/* A batch of n tasks (N at most) on the io lane, told of by a task on the cpu lane. */
static struct store_batch submit_told_batch_of(uint32_t n, bool fail_fast)
{
    struct store_batch batch = {.id = id_new(),
                                .total = n,
                                .fail_fast = fail_fast,
                                .created_wall_ms = clock_wall_ms(),
                                .callback = id_new()};
    struct task all[N + 1];
    for (uint32_t i = 0; i <= n; i++) {
        bool is_callback = i == n;
        struct task plain = fixture_task(is_callback ? LANE_CPU : LANE_IO, "echo", "in");
        struct task_spec spec = *plain.spec;
        if (is_callback) {
            spec.id = batch.callback;
            spec.after = batch.id;
        } else {
            spec.batch = batch.id;
            spec.batch_pos = i;
        }
        all[i] = (struct task){.spec = task_spec_new(&spec),
                               .state = is_callback ? TASK_SCHEDULED : TASK_QUEUED};
        task_release(&plain);
    }
    ck_assert_int_eq(fixture_submit_batch(&k, all, n + 1, &batch), 0);
    release_all(all, n + 1);
    return batch;
}

static struct store_batch submit_told_batch(bool fail_fast)
{
    return submit_told_batch_of(N, fail_fast);
}

static struct task claim_callback(struct task_id id, const char *counts)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_CPU, 1, &t), 1);
    ck_assert(id_equal(t.spec->id, id));
    ck_assert_msg(memmem(t.spec->input, t.spec->input_len, counts, strlen(counts)) != NULL,
                  "%.*s lacks %s", (int)t.spec->input_len, (const char *)t.spec->input, counts);
    ck_assert_int_eq(memcmp(t.spec->input, "in\n{", 4), 0);
    return t;
}

static void check_waits(struct task_id callback, struct task_id batch)
{
    struct task t = fixture_wait_state(&k, callback, TASK_SCHEDULED);
    ck_assert(id_equal(t.spec->after, batch));
    task_release(&t);
}

/* Claims n members; the first fails, the rest succeed. */
static void end_members(size_t n, struct task *members)
{
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, n, members), n);
    ck_assert_int_eq(fixture_apply(&k, &members[0], EVENT_FAIL, NULL), 0);
    for (size_t i = 1; i < n; i++)
        ck_assert_int_eq(fixture_succeed(&k, &members[i], "r"), 0);
}

/* In the commit of the last end, and no sooner; what was deleted by then is counted. */
START_TEST(test_store_batch_callback_is_queued_by_the_last_end)
{
    begin(_i);
    struct task members[N - 1], last;
    struct store_batch batch = submit_told_batch(false);
    ck_assert(id_equal(read_batch(batch.id).callback, batch.callback));
    end_members(N - 1, members);
    ck_assert_int_eq(fixture_delete(&k, members[0].spec->id), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &last), 1);
    check_waits(batch.callback, batch.id);
    ck_assert_int_eq(fixture_succeed(&k, &last, "r"), 0);
    struct task told = claim_callback(
        batch.callback, "\"total\":5,\"counts\":{\"succeeded\":4,\"failed\":1,\"cancelled\":0}");
    ck_assert_int_eq(fixture_succeed(&k, &told, "204"), 0);
    task_release(&told);
    release_all(members, N - 1);
    task_release(&last);
    end();
}
END_TEST

START_TEST(test_store_batch_callback_after_fail_fast_and_restart)
{
    begin(_i);
    struct task member;
    struct store_batch batch = submit_told_batch(true);
    if (strcmp(k.backend, "memory") != 0)
        fixture_reopen(&k);
    end_members(1, &member);
    struct task told =
        claim_callback(batch.callback, "{\"succeeded\":0,\"failed\":1,\"cancelled\":4}");
    task_release(&told);
    task_release(&member);
    end();
}
END_TEST

/* Another life of a member: a batch that was done is told again, once; one that was not, once. */
START_TEST(test_store_batch_callback_of_another_life)
{
    begin(_i);
    struct task members[N], again;
    struct store_batch batch = submit_told_batch(false);
    end_members(N - 1, members);
    ck_assert_int_eq(fixture_revive(&k, &members[0]), 0); /* unfinished as it was */
    ck_assert(id_equal(read_batch(batch.id).callback, batch.callback));
    end_members(1, &members[N - 1]);
    end_members(1, &again);
    struct task told =
        claim_callback(batch.callback, "{\"succeeded\":3,\"failed\":2,\"cancelled\":0}");
    ck_assert_int_eq(fixture_revive(&k, &again), 0); /* the first is not delivered yet */
    struct task_id second = read_batch(batch.id).callback;
    ck_assert(!id_equal(second, batch.callback));
    check_waits(second, batch.id);
    task_release(&again);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &again), 1);
    ck_assert_int_eq(fixture_succeed(&k, &again, "r"), 0);
    struct task retold = claim_callback(second, "{\"succeeded\":4,\"failed\":1,\"cancelled\":0}");
    task_release(&retold);
    task_release(&told);
    release_all(members, N);
    task_release(&again);
    end();
}
END_TEST

static void count_done(struct store_op *op)
{
    (void)op;
    (void)atomic_fetch_add(&done, 1);
}

/* The end and the deletion of the only member arrive while the writer is busy: one commit. */
START_TEST(test_store_batch_callback_outlives_its_batch_in_one_commit)
{
    begin(_i);
    struct store_batch batch = submit_told_batch_of(1, false);
    struct store_recall busy = {.lane = LANE_CPU};
    struct store_apply end_it = {0};
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &end_it.task), 1);
    struct store_delete delete_it = {.id = end_it.task.spec->id};
    ck_assert_int_eq(task_apply(&end_it.task, EVENT_SUCCEED, NULL, &end_it.change), 0);
    atomic_store(&done, 0);
    ck_assert_int_eq(store_post(k.store, &store_verb_recall, &busy.op, count_done), 0);
    ck_assert_int_eq(store_post(k.store, &store_verb_apply, &end_it.op, count_done), 0);
    ck_assert_int_eq(store_post(k.store, &store_verb_delete, &delete_it.op, count_done), 0);
    struct task told =
        claim_callback(batch.callback, "{\"succeeded\":1,\"failed\":0,\"cancelled\":0}");
    while (atomic_load(&done) != 3)
        sched_yield();
    ck_assert_int_eq(delete_it.op.rc, 0);
    task_release(&told);
    task_release(&end_it.task);
    end();
}
END_TEST

static int report(const struct task *t, double progress, const char *message, const char *log)
{
    struct store_report o = {.id = t->spec->id,
                             .attempt = t->attempt,
                             .progress = progress,
                             .message = message,
                             .log = log,
                             .log_len = strlen(log)};
    return fixture_report(&k, &o);
}

START_TEST(test_store_reports_are_kept)
{
    begin(_i);
    struct task t;
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(report(&t, 0.25, "reading", "line 1\n"), 0);
    ck_assert_int_eq(report(&t, -1, NULL, "line 2\n"), 0);
    struct store_log o = {.id = t.spec->id, .from = 5};
    ck_assert_int_eq(fixture_log(&k, &o), 0);
    ck_assert_uint_eq(o.begin, 5);
    ck_assert_uint_eq(o.log_len, 9);
    ck_assert_mem_eq(o.log, "1\nline 2\n", 9);
    ck_assert(o.reported.progress > 0.24 && o.reported.progress < 0.26);
    ck_assert_str_eq(o.reported.message, "reading");
    ck_assert_uint_eq(o.reported.log_end, 14);
    free(o.log);
    store_reported_release(&o.reported);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    ck_assert_int_eq(report(&t, 1, NULL, "late"), FUT_ERR_STALE);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_log_keeps_the_latest)
{
    begin(_i);
    struct task t;
    char line[1001];
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(line, sizeof(line), "%0999d\n", i);
        ck_assert_int_eq(report(&t, -1, NULL, line), 0);
    }
    struct store_log o = {.id = t.spec->id};
    ck_assert_int_eq(fixture_log(&k, &o), 0);
    ck_assert_uint_eq(o.log_len, STORE_LOG_MAX);
    ck_assert_uint_eq(o.reported.log_end, 100000);
    ck_assert_uint_eq(o.begin, 100000 - STORE_LOG_MAX);
    ck_assert_mem_eq(o.log + o.log_len - 1000, line, 1000);
    free(o.log);
    struct store_log end_of = {.id = t.spec->id, .from = 100000};
    ck_assert_int_eq(fixture_log(&k, &end_of), 0);
    ck_assert_uint_eq(end_of.log_len, 0);
    task_release(&t);
    end();
}
END_TEST

static void cancel_waiting(struct task_id id)
{
    struct store_batch_cancel o = {.id = id, .spares_running = true};
    ck_assert_int_eq(fixture_do(&k, &store_verb_batch_cancel, &o.op), 0);
}

static void expect_cancelled(struct task_id id)
{
    struct task t = fixture_wait_state(&k, id, TASK_CANCELLED);
    task_release(&t);
}

START_TEST(test_store_batch_cancel_spares_what_runs)
{
    begin(_i);
    struct task tasks[N], running[2];
    struct task_id id = submit_batch(false, tasks);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 2, running), 2);
    cancel_waiting(id);
    for (size_t i = 2; i < N; i++)
        expect_cancelled(tasks[i].spec->id);
    ck_assert_int_eq(fixture_succeed(&k, &running[0], "r"), 0);
    ck_assert_int_eq(fixture_batch_cancel(&k, id), 0); /* altogether */
    cancel_waiting(id);                                /* which that stays */
    expect_cancelled(running[1].spec->id);
    ck_assert_uint_eq(read_batch(id).counts[TASK_CANCELLED], N - 1);
    release_all(tasks, N);
    release_all(running, 2);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_batch_counts_its_members,
        test_store_batches_are_listed,
        test_store_batch_members_in_order,
        test_store_batch_cancel_ends_all_unfinished,
        test_store_batch_cancel_spares_what_runs,
        test_store_batch_fail_fast,
        test_store_get_many,
        test_store_idempotency_key,
        test_store_unique_coalesces_while_unfinished,
        test_store_callback_is_queued_by_the_end_of_its_task,
        test_store_batch_callback_is_queued_by_the_last_end,
        test_store_batch_callback_after_fail_fast_and_restart,
        test_store_batch_callback_of_another_life,
        test_store_batch_callback_outlives_its_batch_in_one_commit,
        test_store_reports_are_kept,
        test_store_log_keeps_the_latest,
    };
    return fixture_run_on_all("store contract: batches", tests, FUT_COUNT(tests));
}
