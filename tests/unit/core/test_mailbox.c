/* The mailbox: nothing is lost between many producers and one sleeper, who is woken once per sleep.
 */
#include <check.h>
#include <poll.h>
#include <stdlib.h>

#include "core/fd.h"
#include "core/mailbox.h"
#include "core/mem.h"
#include "tests/support/suite.h"

#define PRODUCERS 4
#define EACH 20000

struct item {
    struct list_node link;
    int producer, number;
};

struct producer {
    struct mailbox *to;
    struct item *items;
};

static bool is_awake(const struct mailbox *m)
{
    struct pollfd p = {.fd = m->wake_fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

START_TEST(test_mailbox_wakes_once_per_sleep)
{
    struct mailbox m;
    struct item a = {0}, b = {0}, c = {0};
    struct list got;
    list_init(&got);
    ck_assert_int_eq(mailbox_init(&m), 0);
    mailbox_push_quietly(&m, &a.link);
    ck_assert(!is_awake(&m));
    mailbox_push(&m, &b.link);
    ck_assert(is_awake(&m));
    fd_wake_clear(m.wake_fd);
    mailbox_push(&m, &c.link);
    ck_assert(!is_awake(&m)); /* its owner was woken and has not slept since */
    ck_assert(!mailbox_may_sleep(&m));
    mailbox_take(&m, &got);
    ck_assert_uint_eq(got.len, 3);
    ck_assert_ptr_eq(list_pop_front(&got), &a.link);
    ck_assert_ptr_eq(list_pop_front(&got), &b.link);
    ck_assert_ptr_eq(list_pop_front(&got), &c.link);
    mailbox_push(&m, &a.link);
    ck_assert(!is_awake(&m)); /* it looks again before it sleeps */
    ck_assert(!mailbox_may_sleep(&m));
    mailbox_take(&m, &got);
    ck_assert(mailbox_may_sleep(&m));
    mailbox_push(&m, &b.link);
    ck_assert(is_awake(&m));
    mailbox_take(&m, &got);
    mailbox_release(&m);
}
END_TEST

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < EACH; i++)
        mailbox_push(p->to, &p->items[i].link);
    return NULL;
}

/* The owner sleeps whenever it may: a wake-up that went missing would leave it there. */
START_TEST(test_mailbox_loses_nothing)
{
    struct mailbox m;
    struct producer p[PRODUCERS];
    pthread_t threads[PRODUCERS];
    int next[PRODUCERS] = {0};
    struct list got;
    struct list_node *n;
    list_init(&got);
    ck_assert_int_eq(mailbox_init(&m), 0);
    for (int i = 0; i < PRODUCERS; i++) {
        p[i] = (struct producer){&m, xcalloc(EACH, sizeof(struct item))};
        for (int k = 0; k < EACH; k++)
            p[i].items[k] = (struct item){.producer = i, .number = k};
        thread_start(&threads[i], "producer", produce, &p[i]);
    }
    for (int seen = 0; seen < PRODUCERS * EACH;) {
        if (mailbox_may_sleep(&m)) {
            struct pollfd wait = {.fd = m.wake_fd, .events = POLLIN};
            ck_assert_int_eq(poll(&wait, 1, 30000), 1);
            fd_wake_clear(m.wake_fd);
        }
        mailbox_take(&m, &got);
        for (; (n = list_pop_front(&got)) != NULL; seen++) {
            struct item *item = FUT_CONTAINER(n, struct item, link);
            ck_assert_int_eq(item->number, next[item->producer]++);
        }
    }
    for (int i = 0; i < PRODUCERS; i++) {
        thread_join(threads[i]);
        free(p[i].items);
    }
    mailbox_release(&m);
}
END_TEST

int main(void)
{
    TCase *tc = suite_case("all", 60, NULL, NULL);
    tcase_add_test(tc, test_mailbox_wakes_once_per_sleep);
    tcase_add_test(tc, test_mailbox_loses_nothing);
    return suite_run_cases("mailbox", tc, NULL);
}
