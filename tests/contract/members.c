#include "tests/contract/members.h"

#include <check.h>
#include <stdio.h>

#include "core/clock.h"
#include "storage/session.h"

struct task_id members_session(struct fixture *k, uint32_t max_running)
{
    struct store_session_open o = {
        .session = {.id = id_new(), .handler = "echo", .created_wall_ms = clock_wall_ms()},
        .max_running = max_running};
    ck_assert_int_eq(fixture_do(k, &store_verb_session_open, &o.op), 0);
    return o.session.id;
}

int members_join(struct fixture *k, struct task_id session, const char *handler, size_t n,
                 struct task_id *ids)
{
    struct task tasks[MEMBERS_MAX];
    char limit[STORE_SESSION_LIMIT_SIZE], limits[STORE_SESSION_LIMIT_SIZE + 1];
    store_session_limit(session, limit);
    (void)snprintf(limits, sizeof(limits), "%s\n", limit);
    for (size_t i = 0; i < n; i++) {
        struct task plain = fixture_task(LANE_IO, handler, "x");
        struct task_spec spec = *plain.spec;
        spec.batch = session;
        spec.in_session = true;
        spec.limits = limits;
        tasks[i] = (struct task){.spec = task_spec_new(&spec), .state = TASK_QUEUED};
        ids[i] = spec.id;
        task_release(&plain);
    }
    struct store_submit o = {.tasks = tasks, .n = n, .session = session, .n_members = n};
    int rc = fixture_submit_op(k, &o);
    ck_assert_int_eq(rc, o.session_rc);
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
    return rc;
}
