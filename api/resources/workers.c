#include "api/resources/workers.h"

#include <stdlib.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"
#include "core/proc.h"

/* The names are part of the HTTP contract. */
static const char *const states[] = {
    [POOL_WORKER_STARTING] = "starting", [POOL_WORKER_IDLE] = "idle",
    [POOL_WORKER_BUSY] = "busy",         [POOL_WORKER_TEMPLATE] = "template",
    [POOL_WORKER_LEAVING] = "leaving",   [POOL_WORKER_DYING] = "dying",
};

static void write_task(struct buf *b, const struct pool_worker *w)
{
    char id[ID_TEXT_SIZE];
    json_out_uint(b, "tasks", w->tasks);
    if (!w->task.hi)
        return;
    id_format(w->task, id);
    json_out_str(b, "task", id);
}

/* Nothing of one that is gone in this moment. */
static void write_usage(struct buf *b, const struct pool_worker *w)
{
    struct proc_stat usage;
    if (!w->pid || !proc_stat_read(w->pid, &usage))
        return;
    json_out_uint(b, "rss_bytes", usage.rss_bytes);
    json_out_seconds(b, "cpu", (int64_t)usage.cpu_ms);
}

static void write_worker(struct buf *b, const struct pool_worker *w)
{
    json_out_comma(b);
    buf_putc(b, '{');
    if (w->pid)
        json_out_int(b, "pid", w->pid);
    json_out_str(b, "program", w->program);
    json_out_str(b, "lane", lane_name(w->lane));
    json_out_str(b, "state", states[w->state]);
    write_task(b, w);
    json_out_uint(b, "tasks_done", w->tasks_done);
    json_out_time(b, "started_at", w->started_wall_ms);
    write_usage(b, w);
    buf_putc(b, '}');
}

void workers_get(struct request *r)
{
    const struct pool_view *view = &r->api->cfg.pools;
    size_t n = 0;
    struct pool_worker *all = view->workers ? view->workers(view->ctx, &n) : NULL;
    buf_puts(&r->out, "{\"workers\":[");
    for (size_t i = 0; i < n; i++)
        write_worker(&r->out, &all[i]);
    buf_puts(&r->out, "]}");
    free(all);
    request_reply_json(r, 200);
}
