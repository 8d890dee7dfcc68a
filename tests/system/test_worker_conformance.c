/* Every SDK speaks the worker protocol, and tests/tools/worker_conformance can tell who does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 170000

/* Runs the tool on "before PATH after", where path counts from the build. The temporary files of
 * the workers die with the test. */
static int examine(const char *before, const char *path, const char *after,
                   const char *const *options, char **out)
{
    char *tool = daemon_built("tests/tools/worker_conformance");
    char *whole = daemon_built(path);
    char *dir = dir_new();
    char *program = text_printf("env TMPDIR=%s %s %s %s", dir, before, whole, after);
    const char *argv[12] = {tool, "--program", program};
    for (int i = 0; options && options[i]; i++)
        argv[3 + i] = options[i];
    char *err = NULL;
    int status = program_run(argv, NULL, TIMEOUT_MS, out, &err);
    (void)fputs(err, stderr);
    dir_free(&dir);
    free(err);
    free(program);
    free(whole);
    free(tool);
    return status;
}

/* All points hold, and so many of them at least were examined. */
static void must_conform(const char *before, const char *path, const char *after, int points)
{
    char *out = NULL;
    int status = examine(before, path, after, NULL, &out);
    const char *last = strstr(out, " passed, 0 failed");
    ck_assert_msg(status == 0 && last, "exit status %d\n%s", status, out);
    ck_assert_msg(text_count(out, "ok    ") >= (size_t)points, "only %zu points\n%s",
                  text_count(out, "ok    "), out);
    free(out);
}

static const struct {
    const char *before, *path, *after;
    int points;
} subjects[] = {
    {"python3", "../../workers/sdk/examples/tour.py", "ahead", 32},
    {"python3", "../../workers/sdk/examples/tour.py", "fork soft concurrency=4", 33},
    {"node", "../../workers/sdk/examples/tour.js", "soft concurrency=5", 30},
    {"sh", "../../workers/sdk/examples/tour.sh", "", 25},
    {"", "workers/sdk/examples/tour", "", 30},
    {"", "workers/sdk/examples/tour", "one fork", 30},
};

START_TEST(test_program_conforms)
{
    must_conform(subjects[_i].before, subjects[_i].path, subjects[_i].after, subjects[_i].points);
}
END_TEST

START_TEST(test_plugin_conforms)
{
    char *host = daemon_built("futured");
    char *before = text_printf("%s --role=plugin-host", host);
    must_conform(before, "workers/sdk/examples/tour.so", "", 31);
    free(before);
    free(host);
}
END_TEST

/* ---- the tool can say no --------------------------------------------------------------------- */

#define ONE_HANDLER "--handler", "any"

static const struct {
    const char *wrong;
    const char *options[7];
    const char *verdict;
} wrongs[] = {
    {"right", {ONE_HANDLER, "--point", "ends it"}, "4 passed, 0 failed"},
    {"chatty", {ONE_HANDLER, "--point", "one task"}, "FAIL  one task after another"},
    {"text", {"--point", "NUL"}, "FAIL  NUL, newlines, every byte"},
    {"strict", {ONE_HANDLER, "--point", "unknown keys"}, "FAIL  unknown keys are left"},
    {"sticky", {ONE_HANDLER, "--point", "late"}, "FAIL  a late cancel is left"},
    {"eager", {"--point", "waited for"}, "FAIL  a checkpoint: stored, waited for, given back"},
    {"greedy", {"--point", "come ahead"}, "FAIL  tasks that come ahead, and are withdrawn"},
    {"forgetful", {"--point", "CLOSE"}, "FAIL  CLOSE ends its session, and no other"},
    {"polite", {"--point", "CLOSE"}, "FAIL  CLOSE ends its session, and no other"},
    {"deaf",
     {ONE_HANDLER, "--patience", "1", "--point", "end of the stream"},
     "FAIL  the end of the stream ends it"},
};

START_TEST(test_wrong_workers_are_found)
{
    for (size_t i = 0; i < FUT_COUNT(wrongs); i++) {
        char *out = NULL;
        int status = examine("python3", "../../tests/tools/wrong_worker.py", wrongs[i].wrong,
                             wrongs[i].options, &out);
        ck_assert_msg(strstr(out, wrongs[i].verdict), "%s: %s", wrongs[i].wrong, out);
        ck_assert_int_eq(status, strstr(wrongs[i].verdict, "FAIL") ? 1 : 0);
        free(out);
    }
}
END_TEST

/* ---- programs that cannot start -------------------------------------------------------------- */

static void must_say(const char *const *argv, const char *needle)
{
    char *err = NULL;
    int status = program_run(argv, NULL, TIMEOUT_MS, NULL, &err);
    ck_assert_msg(status != 0 && strstr(err, needle), "exit status %d, %s", status, err);
    free(err);
}

START_TEST(test_plugin_host_says_what_is_wrong)
{
    char *host = daemon_built("futured");
    must_say((const char *[]){host, "--role=plugin-host", "/nowhere/x.so", NULL}, "/nowhere/x.so");
    must_say((const char *[]){host, "--role=plugin-host", "libm.so.6", NULL},
             "does not define futured_plugin");
    free(host);
}
END_TEST

START_TEST(test_sdk_without_a_daemon_says_what_it_is)
{
    static const char *const programs[][2] = {
        {"/usr/bin/python3", "../../workers/sdk/examples/tour.py"},
        {"/usr/bin/env node", "../../workers/sdk/examples/tour.js"},
        {"/bin/sh", "../../workers/sdk/examples/tour.sh"},
    };
    for (size_t i = 0; i < FUT_COUNT(programs); i++) {
        char *script = daemon_built(programs[i][1]);
        char *command = text_printf("exec %s %s", programs[i][0], script);
        must_say((const char *[]){"/bin/sh", "-c", command, NULL}, "this is a worker program");
        free(command);
        free(script);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("worker_conformance", SUITE_TIMEOUT_S, NULL, NULL);
    tcase_add_loop_test(t, test_program_conforms, 0, (int)FUT_COUNT(subjects));
    tcase_add_test(t, test_plugin_conforms);
    tcase_add_test(t, test_wrong_workers_are_found);
    tcase_add_test(t, test_plugin_host_says_what_is_wrong);
    tcase_add_test(t, test_sdk_without_a_daemon_says_what_it_is);
    return suite_run_cases("worker_conformance", t, NULL);
}
