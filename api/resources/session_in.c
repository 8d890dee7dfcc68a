#include "api/resources/session_in.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/resources/submission.h"
#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "api/text/params.h"
#include "core/base64.h"
#include "core/clock.h"
#include "core/mem.h"

#define COUNT_MAX 1000000.0
#define GRACE_MIN_MS 1000.0
#define GRACE_PRESET_MS 30000

static const char *const on_disconnect_names[] = {
    [STORE_KEEP] = "keep", [STORE_CANCEL_QUEUED] = "cancel_queued", [STORE_CANCEL] = "cancel"};

const char *session_in_on_disconnect(enum store_on_disconnect what)
{
    return on_disconnect_names[what];
}

struct asked {
    const char *text; /* the body, of n bytes */
    size_t n;
    const char *handler;
    uint32_t max_running, max_tasks;
    enum store_on_disconnect on_disconnect;
    int64_t grace_ms; /* 0: not said */
    bool has_init;
    const json_t *input, *base64; /* of the init; NULL: not said */
    const char *type;
    struct buf body; /* of the init */
};

static int set_handler(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct asked *a = to;
    if (!task_handler_name_ok(json_string_value(v)))
        return json_in_bad_value(f, "this text", p);
    a->handler = json_string_value(v);
    return 0;
}

static int read_count(const struct json_in_field *f, const json_t *v, uint32_t *out,
                      struct problem *p)
{
    double n = json_number_value(v);
    if (!(n >= 1 && n <= COUNT_MAX && floor(n) == n))
        return json_in_bad_number(f, n, p);
    *out = (uint32_t)n;
    return 0;
}

static int set_max(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    return read_count(f, v, &((struct asked *)to)->max_running, p);
}

static int set_max_tasks(void *to, const struct json_in_field *f, const json_t *v,
                         struct problem *p)
{
    struct asked *a = to;
    a->has_init = true;
    return read_count(f, v, &a->max_tasks, p);
}

static int set_on_disconnect(void *to, const struct json_in_field *f, const json_t *v,
                             struct problem *p)
{
    for (size_t i = 0; i < FUT_COUNT(on_disconnect_names); i++) {
        if (strcmp(json_string_value(v), on_disconnect_names[i]) == 0) {
            ((struct asked *)to)->on_disconnect = (enum store_on_disconnect)i;
            return 0;
        }
    }
    return json_in_bad_value(f, json_string_value(v), p);
}

static int set_grace(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    double ms = json_number_value(v) * 1000;
    if (!(ms >= GRACE_MIN_MS && ms <= STORE_GRACE_MAX_MS))
        return json_in_bad_number(f, json_number_value(v), p);
    ((struct asked *)to)->grace_ms = (int64_t)llround(ms);
    return 0;
}

static int set_input(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    ((struct asked *)to)->input = v;
    return 0;
}

static int set_base64(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    ((struct asked *)to)->base64 = v;
    return 0;
}

static int set_type(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    if (!params_type_ok(json_string_value(v)))
        return json_in_bad_value(f, json_string_value(v), p);
    ((struct asked *)to)->type = json_string_value(v);
    return 0;
}

static const struct json_in_field init_members[] = {
    {"init.input", "any value", JSON_IN_ANY, false, 0, set_input},
    {"init.base64", "bytes in base64", JSON_IN_STRING, false, 0, set_base64},
    {"init.content_type", "a content type of 1 to 127 characters", JSON_IN_STRING, false, 0,
     set_type},
};

static int read_base64(struct asked *a, struct problem *p)
{
    size_t n = json_string_length(a->base64);
    buf_reserve(&a->body, BASE64_BYTES(n) + 1);
    ssize_t got = base64_decode(json_string_value(a->base64), n, (unsigned char *)a->body.data);
    if (got < 0) {
        problem_set(p, PROBLEM_INVALID_VALUE, "\"base64\" must be bytes in base64 (RFC 4648).");
        problem_set_field(p, "init.base64");
        return FUT_ERR_INVAL;
    }
    a->body.len = (size_t)got;
    return 0;
}

/* As the input of a task. */
static void take_input(struct asked *a)
{
    struct submission as_task = {0};
    const char *init, *input;
    size_t init_n, input_n;
    json_text_find_member(a->text, a->n, "init", &init, &init_n);
    json_text_find_member(init, init_n, "input", &input, &input_n);
    submission_input_set(&as_task, a->input, input, input_n);
    buf_put(&a->body, as_task.input, as_task.input_len);
    if (!a->type)
        a->type = as_task.input_type;
}

