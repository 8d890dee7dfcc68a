/* The contract of storage/ends.h, on every backend: what is told from memory is what a read tells,
 * and nothing is told that is not so. */
#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/ends.h"
#include "tests/contract/fixture.h"

#define MOST 16
#define MANY 4200 /* more than the store keeps */
#define LARGE 100000
#define FORGOTTEN_MS 10000

static struct fixture k;
static struct task_id session;
static uint64_t base; /* the seq before all ends of the test */

static bool is_shared(void)
{
    return strcmp(k.backend, "postgres") == 0;
}

static void open_session(void)
{
    struct store_session_open o = {
        .session = {.id = id_new(), .handler = "echo", .created_wall_ms = clock_wall_ms()}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_open, &o.op), 0);
    session = o.session.id;
}

/* From the next commit on ends are kept, unless nodes share the store. */
static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
    store_want_ends(k.store, true);
    open_session();
    base = store_session_newest_seq(k.store);
}

static void end(void)
{
    store_want_ends(k.store, false);
    fixture_close(&k);
}

static void release_all(struct task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
}

static void join(size_t n)
{
    struct task tasks[MANY];
    for (size_t i = 0; i < n; i++) {
        struct task plain = fixture_task(LANE_IO, "echo", "x");
        struct task_spec spec = *plain.spec;
        spec.batch = session;
        spec.in_session = true;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        task_release(&plain);
    }
    struct store_submit o = {.tasks = tasks, .n = n, .session = session, .n_members = n};
    ck_assert_int_eq(fixture_submit_op(&k, &o), 0);
    release_all(tasks, n);
}

static struct task claim_one(void)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    return t;
}

/* Runs n tasks of the session; their ids go to ids, unless that is NULL. */
static void run(size_t n, struct task_id *ids)
{
    join(n);
    for (size_t i = 0; i < n; i++) {
        struct task t = claim_one();
        ck_assert_int_eq(fixture_succeed(&k, &t, "done"), 0);
        if (ids)
            ids[i] = t.spec->id;
        task_release(&t);
    }
}

/* How many ends behind this seq are told from memory; -1: that is not known. */
static int known_after(uint64_t after, bool is_whole)
{
    struct task page[MOST];
    struct store_session_ends o = {
        .id = session, .after = after, .page = {.limit = MOST, .tasks = page}};
    bool is_known = store_recent_session_ends(k.store, &o, is_whole);
    release_all(page, o.page.n);
    ck_assert(is_known || o.page.n == 0);
    return is_known ? (int)o.page.n : -1;
}

static void same_text(const char *a, const char *b)
{
    ck_assert_pstr_eq(a, b);
}

static void same(const struct task *a, const struct task *b)
{
    ck_assert(id_equal(a->spec->id, b->spec->id) && id_equal(a->spec->batch, b->spec->batch));
    same_text(a->spec->handler, b->spec->handler);
    ck_assert_int_eq(a->spec->lane, b->spec->lane);
    ck_assert_uint_eq(a->spec->batch_pos, b->spec->batch_pos);
    ck_assert_int_eq(a->spec->created_wall_ms, b->spec->created_wall_ms);
    ck_assert_int_eq(a->state, b->state);
    ck_assert_uint_eq(a->attempt, b->attempt);
    ck_assert_uint_eq(a->seq, b->seq);
    ck_assert_int_eq(a->due_wall_ms, b->due_wall_ms);
    ck_assert_int_eq(a->started_wall_ms, b->started_wall_ms);
    ck_assert_int_eq(a->finished_wall_ms, b->finished_wall_ms);
    ck_assert_ptr_null(a->checkpoint);
    ck_assert_ptr_null(b->checkpoint);
    same_text(a->outcome->type, b->outcome->type);
    same_text(a->outcome->code, b->outcome->code);
    same_text(a->outcome->message, b->outcome->message);
    ck_assert_uint_eq(a->outcome->body_len, b->outcome->body_len);
    ck_assert_mem_eq(a->outcome->body, b->outcome->body, a->outcome->body_len);
    ck_assert_uint_eq(a->outcome->log_len, b->outcome->log_len);
}

START_TEST(test_store_ends_are_those_that_are_read)
{
    begin(_i);
    struct task told[MOST], read[MOST];
    struct store_session_ends o = {
        .id = session, .after = base, .page = {.limit = MOST, .tasks = told}};
    run(3, NULL);
    if (is_shared()) { /* other nodes may know of others */
        ck_assert(!store_recent_session_ends(k.store, &o, true) && o.page.n == 0);
        end();
        return;
    }
    ck_assert(store_recent_session_ends(k.store, &o, true));
    ck_assert_uint_eq(o.page.n, 3);
    struct store_session_ends r = {
        .id = session, .after = base, .page = {.limit = MOST, .tasks = read}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_ends, &r.op), 0);
    ck_assert_uint_eq(r.page.n, 3);
    for (size_t i = 0; i < 3; i++) {
        struct task one;
        same(&told[i], &read[i]);
        ck_assert(store_recent_end(k.store, read[i].spec->id, read[i].seq, true, &one));
        same(&one, &read[i]);
        task_release(&one);
        ck_assert(!store_recent_end(k.store, session, read[i].seq, true, &one));
        ck_assert(!store_recent_end(k.store, read[i].spec->id, read[i].seq + 1, true, &one));
    }
    release_all(told, 3);
    release_all(read, 3);
    end();
}
END_TEST

