/* request_ops: the store operations of a request: posted, carried out by the store's threads, and
 * followed by the step that was named. */
#include <stdlib.h>

#include "api/http/dispatch.h"
#include "api/http/loop.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "core/mem.h"

static void op_done(struct store_op *op)
{
    struct request *r = FUT_CONTAINER(op, struct request, op.base);
    http_loop_wake(r->loop, r);
}

void request_not_posted(struct request *r, int rc)
{
    struct problem p;
    r->next = NULL;
    if (rc != FUT_ERR_FULL) {
        request_fail(r, rc);
        return;
    }
    problem_set(&p, PROBLEM_BUSY, "Too many operations wait for the store; nothing was stored.");
    p.retry_after_s = 1;
    request_problem(r, &p);
}

static void posted(struct request *r, int rc)
{
    if (rc != 0)
        request_not_posted(r, rc);
}

void request_submit(struct request *r, const struct store_key *key, request_step *next)
{
    size_t n = r->callback.spec ? 2 : 1;
    struct task *tasks = arena_alloc(&r->arena, n * sizeof(*tasks)); /* borrows both references */
    tasks[0] = r->task;
    if (n == 2)
        tasks[1] = r->callback;
    request_drop_op(r);
    r->op.submit = (struct store_submit){.tasks = tasks, .n = n, .key = key};
    r->next = next; /* before the post: from then on the request may become ready */
    posted(r, store_submit(r->api->cfg.store, &r->op.submit, op_done));
}

static void drop_apply(struct request *r)
{
    task_release(&r->op.apply.task);
}

void request_apply(struct request *r, const struct task_change *change, request_step *next)
{
    request_drop_op(r);
    r->op.apply = (struct store_apply){.change = *change, .task = r->task};
    r->task = (struct task){0};
    r->drop_op = drop_apply;
    r->next = next;
    posted(r, store_apply(r->api->cfg.store, &r->op.apply, op_done));
}

static void drop_revive(struct request *r)
{
    task_release(&r->op.revive.task);
}

void request_revive(struct request *r, const struct task_change *change, request_step *next)
{
    request_drop_op(r);
    r->op.revive = (struct store_revive){
        .change = *change, .task = r->task, .callback = r->callback.spec ? &r->callback : NULL};
    r->task = (struct task){0};
    r->drop_op = drop_revive;
    r->next = next;
    posted(r, store_revive(r->api->cfg.store, &r->op.revive, op_done));
}

void request_remove(struct request *r, struct task_id id, request_step *next)
{
    request_drop_op(r);
    r->op.del = (struct store_delete){.id = id};
    r->next = next;
    posted(r, store_delete(r->api->cfg.store, &r->op.del, op_done));
}

static void free_note(struct store_note *note)
{
    free((char *)(uintptr_t)note->message);
    *note = (struct store_note){.progress = -1};
}

static void drop_get(struct request *r)
{
    task_release(&r->op.get.task);
    free_note(&r->op.get.note);
}

/* On the store's thread: a large result counts from here on, or is let go at once. The loop may be
 * busy, and must not find results by the hundred that it cannot send. */
static void get_done(struct store_op *op)
{
    struct request *r = FUT_CONTAINER(op, struct request, op.base);
    const struct task_outcome *o = r->op.get.task.outcome;
    if (op->rc == 0 && o && request_is_refusable(r) &&
        !budget_grow(&r->api->budget, &r->share, o->body_len)) {
        drop_get(r);
        r->next = dispatch_refuse_answer;
    }
    http_loop_wake(r->loop, r);
}

static int try_get(struct request *r, struct task_id id, bool with_input, request_step *next)
{
    request_drop_op(r);
    r->op.get = (struct store_get){.id = id, .with_input = with_input};
    r->drop_op = drop_get;
    r->next = next;
    int rc = store_get(r->api->cfg.store, &r->op.get, get_done);
    if (rc != 0)
        r->next = NULL;
    return rc;
}

