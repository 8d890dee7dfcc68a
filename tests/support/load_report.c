#include "tests/support/load_report.h"

#include <stdlib.h>

#include "tests/support/fail.h"
#include "tests/support/program.h"

#define LIMIT_MS 80000

json_t *load_report(const struct daemon *d, const char *const *options)
{
    char *path = daemon_built("tests/tools/load"), *out = NULL, *err = NULL;
    const char *argv[LOAD_REPORT_OPTIONS_MAX + 4] = {path, "--address", daemon_address(d)};
    for (size_t i = 0; i < LOAD_REPORT_OPTIONS_MAX && options[i]; i++)
        argv[3 + i] = options[i];
    int status = program_run(argv, NULL, LIMIT_MS, &out, &err);
    json_t *report = json_loads(out, 0, NULL);
    if (status != 0 || !report)
        fail("the load tool ended with %d: %s%s", status, out, err);
    free(path);
    free(out);
    free(err);
    return report;
}
