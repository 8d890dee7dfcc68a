#include "api/text/many_in.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/mem.h"

#define TIMEOUT_MAX_S 1e9

struct field {
    const char *name;
    const char *allowed; /* goes on "…must be" */
    bool of_wait;        /* known to POST /v1/wait only */
    int (*set)(struct many_in *in, const struct field *f, const json_t *v, struct problem *p);
};

static int refuse(const struct field *f, enum problem_code code, struct problem *p)
{
    problem_set(p, code, "\"%s\" must be %s.", f->name, f->allowed);
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

static int refuse_id(enum problem_code code, size_t i, const char *text, struct problem *p)
{
    char field[32];
    (void)snprintf(field, sizeof(field), "ids[%zu]", i);
    if (code == PROBLEM_WRONG_TYPE)
        problem_set(p, code, "\"%s\" must be a string, the id of a future.", field);
    else
        problem_set(p, code, "No future has the id \"%.64s\".", text);
    problem_set_field(p, field);
    return FUT_ERR_INVAL;
}

static int check_count(const json_t *v, struct problem *p)
{
    if (json_array_size(v) <= MANY_IN_MAX)
        return 0;
    problem_set(p, PROBLEM_TOO_MANY_IDS, "\"ids\" has %zu entries; at most %d are allowed.",
                json_array_size(v), MANY_IN_MAX);
    problem_set_field(p, "ids");
    p->limit = MANY_IN_MAX;
    return FUT_ERR_INVAL;
}

static int set_ids(struct many_in *in, const struct field *f, const json_t *v, struct problem *p)
{
    struct task_id id;
    if (!json_is_array(v))
        return refuse(f, PROBLEM_WRONG_TYPE, p);
    if (check_count(v, p) != 0)
        return FUT_ERR_INVAL;
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *text = json_string_value(json_array_get(v, i));
        if (!text)
            return refuse_id(PROBLEM_WRONG_TYPE, i, "", p);
        if (!id_parse(text, &id))
            return refuse_id(PROBLEM_UNKNOWN_FUTURE, i, text, p);
    }
    in->ids = v;
    return 0;
}

static int set_batch(struct many_in *in, const struct field *f, const json_t *v, struct problem *p)
{
    const char *text = json_string_value(v);
    if (!text)
        return refuse(f, PROBLEM_WRONG_TYPE, p);
    if (id_parse(text, &in->batch))
        return 0;
    problem_set(p, PROBLEM_UNKNOWN_BATCH, "No batch has the id \"%.64s\".", text);
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

static int set_when(struct many_in *in, const struct field *f, const json_t *v, struct problem *p)
{
    static const char *const names[] = {[ALL_COMPLETED] = "ALL_COMPLETED",
                                        [FIRST_COMPLETED] = "FIRST_COMPLETED",
                                        [FIRST_EXCEPTION] = "FIRST_EXCEPTION"};
    const char *text = json_string_value(v);
    if (!text)
        return refuse(f, PROBLEM_WRONG_TYPE, p);
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        if (strcmp(names[i], text) == 0) {
            in->when = (enum return_when)i;
            return 0;
        }
    }
    return refuse(f, PROBLEM_INVALID_VALUE, p);
}

static int set_timeout(struct many_in *in, const struct field *f, const json_t *v,
                       struct problem *p)
{
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return refuse(f, PROBLEM_WRONG_TYPE, p);
    double seconds = json_number_value(v);
    if (!(seconds >= 0 && seconds <= TIMEOUT_MAX_S))
        return refuse(f, PROBLEM_INVALID_VALUE, p);
    in->timeout_ms = (int64_t)ceil(seconds * 1000);
    return 0;
}

static const struct field fields[] = {
    {"ids", "an array of ids of futures", false, set_ids},
    {"batch", "the id of a batch", false, set_batch},
    {"return_when", "\"ALL_COMPLETED\", \"FIRST_COMPLETED\" or \"FIRST_EXCEPTION\"", true,
     set_when},
    {"timeout", "a number of seconds, 0 or more", true, set_timeout},
};

static int set_member(struct many_in *in, bool takes_wait, const char *key, const json_t *v,
                      struct problem *p)
{
    for (size_t i = 0; i < FUT_COUNT(fields); i++) {
        if (strcmp(fields[i].name, key) == 0 && (takes_wait || !fields[i].of_wait))
            return fields[i].set(in, &fields[i], v, p);
    }
    problem_set(p, PROBLEM_UNKNOWN_FIELD,
                "\"%.64s\" is not known here; known are \"ids\", \"batch\"%s.", key,
                takes_wait ? ", \"return_when\" and \"timeout\"" : "");
    problem_set_field(p, key);
    return FUT_ERR_INVAL;
}

static int set_members(struct many_in *in, bool takes_wait, struct problem *p)
{
    const char *key;
    json_t *v;
    if (!json_is_object(in->root)) {
        problem_set(p, PROBLEM_WRONG_TYPE, "The body must be an object.");
        return FUT_ERR_INVAL;
    }
    json_object_foreach (in->root, key, v) {
        if (set_member(in, takes_wait, key, v, p) != 0)
            return FUT_ERR_INVAL;
    }
    if (!in->ids == !in->batch.hi) {
        problem_set(p, in->ids ? PROBLEM_INVALID_VALUE : PROBLEM_MISSING_FIELD,
                    "The body must have either \"ids\" or \"batch\".");
        problem_set_field(p, "ids");
        return FUT_ERR_INVAL;
    }
    return 0;
}

int many_in_read(const char *text, size_t n, bool takes_wait, struct many_in *out,
                 struct problem *p)
{
    struct many_in in = {.timeout_ms = -1};
    in.root = json_text_parse(n ? text : "", n, p);
    if (!in.root)
        return FUT_ERR_INVAL;
    if (set_members(&in, takes_wait, p) != 0) {
        json_decref(in.root);
        return FUT_ERR_INVAL;
    }
    *out = in;
    return 0;
}

void many_in_release(struct many_in *in)
{
    json_decref(in->root);
    *in = (struct many_in){0};
}

size_t many_in_count(const struct many_in *in)
{
    return json_array_size(in->ids);
}

struct task_id many_in_id(const struct many_in *in, size_t i)
{
    struct task_id id = {0};
    if (!id_parse(json_string_value(json_array_get(in->ids, i)), &id))
        FUT_BUG("an id that was checked");
    return id;
}
