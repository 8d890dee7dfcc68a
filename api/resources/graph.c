#include "api/resources/graph.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_in.h"
#include "core/hash.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/result_ref.h"

struct graph_name {
    struct map_node by_name; /* while the graph is resolved */
    size_t task;
    char name[TASK_HANDLER_MAX + 1];
};

struct graph_edge {
    size_t child;
    enum store_on on;
    size_t inside; /* the place of the parent; SIZE_MAX: it has a name or an id */
    char parent[TASK_HANDLER_MAX + 1]; /* a name, or an id */
};

static const char *const on_names[] = {
    [STORE_ON_SUCCESS] = "success",
    [STORE_ON_FAILURE] = "failure",
    [STORE_ON_DONE] = "done",
    [STORE_ON_WAKE] = "wake"}; /* the last is said of what suspended tasks wait for, by nobody */

static int refuse(enum problem_code code, const char *field, struct problem *p)
{
    p->code = code;
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static int set_parent(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct graph_edge *e = to;
    if (!task_handler_name_ok(json_string_value(v))) /* an id is spelled with these, too */
        return json_in_bad_value(f, json_string_value(v), p);
    (void)snprintf(e->parent, sizeof(e->parent), "%s", json_string_value(v));
    return 0;
}

const char *graph_on_text(enum store_on on)
{
    return on_names[on];
}

bool graph_parse_on(const char *text, enum store_on *out)
{
    for (size_t i = 0; i < STORE_ON_WAKE; i++) {
        if (strcmp(on_names[i], text) == 0) {
            *out = (enum store_on)i;
            return true;
        }
    }
    return false;
}

static int set_on(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct graph_edge *e = to;
    return graph_parse_on(json_string_value(v), &e->on)
               ? 0
               : json_in_bad_value(f, json_string_value(v), p);
}

static const struct json_in_field members[] = {
    {"after.id", "the id of a future, or the name of a task of this batch", JSON_IN_STRING, false,
     0, set_parent},
    {"after.on", "\"success\", \"failure\" or \"done\"", JSON_IN_STRING, false, 0, set_on},
};

static int read_edge(const json_t *v, struct graph_edge *e, struct problem *p)
{
    static const struct json_in_object object = {"what a task waits for", "after.", members,
                                                 FUT_COUNT(members), 0};
    int rc = json_is_string(v) ? set_parent(e, &members[0], v, p) : json_in_read(&object, v, e, p);
    if (rc != 0 || *e->parent)
        return rc;
    problem_set(p, PROBLEM_MISSING_FIELD, "\"after.id\" is missing.");
    return refuse(PROBLEM_MISSING_FIELD, "after.id", p);
}

/* NULL: there are too many; *p is set. */
static struct graph_edge *next_edge(struct graph *g, size_t child, enum store_on on,
                                    struct problem *p)
{
    if (g->n_edges == GRAPH_EDGES_MAX) {
        problem_set(p, PROBLEM_BATCH_TOO_LARGE,
                    "A batch has at most %d edges (\"after\", \"then\").", GRAPH_EDGES_MAX);
        p->limit = GRAPH_EDGES_MAX;
        (void)refuse(PROBLEM_BATCH_TOO_LARGE, "after", p);
        return NULL;
    }
    if (g->n_edges == g->cap_edges) {
        g->cap_edges = g->cap_edges ? g->cap_edges * 2 : 16;
        g->edges = xrealloc(g->edges, g->cap_edges * sizeof(*g->edges));
    }
    struct graph_edge *e = &g->edges[g->n_edges++];
    e->child = child;
    e->on = on;
    e->inside = SIZE_MAX;
    e->parent[0] = '\0';
    return e;
}

static int add_edge(struct graph *g, size_t child, const json_t *v, struct problem *p)
{
    struct graph_edge *e = next_edge(g, child, STORE_ON_SUCCESS, p);
    return e ? read_edge(v, e, p) : FUT_ERR_INVAL;
}

int graph_add_then(struct graph *g, size_t child, size_t n, enum store_on on, struct problem *p)
{
    g->then = child;
    for (size_t i = 0; i < n; i++) {
        struct graph_edge *e = next_edge(g, child, on, p);
        if (!e)
            return FUT_ERR_INVAL;
        e->inside = i;
    }
    return 0;
}

static void add_name(struct graph *g, size_t task, const char *name)
{
    if (g->n_names == g->cap_names) {
        g->cap_names = g->cap_names ? g->cap_names * 2 : 16;
        g->names = xrealloc(g->names, g->cap_names * sizeof(*g->names));
    }
    struct graph_name *n = &g->names[g->n_names++];
    *n = (struct graph_name){.task = task};
    (void)snprintf(n->name, sizeof(n->name), "%s", name);
}

int graph_add(struct graph *g, size_t child, const char *name, const struct json_t *after,
              struct problem *p)
{
    if (name)
        add_name(g, child, name);
    if (json_array_size(after) > GRAPH_PARENTS_MAX) {
        problem_set(p, PROBLEM_INVALID_VALUE, "A task waits for %d others at most (\"after\").",
                    GRAPH_PARENTS_MAX);
        return refuse(PROBLEM_INVALID_VALUE, "after", p);
    }
    for (size_t i = 0; i < json_array_size(after); i++) {
        if (add_edge(g, child, json_array_get(after, i), p) != 0)
            return FUT_ERR_INVAL;
    }
    return 0;
}

void graph_release(struct graph *g)
{
    free(g->names);
    free(g->edges);
    *g = (struct graph){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct graph_name *find_name(const struct map *by_name, const char *name)
{
    struct map_node *n = map_get(by_name, hash_text(HASH_START, name));
    for (; n; n = map_next_same(n)) {
        struct graph_name *found = FUT_CONTAINER(n, struct graph_name, by_name);
        if (strcmp(found->name, name) == 0)
            return found;
    }
    return NULL;
}

static int index_names(const struct graph *g, struct map *by_name, struct problem *p)
{
    for (size_t i = 0; i < g->n_names; i++) {
        struct graph_name *n = &g->names[i];
        n->by_name = (struct map_node){0};
        if (find_name(by_name, n->name)) {
            problem_set(p, PROBLEM_INVALID_VALUE, "Two tasks are called \"%s\".", n->name);
            return refuse(PROBLEM_INVALID_VALUE, "name", p);
        }
        map_put(by_name, &n->by_name, hash_text(HASH_START, n->name));
    }
    return 0;
}

/* *out_inside: the place of the parent, or SIZE_MAX for a future that is there already. */
static int resolve_one(const struct graph_edge *e, const struct map *by_name,
                       const struct task *tasks, struct store_edge *out, size_t *out_inside,
                       struct problem *p)
{
    const struct graph_name *name = e->inside == SIZE_MAX ? find_name(by_name, e->parent) : NULL;
    size_t inside = name ? name->task : e->inside;
    *out = (struct store_edge){.child = e->child, .on = e->on, .is_inside = inside != SIZE_MAX};
    *out_inside = inside;
    if (inside != SIZE_MAX)
        out->parent = tasks[inside].spec->id;
    else if (!id_parse(e->parent, &out->parent)) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "No task of this submission is called \"%s\", and it is no future's id.",
                    e->parent);
        return refuse(PROBLEM_INVALID_VALUE, "after", p);
    }
    return 0;
}

/* ---- edges by parent and child --------------------------------------------------------------- */

struct edge_index {
    struct map map;
    struct map_node *nodes; /* one per edge */
    const struct store_edge *edges;
};

static uint64_t edge_key(struct task_id parent, size_t child)
{
    return hash_number(hash_number(HASH_START, parent.hi), child);
}

static const struct store_edge *find_edge(const struct edge_index *x, struct task_id parent,
                                          size_t child)
{
    struct map_node *m = map_get(&x->map, edge_key(parent, child));
    for (; m; m = map_next_same(m)) {
        const struct store_edge *e = &x->edges[m - x->nodes];
        if (e->child == child && e->parent.hi == parent.hi)
            return e;
    }
    return NULL;
}

static int index_edges(struct edge_index *x, size_t n, struct problem *p)
{
    for (size_t i = 0; i < n; i++) {
        const struct store_edge *e = &x->edges[i];
        if (find_edge(x, e->parent, e->child)) {
            problem_set(p, PROBLEM_INVALID_VALUE, "\"after\" names the same parent twice.");
            return refuse(PROBLEM_INVALID_VALUE, "after", p);
        }
        map_put(&x->map, &x->nodes[i], edge_key(e->parent, e->child));
    }
    return 0;
}

/* ---- cycles ---------------------------------------------------------------------------------- */

/* Edges inside the submission: out[first[parent] …] are the children. */
struct inner {
    const size_t *parents; /* per edge; SIZE_MAX: outside */
    const struct store_edge *edges;
    size_t n_edges, n_tasks;
    size_t *first, *children, *unmet, *ready;
};

static void group_by_parent(struct inner *in)
{
    size_t *at = xcalloc(in->n_tasks + 1, sizeof(*at));
    for (size_t i = 0; i < in->n_edges; i++) {
        if (in->parents[i] != SIZE_MAX)
            in->first[in->parents[i] + 1]++;
    }
    for (size_t i = 0; i < in->n_tasks; i++)
        in->first[i + 1] += in->first[i];
    memcpy(at, in->first, in->n_tasks * sizeof(*at));
    for (size_t i = 0; i < in->n_edges; i++) {
        if (in->parents[i] == SIZE_MAX)
            continue;
        in->children[at[in->parents[i]]++] = in->edges[i].child;
        in->unmet[in->edges[i].child]++;
    }
    free(at);
}

/* Takes tasks away that wait for none; false: some wait for each other. */
static bool is_acyclic(struct inner *in)
{
    size_t n = 0, done = 0;
    for (size_t i = 0; i < in->n_tasks; i++) {
        if (!in->unmet[i])
            in->ready[n++] = i;
    }
    for (; done < n; done++) {
        size_t t = in->ready[done];
        for (size_t i = in->first[t]; i < in->first[t + 1]; i++) {
            if (--in->unmet[in->children[i]] == 0)
                in->ready[n++] = in->children[i];
        }
    }
    return n == in->n_tasks;
}

static const char *name_of(const struct graph *g, size_t task)
{
    for (size_t i = 0; i < g->n_names; i++) {
        if (g->names[i].task == task)
            return g->names[i].name;
    }
    return "?";
}

/* A parent of the task that waits itself. */
static size_t waiting_parent(const struct inner *in, size_t task)
{
    for (size_t i = 0; i < in->n_edges; i++) {
        if (in->edges[i].child == task && in->parents[i] != SIZE_MAX && in->unmet[in->parents[i]])
            return in->parents[i];
    }
    FUT_BUG("a task waits for none");
}

/* Walks from parent to parent until it comes to a task again, and names those from there on. */
static int refuse_cycle(const struct graph *g, const struct inner *in, struct problem *p)
{
    struct buf text = BUF_INIT;
    bool *seen = xcalloc(in->n_tasks, sizeof(*seen));
    size_t at = 0;
    while (!in->unmet[at])
        at++;
    while (!seen[at]) {
        seen[at] = true;
        at = waiting_parent(in, at);
    }
    size_t start = at;
    do {
        buf_printf(&text, "\"%s\" after ", name_of(g, at));
        at = waiting_parent(in, at);
    } while (at != start && text.len < 400);
    problem_set(p, PROBLEM_INVALID_VALUE, "The tasks wait for each other in a cycle: %.500s\"%s\".",
                text.data, at == start ? name_of(g, start) : "…");
    buf_release(&text);
    free(seen);
    return refuse(PROBLEM_INVALID_VALUE, "after", p);
}

static int check_cycles(const struct graph *g, const struct store_edge *edges,
                        const size_t *parents, size_t n_tasks, struct problem *p)
{
    struct inner in = {
        .parents = parents, .edges = edges, .n_edges = g->n_edges, .n_tasks = n_tasks};
    size_t *all = xcalloc(3 * n_tasks + 1 + g->n_edges, sizeof(*all));
    in.unmet = all;
    in.ready = all + n_tasks;
    in.first = all + 2 * n_tasks;
    in.children = all + 3 * n_tasks + 1;
    group_by_parent(&in);
    int rc = is_acyclic(&in) ? 0 : refuse_cycle(g, &in, p);
    free(all);
    return rc;
}

/* ---- references to results ------------------------------------------------------------------- */

/* What the references of one task are checked against. */
struct known {
    const struct map *by_name;
    const struct task *tasks;
    const struct edge_index *edges;
    size_t then; /* the task that may refer to all results; 0: none may */
};

static int refuse_ref(const struct result_ref *ref, const char *why, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"input\" refers to the result of \"%.64s\", %s",
                ref->parent, why);
    return refuse(PROBLEM_INVALID_VALUE, "input", p);
}

