#include "client/cli/filter.h"

#include <stdio.h>

const char *filter_values[FILTER_COUNT];

static const char *const names[FILTER_COUNT] = {
    [FILTER_STATE] = "state",   [FILTER_HANDLER] = "handler",       [FILTER_LANE] = "lane",
    [FILTER_QUEUE] = "queue",   [FILTER_SCHEDULE] = "schedule",     [FILTER_CODE] = "code",
    [FILTER_BATCH] = "batch",   [FILTER_PARENT] = "parent",         [FILTER_AFTER] = "after",
    [FILTER_BEFORE] = "before", [FILTER_OLDER_THAN] = "older_than",
};

bool filter_is_given(void)
{
    for (int i = 0; i < FILTER_COUNT; i++) {
        if (filter_values[i])
            return true;
    }
    return false;
}

/* -1 when none was given. */
static int read_age(double *out)
{
    const char *text = filter_values[FILTER_OLDER_THAN];
    *out = text ? cli_seconds(text) : -1;
    if (text && *out < 0)
        return cli_fail(CLI_USAGE, "--older-than %s is not a time, such as 90 or 2h.", text);
    return CLI_OK;
}

int filter_write_query(struct cli *c, struct buf *path)
{
    double age;
    int code = read_age(&age);
    for (int i = 0; i < FILTER_COUNT; i++) {
        if (!filter_values[i])
            continue;
        buf_printf(path, "&%s=", names[i]);
        if (i == FILTER_OLDER_THAN)
            buf_printf(path, "%.15g", age);
        else
            remote_escape(c->remote, path, filter_values[i]);
    }
    return code;
}

json_t *filter_body(const char *states, int *code)
{
    double age;
    *code = read_age(&age);
    if (*code != CLI_OK)
        return NULL;
    json_t *body = json_object();
    for (int i = 0; i < FILTER_COUNT; i++) {
        if (filter_values[i] && i != FILTER_OLDER_THAN)
            json_object_set_new(body, names[i], json_string(filter_values[i]));
    }
    if (age >= 0)
        json_object_set_new(body, names[FILTER_OLDER_THAN], json_real(age));
    if (!filter_values[FILTER_STATE])
        json_object_set_new(body, names[FILTER_STATE], json_string(states));
    return body;
}
