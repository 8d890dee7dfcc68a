#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "client/cli/cli.h"
#include "core/clock.h"
#include "core/mem.h"

struct cli_table {
    struct cli *cli;
    size_t columns, n_rows, cap;
    char ***rows; /* the first is the head */
};

/* Below space, DEL, and the C1 controls, which UTF-8 writes as C2 80 … C2 9F. */
char *cli_safe(const char *s)
{
    char *copy = xstrdup(s ? s : "");
    for (unsigned char *p = (unsigned char *)copy; *p; p++) {
        if (*p < ' ' || *p == 0x7f)
            *p = *p == '\n' || *p == '\t' ? ' ' : '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
            p[0] = p[1] = '?';
    }
    return copy;
}

void cli_print_safe(FILE *f, const char *s)
{
    for (const char *line = s; *line;) {
        size_t n = strcspn(line, "\n");
        char *part = xstrndup(line, n), *safe = cli_safe(part);
        fputs(safe, f);
        free(safe);
        free(part);
        line += n;
        if (*line == '\n') {
            fputc('\n', f);
            line++;
        }
    }
}

static void append(struct cli_table *t, const char *const *cells)
{
    if (t->n_rows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->rows = xrealloc(t->rows, t->cap * sizeof(*t->rows));
    }
    char **row = xcalloc(t->columns, sizeof(*row));
    for (size_t i = 0; i < t->columns; i++)
        row[i] = cli_safe(cells[i]);
    t->rows[t->n_rows++] = row;
}

struct cli_table *cli_table_new(struct cli *c, size_t columns, const char *const *heads)
{
    struct cli_table *t = xnew(struct cli_table);
    t->cli = c;
    t->columns = columns;
    append(t, heads);
    return t;
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
    append(t, cells);
}

/* Columns on a terminal that s takes. */
static int columns_of(const char *s)
{
    wchar_t chars[512];
    size_t n = mbstowcs(chars, s, FUT_COUNT(chars));
    int columns =
        n == (size_t)-1 ? -1 : wcswidth(chars, n < FUT_COUNT(chars) ? n : FUT_COUNT(chars));
    return columns < 0 ? (int)strlen(s) : columns;
}

static const char *colour_of(const char *cell)
{
    static const struct {
        const char *word, *colour;
    } colours[] = {{"succeeded", "\033[32m"}, {"failed", "\033[31m"}, {"cancelled", "\033[33m"},
                   {"running", "\033[36m"},   {"queued", "\033[34m"}, {"scheduled", "\033[34m"},
                   {"paused", "\033[33m"}};
    for (size_t i = 0; i < FUT_COUNT(colours); i++) {
        if (strcmp(cell, colours[i].word) == 0)
            return colours[i].colour;
    }
    return NULL;
}

static void write_row(const struct cli_table *t, size_t row, const int *width)
{
    for (size_t i = 0; i < t->columns; i++) {
        const char *cell = t->rows[row][i], *colour = NULL;
        if (t->cli->has_colour)
            colour = row == 0 ? "\033[1m" : colour_of(cell);
        printf("%s%s%s", colour ? colour : "", cell, colour ? "\033[0m" : "");
        if (i + 1 < t->columns && width)
            printf("%*s", width[i] - columns_of(cell) + 2, "");
        else if (i + 1 < t->columns)
            putchar('\t');
    }
    putchar('\n');
}

void cli_table_end(struct cli_table *t)
{
    int *width = NULL;
    if (t->cli->format == CLI_TABLE) {
        width = xcalloc(t->columns, sizeof(*width));
        for (size_t r = 0; r < t->n_rows; r++) {
            for (size_t i = 0; i < t->columns; i++)
                width[i] =
                    columns_of(t->rows[r][i]) > width[i] ? columns_of(t->rows[r][i]) : width[i];
        }
    }
    for (size_t r = t->cli->format == CLI_TABLE ? 0 : 1; r < t->n_rows; r++)
        write_row(t, r, width);
    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t i = 0; i < t->columns; i++)
            free(t->rows[r][i]);
        free(t->rows[r]);
    }
    free(width);
    free(t->rows);
    free(t);
}

void cli_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

double cli_time(const char *rfc3339)
{
    struct tm tm = {0};
    double fraction = 0;
    const char *rest = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (!rest)
        return -1;
    if (*rest == '.')
        fraction = strtod(rest, NULL);
    return (double)timegm(&tm) + fraction;
}

const char *cli_ago(const char *rfc3339, char *out)
{
    static const struct {
        double from, unit;
        const char *name;
    } units[] = {{172800, 86400, "d"}, {7200, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
    struct timespec now;
    double then = cli_time(rfc3339), age;
    clock_gettime(CLOCK_REALTIME, &now);
    age = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - then;
    out[0] = '\0';
    for (size_t i = 0; then >= 0 && i < FUT_COUNT(units); i++) {
        if (age >= units[i].from || units[i].from == 0) {
            snprintf(out, 32, "%.0f %s ago", age > 0 ? age / units[i].unit : 0.0, units[i].name);
            break;
        }
    }
    return out;
}

/* "a:2 b:1" for what runs on the nodes a and b; NULL: the array is of something else, or empty. */
static char *nodes_cell(const json_t *nodes)
{
    struct buf text = BUF_INIT;
    for (size_t at = 0; at < json_array_size(nodes); at++) {
        const json_t *one = json_array_get(nodes, at);
        const char *name = json_string_value(json_object_get(one, "name"));
        const json_t *running = json_object_get(one, "running");
        if (!name || !json_is_integer(running)) {
            buf_release(&text);
            return NULL;
        }
        buf_printf(&text, "%s%s:%lld", at ? " " : "", name, (long long)json_integer_value(running));
    }
    size_t len;
    return buf_take(&text, &len);
}

char *cli_cell(const json_t *value)
{
    char *text = NULL;
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (json_is_array(value))
        text = nodes_cell(value);
    if (text)
        return text;
    if (json_is_real(value) && asprintf(&text, "%.6g", json_real_value(value)) < 0)
        abort();
    if (!text && value && !json_is_null(value))
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : xstrdup("");
}
