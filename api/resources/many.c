#include "api/resources/many.h"

#include <string.h>

#include "api/http/shared.h"
#include "core/mem.h"

#define PAGE 500

static void refuse_gone(struct request *r)
{
    struct problem p;
    problem_set(
        &p, PROBLEM_HISTORY_GONE,
        "Some of the futures are no longer kept, so the stream cannot go on without a gap.");
    problem_set_parameter(&p, "Last-Event-ID");
    request_problem(r, &p);
}

void many_refuse_missing(struct request *r, const struct many *m, const struct task_id *future)
{
    struct problem p;
    char id[ID_TEXT_SIZE];
    if (m->resumes) {
        refuse_gone(r);
        return;
    }
    id_format(future ? *future : m->batch, id);
    problem_set(&p, future ? PROBLEM_UNKNOWN_FUTURE : PROBLEM_UNKNOWN_BATCH,
                "No %s has the id \"%s\"; it may have expired.", future ? "future" : "batch", id);
    request_problem(r, &p);
}

static void make_links(struct request *r, struct many *m, size_t n)
{
    m->total = n;
    m->links = arena_alloc(&r->arena, (n ? n : 1) * sizeof(*m->links));
}

/* ---- named by ids ---------------------------------------------------------------------------- */

static bool is_known(const struct map *seen, struct task_id id)
{
    for (struct map_node *n = map_get(seen, id.hi); n; n = map_next_same(n)) {
        if (id_equal(FUT_CONTAINER(n, struct waiter_link, node)->id, id))
            return true;
    }
    return false;
}

/* The links' own nodes serve to see an id twice. */
void many_find(struct request *r, struct many *m, const struct many_in *in, request_step *then)
{
    struct map seen;
    if (!in->ids) {
        many_find_batch(r, m, in->batch, then);
        return;
    }
    make_links(r, m, many_in_count(in));
    map_init(&seen);
    for (size_t i = 0; i < m->total; i++) {
        struct task_id id = many_in_id(in, i);
        if (is_known(&seen, id))
            continue;
        m->links[m->n].id = id;
        map_put(&seen, &m->links[m->n].node, id.hi);
        m->n++;
    }
    map_release(&seen);
    for (size_t i = 0; i < m->n; i++)
        m->links[i].node = (struct map_node){0};
    then(r);
}

/* ---- named by a batch ------------------------------------------------------------------------ */

static void page_read(struct request *r);

static void read_page(struct request *r, struct many *m, uint32_t from)
{
    r->op.members = (struct store_members){
        .id = m->batch, .from = from, .page = {.limit = PAGE, .tasks = m->page}};
    request_members(r, page_read);
}

static void page_read(struct request *r)
{
    struct many *m = r->work;
    const struct store_page *p = &r->op.members.page;
    uint32_t next = 0;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        next = p->tasks[i].spec->batch_pos + 1;
        if (m->n < m->total)
            m->links[m->n++].id = p->tasks[i].spec->id;
        task_release(&p->tasks[i]);
    }
    r->drop_op = NULL;
    if (p->is_full)
        read_page(r, m, next);
    else if (m->n < m->total && m->resumes)
        refuse_gone(r);
    else
        m->then(r);
}

static void batch_read(struct request *r)
{
    struct many *m = r->work;
    int rc = r->op.base.rc;
    if (rc == FUT_ERR_NOT_FOUND) {
        many_refuse_missing(r, m, NULL);
    } else if (rc != 0) {
        request_fail(r, rc);
    } else {
        make_links(r, m, r->op.batch_get.batch.total);
        m->page = arena_alloc(&r->arena, PAGE * sizeof(*m->page));
        read_page(r, m, 0);
    }
}

void many_find_batch(struct request *r, struct many *m, struct task_id batch, request_step *then)
{
    m->batch = batch;
    m->then = then;
    r->work = m;
    request_batch_get(r, batch, batch_read);
}

/* ---- link, then read ------------------------------------------------------------------------- */

bool many_open(struct request *r, struct many *m, const struct waiter_wish *wish)
{
    return waiter_open(&r->api->waiters, &r->waiter, m->links, m->n, wish);
}

/* A waiter that is not open has nobody to tell: what was read is all. */
static void record_states(struct request *r, struct many *m)
{
    if (r->waiter.is_open) {
        waiter_update(&r->api->waiters, &r->waiter, m->briefs);
        return;
    }
    for (size_t i = 0; i < m->n; i++) {
        m->links[i].is_gone = !m->briefs[i].found;
        m->links[i].is_done = m->links[i].is_gone || task_state_is_final(m->briefs[i].state);
    }
}

static void states_read(struct request *r)
{
    struct many *m = r->work;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    for (size_t i = 0; i < m->n && (!m->batch.hi || m->resumes); i++) {
        if (!m->briefs[i].found) {
            many_refuse_missing(r, m, &m->links[i].id);
            return;
        }
    }
    record_states(r, m);
    m->then(r);
}

void many_read(struct request *r, struct many *m, request_step *then)
{
    struct task_id *ids = arena_alloc(&r->arena, (m->n ? m->n : 1) * sizeof(*ids));
    m->briefs = arena_alloc(&r->arena, (m->n ? m->n : 1) * sizeof(*m->briefs));
    for (size_t i = 0; i < m->n; i++)
        ids[i] = m->links[i].id;
    m->then = then;
    r->work = m;
    r->op.get_many = (struct store_get_many){.ids = ids, .n = m->n, .briefs = m->briefs};
    request_post(r, &store_verb_get_many, NULL, states_read);
}