int request_try_get(struct request *r, struct task_id id, request_step *next)
{
    return try_get(r, id, false, next);
}

int request_try_get_whole(struct request *r, struct task_id id, request_step *next)
{
    return try_get(r, id, true, next);
}

void request_get(struct request *r, struct task_id id, request_step *next)
{
    posted(r, request_try_get(r, id, next));
}

static void drop_attempts(struct request *r)
{
    store_attempts_free(r->op.attempts.attempts, r->op.attempts.n);
    r->op.attempts.attempts = NULL;
    r->op.attempts.n = 0;
}

int request_try_attempts(struct request *r, struct task_id id, request_step *next)
{
    request_drop_op(r);
    r->op.attempts = (struct store_attempts){.id = id};
    r->drop_op = drop_attempts;
    r->next = next;
    int rc = store_attempts(r->api->cfg.store, &r->op.attempts, op_done);
    if (rc != 0)
        r->next = NULL;
    return rc;
}

void request_take_attempts(struct request *r)
{
    store_attempts_free(r->attempts, r->n_attempts);
    r->attempts = r->op.attempts.attempts;
    r->n_attempts = r->op.attempts.n;
    r->drop_op = NULL;
}

static void drop_log(struct request *r)
{
    free_note(&r->op.log.note);
    free(r->op.log.log);
    r->op.log.log = NULL;
}

void request_log(struct request *r, struct task_id id, uint64_t from, request_step *next)
{
    request_drop_op(r);
    r->op.log = (struct store_log){.id = id, .from = from};
    r->drop_op = drop_log;
    r->next = next;
    posted(r, store_log(r->api->cfg.store, &r->op.log, op_done));
}

static void drop_list(struct request *r)
{
    for (size_t i = 0; i < r->op.list.n; i++)
        task_release(&r->op.list.tasks[i]);
}

void request_list(struct request *r, request_step *next)
{
    r->drop_op = drop_list;
    r->next = next;
    posted(r, store_list(r->api->cfg.store, &r->op.list, op_done));
}

void request_get_many(struct request *r, request_step *next)
{
    r->drop_op = NULL;
    r->next = next;
    posted(r, store_get_many(r->api->cfg.store, &r->op.get_many, op_done));
}

static void drop_members(struct request *r)
{
    for (size_t i = 0; i < r->op.members.n; i++)
        task_release(&r->op.members.tasks[i]);
}

void request_members(struct request *r, request_step *next)
{
    r->drop_op = drop_members;
    r->next = next;
    posted(r, store_members(r->api->cfg.store, &r->op.members, op_done));
}

void request_batch_get(struct request *r, struct task_id id, request_step *next)
{
    request_drop_op(r);
    r->op.batch_get = (struct store_batch_get){.id = id};
    r->next = next;
    posted(r, store_batch_get(r->api->cfg.store, &r->op.batch_get, op_done));
}

void request_batch_cancel(struct request *r, struct task_id id, request_step *next)
{
    request_drop_op(r);
    r->op.batch_cancel = (struct store_batch_cancel){.id = id};
    r->next = next;
    posted(r, store_batch_cancel(r->api->cfg.store, &r->op.batch_cancel, op_done));
}

void request_submit_many(struct request *r, void (*drop)(struct request *), request_step *next)
{
    r->drop_op = drop;
    r->next = next;
    posted(r, store_submit(r->api->cfg.store, &r->op.submit, op_done));
}

void request_take_task(struct request *r)
{
    struct task *from = &r->op.get.task;
    if (r->drop_op == drop_apply)
        from = &r->op.apply.task;
    else if (r->drop_op == drop_revive)
        from = &r->op.revive.task;
    if (from == &r->op.get.task && r->drop_op == drop_get) {
        free_note(&r->note);
        r->note = r->op.get.note;
        r->op.get.note = (struct store_note){.progress = -1};
        r->note_is_known = true;
    }
    task_release(&r->task);
    r->task = *from;
    *from = (struct task){0};
    r->drop_op = NULL;
}
