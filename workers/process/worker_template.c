#include "workers/process/worker_template.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "workers/process/worker_channel.h"

bool worker_template_is_awaited(const struct worker_process *w)
{
    return w->template != NULL;
}

static void stop_waiting(struct worker_process *w)
{
    list_remove(&w->template->forks, &w->fork_link);
    w->template = NULL;
}

void worker_template_forget(struct worker_process *w)
{
    if (w->template)
        stop_waiting(w);
    fd_close(&w->held);
}

void worker_template_fork(struct worker_process *template, struct worker_process *w,
                          const int fds[3], int held)
{
    struct wire_head h = WIRE_HEAD(WIRE_FORK);
    h.id = ++template->last_id;
    w->held = held;
    w->fork_id = h.id;
    w->template = template;
    list_push_back(&template->forks, &w->fork_link);
    if (wire_stream_put_fds(&template->stream, &h, fds, 3) != 0)
        FUT_BUG("a FORK that cannot be said");
    worker_channel_flush(template);
}

/* Who waits for the answer to this FORK, and does so no more; NULL: it has given up. */
static struct worker_process *take_waiting(struct worker_process *template, uint64_t id)
{
    struct list_node *n = list_first(&template->forks);
    while (n && FUT_CONTAINER(n, struct worker_process, fork_link)->fork_id != id)
        n = list_next(&template->forks, n);
    if (!n)
        return NULL;
    struct worker_process *w = FUT_CONTAINER(n, struct worker_process, fork_link);
    stop_waiting(w);
    return w;
}

/* Once the request is on its way to the fork server, a signal of ours cannot come before it: now w
 * may be given tasks. */
static int adopt(struct worker_process *w, pid_t pid)
{
    struct limits limits = limits_of_process(&w->limits);
    int rc = children_adopt(w->children, &w->child, w->slot, pid, &limits);
    if (rc != 0 || w->state != WORKER_STARTING) {
        fd_close(&w->held); /* it exits by that; the fork server tells when */
        return rc;
    }
    rc = loop_open(w->loop, &w->channel, w->held, EPOLLIN, worker_channel_ready);
    if (rc == 0)
        w->held = -1;
    return rc;
}

bool worker_template_forked(struct worker_process *template, const struct wire_message *m)
{
    if (template->state != WORKER_TEMPLATE || m->head.id > template->last_id || m->head.bytes ||
        m->head.pid < 2 || m->head.pid > INT32_MAX)
        return false;
    struct worker_process *w = take_waiting(template, m->head.id);
    if (w && adopt(w, (pid_t)m->head.pid) != 0)
        worker_process_lost(w, "it could not be adopted");
    return true;
}

bool worker_template_failed(struct worker_process *template, const struct wire_message *m)
{
    struct worker_process *w = take_waiting(template, m->head.id);
    if (w) {
        buf_put(&w->printed, m->payload, (size_t)m->head.bytes);
        worker_process_lost(w, "");
    }
    return m->head.id <= template->last_id;
}

void worker_template_dismiss(struct worker_process *template)
{
    for (struct list_node *n; (n = list_first(&template->forks)) != NULL;)
        stop_waiting(FUT_CONTAINER(n, struct worker_process, fork_link));
}

void worker_template_ended(struct worker_process *template)
{
    for (struct list_node *n; (n = list_first(&template->forks)) != NULL;) {
        struct worker_process *w = FUT_CONTAINER(n, struct worker_process, fork_link);
        stop_waiting(w);
        worker_process_lost(w, "the process that forks its workers has died");
    }
}
