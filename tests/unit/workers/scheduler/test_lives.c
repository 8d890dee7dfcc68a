/* A task that was cancelled and retried: a signal that was meant for one attempt must never reach
 * another one of the same task. */
#include <stdatomic.h>

#include "storage/batch.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

#define LIMIT_MS 20000

/* Its first attempt outlives TERM; any later one fails with 9 when the first is still there. */
static const char file[] =
    "{\"later\": {\"exec\": [\"sh\", \"-c\", \"exit 75\"]},"
    " \"alone\": {\"exec\": [\"sh\", \"-c\", \"if [ $FUTURED_ATTEMPT = 1 ]; then trap '' TERM;"
    " echo $$ > $DIR/pid; while :; do sleep 0.05; done; fi;"
    " kill -0 $(cat $DIR/pid) 2>/dev/null && exit 9; exit 0\"], \"env\": {\"DIR\": \"%s\"}}}";
static char dir[] = "/tmp/futured-test-lives-XXXXXX";
static atomic_bool stands_still; /* the store's writer does, behind its next start of a task */
static char text[2048];

static bool has_claimed(void *ctx)
{
    struct pool_stats st;
    (void)ctx;
    live.view.read(live.view.ctx, &st);
    return st.lanes[LANE_IO].claimed > 0;
}

/* For so many looks of the audit the task is running, and nobody here has been told. */
static void stand_still(void *ctx, const struct store_change *changes, size_t n)
{
    enum { LOOKS = 15 };
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        if (changes[i].state == TASK_RUNNING && atomic_exchange(&stands_still, false))
            ck_assert(!wait_until(has_claimed, NULL, LOOKS * LIVE_AUDIT_MS));
    }
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(text, sizeof(text), file, dir);
    live_file = text;
    live_also = stand_still;
    live_start(2, 2);
}

static void teardown(void)
{
    char pid[64];
    live_stop();
    (void)snprintf(pid, sizeof(pid), "%s/pid", dir);
    (void)unlink(pid);
    (void)rmdir(dir);
}

struct expected {
    struct task_id id;
    enum task_state state;
};

static bool is_in_state(void *ctx)
{
    const struct expected *e = ctx;
    struct task t = live_get(e->id);
    bool is = t.state == e->state;
    task_release(&t);
    return is;
}

static bool has_ended(void *ctx)
{
    struct task t = live_get(*(struct task_id *)ctx);
    bool is = task_state_is_final(t.state);
    task_release(&t);
    return is;
}

/* Fails by a check of its own, before the time limit of the case strikes. */
static void expect(struct task_id id, enum task_state state)
{
    struct expected e = {id, state};
    ck_assert_msg(wait_until(is_in_state, &e, LIMIT_MS), "the task does not become %s",
                  task_state_name(state));
}

/* ---- no attempt runs at the moment of the cancel ---- */

/* Claims that began nothing: for the audit a task whose attempt was cancelled for another's sake
 * has lost it, so that it ends well all the same. */
static uint64_t claimed_in_vain(void)
{
    struct pool_stats st = live_stats();
    return live_store_stats().claimed - st.lanes[LANE_IO].started - st.lanes[LANE_CPU].started;
}

START_TEST(test_lives_cancel_in_backoff)
{
    struct task_id id = live_submit("later", LANE_IO, "", 10000, 1);
    expect(id, TASK_SCHEDULED);
    live_cancel_any(id);
    expect(id, TASK_CANCELLED);
    live_revive(id);
    expect(id, TASK_FAILED);
    struct task t = live_get(id);
    ck_assert_uint_eq(t.attempt, 3); /* with all its tries */
    ck_assert_uint_eq(claimed_in_vain(), 0);
    task_release(&t);
}
END_TEST

static void pause_io(bool is_paused)
{
    struct pool_wish wish = {.sets_pause = true};
    wish.pause.since_wall_ms = is_paused ? clock_wall_ms() : 0;
    live.view.change(live.view.ctx, LANE_IO, &wish);
    if (!is_paused)
        return;
    /* The scheduler has taken its claim back when it has run what came behind the wish. */
    struct task_id behind = live_submit("echo", LANE_CPU, "1", 10000, 0);
    struct task t = live_wait(behind, TASK_SUCCEEDED);
    task_release(&t);
}

enum { MEMBERS = 50 };

static struct task_id submit_batch(struct task_id ids[MEMBERS])
{
    struct task tasks[MEMBERS];
    struct store_batch batch = {.id = id_new(), .total = MEMBERS};
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct task_spec spec = live_spec("echo", LANE_IO, "1", 10000, 0);
        spec.batch = batch.id;
        spec.batch_pos = i;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        ids[i] = spec.id;
    }
    struct store_submit o = {.tasks = tasks, .n = MEMBERS, .batch = &batch};
    ck_assert_int_eq(store_post(live.store, &store_verb_submit, &o.op, live_op_done), 0);
    live_op_wait();
    ck_assert_int_eq(o.op.rc, 0);
    for (int i = 0; i < MEMBERS; i++)
        task_release(&tasks[i]);
    return batch.id;
}

START_TEST(test_lives_cancel_of_a_queued_batch)
{
    struct task_id ids[MEMBERS];
    pause_io(true);
    struct store_batch_cancel o = {.id = submit_batch(ids)};
    ck_assert_int_eq(store_post(live.store, &store_verb_batch_cancel, &o.op, live_op_done), 0);
    live_op_wait();
    for (int i = 0; i < MEMBERS; i++)
        expect(ids[i], TASK_CANCELLED);
    for (int i = 0; i < MEMBERS; i++)
        live_revive(ids[i]);
    pause_io(false);
    for (int i = 0; i < MEMBERS; i++)
        expect(ids[i], TASK_SUCCEEDED);
    ck_assert_uint_lt(claimed_in_vain(), MEMBERS); /* some may have waited too long for a slot */
}
END_TEST

