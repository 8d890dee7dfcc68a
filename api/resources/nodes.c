/* nodes: the daemons that share the store: what they are, how they do, and which are drained. */
#include "api/resources/nodes.h"

#include <jansson.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/rows.h"
#include "api/text/json_in.h"
#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/mem.h"

/* ---- what they have published: another version may say more, or less --------------------------
 */

static void drop_list(struct request *r)
{
    store_node_list_release(&r->op.node_list);
}

void nodes_read(struct request *r, void (*next)(struct request *r))
{
    request_drop_op(r);
    r->op.node_list = (struct store_node_list){.n = 0};
    request_post(r, &store_verb_node_list, drop_list, next);
}

static json_t *parse(const char *text)
{
    return text ? json_loads(text, 0, NULL) : NULL;
}

struct node_lane node_lane_of(const json_t *load, enum lane lane)
{
    const json_t *l = json_object_get(json_object_get(load, "lanes"), lane_name(lane));
    json_int_t slots = json_integer_value(json_object_get(l, "slots"));
    json_int_t running = json_integer_value(json_object_get(l, "running"));
    return (struct node_lane){.slots = slots > 0 ? (uint64_t)slots : 0,
                              .running = running > 0 ? (uint64_t)running : 0,
                              .is_paused = json_is_true(json_object_get(l, "paused"))};
}

json_t *node_load(const struct store_node *n)
{
    return parse(n->load);
}

const char *node_state(const struct store_node *n)
{
    if (!n->is_live)
        return "gone";
    if (!n->is_draining)
        return "running";
    return n->is_busy ? "draining" : "drained";
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

void node_write_lanes(struct buf *out, const json_t *load)
{
    json_out_key(out, "lanes");
    buf_putc(out, '{');
    for_each_lane (lane) {
        struct node_lane l = node_lane_of(load, lane);
        json_out_key(out, lane_name(lane));
        buf_putc(out, '{');
        json_out_uint(out, "slots", l.slots);
        json_out_uint(out, "running", l.running);
        json_out_bool(out, "paused", l.is_paused);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static void write_text(struct buf *out, const json_t *info, const char *key)
{
    const char *text = json_string_value(json_object_get(info, key));
    if (text)
        json_out_str(out, key, text);
}

/* What is no text is of a version that says more. */
static void write_texts(struct buf *out, const char *key, const json_t *all, const char *member)
{
    json_out_key(out, key);
    buf_putc(out, '[');
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *text = json_string_value(member ? json_object_get(one, member) : one);
        if (!text)
            continue;
        json_out_comma(out);
        json_out_text(out, text, strlen(text));
    }
    buf_putc(out, ']');
}

/* Of one that is gone the load says nothing any more. */
static void write_node(struct buf *out, const struct store_node *n)
{
    json_t *info = parse(n->info), *load = n->is_live ? node_load(n) : NULL;
    const json_t *average = json_object_get(load, "load_average");
    const json_t *labels = json_object_get(info, "labels");
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "name", n->name);
    json_out_int(out, "number", n->number);
    json_out_bool(out, "self", n->is_self);
    json_out_str(out, "state", node_state(n));
    write_text(out, info, "version");
    write_text(out, info, "started_at");
    json_out_time(out, "seen_at", n->seen_wall_ms);
    json_out_time(out, "lease_until", n->until_wall_ms);
    node_write_lanes(out, load);
    if (json_is_number(average)) {
        json_out_key(out, "load_average");
        buf_printf(out, "%.2f", json_number_value(average));
    }
    if (labels) /* a version that knows none does not say so */
        write_texts(out, "labels", labels, NULL);
    write_texts(out, "handlers", json_object_get(info, "handlers"), "name");
    buf_putc(out, '}');
    json_decref(info);
    json_decref(load);
}

static void listed(struct request *r)
{
    const struct store_node_list *o = &r->op.node_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    buf_puts(&r->out, "{\"nodes\":[");
    for (size_t i = 0; i < o->n; i++)
        write_node(&r->out, &o->nodes[i]);
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}

void nodes_list(struct request *r)
{
    nodes_read(r, listed);
}

/* ---- draining ---------------------------------------------------------------------------------
 */

struct asked {
    bool is_said, drains;
};

static int set_draining(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    *(struct asked *)to = (struct asked){.is_said = true, .drains = json_is_true(v)};
    return 0;
}

static int read_body(const struct request *r, struct asked *out, struct problem *p)
{
    static const struct json_in_field members[] = {
        {"draining", "true or false", JSON_IN_BOOL, false, 0, set_draining},
    };
    static const struct json_in_object object = {"a change of a node", "", members,
                                                 FUT_COUNT(members), 0};
    json_t *root = json_text_parse(r->body.len ? r->body.data : "", r->body.len, p);
    if (!root)
        return FUT_ERR_INVAL;
    int rc = json_in_read(&object, root, out, p);
    json_decref(root);
    if (rc != 0 || out->is_said)
        return rc;
    problem_set(p, PROBLEM_MISSING_FIELD, "The body must have \"draining\".");
    problem_set_field(p, "draining");
    return FUT_ERR_INVAL;
}

static void refuse_name(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_UNKNOWN_NODE,
                "No live node is called \"%.64s\"; GET /v1/nodes lists them.", r->captures[0]);
    request_problem(r, &p);
}

static void shown(struct request *r)
{
    const struct store_node_list *o = &r->op.node_list;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    for (size_t i = 0; i < o->n; i++) {
        if (!o->nodes[i].is_live || strcmp(o->nodes[i].name, r->captures[0]) != 0)
            continue;
        write_node(&r->out, &o->nodes[i]);
        request_reply_json(r, 200);
        return;
    }
    refuse_name(r); /* it has ended meanwhile */
}

static void drained(struct request *r)
{
    int rc = r->op.node_drain.op.rc;
    if (rc == FUT_ERR_NOT_FOUND)
        refuse_name(r);
    else if (rc != 0)
        request_fail(r, rc);
    else
        nodes_read(r, shown);
}

void nodes_patch(struct request *r)
{
    struct problem p;
    struct asked a = {.is_said = false};
    if (read_body(r, &a, &p) != 0) {
        request_problem(r, &p);
        return;
    }
    r->op.node_drain = (struct store_node_drain){.name = r->captures[0], .drains = a.drains};
    request_post(r, &store_verb_node_drain, NULL, drained);
}
