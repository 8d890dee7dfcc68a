#include "api/text/json_in.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/mem.h"

int json_in_check(const char *text, size_t n, struct problem *p)
{
    json_t *root = json_text_parse(n ? text : "", n, p);
    if (!root)
        return FUT_ERR_INVAL;
    json_decref(root);
    return 0;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    FUT_BUG("JSON type");
}

int json_in_wrong_type(const struct json_in_field *f, const struct json_t *v, struct problem *p)
{
    problem_set(p, PROBLEM_WRONG_TYPE, "\"%s\" must be %s, not %s.", f->name, f->allowed,
                type_name(v));
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

int json_in_bad_value(const struct json_in_field *f, const char *came, struct problem *p)
{
    problem_set(p, PROBLEM_INVALID_VALUE, "\"%s\" must be %s, not %.64s.", f->name, f->allowed,
                came);
    problem_set_field(p, f->name);
    return FUT_ERR_INVAL;
}

int json_in_bad_number(const struct json_in_field *f, double came, struct problem *p)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.15g", came);
    return json_in_bad_value(f, text, p);
}

static bool knows(const struct json_in_object *o, const struct json_in_field *f)
{
    return !o->tags || (f->tags & o->tags);
}

/* Appends `"a", "b" and "c"`. */
static void write_known(const struct json_in_object *o, struct buf *out)
{
    size_t remaining = 0, skip = strlen(o->prefix);
    for (size_t i = 0; i < o->n; i++)
        remaining += knows(o, &o->fields[i]);
    for (size_t i = 0; i < o->n; i++) {
        if (!knows(o, &o->fields[i]))
            continue;
        const char *comma = remaining > 2 ? ", " : remaining == 2 ? " and " : "";
        buf_printf(out, "\"%s\"%s", o->fields[i].name + skip, comma);
        remaining--;
    }
}

static int refuse_unknown(const struct json_in_object *o, const char *key, struct problem *p)
{
    struct buf known = BUF_INIT;
    write_known(o, &known);
    problem_set(p, PROBLEM_UNKNOWN_FIELD, "\"%s%.64s\" is not known here; %s has %s.", o->prefix,
                key, o->what, known.data);
    buf_release(&known);
    problem_set_field(p, *o->prefix ? o->prefix : key);
    if (*o->prefix)
        p->field[strcspn(p->field, ".")] = '\0';
    return FUT_ERR_INVAL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool has_type(enum json_in_type type, const json_t *v)
{
    switch (type) {
    case JSON_IN_ANY: return true;
    case JSON_IN_STRING: return json_is_string(v);
    case JSON_IN_NUMBER: return json_is_number(v);
    case JSON_IN_BOOL: return json_is_boolean(v);
    case JSON_IN_ARRAY: return json_is_array(v);
    case JSON_IN_OBJECT: return json_is_object(v);
    }
    FUT_BUG("type of a field");
}

int json_in_set(const struct json_in_field *f, const struct json_t *v, void *to, struct problem *p)
{
    if (f->is_nullable && json_is_null(v))
        return 0;
    if (!has_type(f->type, v))
        return json_in_wrong_type(f, v, p);
    if (f->type == JSON_IN_STRING && strlen(json_string_value(v)) != json_string_length(v))
        return json_in_bad_value(f, "this text", p);
    return f->set(to, f, v, p);
}

const struct json_in_field *json_in_find(const struct json_in_object *o, const char *name, size_t n)
{
    size_t skip = strlen(o->prefix);
    for (size_t i = 0; i < o->n; i++) {
        const struct json_in_field *f = &o->fields[i];
        const char *known = f->name + skip;
        if (knows(o, f) && strncmp(known, name, n) == 0 && known[n] == '\0')
            return f;
    }
    return NULL;
}

static int set_member(const struct json_in_object *o, const char *key, const json_t *v, void *to,
                      struct problem *p)
{
    const struct json_in_field *f = json_in_find(o, key, strlen(key));
    return f ? json_in_set(f, v, to, p) : refuse_unknown(o, key, p);
}

int json_in_read(const struct json_in_object *o, const struct json_t *v, void *to,
                 struct problem *p)
{
    const char *key;
    json_t *member;
    if (!json_is_object(v)) {
        problem_set(p, PROBLEM_WRONG_TYPE, "The body must be an object, not %s.", type_name(v));
        return FUT_ERR_INVAL;
    }
    json_object_foreach ((json_t *)(uintptr_t)v, key, member) { /* its iteration is not const */
        if (set_member(o, key, member, to, p) != 0)
            return FUT_ERR_INVAL;
    }
    return 0;
}
