/* Whatever a handler raises, returns or prints, its task gets an answer of its own, in every
 * language and also where several tasks share a process; no other task notices. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "futured_worker.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#undef fail /* libcheck's, which is also the name of a function of the plug-in ABI */

/* ---- the worker in C: this program, started again ---- */

static void fail_as(const struct futured_host *host, struct futured_task *task, const char *kind,
                    const char *message)
{
    host->fail(task, FUTURED_RETRY_POLICY, kind, message);
}

static void run_in_c(const struct futured_host *host, struct futured_task *task)
{
    static char much[3000001];
    char word[32];
    size_t n;
    const char *input = host->input(task, &n);
    (void)snprintf(word, sizeof(word), "%.*s", (int)n, input);
    memset(much, 'x', sizeof(much) - 1);
    if (strcmp(word, "umlaut") == 0)
        fail_as(host, task, "Fehler z\xc3\xa4hler\n", "\xc3\xa4");
    else if (strcmp(word, "no kind") == 0)
        fail_as(host, task, NULL, NULL);
    else if (strcmp(word, "long") == 0)
        fail_as(host, task, much, much);
    else if (strcmp(word, "type") == 0)
        host->done(task, "x", 1, "text/pl\xc3\xa4n");
    else if (strcmp(word, "type lines") == 0)
        host->done(task, "x", 1, "text/plain\nDONE 1 0");
    else if (strcmp(word, "type long") == 0)
        host->done(task, "x", 1, much);
    else if (strcmp(word, "tiny") == 0)
        host->progress(task, 1e-9, NULL);
    else if (strcmp(word, "not a number") == 0)
        host->progress(task, __builtin_nan(""), "\n");
    else if (strcmp(word, "much") == 0)
        host->log(task, much, sizeof(much) - 1);
    if (strcmp(word, "silent") != 0)
        host->done(task, "fine", 4, "text/plain"); /* the first answer counts */
}

static const struct futured_plugin in_c = {
    .abi = FUTURED_PLUGIN_ABI, .size = sizeof(struct futured_plugin), .run = run_in_c};

/* ---- what is expected ---- */

#define ODD_SUCCEEDS NULL

struct odd {
    const char *word;
    const char *type; /* the error's; ODD_SUCCEEDS: none */
};

static const struct odd python[] = {
    {"mute", "Mute"},
    {"umlaut", "Fehlerz_hler"},
    {"foreign", "Exception"},
    {"nameless", "Nameless"},
    {"long", "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL"},
    {"surrogate error", "ValueError"},
    {"empty", "ValueError"},
    {"blank", "ValueError"},
    {"exit", "SystemExit"},
    {"interrupt", "KeyboardInterrupt"},
    {"base", "BaseException"},
    {"stop", "StopIteration"},
    {"recursion", "RecursionError"},
    {"traceback", "ValueError"},
    {"set", "TypeError"},
    {"object", "TypeError"},
    {"generator", "TypeError"},
    {"nan", "ValueError"},
    {"surrogate", "UnicodeEncodeError"},
    {"data", "TypeError"},
    {"type", "ValueError"},
    {"type none", "TypeError"},
    {"type lines", "ValueError"},
    {"type long", "ValueError"},
    {"print surrogate", ODD_SUCCEEDS},
    {"closed", ODD_SUCCEEDS},
    {"none", ODD_SUCCEEDS},
    {"tiny", ODD_SUCCEEDS},
    {"not a number", ODD_SUCCEEDS},
    {"much", ODD_SUCCEEDS},
    {"fine", ODD_SUCCEEDS},
};

static const struct odd javascript[] = {
    {"mute", "Error"},
    {"getters", "Error"},
    {"umlaut", "Fehlerz_hler"},
    {"foreign", "Error"},
    {"name", "Error"},
    {"long", "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL"},
    {"huge", "RangeError"},
    {"null", "Error"},
    {"undefined", "Error"},
    {"symbol", "Error"},
    {"trap", "Error"},
    {"bare", "Error"},
    {"callback", "TypeError"},
    {"rejection", "TypeError"},
    {"bigint", "TypeError"},
    {"function", "TypeError"},
    {"circle", "TypeError"},
    {"toJSON", "Error"},
    {"data", "TypeError"},
    {"type", "TypeError"},
    {"type none", "TypeError"},
    {"type lines", "TypeError"},
    {"type long", "TypeError"},
    {"twice", "TypeError"},
    {"tiny", ODD_SUCCEEDS},
    {"not a number", ODD_SUCCEEDS},
    {"much", ODD_SUCCEEDS},
    {"fine", ODD_SUCCEEDS},
};

static const struct odd shell[] = {
    {"umlaut", "Fehler_z__hler"},
    {"lines", "Two_lines"},
    {"no kind", "Error"},
    {"long", "0000000000000000000000000000000000000000000000000000000000000000"},
    {"retry", "Odd"},
    {"subshell", "Inner"},
    {"type", "BadType"},
    {"type lines", "BadType"},
    {"type long", "BadType"},
    {"exit", "Exit"},
    {"unset", "Exit"},
    {"progress", ODD_SUCCEEDS},
    {"words", ODD_SUCCEEDS},
    {"beyond", ODD_SUCCEEDS},
    {"fine", ODD_SUCCEEDS},
};

