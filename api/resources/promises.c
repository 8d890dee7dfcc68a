/* promises: futures without code, which somebody completes: once, and the same answer again is no
 * mistake. How one is made stands in tasks.c. */
#include <jansson.h>
#include <string.h>

#include "api/http/request.h"
#include "api/resources/futures.h"
#include "api/resources/rows.h"
#include "api/resources/show.h"
#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "core/mem.h"

#define CHANGE_TRIES 1000 /* as in futures.c */
#define MESSAGE_MAX 8192

/* What the body says. */
struct answer {
    const char *text; /* the body, n bytes */
    size_t n;
    const char *result; /* NULL: it is an error */
    size_t result_len;
    const char *code, *message;
};

/* ---- the body -------------------------------------------------------------------------------- */

static int set_result(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct answer *a = to;
    (void)v;
    (void)p;
    json_text_find_member(a->text, a->n, f->name, &a->result, &a->result_len);
    return 0;
}

static int set_code(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct answer *a = to;
    if (!task_handler_name_ok(json_string_value(v))) /* the same letters, and as many */
        return json_in_bad_value(f, "this text", p);
    a->code = json_string_value(v);
    return 0;
}

static int set_message(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct answer *a = to;
    if (json_string_length(v) > MESSAGE_MAX)
        return json_in_bad_value(f, "a longer one", p);
    a->message = json_string_value(v);
    return 0;
}

static int refuse(const char *field, enum problem_code code, const char *text, struct problem *p)
{
    problem_set(p, code, "%s", text);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static int set_error(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    static const struct json_in_field members[] = {
        {"error.code", "1 to 64 letters, digits, \".\", \"_\" or \"-\"", JSON_IN_STRING, false, 0,
         set_code},
        {"error.message", "a string of at most 8192 bytes", JSON_IN_STRING, false, 0, set_message},
    };
    static const struct json_in_object object = {"an error", "error.", members, FUT_COUNT(members),
                                                 0};
    struct answer *a = to;
    (void)f;
    if (json_in_read(&object, v, a, p) != 0)
        return FUT_ERR_INVAL;
    if (!a->code)
        return refuse("error.code", PROBLEM_MISSING_FIELD, "\"error.code\" is missing.", p);
    if (!a->message)
        a->message = "";
    return 0;
}

static int read_answer(const json_t *root, struct answer *a, struct problem *p)
{
    static const struct json_in_field members[] = {
        {"result", "any JSON value", JSON_IN_ANY, false, 0, set_result},
        {"error", "an object of \"code\" and \"message\"", JSON_IN_OBJECT, false, 0, set_error},
    };
    static const struct json_in_object object = {"the completion of a promise", "", members,
                                                 FUT_COUNT(members), 0};
    if (json_in_read(&object, root, a, p) != 0)
        return FUT_ERR_INVAL;
    if (a->result && a->code)
        return refuse("error", PROBLEM_INVALID_VALUE, "\"error\" cannot stand beside \"result\".",
                      p);
    if (!a->result && !a->code)
        return refuse("result", PROBLEM_MISSING_FIELD,
                      "\"result\" or \"error\" is missing: what the promise has come to.", p);
    return 0;
}

static struct task_outcome *outcome_of(const struct answer *a)
{
    if (a->code)
        return task_outcome_error(a->code, a->message);
    return task_outcome_new(&(struct task_outcome){.type = CONTENT_JSON,
                                                   .body = (const unsigned char *)a->result,
                                                   .body_len = a->result_len,
                                                   .exit_code = -1});
}

/* ---- completing ------------------------------------------------------------------------------ */

static void complete_read(struct request *r);

static void reply_shown(struct request *r)
{
    show_reply(r, 200);
}

static void completed(struct request *r)
{
    int rc = r->op.base.rc;
    request_take_task(r);
    if (rc == FUT_ERR_STALE && ++r->tries < CHANGE_TRIES)
        request_get(r, r->task.spec->id, complete_read);
    else if (rc != 0)
        request_fail(r, rc);
    else
        show_gather(r, reply_shown);
}

static bool is_same_text(const char *a, const char *b)
{
    return !a == !b && (!a || strcmp(a, b) == 0);
}

static bool is_same(const struct task_outcome *a, const struct task_outcome *b)
{
    return is_same_text(a->code, b->code) && is_same_text(a->message, b->message) &&
           is_same_text(a->type, b->type) && a->body_len == b->body_len &&
           memcmp(a->body, b->body, a->body_len) == 0;
}

/* A client whose first answer did not arrive may say the same again, and gets 200. */
static void reply_not_now(struct request *r)
{
    struct problem p;
    if (!r->task.spec->is_promise)
        problem_set(&p, PROBLEM_NOT_A_PROMISE,
                    "The future is no promise: the handler \"%s\" runs it.", r->task.spec->handler);
    else
        problem_set(&p, PROBLEM_ALREADY_DONE, "The promise is %s already, by another answer.",
                    task_state_name(r->task.state));
    request_problem(r, &p);
}

static void complete_read(struct request *r)
{
    struct task_change change;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    request_take_task(r);
    enum task_event ev = r->outcome->code ? EVENT_REJECT : EVENT_RESOLVE;
    if (task_apply(&r->task, ev, &(struct task_in){.outcome = r->outcome}, &change) == 0)
        request_apply(r, &change, completed);
    else if (r->task.spec->is_promise && r->task.outcome && is_same(r->task.outcome, r->outcome))
        show_gather(r, reply_shown);
    else
        reply_not_now(r);
}

void promises_complete(struct request *r)
{
    struct task_id id;
    struct problem p;
    if (!futures_read_id(r, &id))
        return;
    struct answer a = {.text = r->body.len ? r->body.data : "", .n = r->body.len};
    json_t *root = json_text_parse(a.text, a.n, &p);
    if (!root || read_answer(root, &a, &p) != 0) {
        json_decref(root);
        request_problem(r, &p);
        return;
    }
    r->outcome = outcome_of(&a);
    json_decref(root);
    request_get(r, id, complete_read);
}
