/* batch_graph: the tasks of a batch and what they wait for, as JSON or for Graphviz: a stream of
 * pages, first of nodes, then of the edges that lead to them. No page is held longer than its
 * reader takes, and no two are of the same moment. */
#include <stdlib.h>
#include <string.h>

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/resources/batches.h"
#include "api/resources/graph.h"
#include "api/resources/rows.h"
#include "api/text/json_out.h"

#define NODES 200 /* tasks in memory at a time */
#define HEADS                                                                                      \
    16 /* tasks whose edges are read at a time: each has 1000 at most, the last 10,000             \
        */
#define DOT_TYPE "text/vnd.graphviz"

struct walk {
    struct task_id id, then;
    bool is_dot;
    bool is_first; /* of the JSON array that is being written */
    uint32_t from; /* place of the next member */
    bool is_last;  /* there is no member behind this page */
    struct task *page;
    struct task_id *ids;
    size_t n;
};

static const char *const colours[TASK_STATE_COUNT] = {
    [TASK_SCHEDULED] = "white",     [TASK_QUEUED] = "lightyellow", [TASK_RUNNING] = "lightblue",
    [TASK_SUCCEEDED] = "palegreen", [TASK_FAILED] = "salmon",      [TASK_CANCELLED] = "lightgrey"};

static bool failed(struct request *r)
{
    if (r->op.base.rc == 0)
        return false;
    request_fail(r, r->op.base.rc);
    return true;
}

static void separate(struct request *r)
{
    struct walk *w = r->work;
    if (!w->is_first)
        buf_putc(&r->out, ',');
    w->is_first = false;
}

static void read_members(struct request *r, size_t limit, request_step *next)
{
    struct walk *w = r->work;
    request_drop_op(r);
    r->op.members = (struct store_members){
        .id = w->id, .from = w->from, .page = {.limit = limit, .tasks = w->page}};
    request_members(r, next);
}

/* The ids of the page; its tasks go with the operation. */
static void take_page(struct request *r)
{
    struct walk *w = r->work;
    const struct store_page *p = &r->op.members.page;
    w->n = p->n;
    w->is_last = !p->is_full;
    for (size_t i = 0; i < p->n; i++)
        w->ids[i] = p->tasks[i].spec->id;
    if (p->n)
        w->from = p->tasks[p->n - 1].spec->batch_pos + 1;
}

/* ---- edges ----------------------------------------------------------------------------------- */

static void read_heads(struct request *r);

static void write_edge(struct request *r, const struct store_edge *e)
{
    const struct walk *w = r->work;
    char parent[ID_TEXT_SIZE], child[ID_TEXT_SIZE];
    const char *on = graph_on_text(e->on);
    id_format(e->parent, parent);
    id_format(w->ids[e->child], child);
    if (w->is_dot) {
        buf_printf(&r->out, "  \"%s\" -> \"%s\"", parent, child);
        if (e->on != STORE_ON_SUCCESS)
            buf_printf(&r->out, " [label=%s]", on);
        buf_puts(&r->out, ";\n");
        return;
    }
    separate(r);
    buf_printf(&r->out, "{\"from\":\"%s\",\"to\":\"%s\",\"on\":\"%s\",\"pending\":%s}", parent,
               child, on, e->is_pending ? "true" : "false");
}

static void drop_edges(struct request *r)
{
    free(r->op.edges.edges);
    r->op.edges.edges = NULL;
}

static void end(struct request *r)
{
    const struct walk *w = r->work;
    buf_puts(&r->out, w->is_dot ? "}\n" : "]}");
    request_stream_end(r);
}

static void edges_read(struct request *r)
{
    struct walk *w = r->work;
    if (failed(r))
        return;
    for (size_t i = 0; i < r->op.edges.n; i++)
        write_edge(r, &r->op.edges.edges[i]);
    if (!w->is_last) {
        request_stream_more(r, read_heads);
    } else if (w->then.hi) {
        w->ids[0] = w->then;
        w->n = 1;
        w->then.hi = 0;
        request_stream_more(r, read_heads);
    } else {
        end(r);
    }
}

static void read_edges(struct request *r)
{
    struct walk *w = r->work;
    request_drop_op(r);
    r->op.edges = (struct store_edges){.ids = w->ids, .n_ids = w->n};
    request_post(r, &store_verb_edges, drop_edges, edges_read);
}

