/* cascades: what follows from the end of a task, or from its other life, for those that wait for
 * it: they are queued, cancelled or revived, and so are those that wait for them; and what follows
 * from the cancel of a tree for those that the task has submitted. The commit that ends the task
 * keeps that this is to be done; it is done in the same transaction, or in steps when it is much.
 * The writer thread alone. */
#include <stdio.h>
#include <string.h>

#include "core/end_codes.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/engine/internal.h"

#define STEP 1000 /* edges in one transaction */
#define PART 100

/* ---- an end ---------------------------------------------------------------------------------- */

static int meet(struct store *s, const struct task *child)
{
    int rc = s->ops->set_unmet(s->backend, child->spec->id.hi, child->unmet - 1);
    return rc == 0 && child->unmet == 1 ? edges_end_waiting(s, child->spec) : rc;
}

static int cancel_child(struct store *s, struct task *child, const struct backend_edge *e,
                        enum task_state parent)
{
    bool needs_success = e->on == STORE_ON_SUCCESS;
    char id[ID_TEXT_SIZE], text[160];
    id_format(e->parent, id);
    (void)snprintf(text, sizeof(text), "It begins after the %s of %s, which is %s.",
                   needs_success ? "success" : "failure", id, task_state_name(parent));
    struct task_outcome *why =
        task_outcome_error(end_code_text(needs_success ? END_PARENT_FAILED : END_NOT_NEEDED), text);
    int rc = txn_end(s, child, EVENT_CANCEL, why);
    task_outcome_unref(why);
    return rc;
}

static int follow_edge(struct store *s, struct backend_edge *e, enum task_state parent)
{
    struct task child;
    e->is_pending = false;
    e->is_unmet = !backend_edge_is_met(e->on, parent);
    int rc = s->ops->put_edge(s->backend, e);
    if (rc == 0)
        rc = s->ops->find_live(s->backend, e->child, &child);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc; /* it is done already */
    if (child.state == TASK_SCHEDULED && child.unmet && child.is_suspended)
        rc = e->is_wake ? wakes_meet(s, &child) : 0;
    else if (child.state == TASK_SCHEDULED && child.unmet)
        rc = e->is_unmet ? cancel_child(s, &child, e, parent) : meet(s, &child);
    task_release(&child);
    return rc;
}

static int follow_end(struct store *s, struct backend_cascade *c, size_t max, size_t *out_n)
{
    struct backend_edge edges[PART];
    int rc = s->ops->pending_edges(s->backend, c->key, max, edges, out_n);
    for (size_t i = 0; rc == 0 && i < *out_n; i++)
        rc = follow_edge(s, &edges[i], c->state);
    return rc == 0 && *out_n < max ? s->ops->drop_cascade(s->backend, c) : rc;
}

/* ---- another life ---------------------------------------------------------------------------- */

static bool was_cancelled_for_a_parent(const struct task *t)
{
    const char *code = t->outcome ? t->outcome->code : NULL;
    return t->state == TASK_CANCELLED && code &&
           (strcmp(code, end_code_text(END_PARENT_FAILED)) == 0 ||
            strcmp(code, end_code_text(END_NOT_NEEDED)) == 0);
}

/* A child that cannot live again (another parent has failed, its unique key is taken) stays as it
 * is. It was accepted with its parent, so the queue may be full. */
static int revive_child(struct store *s, uint64_t key)
{
    struct task t;
    struct task_change c;
    int rc = s->ops->find_done(s->backend, key, &t);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc;
    if (was_cancelled_for_a_parent(&t) && task_apply(&t, EVENT_REVIVE, NULL, &c) == 0) {
        rc = revive_task(s, &c, &t, false);
        rc = store_rc_is_fatal(rc) ? rc : 0;
    }
    task_release(&t);
    return rc;
}

