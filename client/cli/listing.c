/* listing: what the daemon lists or shows, as it is: commands that are one request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

/* "name", or "object.name". */
static const json_t *find_member(const json_t *row, const char *path)
{
    const char *dot = strchr(path, '.');
    char object[32];
    if (!dot)
        return json_object_get(row, path);
    (void)snprintf(object, sizeof(object), "%.*s", (int)(dot - path), path);
    return json_object_get(json_object_get(row, object), dot + 1);
}

int cli_list(struct cli *c, const char *path, const char *member, const struct cli_column *columns,
             size_t n)
{
    const char *heads[16] = {0};
    char *cells[16];
    int code = CLI_OK;
    size_t at;
    json_t *row, *answer = cli_get(c, path, &code);
    if (!answer)
        return code;
    if (c->format == CLI_JSON) {
        cli_print_json(answer);
        json_decref(answer);
        return CLI_OK;
    }
    for (size_t i = 0; i < n; i++)
        heads[i] = columns[i].head;
    struct cli_table *t = cli_table_new(c, n, heads);
    json_array_foreach (json_object_get(answer, member), at, row) {
        for (size_t i = 0; i < n; i++)
            cells[i] = cli_cell(find_member(row, columns[i].member));
        cli_table_row(t, (const char *const *)cells);
        for (size_t i = 0; i < n; i++)
            free(cells[i]);
    }
    cli_table_end(t);
    json_decref(answer);
    return CLI_OK;
}

/* `before`: the names of the objects around it, each with a dot. */
static void print_members(const struct cli *c, json_t *object, const char *before)
{
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        char *path, *cell;
        if (asprintf(&path, "%s%s%s", before, name, json_is_object(value) ? "." : "") < 0)
            abort();
        if (json_is_object(value)) {
            print_members(c, value, path);
        } else {
            cell = cli_cell(value);
            cli_print_safe(stdout, path);
            fputs(c->format == CLI_TSV ? "\t" : ": ", stdout);
            cli_print_safe(stdout, cell);
            putchar('\n');
            free(cell);
        }
        free(path);
    }
}

int cli_show_one(struct cli *c, const char *all, const char *name)
{
    char *path = cli_path(c, all, name, "");
    int code = cli_show(c, path);
    free(path);
    return code;
}

int cli_show(struct cli *c, const char *path)
{
    int code = CLI_OK;
    json_t *answer = cli_get(c, path, &code);
    if (answer && c->format == CLI_JSON)
        cli_print_json(answer);
    else if (answer)
        print_members(c, answer, "");
    json_decref(answer);
    return code;
}