/* Appends an array of references to all that the task waits for; null where one has no result. */
static int write_all_refs(const struct known *k, size_t child, struct buf *out, struct problem *p)
{
    static const struct result_ref or_null = {.pointer = "", .missing = "null", .missing_len = 4};
    char text[ID_TEXT_SIZE];
    if (!k->then || child != k->then) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"input\": only the \"then\" of a batch may have {\"$results\":true}.");
        return refuse(PROBLEM_INVALID_VALUE, "input", p);
    }
    buf_putc(out, '[');
    for (size_t i = 0; i < k->then; i++) {
        if (i)
            buf_putc(out, ',');
        id_format(k->tasks[i].spec->id, text);
        result_ref_write(out, text, &or_null);
    }
    buf_putc(out, ']');
    return 0;
}

/* Appends the reference, by id. */
static int write_ref(const struct known *k, size_t child, const struct result_ref *ref,
                     struct buf *out, struct problem *p)
{
    const struct graph_name *name = find_name(k->by_name, ref->parent);
    const struct store_edge *e = NULL;
    struct task_id id;
    char text[ID_TEXT_SIZE];
    if (ref->is_all)
        return write_all_refs(k, child, out, p);
    if (name)
        e = find_edge(k->edges, k->tasks[name->task].spec->id, child);
    else if (id_parse(ref->parent, &id))
        e = find_edge(k->edges, id, child);
    if (!e)
        return refuse_ref(ref, "which is not among those that it waits for (\"after\").", p);
    if (e->on != STORE_ON_SUCCESS && !ref->missing)
        return refuse_ref(
            ref, "whose success it does not wait for (\"after\"), and has no \"default\".", p);
    id_format(e->parent, text);
    result_ref_write(out, text, ref);
    return 0;
}

