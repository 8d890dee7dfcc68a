#include "api/text/filter_in.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "core/mem.h"

struct reading {
    struct filter_in in;
    bool says_which, is_all;
};

static int set_text(struct reading *to, const struct json_in_field *f, const char *text,
                    struct problem *p)
{
    const char *allowed;
    to->says_which = true;
    if (task_filter_set(&to->in.filter, f->name, text, &allowed) == 0)
        return 0;
    struct json_in_field of_member = *f;
    of_member.allowed = allowed;
    struct buf came = BUF_INIT;
    buf_printf(&came, "\"%s\"", text);
    (void)json_in_bad_value(&of_member, came.data, p);
    buf_release(&came);
    return FUT_ERR_INVAL;
}

static int set_member(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    return set_text(to, f, json_string_value(v), p);
}

/* A comma list as in a query, or an array. */
static int set_states(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct buf list = BUF_INIT;
    size_t i;
    const json_t *state;
    if (json_is_string(v))
        return set_member(to, f, v, p);
    if (!json_is_array(v))
        return json_in_wrong_type(f, v, p);
    json_array_foreach (v, i, state) {
        const char *text = json_string_value(state);
        if (!text) {
            buf_release(&list);
            return json_in_wrong_type(f, state, p);
        }
        buf_printf(&list, "%s%s", i ? "," : "", text);
    }
    int rc = set_text(to, f, list.len ? list.data : "", p);
    buf_release(&list);
    return rc;
}

static int set_seconds(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    char text[40];
    (void)snprintf(text, sizeof(text), "%.17g", json_number_value(v));
    return set_text(to, f, text, p);
}

static int set_dry(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    ((struct reading *)to)->in.is_dry = json_is_true(v);
    return 0;
}

static int set_all(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    (void)f, (void)p;
    ((struct reading *)to)->is_all = json_is_true(v);
    return 0;
}

static const struct json_in_field members[] = {
    {"state", "a string or an array of strings", JSON_IN_ANY, true, 0, set_states},
    {"lane", "a string", JSON_IN_STRING, true, 0, set_member},
    {"handler", "a string", JSON_IN_STRING, true, 0, set_member},
    {"queue", "a string", JSON_IN_STRING, true, 0, set_member},
    {"schedule", "a string", JSON_IN_STRING, true, 0, set_member},
    {"code", "a string", JSON_IN_STRING, true, 0, set_member},
    {"batch", "a string", JSON_IN_STRING, true, 0, set_member},
    {"after", "a string", JSON_IN_STRING, true, 0, set_member},
    {"before", "a string", JSON_IN_STRING, true, 0, set_member},
    {"older_than", "a number of seconds", JSON_IN_NUMBER, true, 0, set_seconds},
    {"all", "true or false", JSON_IN_BOOL, false, 0, set_all},
    {"dry_run", "true or false", JSON_IN_BOOL, false, 0, set_dry},
};

static int refuse_states(unsigned states, struct problem *p)
{
    struct buf allowed = BUF_INIT;
    task_filter_write(&allowed, &(struct task_filter){.states = states, .lane = -1});
    problem_set(p, PROBLEM_INVALID_VALUE, "\"state\" may name %s here, no others.",
                allowed.data + strlen("state="));
    problem_set_field(p, "state");
    buf_release(&allowed);
    return FUT_ERR_INVAL;
}

static int check(const struct reading *r, unsigned states, struct problem *p)
{
    if (r->in.filter.states & ~states)
        return refuse_states(states, p);
    if (r->says_which || r->is_all)
        return 0;
    problem_set(p, PROBLEM_MISSING_FIELD,
                "The body must say which futures are meant, by %s, or with \"all\": true.",
                task_filter_members());
    problem_set_field(p, "all");
    return FUT_ERR_INVAL;
}

int filter_in_read(const char *text, size_t n, unsigned states, struct filter_in *out,
                   struct problem *p)
{
    static const struct json_in_object object = {"an operation on many futures", "", members,
                                                 FUT_COUNT(members), 0};
    struct reading reading = {.in.filter = task_filter_all};
    json_t *root = json_text_parse(n ? text : "", n, p);
    if (!root)
        return FUT_ERR_INVAL;
    int rc = json_in_read(&object, root, &reading, p);
    if (rc == 0)
        rc = check(&reading, states, p);
    json_decref(root);
    if (rc == 0)
        *out = reading.in;
    return rc;
}