static void heads_read(struct request *r)
{
    if (failed(r))
        return;
    take_page(r);
    read_edges(r);
}

static void read_heads(struct request *r)
{
    const struct walk *w = r->work;
    if (w->is_last)
        read_edges(r); /* of the task that waits for all */
    else
        read_members(r, HEADS, heads_read);
}

static void begin_edges(struct request *r)
{
    struct walk *w = r->work;
    if (!w->is_dot)
        buf_puts(&r->out, "],\"edges\":[");
    w->is_first = true;
    w->is_last = false;
    w->from = 0;
    request_stream_more(r, read_heads);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void read_nodes(struct request *r);

static void write_node(struct request *r, const struct task *t)
{
    const struct walk *w = r->work;
    const struct task_spec *spec = t->spec;
    char id[ID_TEXT_SIZE];
    id_format(spec->id, id);
    if (w->is_dot) {
        buf_printf(&r->out, "  \"%s\" [label=\"%s%s%s\", style=filled, fillcolor=%s];\n", id,
                   spec->name ? spec->name : "", spec->name ? "\\n" : "", spec->handler,
                   colours[t->state]);
        return;
    }
    separate(r);
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "id", id);
    if (spec->name)
        json_out_str(&r->out, "name", spec->name);
    json_out_str(&r->out, "handler", spec->handler);
    json_out_str(&r->out, "state", task_state_name(t->state));
    buf_putc(&r->out, '}');
}

/* One that was deleted is missing. */
static void then_read(struct request *r)
{
    struct walk *w = r->work;
    if (r->op.base.rc != 0 && r->op.base.rc != FUT_ERR_NOT_FOUND) {
        request_fail(r, r->op.base.rc);
        return;
    }
    if (r->op.base.rc == 0)
        write_node(r, &r->op.get.task);
    else
        w->then.hi = 0;
    request_stream_more(r, begin_edges);
}

static void read_then(struct request *r)
{
    const struct walk *w = r->work;
    if (w->then.hi)
        request_get(r, w->then, then_read);
    else
        begin_edges(r);
}

static void nodes_read(struct request *r)
{
    struct walk *w = r->work;
    if (failed(r))
        return;
    for (size_t i = 0; i < r->op.members.page.n; i++)
        write_node(r, &r->op.members.page.tasks[i]);
    take_page(r);
    request_stream_more(r, w->is_last ? read_then : read_nodes);
}

static void read_nodes(struct request *r)
{
    read_members(r, NODES, nodes_read);
}

static void begin(struct request *r)
{
    struct walk *w = r->work;
    char id[ID_TEXT_SIZE];
    id_format(w->id, id);
    if (w->is_dot)
        buf_printf(&r->out, "digraph \"%s\" {\n", id);
    else
        buf_printf(&r->out, "{\"id\":\"%s\",\"nodes\":[", id);
    w->is_first = true;
    request_stream_more(r, read_nodes);
}

static void found(struct request *r)
{
    struct walk *w = r->work;
    if (r->op.base.rc != 0) {
        batches_fail(r, r->op.base.rc);
        return;
    }
    w->then = r->op.batch_get.batch.then;
    request_stream(r, w->is_dot ? DOT_TYPE : CONTENT_JSON, begin);
}

static bool read_format(struct request *r, bool *out_is_dot)
{
    const char *format = request_arg(r, "format"), *accept = http_header(r, "Accept");
    struct problem p;
    *out_is_dot = format ? strcmp(format, "dot") == 0 : accept && strstr(accept, DOT_TYPE);
    if (!format || *out_is_dot || strcmp(format, "json") == 0)
        return true;
    problem_set(&p, PROBLEM_INVALID_PARAMETER, "\"format\" must be json or dot, not \"%.64s\".",
                format);
    problem_set_parameter(&p, "format");
    request_problem(r, &p);
    return false;
}

void batch_graph_get(struct request *r)
{
    struct walk *w = arena_alloc(&r->arena, sizeof(*w));
    *w = (struct walk){0};
    if (!batches_read_id(r, &w->id) || !read_format(r, &w->is_dot))
        return;
    w->page = arena_alloc(&r->arena, NODES * sizeof(*w->page));
    w->ids = arena_alloc(&r->arena, NODES * sizeof(*w->ids));
    r->work = w;
    request_batch_get(r, w->id, found);
}