START_TEST(test_store_ends_come_in_pages)
{
    begin(_i);
    struct task page[MOST];
    struct store_session_ends o = {
        .id = session, .after = base + 1, .page = {.limit = 2, .tasks = page}};
    run(5, NULL);
    if (!is_shared()) {
        ck_assert(store_recent_session_ends(k.store, &o, true));
        ck_assert_uint_eq(o.page.n, 2);
        ck_assert_uint_eq(page[0].seq, base + 2);
        ck_assert_uint_eq(page[1].seq, base + 3);
        release_all(page, 2);
        ck_assert_int_eq(known_after(base + 4, true), 1);
        ck_assert_int_eq(known_after(base + 5, true), 0);
        ck_assert_int_eq(known_after(base + 6, true), -1); /* of another database */
        struct task_id mine = session;
        session = id_new();
        ck_assert_int_eq(known_after(base, true), 0); /* they are of another session */
        session = mine;
    }
    end();
}
END_TEST

START_TEST(test_store_ends_are_kept_while_wanted)
{
    begin(_i);
    store_want_ends(k.store, false);
    run(2, NULL);
    ck_assert_int_eq(known_after(base, true), -1);
    store_want_ends(k.store, true);
    ck_assert_int_eq(known_after(base + 2, true), -1);
    join(1);
    struct task t = claim_one();
    ck_assert_int_eq(fixture_succeed(&k, &t, "done"), 0);
    ck_assert_int_eq(known_after(base, true), -1);
    ck_assert_int_eq(known_after(base + 2, true), is_shared() ? -1 : 1);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_ends_that_are_many_leave_no_gap)
{
    begin(_i);
    size_t n = is_shared() ? 1 : MANY;
    run(n, NULL);
    ck_assert_int_eq(known_after(base, true), -1);
    ck_assert_int_eq(known_after(base + n - 1, true), is_shared() ? -1 : 1);
    end();
}
END_TEST

START_TEST(test_store_ends_deleted_are_not_told)
{
    begin(_i);
    struct task_id ids[3];
    struct task t;
    run(3, ids);
    ck_assert_int_eq(fixture_delete(&k, ids[1]), 0);
    ck_assert_int_eq(known_after(base, true), -1);
    ck_assert(!store_recent_end(k.store, ids[1], base + 2, false, &t));
    run(1, NULL);
    ck_assert_int_eq(known_after(base + 3, true), is_shared() ? -1 : 1);
    end();
}
END_TEST

START_TEST(test_store_ends_that_live_again_are_not_told)
{
    begin(_i);
    join(1);
    struct task other, t = claim_one();
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    ck_assert_int_eq(known_after(base, false), is_shared() ? -1 : 1);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_int_eq(known_after(base, false), -1);
    ck_assert(!store_recent_end(k.store, t.spec->id, base + 1, false, &other));
    task_release(&t);
    end();
}
END_TEST

/* A failure may have a checkpoint and have reported, of which its end says nothing. */
START_TEST(test_store_ends_that_failed_are_not_whole)
{
    begin(_i);
    join(1);
    struct task other, t = claim_one();
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    ck_assert_int_eq(known_after(base, true), -1);
    ck_assert(!store_recent_end(k.store, t.spec->id, base + 1, true, &other));
    if (!is_shared()) {
        ck_assert_int_eq(known_after(base, false), 1);
        ck_assert(store_recent_end(k.store, t.spec->id, base + 1, false, &other));
        ck_assert_int_eq(other.state, TASK_FAILED);
        task_release(&other);
    }
    task_release(&t);
    end();
}
END_TEST

/* Whoever ends tasks by the hundred has no record of them: they are read. */
START_TEST(test_store_ends_without_record_leave_no_gap)
{
    begin(_i);
    run(1, NULL);
    join(2);
    struct task last = claim_one();
    ck_assert_int_eq(fixture_batch_cancel(&k, session), 0);
    task_release(&last);
    while (store_session_newest_seq(k.store) < base + 3)
        (void)sched_yield();
    ck_assert_int_eq(known_after(base, true), -1);
    ck_assert_int_eq(known_after(base + 1, true), -1);
    open_session(); /* the cancel may not be over yet */
    run(1, NULL);
    ck_assert_int_eq(known_after(base + 3, true), is_shared() ? -1 : 1);
    end();
}
END_TEST

START_TEST(test_store_ends_that_are_large_are_read)
{
    begin(_i);
    static char text[LARGE + 1];
    memset(text, 'x', LARGE);
    join(1);
    struct task t = claim_one();
    ck_assert_int_eq(fixture_succeed(&k, &t, text), 0);
    ck_assert_int_eq(known_after(base, true), -1);
    task_release(&t);
    run(1, NULL);
    ck_assert_int_eq(known_after(base + 1, true), is_shared() ? -1 : 1);
    end();
}
END_TEST

/* What is old may be beyond its retention. */
START_TEST(test_store_ends_are_soon_forgotten)
{
    begin(_i);
    run(1, NULL);
    int64_t deadline_mono_ms = clock_mono_ms() + FORGOTTEN_MS;
    while (known_after(base, true) >= 0 && clock_mono_ms() < deadline_mono_ms)
        (void)sched_yield();
    ck_assert_int_eq(known_after(base, true), -1);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_ends_are_those_that_are_read,   test_store_ends_come_in_pages,
        test_store_ends_are_kept_while_wanted,     test_store_ends_that_are_many_leave_no_gap,
        test_store_ends_deleted_are_not_told,      test_store_ends_that_live_again_are_not_told,
        test_store_ends_that_failed_are_not_whole, test_store_ends_without_record_leave_no_gap,
        test_store_ends_that_are_large_are_read,   test_store_ends_are_soon_forgotten,
    };
    return fixture_run_on_all("store ends", tests, FUT_COUNT(tests));
}
