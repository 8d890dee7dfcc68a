/* load_report: the load tool (tests/tools/load) against a daemon, as system tests run it. */
#ifndef FUT_TESTS_SUPPORT_LOAD_REPORT_H
#define FUT_TESTS_SUPPORT_LOAD_REPORT_H

#include <jansson.h>

#include "tests/support/daemon.h"

#define LOAD_REPORT_OPTIONS_MAX 24

/* Runs the tool with these options, NULL behind the last one, against d; waits up to 80 s for its
 * end, which must be 0. The tool's report; json_decref() it. */
json_t *load_report(const struct daemon *d, const char *const *options);

#endif
