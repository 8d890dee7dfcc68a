/* The contract of store.h, on every backend: one change of many futures, and failures in groups. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

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

static struct task_id submit(const char *handler, enum lane lane, const char *unique)
{
    struct task t = fixture_task(lane, handler, "x");
    struct task_spec spec = *t.spec;
    spec.unique = unique;
    fixture_respec(&t, &spec);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

/* Claims the one task of the lane and ends it: with a code as failed. */
static void finish(enum lane lane, const char *code, const char *message)
{
    struct task t;
    struct task_outcome *o = task_outcome_new(&(struct task_outcome){
        .code = code, .message = message, .type = code ? NULL : "text/plain"});
    ck_assert_uint_eq(fixture_claim(&k, lane, 1, &t), 1);
    ck_assert_int_eq(
        fixture_apply(&k, &t, code ? EVENT_FAIL : EVENT_SUCCEED, &(struct task_in){.outcome = o}),
        0);
    task_outcome_unref(o);
    task_release(&t);
}

static struct task_id failed(const char *handler, const char *code)
{
    struct task_id id = submit(handler, LANE_IO, NULL);
    finish(LANE_IO, code, "why");
    return id;
}

static void expect_state(struct task_id id, enum task_state state)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(t.state, state);
    task_release(&t);
}

static void expect_gone(struct task_id id)
{
    struct task t;
    ck_assert_int_eq(fixture_get(&k, id, &t), FUT_ERR_NOT_FOUND);
}

static void expect_counts(const struct store_bulk *b, uint64_t matched, uint64_t changed,
                          uint64_t refused)
{
    ck_assert_uint_eq(b->matched, matched);
    ck_assert_uint_eq(b->changed, changed);
    ck_assert_uint_eq(b->refused, refused);
    ck_assert_uint_ge(b->seen, matched);
}

START_TEST(test_store_bulk_cancels_what_is_meant)
{
    begin(_i);
    struct task_id io = submit("echo", LANE_IO, NULL), cpu = submit("echo", LANE_CPU, NULL),
                   other = submit("primes", LANE_CPU, NULL);
    struct task running;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &running), 1);
    struct store_bulk b = fixture_bulk(&k, STORE_BULK_CANCEL, "handler=echo");
    expect_counts(&b, 2, 2, 0);
    ck_assert_uint_eq(b.next, 0);
    expect_state(io, TASK_CANCELLED);
    expect_state(cpu, TASK_CANCELLED);
    expect_state(other, TASK_QUEUED);
    ck_assert_int_eq(fixture_succeed(&k, &running, "late"), FUT_ERR_STALE);
    task_release(&running);
    end();
}
END_TEST

START_TEST(test_store_bulk_retries_by_code)
{
    begin(_i);
    struct task_id a = failed("echo", "timeout"), b = failed("echo", "exit"),
                   c = failed("sum", "timeout");
    struct store_bulk bulk = fixture_bulk(&k, STORE_BULK_RETRY, "code=timeout&handler=echo");
    expect_counts(&bulk, 1, 1, 0);
    expect_state(a, TASK_QUEUED);
    expect_state(b, TASK_FAILED);
    expect_state(c, TASK_FAILED);
    struct store_attempts o = {.id = a};
    ck_assert_int_eq(fixture_attempts(&k, &o), 0);
    ck_assert_uint_eq(o.n, 1);
    ck_assert_str_eq(o.attempts[0].outcome->code, "timeout");
    ck_assert_str_eq(o.attempts[0].outcome->message, "why");
    store_attempts_free(o.attempts, o.n);
    end();
}
END_TEST

START_TEST(test_store_bulk_retry_leaves_what_another_has_taken)
{
    begin(_i);
    struct task_id first = submit("echo", LANE_IO, "one");
    finish(LANE_IO, "exit", "why");
    struct task_id second = submit("echo", LANE_CPU, "one"), other = failed("sum", "exit");
    struct store_bulk b = fixture_bulk(&k, STORE_BULK_RETRY, "state=failed");
    expect_counts(&b, 2, 1, 1);
    expect_state(first, TASK_FAILED);
    expect_state(second, TASK_QUEUED);
    expect_state(other, TASK_QUEUED);
    end();
}
END_TEST

