/* The contract of store.h, on every backend: what an attempt stores for those that come. */
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

static void has(const struct task *t, const char *text, uint32_t attempt)
{
    const struct task_checkpoint *c = t->checkpoint;
    ck_assert_ptr_nonnull(c);
    ck_assert_uint_eq(c->len, strlen(text));
    ck_assert_mem_eq(c->body, text, strlen(text));
    ck_assert_str_eq(c->type, CONTENT_TEXT);
    ck_assert_uint_eq(c->attempt, attempt);
    ck_assert_int_gt(c->stored_wall_ms, 0);
}

/* What is kept of that future; text NULL: nothing. */
static void kept(struct task_id id, const char *text, uint32_t attempt)
{
    struct task t;
    ck_assert_int_eq(fixture_get_checkpoint(&k, id, &t), 0);
    if (text)
        has(&t, text, attempt);
    else
        ck_assert_ptr_null(t.checkpoint);
    task_release(&t);
}

static void apply(struct task *t, enum task_event ev)
{
    ck_assert_int_eq(fixture_apply(&k, t, ev, &(struct task_in){.due_in_ms = 1}), 0);
    task_release(t);
}

START_TEST(test_store_checkpoint_comes_with_the_next_attempt)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k), seen;
    ck_assert_ptr_null(t.checkpoint);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "first"), 0);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "second"), 0);
    kept(id, "second", 1);
    ck_assert_int_eq(fixture_get(&k, id, &seen), 0);
    ck_assert_ptr_nonnull(seen.checkpoint);
    ck_assert_uint_eq(seen.checkpoint->len, strlen("second"));
    task_release(&seen);
    apply(&t, EVENT_RETRY);
    t = fixture_claim_one(&k);
    ck_assert_uint_eq(t.attempt, 2);
    has(&t, "second", 1);
    apply(&t, EVENT_RELEASE);
    t = fixture_claim_one(&k);
    has(&t, "second", 1);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, ""), 0);
    kept(id, "", 2);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_is_compare_and_set)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k), late;
    task_copy(&late, &t);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "mine"), 0);
    apply(&t, EVENT_RETRY);
    ck_assert_int_eq(fixture_checkpoint(&k, &late, "late"), FUT_ERR_STALE); /* scheduled */
    t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_checkpoint(&k, &late, "late"), FUT_ERR_STALE); /* another attempt */
    kept(id, "mine", 1);
    apply(&t, EVENT_CANCEL);
    ck_assert_int_eq(fixture_checkpoint(&k, &late, "late"), FUT_ERR_STALE); /* done */
    task_release(&late);
    struct task unknown = fixture_task(LANE_IO, "echo", "x");
    unknown.attempt = 1;
    ck_assert_int_eq(fixture_checkpoint(&k, &unknown, "x"), FUT_ERR_STALE);
    task_release(&unknown);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_goes_with_success)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "half"), 0);
    ck_assert_int_eq(fixture_succeed(&k, &t, "done"), 0);
    ck_assert_ptr_null(t.checkpoint);
    kept(id, NULL, 0);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_of_a_failure_is_kept_for_another_life)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "half"), 0);
    apply(&t, EVENT_FAIL);
    kept(id, "half", 1);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    t = fixture_claim_one(&k);
    has(&t, "half", 1);
    apply(&t, EVENT_FAIL);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive_fresh(&k, &t), 0);
    ck_assert_ptr_null(t.checkpoint);
    task_release(&t);
    t = fixture_claim_one(&k);
    ck_assert_ptr_null(t.checkpoint);
    apply(&t, EVENT_FAIL);
    kept(id, NULL, 0);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_of_another_life_that_is_refused_stays)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k), late;
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "half"), 0);
    apply(&t, EVENT_FAIL);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    task_copy(&late, &t);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    ck_assert_int_eq(fixture_revive_fresh(&k, &late), FUT_ERR_STALE);
    kept(id, "half", 1);
    task_release(&t);
    task_release(&late);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_goes_with_its_future)
{
    begin(_i);
    struct task_id id = fixture_submit(&k, LANE_IO, "x");
    struct task t = fixture_claim_one(&k);
    ck_assert_int_eq(fixture_checkpoint(&k, &t, "half"), 0);
    apply(&t, EVENT_FAIL);
    ck_assert_int_eq(fixture_delete(&k, id), 0);
    ck_assert_int_eq(fixture_get_checkpoint(&k, id, &t), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_checkpoint_survives_the_daemon)
{
    begin(_i);
    char *large = xmalloc(TASK_CHECKPOINT_MAX + 1);
    memset(large, 'x', TASK_CHECKPOINT_MAX);
    large[TASK_CHECKPOINT_MAX] = '\0';
    if (strcmp(k.backend, "memory") != 0) { /* which forgets */
        struct task_id id = fixture_submit(&k, LANE_IO, "x");
        struct task t = fixture_claim_one(&k);
        ck_assert_int_eq(fixture_checkpoint(&k, &t, large), 0);
        task_release(&t);
        fixture_reopen(&k);
        kept(id, large, 1);
        t = fixture_claim_one(&k);
        ck_assert_uint_eq(t.attempt, 2);
        ck_assert_uint_eq(t.daemon_deaths, 1);
        has(&t, large, 1);
        task_release(&t);
    }
    free(large);
    end();
}
END_TEST

static struct task expiring(int64_t expires_in_ms)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.times.expires_in_ms = expires_in_ms;
    fixture_respec(&t, &spec);
    return t;
}

/* The attempt is not charged; and the task has begun all the same, so it does not expire. */
START_TEST(test_store_suspended_task_is_not_charged_and_does_not_expire)
{
    begin(_i);
    struct task submitted = expiring(20), t, seen;
    struct task_in in = {.due_in_ms = 500};
    /* It begins in the commit that brings it. */
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&k, &p);
    ck_assert_int_eq(fixture_submit_n(&k, &submitted, 1), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_SUSPEND, &in), 0);
    ck_assert_int_eq(t.state, TASK_SCHEDULED);
    ck_assert(t.is_suspended);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert(seen.is_suspended);
    ck_assert_uint_eq(seen.attempt, 0);
    ck_assert_int_gt(seen.due_wall_ms, 0);
    task_release(&seen);
    task_release(&t);
    t = fixture_claim_one(&k); /* 500 ms later: longer than it might have waited to begin */
    ck_assert_uint_eq(t.attempt, 1);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert(!seen.is_suspended);
    task_release(&seen);
    apply(&t, EVENT_RELEASE);
    t = fixture_claim_one(&k);
    ck_assert_uint_eq(t.attempt, 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_RETRY, &(struct task_in){.due_in_ms = 60000}), 0);
    ck_assert_int_eq(fixture_get(&k, t.spec->id, &seen), 0);
    ck_assert_int_eq(seen.state, TASK_SCHEDULED);
    ck_assert(!seen.is_suspended); /* it waits for a retry */
    task_release(&seen);
    task_release(&t);
    task_release(&submitted);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_checkpoint_comes_with_the_next_attempt,
        test_store_checkpoint_is_compare_and_set,
        test_store_checkpoint_goes_with_success,
        test_store_checkpoint_of_a_failure_is_kept_for_another_life,
        test_store_checkpoint_of_another_life_that_is_refused_stays,
        test_store_checkpoint_goes_with_its_future,
        test_store_checkpoint_survives_the_daemon,
        test_store_suspended_task_is_not_charged_and_does_not_expire,
    };
    return fixture_run_on_all("store contract: checkpoints", tests, FUT_COUNT(tests));
}