static int write_refs(const struct known *k, size_t child, const struct result_refs *refs,
                      struct buf *out, struct problem *p)
{
    const struct task_spec *spec = k->tasks[child].spec;
    size_t at = 0, n = 0;
    for (size_t i = 0; i < refs->n; i++) {
        n += refs->items[i].is_all ? k->then : 1;
        if (n > RESULT_REF_MAX) {
            problem_set(p, PROBLEM_INVALID_VALUE, "\"input\" refers to results more than %d times.",
                        RESULT_REF_MAX);
            return refuse(PROBLEM_INVALID_VALUE, "input", p);
        }
        buf_put(out, spec->input + at, refs->items[i].begin - at);
        if (write_ref(k, child, &refs->items[i], out, p) != 0)
            return FUT_ERR_INVAL;
        at = refs->items[i].end;
    }
    buf_put(out, spec->input + at, spec->input_len - at);
    return 0;
}

/* What looked like references may be none. */
static int resolve_refs(const struct known *k, struct task *tasks, size_t child, struct problem *p)
{
    struct result_refs refs;
    struct buf out = BUF_INIT;
    struct task_spec *old = tasks[child].spec, with = *old;
    int rc = result_ref_find((const char *)old->input, old->input_len, &refs);
    if (rc != 0) {
        problem_set(p, PROBLEM_INVALID_VALUE, "\"input\": %s", refs.why);
        rc = refuse(PROBLEM_INVALID_VALUE, "input", p);
    }
    if (rc == 0)
        rc = write_refs(k, child, &refs, &out, p);
    if (rc == 0) {
        with.input = (const unsigned char *)out.data;
        with.input_len = out.len;
        with.has_refs = refs.n > 0;
        tasks[child].spec = task_spec_new(&with);
        task_spec_unref(old);
    }
    result_ref_release(&refs);
    buf_release(&out);
    return rc;
}

