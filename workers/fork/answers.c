#include "workers/fork/answers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/list.h"
#include "core/mem.h"

struct answer {
    struct list_node link;
    struct fork_event event;
};

static struct {
    int sock;
    struct list waiting;
} answers = {.sock = -1};

void answers_init(int sock)
{
    answers.sock = sock;
    list_init(&answers.waiting);
}

static bool send_now(const struct fork_event *ev)
{
    ssize_t n = send(answers.sock, ev, sizeof(*ev), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n >= 0 || errno != EAGAIN; /* any other error: the daemon is gone, recv will tell */
}

void answers_send(const struct fork_event *ev)
{
    if (list_is_empty(&answers.waiting) && send_now(ev))
        return;
    struct answer *a = xnew(struct answer);
    a->event = *ev;
    list_push_back(&answers.waiting, &a->link);
}

void answers_send_waiting(void)
{
    for (struct list_node *n; (n = list_first(&answers.waiting)) != NULL;) {
        struct answer *a = FUT_CONTAINER(n, struct answer, link);
        if (!send_now(&a->event))
            return;
        list_remove(&answers.waiting, n);
        free(a);
    }
}

bool answers_are_waiting(void)
{
    return !list_is_empty(&answers.waiting);
}