static const struct odd with_c[] = {
    {"umlaut", "Fehler_z__hler_"},
    {"no kind", "Error"},
    {"long", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    {"type", "BadType"},
    {"type lines", "BadType"},
    {"type long", "BadType"},
    {"silent", "NoAnswer"},
    {"tiny", ODD_SUCCEEDS},
    {"not a number", ODD_SUCCEEDS},
    {"much", ODD_SUCCEEDS},
    {"fine", ODD_SUCCEEDS},
};

static const struct {
    const struct odd *all;
    size_t n;
    const char *program, *lane;
} cases[] = {
    {python, FUT_COUNT(python), "\"python3\", \"%s/odd.py\"", "cpu"},
    {python, FUT_COUNT(python), "\"python3\", \"%s/odd.py\", \"8\"", "io"},
    {javascript, FUT_COUNT(javascript), "\"node\", \"%s/odd.js\"", "cpu"},
    {javascript, FUT_COUNT(javascript), "\"node\", \"%s/odd.js\", \"8\"", "io"},
    {shell, FUT_COUNT(shell), "\"sh\", \"%s/odd.sh\"", "cpu"},
    {with_c, FUT_COUNT(with_c), "\"SELF\", \"worker\"", "cpu"},
};

static struct daemon *start(int i)
{
    static const char *const settings[] = {"MAX_WORKERS=1", "MAX_THREADS=8", "FUTURED_DRAIN=1s"};
    char self[PATH_MAX] = "";
    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    char *src = daemon_built("../../tests/support/odd");
    struct buf program = BUF_INIT;
    if (strstr(cases[i].program, "SELF"))
        buf_printf(&program, "\"%s\", \"worker\"", self);
    else
        buf_printf(&program, "%.*s%s%s", (int)(strstr(cases[i].program, "%s") - cases[i].program),
                   cases[i].program, src, strstr(cases[i].program, "%s") + 2);
    char *json = text_printf(
        "{\"odd\": {\"worker\": [%s], \"lane\": \"%s\", \"timeout\": 60, \"retries\": 0}}",
        program.data, cases[i].lane);
    struct daemon *d = daemon_start_handlers(json, settings, FUT_COUNT(settings));
    free(json);
    free(src);
    buf_release(&program);
    return d;
}

static void check(struct daemon *d, const char *id, const struct odd *odd)
{
    json_t *f = api_done(daemon_url(d), id);
    char *text = json_dumps(f, 0);
    if (!odd->type) {
        ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "%s: %.2000s", odd->word,
                      text);
    } else {
        ck_assert_msg(strcmp(api_str(f, "error.code"), "handler_failed") == 0, "%s: %.2000s",
                      odd->word, text);
        ck_assert_msg(strcmp(api_str(f, "error.type"), odd->type) == 0, "%s: %.2000s", odd->word,
                      text);
    }
    ck_assert_int_eq(api_int(f, "attempt"), 1);
    free(text);
    json_decref(f);
}

START_TEST(test_answers_are_each_tasks_own)
{
    char ids[64][ID_TEXT_SIZE];
    struct daemon *d = start(_i);
    for (size_t k = 0; k < cases[_i].n; k++) {
        char *body = text_printf("{\"handler\":\"odd\",\"input\":\"%s\"}", cases[_i].all[k].word);
        api_submit(daemon_url(d), body, ids[k]);
        free(body);
    }
    for (size_t k = 0; k < cases[_i].n; k++)
        check(d, ids[k], &cases[_i].all[k]);
    struct http_reply r = api_get(daemon_url(d), "/v1/stats");
    ck_assert_msg(strstr(r.body, "\"workers_died\":0"), "%s", r.body);
    http_reply_release(&r);
    daemon_end(&d);
}
END_TEST

/* What the future shows as the error's log is what its log shows. */
START_TEST(test_answers_have_one_log)
{
    char id[ID_TEXT_SIZE];
    struct daemon *d = start(_i);
    api_submit(daemon_url(d), "{\"handler\":\"odd\",\"input\":\"traceback\"}", id);
    json_t *f = api_done(daemon_url(d), id);
    ck_assert_str_eq(api_str(f, "error.message"), "ValueError: told");
    ck_assert_ptr_nonnull(strstr(api_str(f, "error.log"), "Traceback"));
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s/log", id);
    ck_assert_str_eq(r.body, api_str(f, "error.log"));
    http_reply_release(&r);
    json_decref(f);
    daemon_end(&d);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return futured_worker_main(&in_c, 0);
    TCase *t = suite_case("answers", 120, NULL, NULL);
    tcase_add_loop_test(t, test_answers_are_each_tasks_own, 0, (int)FUT_COUNT(cases));
    tcase_add_loop_test(t, test_answers_have_one_log, 0, 2);
    return suite_run_cases("worker_answers", t, NULL);
}
