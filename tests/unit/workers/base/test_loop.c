/* Timers, descriptors and what is freed at the end of a turn. */
#include <check.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/suite.h"
#include "workers/base/loop.h"

static int order[8], n_order;

struct timed {
    struct loop_timer timer;
    int name;
};

static void on_timer(struct loop_timer *t)
{
    order[n_order++] = FUT_CONTAINER(t, struct timed, timer)->name;
}

START_TEST(test_loop_timers_fire_in_order)
{
    struct loop *l = loop_new();
    struct timed t[3] = {{{.fn = on_timer}, 0}, {{.fn = on_timer}, 1}, {{.fn = on_timer}, 2}};
    int64_t now = clock_mono_ms();
    loop_timer_set(l, &t[0].timer, now + 20);
    loop_timer_set(l, &t[1].timer, now + 10);
    loop_timer_set(l, &t[2].timer, now + 5);
    loop_timer_clear(l, &t[2].timer);
    while (n_order < 2)
        loop_turn(l, -1);
    ck_assert_int_eq(order[0], 1);
    ck_assert_int_eq(order[1], 0);
    ck_assert_int_ge(clock_mono_ms(), now + 20);
    loop_free(&l);
}
END_TEST

struct pair {
    struct loop *l;
    struct loop_source a, b;
    int seen;
};

static struct pair both;

static void close_the_other(struct loop_source *src, uint32_t events)
{
    (void)events;
    both.seen++;
    loop_close(both.l, src == &both.a ? &both.b : &both.a);
}

/* Both are ready in the same turn; the one that was closed by the other must not be called. */
START_TEST(test_loop_drops_events_of_closed_sources)
{
    int p[2], q[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(q, O_CLOEXEC), 0);
    both.l = loop_new();
    ck_assert_int_eq(loop_open(both.l, &both.a, p[0], EPOLLIN, close_the_other), 0);
    ck_assert_int_eq(loop_open(both.l, &both.b, q[0], EPOLLIN, close_the_other), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    ck_assert_int_eq(write(q[1], "x", 1), 1);
    loop_turn(both.l, -1);
    ck_assert_int_eq(both.seen, 1);
    loop_close(both.l, &both.a);
    loop_close(both.l, &both.b);
    loop_free(&both.l);
    close(p[1]);
    close(q[1]);
}
END_TEST

static void ended(struct loop_deferred *deferred)
{
    (void)deferred;
    n_order++;
}

START_TEST(test_loop_buries_at_the_end_of_the_turn)
{
    struct loop *l = loop_new();
    struct loop_deferred deferred = {0};
    loop_defer(l, &deferred, ended);
    ck_assert_int_eq(n_order, 0);
    loop_turn(l, 0);
    ck_assert_int_eq(n_order, 1);
    loop_free(&l);
}
END_TEST

struct soon {
    struct loop_soon soon;
    struct loop *l;
    int again; /* times that it asks for itself once more */
};

static void done_soon(struct loop_soon *soon)
{
    struct soon *s = FUT_CONTAINER(soon, struct soon, soon);
    n_order++;
    if (s->again-- > 0)
        loop_do_soon(s->l, soon);
}

static void count_events(struct loop_source *src, uint32_t events)
{
    (void)src;
    (void)events;
    ck_assert_int_eq(n_order, 3); /* they come later */
    both.seen++;
}

START_TEST(test_loop_does_soon_once_and_before_it_waits)
{
    int p[2];
    struct loop_source src;
    struct loop *l = loop_new();
    struct soon once = {{.fn = done_soon}, l, 0}, twice = {{.fn = done_soon}, l, 1},
                never = {{.fn = done_soon}, l, 0};
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(loop_open(l, &src, p[0], EPOLLIN, count_events), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    loop_do_soon(l, &once.soon);
    loop_do_soon(l, &once.soon);
    loop_do_soon(l, &twice.soon);
    loop_do_soon(l, &never.soon);
    loop_do_not(l, &never.soon);
    loop_do_not(l, &never.soon);
    loop_turn(l, -1);
    ck_assert_int_eq(both.seen, 1);
    loop_close(l, &src);
    loop_turn(l, 0);
    ck_assert_int_eq(n_order, 3);
    loop_free(&l);
    close(p[1]);
}
END_TEST

static void count_seen(struct loop_source *src, uint32_t events)
{
    (void)src;
    (void)events;
    both.seen++;
}

static int64_t delay_took_us(struct loop *l, int64_t us)
{
    int64_t begin = clock_mono_us();
    loop_delay(l, us);
    return clock_mono_us() - begin;
}

/* Only the source that ends delays does, once for each time that something happens there, and what
 * has happened meanwhile is the next turn's. */
START_TEST(test_loop_delay)
{
    int p[2], wake = fd_wake_new();
    struct loop *l = loop_new();
    struct loop_source src, urgent;
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(loop_open(l, &src, p[0], EPOLLIN, count_seen), 0);
    ck_assert_int_eq(loop_open(l, &urgent, wake, EPOLLIN | EPOLLET, count_seen), 0);
    ck_assert_int_eq(loop_end_delays(l, &urgent), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    ck_assert_int_ge(delay_took_us(l, 5000), 5000);
    ck_assert_int_eq(both.seen, 0);
    fd_wake(wake);
    loop_delay(l, (int64_t)SUITE_TIMEOUT_S * 10 * 1000000); /* ends now, or the test does not */
    ck_assert_int_ge(delay_took_us(l, 5000), 5000);
    ck_assert_int_eq(both.seen, 0);
    loop_turn(l, -1);
    ck_assert_int_eq(both.seen, 2);
    loop_close(l, &urgent);
    ck_assert_int_ge(delay_took_us(l, 1000), 1000);
    loop_close(l, &src);
    loop_free(&l);
    close(p[1]);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_loop_timers_fire_in_order, 0},
        {test_loop_drops_events_of_closed_sources, 0},
        {test_loop_buries_at_the_end_of_the_turn, 0},
        {test_loop_does_soon_once_and_before_it_waits, 0},
        {test_loop_delay, 0},
    };
    return suite_run_rows("loop", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