/* ---- all together ---------------------------------------------------------------------------- */

static int resolve_all(const struct graph *g, struct task *tasks, size_t n,
                       struct store_edge *edges, size_t *parents, struct problem *p)
{
    struct map by_name;
    struct edge_index index = {.nodes = xcalloc(g->n_edges + 1, sizeof(*index.nodes)),
                               .edges = edges};
    struct known known = {&by_name, tasks, &index, g->then};
    map_init(&by_name);
    map_init(&index.map);
    int rc = index_names(g, &by_name, p);
    for (size_t i = 0; rc == 0 && i < g->n_edges; i++)
        rc = resolve_one(&g->edges[i], &by_name, tasks, &edges[i], &parents[i], p);
    if (rc == 0)
        rc = check_cycles(g, edges, parents, n, p);
    if (rc == 0)
        rc = index_edges(&index, g->n_edges, p);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = tasks[i].spec->has_refs ? resolve_refs(&known, tasks, i, p) : 0;
    map_release(&index.map);
    map_release(&by_name);
    free(index.nodes);
    return rc;
}

int graph_resolve(const struct graph *g, struct task *tasks, size_t n, struct store_edge **out,
                  size_t *out_n, struct problem *p)
{
    struct store_edge *edges = xcalloc(g->n_edges + 1, sizeof(*edges));
    size_t *parents = xcalloc(g->n_edges + 1, sizeof(*parents));
    int rc = resolve_all(g, tasks, n, edges, parents, p);
    for (size_t i = 0; rc == 0 && i < g->n_edges; i++) {
        tasks[edges[i].child].state = TASK_SCHEDULED;
        tasks[edges[i].child].due_wall_ms = 0; /* a delay counts from the end of the parents */
        tasks[edges[i].child].unmet++;
    }
    free(parents);
    if (rc != 0 || g->n_edges == 0) {
        free(edges);
        edges = NULL;
    }
    *out = edges;
    *out_n = rc == 0 ? g->n_edges : 0;
    return rc;
}

void graph_refused(const struct store_submit *o, struct problem *p)
{
    const struct store_edge *e = &o->edges[o->refused_edge];
    char id[ID_TEXT_SIZE];
    id_format(e->parent, id);
    if (o->op.rc == FUT_ERR_NOT_FOUND)
        problem_set(p, PROBLEM_INVALID_VALUE, "\"after\": no future has the id %s.", id);
    else
        problem_set(p, PROBLEM_PARENT_FAILED,
                    "\"after\": %s has ended, and not in %s; nothing was stored.", id,
                    on_names[e->on]);
    problem_set_field(p, "after");
}
