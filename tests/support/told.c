#include "tests/support/told.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/text.h"
#include "tests/support/wait.h"

void told_expect(struct program *p, const char *what)
{
    char *line = program_wait_line(p, PROGRAM_OUT, what, WAIT_LONG_MS);
    ck_assert_msg(line != NULL, "no line with %s", what);
    free(line);
}

char *told_all(struct program **p)
{
    int status;
    ck_assert(program_wait(*p, WAIT_LONG_MS, &status));
    char *text = program_text(*p, PROGRAM_OUT);
    program_free(p);
    return text;
}

void told_in_order(const char *text, const char *id, const char *const *parts)
{
    const char *at = text;
    for (; *parts; parts++) {
        const char *place = strstr(*parts, "\"ID\"");
        size_t n = place ? (size_t)(place + 1 - *parts) : strlen(*parts);
        char *part =
            text_printf("%.*s%s%s", (int)n, *parts, place ? id : "", place ? place + 3 : "");
        at = strstr(at, part);
        ck_assert_msg(at != NULL, "no %s there in %s", part, text);
        at += strlen(part);
        free(part);
    }
}
