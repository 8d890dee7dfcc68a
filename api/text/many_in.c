#include "api/text/many_in.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_in.h"
#include "api/text/json_text.h"
#include "core/mem.h"
#include "core/number.h"

#define TIMEOUT_MAX_S 1e9

/* Bits of the fields. */
#define OF_WAIT 1u /* known to POST /v1/wait only */
#define OF_ALL 2u

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

static int set_ids(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct many_in *in = to;
    struct task_id id;
    (void)f;
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

static int set_batch(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct many_in *in = to;
    if (id_parse(json_string_value(v), &in->batch))
        return 0;
    problem_set(p, PROBLEM_UNKNOWN_BATCH, "No batch has the id \"%.64s\".", json_string_value(v));
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

static int set_when(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    static const char *const names[] = {[ALL_COMPLETED] = "ALL_COMPLETED",
                                        [FIRST_COMPLETED] = "FIRST_COMPLETED",
                                        [FIRST_EXCEPTION] = "FIRST_EXCEPTION"};
    struct many_in *in = to;
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        if (strcmp(names[i], json_string_value(v)) == 0) {
            in->when = (enum return_when)i;
            return 0;
        }
    }
    return json_in_bad_value(f, json_string_value(v), p);
}

static int set_timeout(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct many_in *in = to;
    double seconds = json_number_value(v);
    if (!(seconds >= 0 && seconds <= TIMEOUT_MAX_S))
        return json_in_bad_number(f, seconds, p);
    in->timeout_ms = number_ms(seconds);
    return 0;
}

static const struct json_in_field fields[] = {
    {"ids", "an array of ids of futures", JSON_IN_ARRAY, false, OF_ALL, set_ids},
    {"batch", "the id of a batch", JSON_IN_STRING, false, OF_ALL, set_batch},
    {"return_when", "\"ALL_COMPLETED\", \"FIRST_COMPLETED\" or \"FIRST_EXCEPTION\"", JSON_IN_STRING,
     false, OF_WAIT, set_when},
    {"timeout", "a number of seconds, 0 or more", JSON_IN_NUMBER, true, OF_WAIT, set_timeout},
};

static int read_body(struct many_in *in, bool takes_wait, struct problem *p)
{
    struct json_in_object object = {takes_wait ? "a wait" : "such a request", "", fields,
                                    FUT_COUNT(fields), takes_wait ? OF_WAIT | OF_ALL : OF_ALL};
    if (json_in_read(&object, in->root, in, p) != 0)
        return FUT_ERR_INVAL;
    if (!in->ids != !in->batch.hi)
        return 0;
    problem_set(p, in->ids ? PROBLEM_INVALID_VALUE : PROBLEM_MISSING_FIELD,
                "The body must have either \"ids\" or \"batch\".");
    problem_set_field(p, "ids");
    return FUT_ERR_INVAL;
}

int many_in_read(const char *text, size_t n, bool takes_wait, struct many_in *out,
                 struct problem *p)
{
    struct many_in in = {.timeout_ms = -1};
    in.root = json_text_parse(n ? text : "", n, p);
    if (!in.root)
        return FUT_ERR_INVAL;
    if (read_body(&in, takes_wait, p) != 0) {
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