START_TEST(test_store_bulk_deletes_what_is_done)
{
    begin(_i);
    struct task_id bad = failed("echo", "exit"), good = submit("echo", LANE_IO, NULL);
    finish(LANE_IO, NULL, NULL);
    struct task_id waiting = submit("echo", LANE_IO, NULL);
    struct store_bulk b = fixture_bulk(&k, STORE_BULK_DELETE, "state=succeeded,queued");
    expect_counts(&b, 1, 1, 0);
    expect_gone(good);
    expect_state(bad, TASK_FAILED);
    b = fixture_bulk(&k, STORE_BULK_DELETE, "");
    expect_counts(&b, 1, 1, 0);
    expect_gone(bad);
    expect_state(waiting, TASK_QUEUED);
    end();
}
END_TEST

START_TEST(test_store_bulk_dry_run_changes_nothing)
{
    begin(_i);
    struct task_id a = submit("echo", LANE_IO, NULL), c = submit("echo", LANE_IO, NULL);
    struct store_bulk b = {.is_dry = true};
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_CANCEL, "", &b), 0);
    b = fixture_wait_bulk(&k, b.id);
    ck_assert(b.is_dry);
    ck_assert_uint_eq(b.matched, 2);
    expect_state(a, TASK_QUEUED);
    expect_state(c, TASK_QUEUED);
    end();
}
END_TEST

#define MANY 700 /* more than three steps */

START_TEST(test_store_bulk_takes_steps_and_knows_each_once)
{
    begin(_i);
    for (int i = 0; i < MANY; i++)
        (void)submit(i % 2 ? "echo" : "sum", LANE_IO, NULL);
    struct store_bulk b = fixture_bulk(&k, STORE_BULK_CANCEL, "handler=sum");
    expect_counts(&b, MANY / 2, MANY / 2, 0);
    ck_assert_uint_eq(b.seen, MANY);
    struct store_stats stats;
    ck_assert_int_eq(fixture_recall(&k, LANE_IO), 0); /* readers see a commit before the numbers */
    store_stats(k.store, &stats);
    ck_assert_uint_eq(stats.live[LANE_IO][TASK_QUEUED], MANY / 2);
    ck_assert_uint_eq(stats.finished[TASK_CANCELLED], MANY / 2);
    end();
}
END_TEST

/* What is submitted later is not looked at, whatever it is. */
START_TEST(test_store_bulk_looks_back_only)
{
    begin(_i);
    struct store_bulk b = {0};
    struct task later = fixture_task(LANE_IO, "echo", "x"); /* its id is made behind the bulk's */
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_CANCEL, "", &b), 0);
    struct task_id id = submit("echo", LANE_IO, NULL);
    (void)fixture_wait_bulk(&k, b.id);
    expect_state(id, TASK_QUEUED);
    task_release(&later);
    end();
}
END_TEST

START_TEST(test_store_bulk_retry_waits_while_the_queue_is_full)
{
    begin(_i);
    fixture_stop(&k);
    k.cfg.max_queued = 2;
    fixture_reopen(&k);
    struct task_id ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = failed("echo", "exit");
    struct store_bulk b = {0};
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_RETRY, "", &b), 0);
    struct task t = fixture_wait_state(&k, ids[1], TASK_QUEUED);
    task_release(&t);
    expect_state(ids[2], TASK_QUEUED); /* newest first */
    expect_state(ids[0], TASK_FAILED);
    ck_assert_int_eq(fixture_bulk_get(&k, b.id, &b), 0);
    ck_assert_int_eq(b.finished_wall_ms, 0);
    finish(LANE_IO, NULL, NULL);
    b = fixture_wait_bulk(&k, b.id);
    expect_counts(&b, 3, 3, 0);
    expect_state(ids[0], TASK_QUEUED);
    end();
}
END_TEST

