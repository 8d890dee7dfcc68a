/* Programs that are given to the fork server before their turn: each runs once, and nobody is worse
 * off for it. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/log.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

enum { SLOTS = 2, SHORT = 300, LONG = 12 };

static char dir[] = "/tmp/futured-test-ahead-XXXXXX";
static char file[64], fifo[64], later_fifo[64], text[1024];
/* FIFOs: each line lets one "gated", or "later", program end. */
static int gate = -1, later_gate = -1;

static void on_line(struct buf *out, enum log_level level, const char *event,
                    const struct log_field *fields);
static void drop_line(const char *lines, size_t n);
static const struct log_sink hook = {on_line, drop_line};

static int make_gate(const char *name, char path[64])
{
    (void)snprintf(path, 64, "%s/%s", dir, name);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/ran", dir);
    gate = make_gate("gate", fifo);
    later_gate = make_gate("later", later_fifo);
    log_set_sink(&hook);
    (void)snprintf(text, sizeof(text),
                   "{\"short\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s\"], \"lane\": \"cpu\"},"
                   " \"long\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s; exec sleep 1000\"],"
                   " \"lane\": \"cpu\"},"
                   " \"gated\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s; read x <%s\"],"
                   " \"lane\": \"cpu\"},"
                   " \"later\": {\"exec\": [\"sh\", \"-c\", \"echo >>%s; read x <%s\"],"
                   " \"lane\": \"cpu\"}}",
                   file, file, file, fifo, file, later_fifo);
    live_file = text;
    live_start(4, SLOTS);
}

static void teardown(void)
{
    live_stop();
    fd_close(&gate);
    fd_close(&later_gate);
    (void)unlink(fifo);
    (void)unlink(later_fifo);
    (void)unlink(file);
    (void)rmdir(dir);
}

/* How many programs have begun: each adds a line. */
static long began(void)
{
    struct stat st;
    return stat(file, &st) == 0 ? st.st_size : 0;
}

static void let_go(int fd, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(write(fd, "\n", 1), 1);
}

static atomic_int resized; /* how often */

/* The scheduler's thread is about to take back what no slot is for any more: right now the programs
 * before it end, so that what waits behind them begins, and the thread does not know. */
static void on_line(struct buf *out, enum log_level level, const char *event,
                    const struct log_field *fields)
{
    (void)out;
    (void)level;
    (void)fields;
    if (strcmp(event, "pool_resized") == 0)
        (void)atomic_fetch_add(&resized, 1);
    if (strcmp(event, "pool_paused") != 0)
        return;
    let_go(gate, SLOTS);
    int64_t until_ms = clock_mono_ms() + 5000; /* it may have been given back before */
    while (began() < SHORT + 2 * SLOTS && clock_mono_ms() < until_ms)
        (void)sched_yield();
}

static void drop_line(const char *lines, size_t n)
{
    (void)lines;
    (void)n;
}

static void pause_lane(bool is_paused)
{
    struct pool_wish wish = {.sets_pause = true,
                             .pause = {.since_wall_ms = is_paused ? clock_wall_ms() : 0}};
    live.view.change(live.view.ctx, LANE_CPU, &wish);
}

static void submit(const char *handler, struct task_id *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = live_submit(handler, LANE_CPU, "", 2000000, 0);
}

static void expect(const struct task_id *ids, int n, enum task_state state, uint32_t attempt)
{
    for (int i = 0; i < n; i++) {
        struct task t = live_wait(ids[i], state);
        ck_assert_uint_eq(t.attempt, attempt);
        task_release(&t);
    }
}

/* So many that the lane claims ahead. */
static void run_short(void)
{
    static struct task_id ids[SHORT];
    submit("short", ids, SHORT);
    expect(ids, SHORT, TASK_SUCCEEDED, 1);
}

START_TEST(test_exec_ahead_runs_each_once)
{
    run_short();
    ck_assert_int_eq(began(), SHORT);
    ck_assert_uint_eq(live_stats().lanes[LANE_CPU].started, SHORT);
}
END_TEST

START_TEST(test_exec_ahead_is_given_back_behind_slow_ones)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    wait_for(began() == SHORT + SLOTS);
    wait_for(live_store_stats().live[LANE_CPU][TASK_RUNNING] == SLOTS);
    expect(ids + SLOTS, LONG - SLOTS, TASK_QUEUED, 0);
    ck_assert_int_eq(began(), SHORT + SLOTS);
}
END_TEST

