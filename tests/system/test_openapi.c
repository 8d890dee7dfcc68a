/* api/openapi.json against the real daemon: every operation is driven and its answers are checked,
 * a linter reads the document, and a client that a generator makes of it is driven. All are npm
 * tools (tests/openapi). */
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

/* Generator and compiler take seconds of a CPU, which others want too. */
#define TIMEOUT_MS 235000
#define TEST_S 240

/* Paths of the tools and of the sources, which lie beside each other under the build's parent. */
static char *tools_path(const char *name)
{
    return daemon_built(name);
}

static void require_tools(void)
{
    char *installed = tools_path("../openapi-tools/installed");
    ck_assert_msg(access(installed, R_OK) == 0, "run tests/deps.sh test: no npm tools in build/");
    free(installed);
}

static void run(const char *const *argv, const char *const *env)
{
    char *out = NULL, *err = NULL;
    int status = program_run(argv, env, TIMEOUT_MS, &out, &err);
    ck_assert_msg(status == 0, "exit status %d\n%s%s", status, out, err);
    free(out);
    free(err);
}

/* A script of tests/openapi, with the address of a daemon. */
static void run_script(const char *name)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *tools = tools_path("../openapi-tools");
    char *relative = text_printf("../../tests/openapi/%s", name);
    char *script = daemon_built(relative);
    char *path = text_printf("PATH=%s", getenv("PATH"));
    char *where = text_printf("OPENAPI_TOOLS=%s", tools);
    require_tools();
    run((const char *const[]){"/usr/bin/env", "node", script, daemon_url(d), NULL},
        (const char *const[]){path, where, NULL});
    free(where);
    free(path);
    free(script);
    free(relative);
    free(tools);
    daemon_end(&d);
}

START_TEST(test_openapi_answers_are_as_documented)
{
    run_script("check.mjs");
}
END_TEST

START_TEST(test_openapi_makes_a_client_that_works)
{
    run_script("generated.mjs");
}
END_TEST

START_TEST(test_openapi_passes_the_linter)
{
    char *linter = tools_path("../openapi-tools/node_modules/.bin/redocly");
    char *document = daemon_built("../../api/openapi.json");
    char *path = text_printf("PATH=%s", getenv("PATH"));
    require_tools();
    run((const char *const[]){linter, "lint", document, NULL},
        (const char *const[]){path, "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true",
                              NULL});
    free(path);
    free(document);
    free(linter);
}
END_TEST

int main(void)
{
    const struct suite_row tests[] = {{test_openapi_answers_are_as_documented, 0},
                                      {test_openapi_makes_a_client_that_works, 0},
                                      {test_openapi_passes_the_linter, 0}};
    return suite_run_rows("openapi", TEST_S, NULL, NULL, tests, FUT_COUNT(tests));
}