START_TEST(test_store_bulk_goes_on_after_a_restart)
{
    begin(_i);
    if (strcmp(k.backend, "memory") == 0) {
        end();
        return;
    }
    fixture_stop(&k);
    k.cfg.max_queued = 2; /* so that it waits in the middle */
    fixture_reopen(&k);
    for (int i = 0; i < 3; i++)
        (void)failed("echo", "exit");
    struct store_bulk b = {0};
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_RETRY, "code=exit", &b), 0);
    fixture_stop(&k);
    k.cfg.max_queued = 100;
    fixture_reopen(&k);
    b = fixture_wait_bulk(&k, b.id);
    expect_counts(&b, 3, 3, 0);
    ck_assert_str_eq(b.by, "a test");
    ck_assert_str_eq(b.filter.code, "exit");
    end();
}
END_TEST

START_TEST(test_store_bulk_can_be_stopped)
{
    begin(_i);
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    fixture_reopen(&k);
    struct task_id old = failed("echo", "exit"), young = failed("echo", "exit");
    struct store_bulk b = {0}, other;
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_RETRY, "", &b), 0);
    struct task t = fixture_wait_state(&k, young, TASK_QUEUED);
    task_release(&t);
    ck_assert_int_eq(fixture_bulk_stop(&k, b.id, &b), 0);
    ck_assert(b.is_stopped && b.finished_wall_ms != 0);
    ck_assert_int_eq(fixture_bulk_stop(&k, b.id, &other), 0);
    ck_assert_int_eq(other.finished_wall_ms, b.finished_wall_ms);
    ck_assert_int_eq(fixture_bulk_stop(&k, id_new(), &other), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(fixture_bulk_get(&k, id_new(), &other), FUT_ERR_NOT_FOUND);
    expect_state(old, TASK_FAILED);
    end();
}
END_TEST

START_TEST(test_store_bulks_are_bounded_and_listed)
{
    begin(_i);
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    fixture_reopen(&k);
    for (int i = 0; i < 2; i++)
        (void)failed("echo", "exit");
    struct store_bulk b = {0}, refused = {0};
    for (int i = 0; i < STORE_BULKS_MAX; i++) /* each waits for the full queue */
        ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_RETRY, "", &b), 0);
    ck_assert_int_eq(fixture_bulk_start(&k, STORE_BULK_RETRY, "", &refused), FUT_ERR_FULL);
    struct store_bulk_list list;
    ck_assert_int_eq(fixture_bulk_list(&k, &list), 0);
    ck_assert_uint_eq(list.n, STORE_BULKS_MAX);
    ck_assert(id_equal(list.bulks[0].id, b.id));
    ck_assert_uint_gt(list.bulks[0].id.hi, list.bulks[1].id.hi);
    free(list.bulks);
    end();
}
END_TEST

START_TEST(test_store_failures_are_grouped)
{
    begin(_i);
    (void)failed("echo", "timeout");
    struct task_id latest = failed("echo", "timeout");
    (void)failed("echo", "exit");
    (void)failed("sum", "timeout");
    (void)submit("echo", LANE_IO, NULL);
    finish(LANE_IO, NULL, NULL);
    struct store_failures f;
    ck_assert_int_eq(fixture_failures(&k, "", &f), 0);
    ck_assert(f.is_all);
    ck_assert_uint_eq(f.n, 3);
    ck_assert_str_eq(f.groups[0].handler, "echo");
    ck_assert_str_eq(f.groups[0].code, "timeout");
    ck_assert_uint_eq(f.groups[0].n, 2);
    ck_assert(id_equal(f.groups[0].example, latest));
    ck_assert_str_eq(f.groups[0].message, "why");
    ck_assert_int_gt(f.groups[0].first_wall_ms, 0);
    ck_assert_int_ge(f.groups[0].last_wall_ms, f.groups[0].first_wall_ms);
    free(f.groups);
    ck_assert_int_eq(fixture_failures(&k, "handler=sum", &f), 0);
    ck_assert_uint_eq(f.n, 1);
    ck_assert_uint_eq(f.groups[0].n, 1);
    free(f.groups);
    ck_assert_int_eq(fixture_failures(&k, "handler=nobody", &f), 0);
    ck_assert_uint_eq(f.n, 0);
    end();
}
END_TEST

