#include "tests/support/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

static FUT_NORETURN void show_help(const char *program, const struct option_row *rows, size_t n)
{
    (void)printf("usage: %s [--option value]…\n", program);
    for (size_t i = 0; i < n; i++) {
        (void)printf("  --%-12s %s", rows[i].name, rows[i].help);
        if (rows[i].text)
            (void)printf(" (%s)\n", *rows[i].text ? *rows[i].text : "none");
        else
            (void)printf(" (%g)\n", *rows[i].number);
    }
    exit(0);
}

static FUT_NORETURN void refuse(const char *program, const char *what, const char *arg)
{
    (void)fprintf(stderr, "%s: %s: %s (--help shows the options)\n", program, what, arg);
    exit(2);
}

static void set(const char *program, const struct option_row *row, const char *value)
{
    char *end;
    if (row->text) {
        *row->text = value;
        return;
    }
    double number = strtod(value, &end);
    if (*end || end == value || !(number >= 0))
        refuse(program, "not a number", value);
    *row->number = number;
}

void options_parse(int argc, char **argv, const struct option_row *rows, size_t n)
{
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0)
            show_help(argv[0], rows, n);
        size_t r = 0;
        while (r < n && (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, rows[r].name) != 0))
            r++;
        if (r == n)
            refuse(argv[0], "unknown option", argv[i]);
        if (i + 1 == argc)
            refuse(argv[0], "a value is missing", argv[i]);
        set(argv[0], &rows[r], argv[i + 1]);
    }
}
