/* Lines NAME=value as environment. What is printed of a configuration loads as the same one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

#define VARS_MAX 64

/* The environment becomes these lines of text, which it borrows. */
static void set_lines(char *text)
{
    static char *vars[VARS_MAX + 1];
    char *save = NULL;
    size_t n = 0;
    for (char *line = strtok_r(text, "\n", &save); line && n < VARS_MAX;
         line = strtok_r(NULL, "\n", &save)) {
        if (strchr(line, '=') && strncmp(line, "FUTURED_ENV_FILE", 16) != 0)
            vars[n++] = line;
    }
    vars[n] = NULL;
    environ = vars;
}

/* The caller frees it. */
static char *printed(const struct config *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = stdout, *memory = open_memstream(&text, &n);
    FUT_ASSERT(memory);
    stdout = memory;
    config_print_values(c);
    stdout = out;
    (void)fclose(memory);
    return text;
}

static void check_again(const struct config *c)
{
    static const char secret[] = "FUTURED_CALLBACK_SECRET=(set)"; /* is what is printed of it */
    struct config again;
    struct fut_errbuf err = {""};
    char *first = printed(c), *lines = xstrdup(first), *hidden = strstr(lines, secret);
    set_lines(lines);
    if (!hidden) {
        FUT_MUST(config_load(&again, &err) == 0);
        char *second = printed(&again);
        FUT_ASSERT(strcmp(first, second) == 0);
        free(second);
        config_release(&again);
    }
    free(first);
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config c;
    struct fut_errbuf err = {""};
    char *text = fuzz_text(data, n);
    char **before = environ;
    set_lines(text);
    int rc = config_load(&c, &err);
    FUT_ASSERT(rc == 0 ? !err.text[0] : err.text[0] != '\0');
    if (rc == 0) {
        check_again(&c);
        config_release(&c);
    }
    environ = before;
    free(text);
    return 0;
}
