/* An attempt that waits for others under its token lends its slot, and has it back when it goes on.
 */
#include <fcntl.h>

#include "core/attempt_token.h"
#include "tests/support/suite.h"
#include "tests/support/wait.h"
#include "tests/unit/workers/live.h"

#define LIMIT_MS 20000
#define SHORT 200

/* Writes its token to a file of its task's name, and ends when there is one of that name and .go.
 */
static const char file[] =
    "{\"holds\": {\"exec\": [\"sh\", \"-c\", \"echo $FUTURED_TOKEN > $DIR/new-$FUTURED_TASK_ID;"
    " mv $DIR/new-$FUTURED_TASK_ID $DIR/$FUTURED_TASK_ID;"
    " until [ -e $DIR/$FUTURED_TASK_ID.go ]; do sleep 0.02; done\"], \"env\": {\"DIR\": \"%s\"}},"
    " \"short\": {\"exec\": [\"true\"]}}";
static char dir[] = "/tmp/futured-test-lending-XXXXXX";
static char text[2048];

static void start(uint32_t slots)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(text, sizeof(text), file, dir);
    live_file = text;
    live_tokens = attempt_token_table_new();
    attempt_token_set_url(live_tokens, "http://127.0.0.1:1");
    live_start(1, slots);
}

static void setup(void)
{
    start(1);
}

static void setup_two(void)
{
    start(2);
}

static void teardown(void)
{
    live_stop();
    attempt_token_table_free(&live_tokens);
    (void)rmdir(dir);
}

struct holder {
    struct task_id id;
    char path[128];
    struct attempt_who who;
};

static struct holder submit(void)
{
    struct holder h = {.id = live_submit("holds", LANE_CPU, "", 60000, 0)};
    char id[ID_TEXT_SIZE];
    id_format(h.id, id);
    (void)snprintf(h.path, sizeof(h.path), "%s/%s", dir, id);
    return h;
}

static bool is_there(void *ctx)
{
    return access(ctx, F_OK) == 0;
}

/* Waits until it runs, and looks its token up. */
static void begun(struct holder *h)
{
    char token[ATTEMPT_TOKEN_SIZE] = "";
    ck_assert_msg(wait_until(is_there, h->path, LIMIT_MS), "it does not begin");
    FILE *f = fopen(h->path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(token, sizeof(token), f));
    (void)fclose(f);
    (void)unlink(h->path);
    ck_assert_int_eq(attempt_token_find(live_tokens, token, strlen(token), &h->who), 0);
}

static void let_go(const struct holder *h)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s.go", h->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    fd_close(&fd);
    struct task t = live_wait(h->id, TASK_SUCCEEDED);
    task_release(&t);
    (void)unlink(path);
}

static struct pool_lane lane(void)
{
    return live_stats().lanes[LANE_CPU];
}

struct expected {
    uint32_t busy, lent;
};

static bool stands(void *ctx)
{
    const struct expected *e = ctx;
    struct pool_lane l = lane();
    return l.busy == e->busy && l.lent == e->lent;
}

static void expect(uint32_t busy, uint32_t lent)
{
    struct expected e = {busy, lent};
    ck_assert_msg(wait_until(stands, &e, LIMIT_MS), "busy %u, lent %u", lane().busy, lane().lent);
}

/* One slot: the second one begins in it while the first waits. When that goes on both run, and the
 * third begins only when both have ended. */
START_TEST(test_lending_of_the_only_slot)
{
    struct attempt_wait w = {0};
    struct attempt_circle circle;
    struct holder a = submit();
    begun(&a);
    struct holder b = submit(), c = submit();
    expect(1, 0);
    ck_assert_int_eq(attempt_token_wait(live_tokens, &w, a.who.number, &b.id, 1, false, &circle),
                     0);
    begun(&b);
    expect(2, 1);
    attempt_token_go_on(live_tokens, &w);
    expect(2, 0);
    let_go(&a);
    expect(1, 0);
    ck_assert_uint_eq(lane().started, 2);
    let_go(&b);
    begun(&c);
    let_go(&c);
    expect(0, 0);
}
END_TEST

static void run_short(void)
{
    static struct task_id ids[SHORT];
    for (int i = 0; i < SHORT; i++)
        ids[i] = live_submit("short", LANE_CPU, "", 60000, 0);
    for (int i = 0; i < SHORT; i++) {
        struct task t = live_wait(ids[i], TASK_SUCCEEDED);
        task_release(&t);
    }
}

/* What waits with the fork server for the end of a program that has lent its slot would begin in a
 * slot that there is not. */
START_TEST(test_lending_leaves_nothing_in_the_line)
{
    struct attempt_wait w = {0};
    struct attempt_circle circle;
    run_short(); /* so that tasks are claimed ahead */
    struct holder a = submit(), other = submit();
    begun(&a);
    begun(&other);
    struct holder b = submit(), c = submit();
    wait_for(live_store_stats().live[LANE_CPU][TASK_RUNNING] == 4);
    for (int turns = 0; turns < 3; turns++) /* the scheduler has heard of it, and acted on that */
        wait_for(scheduler_has_moved(live.s));
    ck_assert_int_eq(attempt_token_wait(live_tokens, &w, a.who.number, &b.id, 1, false, &circle),
                     0);
    begun(&b);
    expect(3, 1);
    let_go(&a);
    expect(2, 0);
    ck_assert_uint_eq(lane().started, SHORT + 3);
    let_go(&b);
    let_go(&other);
    begun(&c);
    let_go(&c);
}
END_TEST

/* What it has lent comes back with its end, whatever that is. */
START_TEST(test_lending_ends_with_the_attempt)
{
    struct attempt_wait w = {0};
    struct attempt_circle circle;
    struct holder a = submit();
    begun(&a);
    struct holder b = submit();
    ck_assert_int_eq(attempt_token_wait(live_tokens, &w, a.who.number, &b.id, 1, false, &circle),
                     0);
    begun(&b);
    expect(2, 1);
    live_cancel(a.id);
    expect(1, 0);
    attempt_token_go_on(live_tokens, &w); /* there is no wait any more */
    ck_assert_int_eq(attempt_token_wait(live_tokens, &w, a.who.number, &b.id, 1, false, &circle),
                     FUT_ERR_NOT_FOUND);
    let_go(&b);
    expect(0, 0);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("lending", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_lending_of_the_only_slot);
    tcase_add_test(t, test_lending_ends_with_the_attempt);
    TCase *two = suite_case("two slots", SUITE_TIMEOUT_S, setup_two, teardown);
    tcase_add_test(two, test_lending_leaves_nothing_in_the_line);
    return suite_run_cases("scheduler: lending", t, two, NULL);
}
