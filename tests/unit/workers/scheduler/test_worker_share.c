/* Several programs on one lane: whose task a free slot is for. A scheduler with real programs. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "tests/support/suite.h"
#include "tests/unit/workers/live.h"
#include "tests/unit/workers/scripted.h"

#define MANY 60

static char flag[] = "/tmp/test_worker_share_XXXXXX";

static void build(uint32_t workers)
{
    static char file[4 * PATH_MAX];
    (void)snprintf(file, sizeof(file),
                   "{\"a\": {\"worker\": [\"%s\", \"worker\", \"cancel=1\"]},"
                   " \"b\": {\"worker\": [\"%s\", \"worker\"]},"
                   " \"broken\": {\"worker\": [\"%s\", \"worker\", \"once=%s\"]}}",
                   scripted_self(), scripted_self(), scripted_self(), flag);
    live_file = file;
    live_start(1, workers);
}

static struct task_id submit(const char *handler, const char *input)
{
    return live_submit(handler, LANE_CPU, input, 60000, 0);
}

static struct task done(struct task_id id)
{
    return live_wait(id, TASK_SUCCEEDED);
}

/* One slot, a long queue of one program, then a few tasks of another and of a built-in: these do
 * not wait until the queue is empty. */
START_TEST(test_share_a_long_queue_does_not_starve_others)
{
    struct task_id first[MANY], others[4];
    uint64_t last_other = 0, before = 0;
    build(1);
    struct task t = done(submit("a", "x")); /* both are up */
    task_release(&t);
    t = done(submit("b", "x"));
    task_release(&t);
    struct task_id holding = submit("a", "hold");
    t = live_wait(holding, TASK_RUNNING);
    task_release(&t);
    for (int i = 0; i < MANY; i++)
        first[i] = submit("a", "x");
    for (int i = 0; i < 4; i++)
        others[i] = submit(i % 2 ? "b" : "sha256", "x");
    live_cancel(holding);
    for (int i = 0; i < 4; i++) {
        t = done(others[i]);
        last_other = t.seq > last_other ? t.seq : last_other;
        task_release(&t);
    }
    for (int i = 0; i < MANY; i++) {
        t = done(first[i]);
        before += t.seq < last_other;
        task_release(&t);
    }
    /* What the lane claims ahead is shared out as well: 8 per slot. */
    ck_assert_uint_lt(before, MANY / 2);
    live_stop();
}
END_TEST

/* Its tasks stay in the queue, uncharged, the slots are for others, and it heals by itself. */
START_TEST(test_share_a_broken_program_blocks_nobody)
{
    struct task_id kept[8];
    build(1);
    for (int i = 0; i < 8; i++)
        kept[i] = submit("broken", "x");
    for (int i = 0; i < 8; i++) {
        struct task t = done(submit(i % 2 ? "a" : "sha256", "x"));
        task_release(&t);
    }
    mutex_lock(&live.mu);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(live_slot(kept[i])->state, TASK_QUEUED);
    mutex_unlock(&live.mu);
    int fd = open(flag, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    for (int i = 0; i < 8; i++) {
        struct task t = done(kept[i]);
        ck_assert_uint_eq(t.attempt, 1);
        task_release(&t);
    }
    unlink(flag);
    live_stop();
}
END_TEST

int main(int argc, char **argv)
{
    scripted_main(argc, argv);
    int fd = mkstemp(flag);
    close(fd);
    unlink(flag);
    TCase *t = suite_case("share", 60, NULL, NULL);
    tcase_add_test(t, test_share_a_long_queue_does_not_starve_others);
    tcase_add_test(t, test_share_a_broken_program_blocks_nobody);
    return suite_run_cases("worker_share", t, NULL);
}