static struct task_id submit_of(const char *queue, const char *schedule)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.queue = queue;
    spec.schedule = schedule;
    struct task_spec *fresh = task_spec_new(&spec); /* refers to the old one until then */
    task_spec_unref(t.spec);
    t.spec = fresh;
    struct task_id id = fresh->id;
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
    return id;
}

static size_t list_of(const char *filter, size_t limit, uint64_t *before)
{
    struct task tasks[8];
    struct store_list o = {.limit = limit, .tasks = tasks, .before = *before};
    ck_assert_int_eq(task_filter_read(filter, &o.filter), 0);
    ck_assert_int_eq(fixture_list(&k, &o), 0);
    for (size_t i = 0; i < o.n; i++)
        task_release(&tasks[i]);
    *before = o.next;
    return o.n;
}

/* By their queue, by the schedule that made them, and by both; in pages, too. */
START_TEST(test_store_bulk_knows_queue_and_schedule)
{
    begin(_i);
    uint64_t before = 0;
    struct task_id plain = submit_of(NULL, NULL), mail = submit_of("mail", NULL);
    struct task_id both = submit_of("mail", "nightly"), nightly = submit_of(NULL, "nightly");
    ck_assert_uint_eq(list_of("queue=mail", 8, &before), 2);
    ck_assert_uint_eq(list_of("queue=default", 8, &before), 2);
    ck_assert_uint_eq(list_of("schedule=nightly", 8, &before), 2);
    ck_assert_uint_eq(list_of("schedule=nightly&queue=mail&state=queued", 8, &before), 1);
    ck_assert_uint_eq(list_of("queue=mail&state=succeeded", 8, &before), 0);
    ck_assert_uint_eq(list_of("queue=mail", 1, &before), 1);
    ck_assert_uint_eq(before, both.hi);
    ck_assert_uint_eq(list_of("queue=mail", 1, &before), 1);
    ck_assert_uint_eq(before, mail.hi);
    ck_assert_uint_eq(fixture_bulk(&k, STORE_BULK_CANCEL, "queue=mail").changed, 2);
    expect_state(plain, TASK_QUEUED);
    expect_state(mail, TASK_CANCELLED);
    ck_assert_uint_eq(fixture_bulk(&k, STORE_BULK_RETRY, "queue=mail&schedule=nightly").changed, 1);
    expect_state(both, TASK_QUEUED);
    ck_assert_uint_eq(fixture_bulk(&k, STORE_BULK_CANCEL, "schedule=nightly").changed, 2);
    expect_state(nightly, TASK_CANCELLED);
    ck_assert_uint_eq(fixture_bulk(&k, STORE_BULK_DELETE, "queue=mail").changed, 2);
    ck_assert_uint_eq(fixture_bulk(&k, STORE_BULK_CANCEL, "queue=default").changed, 1);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_bulk_knows_queue_and_schedule,
        test_store_bulk_cancels_what_is_meant,
        test_store_bulk_retries_by_code,
        test_store_bulk_retry_leaves_what_another_has_taken,
        test_store_bulk_deletes_what_is_done,
        test_store_bulk_dry_run_changes_nothing,
        test_store_bulk_takes_steps_and_knows_each_once,
        test_store_bulk_looks_back_only,
        test_store_bulk_retry_waits_while_the_queue_is_full,
        test_store_bulk_goes_on_after_a_restart,
        test_store_bulk_can_be_stopped,
        test_store_bulks_are_bounded_and_listed,
        test_store_failures_are_grouped,
    };
    return fixture_run_on_all("store contract: bulks", tests, FUT_COUNT(tests));
}
