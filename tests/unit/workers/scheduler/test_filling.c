/* Inputs that refer to results, on their way from the store. */
#include "core/id.h"
#include "storage/fault.h"
#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"

static void start(void)
{
    live_backend = STORE_FAULT_PREFIX "memory";
    live_start(2, 1);
}

static struct task_id parent_with(const char *input)
{
    struct task_id id = live_submit("echo", LANE_IO, input, 60000, 0);
    struct task t = live_wait(id, TASK_SUCCEEDED);
    task_release(&t);
    return id;
}

/* Its input is {"ms": the parent's result} for `sleep`, else that in an array. */
static struct task_id child_of(struct task_id parent, enum lane lane, const char *handler)
{
    bool sleeps = strcmp(handler, "sleep") == 0;
    char id[ID_TEXT_SIZE], input[100];
    id_format(parent, id);
    (void)snprintf(input, sizeof(input), "%s{\"$result\":\"%s\"}%s", sleeps ? "{\"ms\":" : "[", id,
                   sleeps ? "}" : "]");
    struct task_spec spec = live_spec(handler, lane, input, 60000, 0);
    spec.has_refs = true;
    live_submit_spec(&spec, TASK_QUEUED, 0);
    return spec.id;
}

static void expect(struct task_id id, const char *result)
{
    struct task t = live_wait(id, TASK_SUCCEEDED);
    ck_assert_uint_eq(t.outcome->body_len, strlen(result));
    ck_assert(memcmp(t.outcome->body, result, strlen(result)) == 0);
    ck_assert_uint_eq(t.attempt, 1);
    task_release(&t);
}

START_TEST(test_filling_on_both_lanes)
{
    start();
    struct task_id parent = parent_with("{\"a\":1}");
    for_each_lane (l)
        expect(child_of(parent, l, "echo"), "[{\"a\":1}]");
    live_stop();
}
END_TEST

/* Waits until the task is neither queued nor running. */
static enum task_state state_of(struct task_id id)
{
    enum task_state state = TASK_RUNNING;
    mutex_lock(&live.mu);
    for (;;) {
        const struct task *t = live_slot(id);
        if (!t->spec)
            live.n_seen--; /* an empty slot that live_slot has just made */
        else
            state = t->state;
        if (state != TASK_RUNNING && state != TASK_QUEUED)
            break;
        cond_wait(&live.changed, &live.mu);
    }
    mutex_unlock(&live.mu);
    return state;
}

/* That the store cannot read is charged to nobody, and tried again. */
START_TEST(test_filling_waits_for_a_store_that_cannot_read)
{
    start();
    struct task_id parent = parent_with("7");
    store_fault_arm(STORE_FAULT_GET, 0, 1, FUT_ERR_IO);
    struct task_id id = child_of(parent, LANE_IO, "echo");
    ck_assert_int_eq(state_of(id), TASK_SCHEDULED);
    struct task t = live_wait(id, TASK_SCHEDULED);
    ck_assert_uint_eq(t.attempt, 0);
    task_release(&t);
    expect(id, "[7]");
    ck_assert_uint_eq(store_fault_count(STORE_FAULT_GET), 1);
    live_stop();
}
END_TEST

START_TEST(test_filling_of_a_result_that_is_gone)
{
    start();
    struct task t = live_wait(child_of(id_new(), LANE_CPU, "echo"), TASK_FAILED);
    ck_assert_str_eq(t.outcome->code, "unresolved_input");
    task_release(&t);
    live_stop();
}
END_TEST

/* Cancelled before, while or after their inputs are read: each ends once, and no slot is lost. */
START_TEST(test_filling_beside_cancels)
{
    enum { N = 60 };
    struct task_id ids[N];
    start();
    struct task_id parent = parent_with("7"), minute = parent_with("60000");
    for (int i = 0; i < N; i++) {
        ids[i] = child_of(minute, i % 2 ? LANE_IO : LANE_CPU, "sleep");
        live_cancel_any(ids[i]);
    }
    expect(child_of(parent, LANE_IO, "echo"), "[7]");
    expect(child_of(parent, LANE_CPU, "echo"), "[7]");
    live_stop();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_filling_on_both_lanes,
                            test_filling_waits_for_a_store_that_cannot_read,
                            test_filling_of_a_result_that_is_gone, test_filling_beside_cancels};
    return suite_run("inputs that refer to results", tests, FUT_COUNT(tests));
}