/* Also in the moment in which their turn comes. */
START_TEST(test_exec_ahead_may_be_cancelled)
{
    struct task_id ids[LONG], after;
    run_short();
    submit("long", ids, LONG);
    for (int i = 0; i < LONG; i++)
        live_cancel_any(ids[i]);
    submit("short", &after, 1);
    expect(&after, 1, TASK_SUCCEEDED, 1);
    wait_for(live_stats().lanes[LANE_CPU].busy == 0);
    ck_assert_uint_eq(live_store_stats().finished[TASK_CANCELLED], LONG);
    ck_assert(scheduler_drain(live.s, 1000));
}
END_TEST

/* What has just begun is not wanted back: a pause ends nothing that runs. */
START_TEST(test_exec_ahead_runs_on_when_its_lane_is_paused_as_it_begins)
{
    struct task_id ids[2 * SLOTS];
    run_short();
    submit("gated", ids, SLOTS);
    submit("later", ids + SLOTS, SLOTS);
    wait_for(began() == SHORT + SLOTS);
    wait_for(live_store_stats().live[LANE_CPU][TASK_RUNNING] == 2 * SLOTS);
    pause_lane(true);
    expect(ids, SLOTS, TASK_SUCCEEDED, 1);
    pause_lane(false);
    let_go(later_gate, 4 * SLOTS); /* also for any that would run again */
    expect(ids + SLOTS, SLOTS, TASK_SUCCEEDED, 1);
    ck_assert_int_eq(began(), SHORT + 2 * SLOTS);
}
END_TEST

static void resize(enum lane lane, uint32_t capacity)
{
    int before = atomic_load(&resized);
    struct pool_wish wish = {.sets_capacity = true, .capacity = capacity};
    live.view.change(live.view.ctx, lane, &wish);
    wait_for(atomic_load(&resized) > before);
}

/* The slot of the program that ends is there no more: nothing begins in its place. */
START_TEST(test_exec_ahead_follows_fewer_slots)
{
    struct task_id ids[2 * SLOTS];
    run_short();
    submit("gated", ids, 2 * SLOTS);
    wait_for(began() == SHORT + SLOTS);
    wait_for(live_store_stats().live[LANE_CPU][TASK_RUNNING] == 2 * SLOTS);
    resize(LANE_CPU, SLOTS - 1);
    resize(LANE_IO, 3); /* in a later turn */
    let_go(gate, 1);
    wait_for(live_store_stats().finished[TASK_SUCCEEDED] == SHORT + 1);
    ck_assert_uint_eq(live_stats().lanes[LANE_CPU].started, SHORT + SLOTS);
    let_go(gate, 2 * SLOTS);
    expect(ids, 2 * SLOTS, TASK_SUCCEEDED, 1);
    ck_assert_int_eq(began(), SHORT + 2 * SLOTS);
}
END_TEST

START_TEST(test_exec_ahead_is_released_by_a_drain)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    ck_assert(scheduler_drain(live.s, 10));
    expect(ids, LONG, TASK_QUEUED, 0);
}
END_TEST

START_TEST(test_exec_ahead_goes_with_the_fork_server)
{
    struct task_id ids[LONG];
    run_short();
    submit("long", ids, LONG);
    ck_assert_int_eq(kill(fork_server_pid(live.fs), SIGKILL), 0);
    expect(ids, LONG, TASK_QUEUED, 0);
    ck_assert(scheduler_drain(live.s, 1000));
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_exec_ahead_runs_each_once, 0},
        {test_exec_ahead_is_given_back_behind_slow_ones, 0},
        {test_exec_ahead_may_be_cancelled, 0},
        {test_exec_ahead_runs_on_when_its_lane_is_paused_as_it_begins, 0},
        {test_exec_ahead_follows_fewer_slots, 0},
        {test_exec_ahead_is_released_by_a_drain, 0},
        {test_exec_ahead_goes_with_the_fork_server, 0},
    };
    return suite_run_rows("exec_ahead", 60, setup, teardown, rows, FUT_COUNT(rows));
}
