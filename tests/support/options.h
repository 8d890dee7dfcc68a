/* options: `--name value` for the tools, by a table that is parser and --help at once. A bad
 * command line ends the program with status 2 and a sentence. */
#ifndef FUT_TESTS_SUPPORT_OPTIONS_H
#define FUT_TESTS_SUPPORT_OPTIONS_H

#include <stddef.h>

struct option_row {
    const char *name;  /* without the dashes */
    const char **text; /* set to the argument, or */
    double *number;    /* to its value (not negative) */
    const char *help;
};

/* Reads argv into the options; ends the program with a sentence when it is wrong. */
void options_parse(int argc, char **argv, const struct option_row *rows, size_t n);

#endif