/* The cancel and the end of the attempt meet; whichever comes first, the next life runs. */
START_TEST(test_lives_cancel_near_the_end)
{
    enum { TIMES = 200 };
    for (int i = 0; i < TIMES; i++) {
        struct task_id id = live_submit("echo", i % 2 ? LANE_IO : LANE_CPU, "1", 10000, 0);
        struct task t = live_get(id);
        if (t.state == TASK_SUCCEEDED)
            task_release(&t);
        if (!t.spec || live_cancel_as(t) != 0)
            continue;
        expect(id, TASK_CANCELLED);
        live_revive(id);
        expect(id, TASK_SUCCEEDED);
    }
}
END_TEST

/* ---- two lives at once ---- */

static bool has_pid(void *ctx)
{
    char pid[64];
    (void)ctx;
    (void)snprintf(pid, sizeof(pid), "%s/pid", dir);
    return access(pid, F_OK) == 0;
}

/* A life begins when the one before has ended, which takes as long as the KILL. */
START_TEST(test_lives_never_overlap)
{
    struct task_id id = live_submit("alone", LANE_IO, "", 60000, 0);
    ck_assert(wait_until(has_pid, NULL, LIMIT_MS));
    live_cancel_any(id);
    live_revive(id);
    ck_assert(wait_until(has_ended, &id, LIMIT_MS));
    struct task t = live_get(id);
    ck_assert_int_eq(t.outcome->exit_code, -1);
    ck_assert_int_eq(t.state, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.attempt, 2);
    task_release(&t);
}
END_TEST

/* It has not begun: nothing is left of it, and the third life is as good. */
START_TEST(test_lives_cancel_of_one_that_waits_for_another)
{
    struct task_id id = live_submit("alone", LANE_IO, "", 60000, 0);
    ck_assert(wait_until(has_pid, NULL, LIMIT_MS));
    live_cancel_any(id);
    live_revive(id);
    expect(id, TASK_RUNNING);
    live_cancel_any(id);
    live_revive(id);
    ck_assert(wait_until(has_ended, &id, LIMIT_MS));
    ck_assert(is_in_state(&(struct expected){id, TASK_SUCCEEDED}));
}
END_TEST

/* ---- a task that is running in the store and nowhere else ---- */

/* As if the claim had been thrown away. The lane is paused then. */
static void claim_behind_its_back(struct task_id id, const struct task_spec *spec)
{
    struct task taken;
    struct store_claim o = {.lane = LANE_IO, .max = 1, .tasks = &taken};
    pause_io(true);
    live_submit_spec(spec, TASK_QUEUED, 0);
    do { /* the pause recalls all claims of the lane, perhaps this one as well */
        ck_assert_int_eq(store_post(live.store, &store_verb_claim, &o.op, live_op_done), 0);
        live_op_wait();
    } while (o.n == 0);
    ck_assert(id_equal(taken.spec->id, id));
    task_release(&taken);
}

/* Nobody knows whether the code of the attempt has run: it is charged. */
START_TEST(test_lives_a_task_without_attempt_has_lost_it)
{
    struct task_spec spec = live_spec("echo", LANE_IO, "1", 10000, 0);
    claim_behind_its_back(spec.id, &spec);
    expect(spec.id, TASK_QUEUED);
    pause_io(false);
    expect(spec.id, TASK_SUCCEEDED);
    struct task t = live_get(spec.id);
    ck_assert_uint_eq(t.attempt, 2);
    ck_assert_uint_eq(t.daemon_deaths, 1);
    task_release(&t);
}
END_TEST

START_TEST(test_lives_a_task_without_attempt_that_runs_once_fails)
{
    struct task_spec spec = live_spec("echo", LANE_IO, "1", 10000, 0);
    spec.once = true;
    claim_behind_its_back(spec.id, &spec);
    expect(spec.id, TASK_FAILED);
    pause_io(false);
}
END_TEST

/* The claim is on its way: the attempt is not lost. */
START_TEST(test_lives_a_claim_that_is_told_late_is_no_lost_attempt)
{
    atomic_store(&stands_still, true);
    struct task_id id = live_submit("echo", LANE_IO, "1", 10000, 0);
    expect(id, TASK_SUCCEEDED);
    struct task t = live_get(id);
    ck_assert(!atomic_load(&stands_still));
    ck_assert_uint_eq(t.attempt, 1);
    ck_assert_uint_eq(t.daemon_deaths, 0);
    task_release(&t);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("lives", 90, setup, teardown);
    tcase_add_test(t, test_lives_cancel_in_backoff);
    tcase_add_test(t, test_lives_cancel_of_a_queued_batch);
    tcase_add_test(t, test_lives_cancel_near_the_end);
    tcase_add_test(t, test_lives_never_overlap);
    tcase_add_test(t, test_lives_cancel_of_one_that_waits_for_another);
    tcase_add_test(t, test_lives_a_task_without_attempt_has_lost_it);
    tcase_add_test(t, test_lives_a_task_without_attempt_that_runs_once_fails);
    tcase_add_test(t, test_lives_a_claim_that_is_told_late_is_no_lost_attempt);
    return suite_run_cases("lives", t, NULL);
}