static int follow_revival(struct store *s, struct backend_cascade *c, size_t max, size_t *out_n)
{
    struct backend_edge edges[PART];
    int rc = s->ops->children(s->backend, c->key, c->after, max, edges, out_n);
    for (size_t i = 0; rc == 0 && i < *out_n; i++) {
        c->after = edges[i].child;
        rc = edges[i].is_pending || edges[i].on == STORE_ON_WAKE ? 0
                                                                 : revive_child(s, edges[i].child);
    }
    if (rc != 0)
        return rc;
    return *out_n < max ? s->ops->drop_cascade(s->backend, c) : s->ops->put_cascade(s->backend, c);
}

/* ---- the cancel of a tree --------------------------------------------------------------------
 */

static int cancel_if_live(struct store *s, uint64_t key, const char *text)
{
    struct task t;
    int rc = s->ops->find_live(s->backend, key, &t);
    if (rc != 0)
        return rc == FUT_ERR_NOT_FOUND ? 0 : rc; /* it is done already */
    struct task_outcome *why = task_outcome_error(end_code_text(END_CANCELLED), text);
    rc = txn_end(s, &t, EVENT_CANCEL, why);
    task_outcome_unref(why);
    task_release(&t);
    return rc;
}

static int keep_submitted(struct store *s, uint64_t key, uint64_t after)
{
    s->w.cascade_pending = true;
    return s->ops->put_cascade(
        s->backend,
        &(struct backend_cascade){.key = key, .kind = BACKEND_CASCADE_SUBMITTED, .after = after});
}

/* A task that is done may have left others behind that are not. */
static int follow_submitted(struct store *s, struct backend_cascade *c, size_t max, size_t *out_n)
{
    uint64_t keys[PART];
    int rc = s->ops->submitted(s->backend, c->key, c->after, max, keys, out_n);
    for (size_t i = 0; rc == 0 && i < *out_n; i++) {
        rc = cancel_if_live(s, keys[i],
                            "The task that submitted it was cancelled with its descendants.");
        if (rc == 0)
            rc = keep_submitted(s, keys[i], 0);
    }
    if (rc != 0)
        return rc;
    return *out_n < max ? s->ops->drop_cascade(s->backend, c)
                        : keep_submitted(s, c->key, keys[*out_n - 1]);
}

/* From here on the task submits nothing more (submit.c), so whatever it has submitted is found. */
static int write_tree_cancel(struct store *s, struct store_op *op)
{
    struct task_id id = FUT_CONTAINER(op, struct store_tree_cancel, op)->id;
    enum task_state state;
    int rc = txn_begin(s);
    if (rc == 0)
        rc = s->ops->find_state(s->backend, id, &state);
    if (rc == 0)
        rc = cancel_if_live(s, id.hi, "The task was cancelled by a client, with its descendants.");
    return rc == 0 ? keep_submitted(s, id.hi, 0) : rc;
}

const struct store_verb store_verb_tree_cancel = {
    .write = write_tree_cancel, .is_refusable = true, .is_repeatable = true};

/* ---- steps -----------------------------------------------------------------------------------
 */

static int (*const kinds[])(struct store *s, struct backend_cascade *c, size_t max,
                            size_t *out_n) = {
    [BACKEND_CASCADE_END] = follow_end,
    [BACKEND_CASCADE_REVIVAL] = follow_revival,
    [BACKEND_CASCADE_SUBMITTED] = follow_submitted,
};

int cascades_step(struct store *s)
{
    size_t done = 0, n = 0;
    if (!s->w.cascade_pending)
        return 0;
    int rc = txn_begin(s);
    while (rc == 0 && done < STEP) {
        struct backend_cascade c;
        rc = s->ops->next_cascade(s->backend, &c);
        if (rc == FUT_ERR_NOT_FOUND) {
            s->w.cascade_pending = false;
            return 0;
        }
        if (rc == 0)
            rc = kinds[c.kind](s, &c, PART, &n);
        done += n + 1;
    }
    return rc;
}