static int set_init(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    static const struct json_in_object object = {"the init of a session", "init.", init_members,
                                                 FUT_COUNT(init_members), 0};
    struct asked *a = to;
    int rc = json_in_read(&object, v, a, p);
    if (rc == 0 && a->input && a->base64) {
        problem_set(p, PROBLEM_INVALID_VALUE, "\"init\" has \"input\" or \"base64\", not both.");
        problem_set_field(p, f->name);
        rc = FUT_ERR_INVAL;
    } else if (rc == 0 && a->base64) {
        rc = read_base64(a, p);
    } else if (rc == 0 && a->input) {
        take_input(a);
    }
    if (rc == 0 && a->body.len > STORE_SESSION_INIT_MAX) {
        problem_set(p, PROBLEM_INVALID_VALUE, "\"init\" is larger than 1 MiB.");
        problem_set_field(p, f->name);
        p->limit = STORE_SESSION_INIT_MAX;
        rc = FUT_ERR_INVAL;
    }
    a->has_init = true;
    return rc;
}

static const struct json_in_field members[] = {
    {"handler", "a string that names a handler", JSON_IN_STRING, false, 0, set_handler},
    {"max_running", "a whole number from 1 to 1000000", JSON_IN_NUMBER, true, 0, set_max},
    {"max_tasks", "a whole number from 1 to 1000000", JSON_IN_NUMBER, true, 0, set_max_tasks},
    {"init", "an object", JSON_IN_OBJECT, true, 0, set_init},
    {"on_disconnect", "\"keep\", \"cancel_queued\" or \"cancel\"", JSON_IN_STRING, true, 0,
     set_on_disconnect},
    {"grace", "a number of seconds from 1 to 86400", JSON_IN_NUMBER, true, 0, set_grace},
};

static int check_grace(struct asked *a, struct problem *p)
{
    if (a->on_disconnect == STORE_KEEP && a->grace_ms) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"grace\" is for an \"on_disconnect\" that is not \"keep\".");
        problem_set_field(p, "grace");
        return FUT_ERR_INVAL;
    }
    if (a->on_disconnect != STORE_KEEP && !a->grace_ms)
        a->grace_ms = GRACE_PRESET_MS;
    return 0;
}

static int read_members(const json_t *root, struct asked *a, struct problem *p)
{
    static const struct json_in_object object = {"a session", "", members, FUT_COUNT(members), 0};
    if (json_in_read(&object, root, a, p) != 0)
        return FUT_ERR_INVAL;
    if (a->handler)
        return check_grace(a, p);
    problem_set(p, PROBLEM_MISSING_FIELD,
                "\"handler\" is missing; it names the handler that runs the session's tasks.");
    problem_set_field(p, "handler");
    return FUT_ERR_INVAL;
}

/* May its tasks be submitted by who asks? Their inputs are not known yet. */
static int check_handler(struct request *r, struct asked *a, const char **out_name,
                         struct problem *p)
{
    struct submission_rules rules = submission_check_rules(r);
    struct submission s = {.handler = a->handler, .retries = -1};
    const struct handler_info *h;
    rules.no_input = true;
    if (submission_check(&s, &rules, false, &h, p) != 0)
        return FUT_ERR_INVAL;
    *out_name = h->name;
    if (!a->has_init || strcmp(h->kind, "worker") == 0)
        return 0;
    problem_set(p, PROBLEM_INVALID_VALUE,
                "\"init\" and \"max_tasks\" are for worker programs, and \"%.64s\" is none.",
                h->name);
    problem_set_field(p, a->max_tasks ? "max_tasks" : "init");
    return FUT_ERR_INVAL;
}

static struct task_init *make_init(const struct asked *a, struct task_id session)
{
    if (!a->has_init)
        return NULL;
    return task_init_new(
        &(struct task_init){.session = session,
                            .max_tasks = a->max_tasks,
                            .type = a->type ? a->type : CONTENT_BYTES,
                            .body = (const unsigned char *)(a->body.len ? a->body.data : ""),
                            .len = a->body.len});
}

int session_in_read(struct request *r, struct store_session_open *out, struct problem *p)
{
    struct asked a = {.text = r->body.len ? r->body.data : "", .n = r->body.len, .body = BUF_INIT};
    const char *handler = "";
    json_t *root = json_text_parse(a.text, a.n, p);
    int rc = root ? read_members(root, &a, p) : FUT_ERR_INVAL;
    if (rc == 0)
        rc = check_handler(r, &a, &handler, p);
    if (rc == 0) {
        *out = (struct store_session_open){.session = {.id = id_new(),
                                                       .created_wall_ms = clock_wall_ms(),
                                                       .on_disconnect = a.on_disconnect,
                                                       .grace_ms = a.grace_ms},
                                           .max_running = a.max_running};
        (void)snprintf(out->session.handler, sizeof(out->session.handler), "%s", handler);
        out->init = make_init(&a, out->session.id);
    }
    buf_release(&a.body);
    json_decref(root);
    return rc;
}
