/* `future`, the command line, against a real daemon: what it prints, and its exit codes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 80000

static struct daemon *d;
static char *out, *err;

static const char handlers[] = "{\"wc\": {\"exec\": [\"wc\", \"-w\"]},"
                               " \"bad\": {\"exec\": [\"sh\", \"-c\", \"echo oops >&2; exit 3\"]},"
                               " \"rude\": {\"exec\": [\"printf\", \"a\\\\033[2Jb\"]},"
                               " \"slow\": {\"exec\": [\"sleep\", \"1000\"]}}";

static void setup(void)
{
    static const char *const settings[] = {"FUTURED_LABELS=gpu"};
    d = daemon_start_handlers(handlers, settings, 1);
}

static void teardown(void)
{
    free(out);
    free(err);
    out = err = NULL;
    daemon_free(&d);
}

/* `sh -c script` in the daemon's directory with `future` on its PATH; the exit status. */
static int shell_at(const char *url, const char *script)
{
    char *program = daemon_built("future"),
         *bin = xstrndup(program, strlen(program) - strlen("/future"));
    char *path = text_printf("PATH=%s:%s", bin, getenv("PATH")),
         *where = text_printf("FUTURED_URL=%s", url);
    char *here = realpath("client/cli/future.bash", NULL);
    ck_assert_ptr_nonnull(here);
    char *completion = text_printf("COMPLETION=%s", here);
    char *command = text_printf("cd %s && { %s\n}", daemon_dir(d), script);
    free(out);
    free(err);
    int status = program_run((const char *const[]){"/bin/sh", "-c", command, NULL},
                             (const char *const[]){path, where, completion, "LC_ALL=C.UTF-8", NULL},
                             TIMEOUT_MS, &out, &err);
    free(command);
    free(completion);
    free(here);
    free(where);
    free(path);
    free(bin);
    free(program);
    return status;
}

static int shell(const char *script)
{
    return shell_at(daemon_url(d), script);
}

#define BATCH                                                                                      \
    "id=$(curl -s $FUTURED_URL/v1/batches -d '{\"tasks\":[{\"name\":\"one\",\"handler\":\"echo\"," \
    "\"input\":\"hi\"},{\"name\":\"two\",\"handler\":\"bad\",\"after\":[\"one\"]}]}' | jq -r "     \
    ".id); "

/* Commands on a daemon that has done nothing yet. NULL: nothing may be printed there. */
static const struct {
    const char *script;
    int status;
    const char *out, *err;
} cases[] = {
    /* results, and how a task ended, in the exit code */
    {"future run echo '\"hi\"' --wait", 0, "\"hi\"", NULL},
    {"future run echo hi -w", 0, "hi", NULL},
    {"printf 'a b c' | future run wc - -w", 0, "3\n", NULL},
    {"printf 'a b' >f; future run wc @f -w", 0, "2\n", NULL},
    {"future run wc -w", 0, "0\n", NULL},
    {"future run bad -w", 1, NULL,
     "is failed (exit): the program exited with 3\nits log ends with:\noops\n"},
    {"id=$(future submit slow); future cancel $id; future result $id", 3, NULL, "is cancelled"},
    {"future result $(future submit slow)", 4, NULL, "is running"},
    {"future result $(future submit slow) --wait 100ms", 4, NULL, "is running"},
    {"future get $(future submit bad) -w 1m", 1, "\"code\": \"exit\"", NULL},
    {"future wait $(future submit echo 1) $(future submit echo 2) | wc -l", 0, "2\n", NULL},
    {"future wait $(future submit slow) -w 50ms", 4, NULL, NULL},
    {"future wait $(future submit slow) $(future submit echo 1) --return-when FIRST_COMPLETED | wc "
     "-l",
     0, "1\n", NULL},
    /* many files */
    {"echo a >a; echo b b >b; future map wc a b --in-order", 0, "1\n2\n", NULL},
    {"echo a >a; echo b b >b; future map wc a b -o o; cat o/a o/b", 0, "1\n2\n", NULL},
    {"printf '\\377\\000x y' >a; future map wc a", 0, "2\n", NULL},
    {"echo a >a; future map bad a", 1, NULL, "oops"},
    {"mkdir x; echo a >a; echo b >x/a; future map wc a x/a -o o", 2, NULL,
     "would have one result file"},
    {"echo a >a; future map slow a --wait 200ms", 4, NULL, "1 of 1 are not done in time"},
    /* lists, changes */
    {"future run bad -w; future retry --state failed --yes; future wait $(future ls | cut -f1) && "
     "future ls",
     0, "\tbad\tcpu\tfailed\t2\t", "oops"},
    {"future run echo 1 -w; future run echo 2 -w; future rm -s succeeded -y; future ls | wc -l", 0,
     "2\n0\n", NULL},
    {"future submit slow; future submit slow; future cancel -H slow -y", 0, "\n2\n", NULL},
    {"future submit slow; future cancel -H slow </dev/null", 2, NULL, "Cancel 1 futures? [y/N]"},
    {"future run bad -w; future run bad -w; future failures | cut -f1-3", 0, "bad\texit\t2\n",
     "oops"},
    {"future run bad -w; future retry -c timeout -y; future rm -c exit --older-than 1h -y", 0,
     "0\n0\n", "oops"},
    {"future rm --older-than soon -y", 2, NULL, "--older-than soon is not a time"},
    {"future rm -s queued -y", 5, NULL, "\"state\" may name succeeded,failed,cancelled here"},
    {"future ls --json; future submit echo 1 >/dev/null; future ls --json | grep -c "
     "'\"handler\":\"echo\"'",
     0, "1\n", NULL},
    {"future top", 2, NULL, "`top` needs a terminal"},
    {"future logs -f $(future submit bad)", 0, "oops\n", NULL},
    {"future run --key k echo 1 >a; future run --key k echo 1 >b; cmp a b", 0, NULL, NULL},
    {"future pause io --reason tea; future pools; future resume io; future pools", 0,
     "io\t20\t0\t0\t0\ttrue\n", NULL},
    {"future pause mail --reason tea --wait 5; future submit -q mail echo 1 >/dev/null; future "
     "queues | cut -f1,5,9,10; "
     "future purge mail -n; future purge mail; future resume mail",
     0, "default\t0\tfalse\t\nmail\t1\ttrue\ttea\n1\n1\n", NULL},
    {"future pause -H slow; future submit slow | xargs future get | grep -c handler_paused; future "
     "resume -H slow",
     0, "1\n", NULL},
    {"id=$(future submit slow); until future get $id | grep -q running; do :; done; future pause "
     "default -w 0.1",
     4, NULL, "1 tasks of default still run."},
    {"n=$(future nodes | cut -f1); future nodes drain $n; future nodes | cut -f2; future submit "
     "echo "
     "1 >id; future get $(cat id) | grep -c node_draining; future nodes resume $n; future wait "
     "$(cat id); [ $(future nodes | cut -f2) = running ]",
     0, "drained\n1\n", NULL},
    {"future run --needs gpu echo 1 -w", 0, "1", NULL},
    {"id=$(future submit slow -q mail); until future get $id | grep -q running; do :; done; "
     "[ \"$(future queues | grep mail | cut -f12)\" = \"$(future nodes | cut -f1):1\" ]",
     0, "", NULL},
    {"future submit echo 1 --needs big,gpu >id; future get $(cat id) | grep -c no_node_for_needs; "
     "future cancel $(cat id) >/dev/null",
     0, "1\n", NULL},
    {"future nodes drain nobody", 5, NULL, "No live node is called"},
    {"future nodes nobody", 2, NULL, "nothing that this command does"},
    {"future pause io -w 1", 2, NULL, "--wait is for queues and handlers"},
    {"future queues nobody", 5, NULL, "No queue is called"},
    {"future handlers", 0, "wc\texec\tcpu\t", NULL},
    {"future workers && future stats", 0, "submitted", NULL},
    {"id=$(curl -s $FUTURED_URL/v1/batches -d '{\"handler\":\"echo\",\"inputs\":[1,2]}' | jq -r "
     ".id); future batch $id; future batch members $id | wc -l",
     0, "total\t2\n", NULL},
    {BATCH "future batch results $id -w 1m | cut -f2-", 0,
     "echo\tsucceeded\thi\nbad\tfailed\texit: the program exited with 3\n", NULL},
    {BATCH "future batch results $id -w 1m --json | jq -r .state", 0, "succeeded\nfailed\n", NULL},
    {BATCH "future wait $(future batch members $id | cut -f1) >/dev/null; future graph $id | cut "
           "-f2-",
     0, "one\techo\tsucceeded\t\ntwo\tbad\tfailed\tone\n", NULL},
    {"id=$(curl -s $FUTURED_URL/v1/batches -d '{\"handler\":\"slow\",\"inputs\":[1,2]}' | jq -r "
     ".id); future batch results $id -w 50ms; future batch cancel $id; future batch results $id "
     "-w 1m",
     3, "\tcancelled\t", "The rest is not done in time"},
    {BATCH "future batch results $id -w 1m >/dev/null; future batch | grep $id | cut -f2-5; "
           "future batch --json | jq -r '.batches[].id' | grep -c $id; future batch --unfinished | "
           "grep -c "
           "$id",
     1, "2\t2\t1\t0\n1\n0\n", NULL},
    {"future batch results", 2, NULL, "`results` takes 1 here"},
    {"future batch nix nix", 2, NULL, "`nix` is nothing that this command does"},
    {"future batch nix", 5, NULL, "No batch has the id"},
    {"id=$(curl -s $FUTURED_URL/v1/sessions -d '{\"handler\":\"echo\",\"max_running\":3}' | jq -r "
     ".id); future sessions | grep $id | cut -f2-6; future sessions cancel $id; future sessions "
     "close $id; future sessions $id | grep -w closed; future complete sessions close \"\" | grep "
     "-c "
     "$id",
     0, "echo\t3\tfalse\t0\t0\nclosed\ttrue\n1\n", NULL},
    {"future sessions cancel $(future submit echo 1)", 5, NULL, "No session has this id"},
    /* schedules and limits */
    {"curl -s -X PUT $FUTURED_URL/v1/schedules/hourly -d '{\"cron\":\"@hourly\",\"task\":"
     "{\"handler\":\"echo\",\"input\":\"tick\"}}' >/dev/null; future schedules | cut -f1,3,4; "
     "future schedules pause hourly; future schedules | cut -f1-3; future schedules resume hourly; "
     "future result -w 1m $(future schedules run hourly); future schedules hourly | grep paused",
     0, "hourly\tfalse\tapi\nhourly\t\ttrue\ntickpaused\tfalse\n", NULL},
    {"future schedules run nobody", 5, NULL, "nobody"},
    {"curl -s -X PUT $FUTURED_URL/v1/limits/few -d '{\"max_running\":3}' >/dev/null; future limits "
     "| "
     "cut -f1,2,5,6; future limits few | grep waiting",
     0, "few\t3\t0\t0\nwaiting\t0\n", NULL},
    {"future limits nobody", 5, NULL, "No limit is called"},
    /* groups of failures */
    {"future run bad -w; future run bad -w; future failures retry bad exit -y; until future "
     "failures | cut -f1-3 | grep -q 2; do :; done; future failures rm bad -y; future failures",
     0, "2\n2\n", "oops"},
    {"future run bad -w; future failures rm bad exit </dev/null", 2, NULL,
     "Delete 1 futures? [y/N]"},
    {"future failures rm", 2, NULL, "`rm` takes at least 1 here"},
    /* completion */
    {"future complete sched; future complete schedules r; future complete run b; future complete "
     "ls --state q; future complete run bad @; future complete ls --older",
     0,
     "schedules\tlist the schedules, or show, run or pause one\nrun\t\nresume\t\nbad\texec\n"
     "queued\t\n@files\n--older-than\t",
     NULL},
    {"future complete --url http://127.0.0.1:1 run ''; future complete get -w 1 ''", 0, NULL, NULL},
    {"bash -c '. $0; COMP_WORDS=(future run ba) COMP_CWORD=2; _future; echo ${COMPREPLY[@]}' "
     "$COMPLETION",
     0, "bad\n", NULL},
    /* what is wrong */
    {"future", 2, NULL, "Usage: future COMMAND"},
    {"future nix", 2, NULL, "There is no command `nix`"},
    {"future run", 2, NULL, "Usage: future run"},
    {"future ls --nix", 2, NULL, "unrecognized option"},
    {"future ls -n x", 2, NULL, "--limit x is not a number"},
    {"future get x --wait soon", 2, NULL, "--wait soon is not a time"},
    {"future run echo @missing", 2, NULL, "missing cannot be read: No such file"},
    {"future run nobody", 5, NULL, "`future handlers` lists what can be run"},
    {"future get 01900000-0000-7000-8000-000000000000", 5, NULL, "future ls"},
    {"future cancel", 2, NULL, "Name either ids or filters"},
    {"future --url http://127.0.0.1:1 ls", 6, NULL, "Does the daemon run there?"},
    {"future --token-file missing ls", 2, NULL, "The token file missing cannot be read"},
    /* help */
    {"future --help", 0, "Exit status: 0 done or succeeded", NULL},
    {"future ls --help", 0, "--watch", NULL},
    {"for c in $(future commands | grep -v '^\t' | cut -f1); do future $c -h >/dev/null || echo "
     "$c; done",
     0, NULL, NULL},
};

START_TEST(test_cli_commands)
{
    int status = shell(cases[_i].script);
    ck_assert_msg(status == cases[_i].status, "%s: exit %d\n%s\n%s", cases[_i].script, status, out,
                  err);
    ck_assert_msg(cases[_i].err ? strstr(err, cases[_i].err) != NULL : !*err,
                  "%s: standard error: %s", cases[_i].script, err);
    if (cases[_i].out)
        ck_assert_msg(strstr(out, cases[_i].out) != NULL, "%s: standard output: %s",
                      cases[_i].script, out);
}
END_TEST

/* A task's text must not drive the terminal of whoever looks at it. */
START_TEST(test_cli_makes_text_safe_for_a_terminal)
{
    ck_assert_int_eq(shell("future submit echo '\"\\u001b[2Jx\"' >/dev/null;"
                           "script -qec 'future get $(future ls --tsv | cut -f1) -w 5' /dev/null"),
                     0);
    ck_assert_msg(strstr(out, "\033[2J") == NULL && strstr(out, "[2Jx") != NULL, "%s", out);
}
END_TEST

START_TEST(test_cli_draws_on_a_terminal)
{
    ck_assert_int_eq(shell("echo a >a; script -qec 'future map wc a a; future ls' /dev/null"), 0);
    ck_assert_msg(strstr(out, "2/2") && strstr(out, "ATTEMPT") && strstr(out, "\033[32msucceeded"),
                  "%s", out);
    ck_assert_int_eq(shell("NO_COLOR=1 script -qec 'future ls' /dev/null"), 0);
    ck_assert_msg(strstr(out, "ATTEMPT") && !strstr(out, "\033["), "%s", out);
}
END_TEST

/* A restart in the middle of a map costs a moment, not the results. */
START_TEST(test_cli_map_outlasts_a_restart)
{
    char *program = daemon_built("future"), *url, *marker;
    daemon_keep_port(d);
    url = text_printf("FUTURED_URL=%s", daemon_url(d));
    struct program *map;
    ck_assert_int_eq(shell("echo '{\"ms\":1500}' >a"), 0);
    map = program_start((const char *const[]){program, "map", "sleep", "a", NULL},
                        (const char *const[]){url, NULL}, daemon_dir(d));
    while (shell("future ls -s running | grep -q sleep") != 0)
        ;
    daemon_kill(d);
    daemon_start(d);
    int status = -1;
    ck_assert(program_wait(map, TIMEOUT_MS, &status));
    marker = program_text(map, PROGRAM_OUT);
    ck_assert_msg(status == 0 && strstr(marker, "slept_ms"), "%d %s", status, marker);
    free(marker);
    program_free(&map);
    free(url);
    free(program);
}
END_TEST

START_TEST(test_cli_speaks_over_a_unix_socket_with_a_token)
{
    char *path = daemon_path(d, "s"), *listen = text_printf("FUTURED_LISTEN=unix:%s", path),
         *url = text_printf("unix:%s", path);
    char *tokens = daemon_path(d, "tokens"), *setting = text_printf("FUTURED_TOKENS=%s", tokens);
    daemon_stop(d);
    ck_assert_int_eq(shell("echo 'secretsecretsecret submit,read' >tokens"), 0);
    daemon_set(d, listen);
    daemon_set(d, setting);
    daemon_start(d);
    ck_assert_int_eq(shell_at(url, "future ls"), 5);
    ck_assert_msg(strstr(err, "Name a token by FUTURED_TOKEN"), "%s", err);
    ck_assert_int_eq(shell_at(url, "FUTURED_TOKEN=secretsecretsecret future run echo 1 -w"), 0);
    ck_assert_int_eq(
        shell_at(url, "future --token-file tokens run echo 1 -w && future ls --token-file tokens"),
        0);
    free(setting);
    free(tokens);
    free(url);
    free(listen);
    free(path);
}
END_TEST

START_TEST(test_cli_graph)
{
    json_t *b =
        api_batch(daemon_url(d), "{\"tasks\":[{\"name\":\"one\",\"handler\":\"echo\"},"
                                 "{\"name\":\"two\",\"handler\":\"echo\",\"after\":[\"one\"]}]}");
    json_decref(api_done(daemon_url(d), json_string_value(json_array_get(api_at(b, "ids"), 1))));
    char *script = text_printf("future graph %s", api_str(b, "id"));
    ck_assert_int_eq(shell(script), 0);
    ck_assert(strstr(out, "one") && strstr(out, "two") && strstr(out, "succeeded"));
    free(script);
    script = text_printf("future graph --dot %s", api_str(b, "id"));
    ck_assert_int_eq(shell(script), 0);
    ck_assert(strstr(out, "digraph") == out && strstr(out, " -> "));
    free(script);
    ck_assert_int_ne(shell("future graph --dot nothing"), 0);
    json_decref(b);
}
END_TEST

/* ---- future top, on a terminal of tmux ---------------------------------------------------------
 */

/* The terminal outlasts a script; `screen` is what it shows now. */
#define TERMINAL                                                                                   \
    "t() { tmux -S s -f /dev/null \"$@\"; }; screen() { t capture-pane -p; }; "                    \
    "until_screen() { until screen | grep -q \"$1\"; do :; done; }; "                              \
    "until_end() { while t ls >/dev/null 2>&1; do :; done; }; "

#define START "t new-session -d -x 80 -y 24 'future top'; "

static void end_terminal(void)
{
    shell(TERMINAL "t kill-server");
    teardown();
}

static void expect_shell(const char *script)
{
    int status = shell(script);
    ck_assert_msg(status == 0, "%s: exit %d\n%s\n%s", script, status, out, err);
}

START_TEST(test_top_shows_and_steers)
{
    expect_shell("future run bad -w; future run bad -w; id=$(future submit slow); until future get "
                 "$id | grep -q running; do :; done");
    expect_shell(TERMINAL START "until_screen '^bad  *exit  *2 '; until_screen 'slow  *cpu'; "
                                "screen | grep -q '^cpu  *1/'");
    /* the log of the latest failure; all of the group again */
    expect_shell(TERMINAL
                 "t send-keys Tab Tab Tab l; until_screen oops; t send-keys q r; "
                 "until_screen 'Retry the 2 failures of bad (exit)? y/n'; t send-keys y; "
                 "until [ $(future ls -H bad -s failed | cut -f5 | grep -c 2) = 2 ]; do :; "
                 "done");
    /* a question that is not answered by y does nothing */
    expect_shell(TERMINAL "t send-keys BTab c; until_screen 'Cancel .* (slow)? y/n'; t send-keys n "
                          "c; until_screen 'Cancel .* (slow)? y/n'; future ls -H slow | grep -q "
                          "running; t send-keys y; until future ls -s cancelled | grep -q slow; do "
                          ":; done");
    /* lanes and queues */
    expect_shell(TERMINAL
                 "t send-keys BTab BTab p; until_screen 'io .*paused'; future pools | grep "
                 "io | grep -q true; t send-keys p; until future pools | grep io | grep -q "
                 "false; do :; done; t send-keys Tab p; until_screen '^default .*paused'");
    /* other sizes */
    expect_shell(TERMINAL "t resize-window -x 120 -y 40; until_screen 'store ok .* MB'; "
                          "t resize-window -x 30 -y 10; until_screen 'too small'; "
                          "t resize-window -x 80 -y 24; until_screen RUNNING; t send-keys q; "
                          "until_end");
}
END_TEST

/* What others write must not reach the terminal as commands. */
START_TEST(test_top_shows_hostile_text_as_text)
{
    expect_shell(TERMINAL
                 "id=$(curl -s $FUTURED_URL/v1/promises -d '{}' | jq -r .id); "
                 "curl -sf $FUTURED_URL/v1/futures/$id/complete -d '{\"error\":{\"code\":\"evil\","
                 "\"message\":\"a\\u001b[2J\\u009b2J\\u202eb\\u0007\\n\\u5bc6c\"}}' >/dev/null || "
                 "exit 9; " START "until_screen 'evil  *1 '; screen | grep -q 'a?\\[2J??2J?b? "
                 "\345\257\206c' && screen | grep -q "
                 "'^LANE'");
}
END_TEST

/* A daemon that goes away is waited for, and what happens then is seen. */
START_TEST(test_top_outlasts_a_restart)
{
    daemon_keep_port(d);
    expect_shell(TERMINAL START "until_screen '^cpu'");
    daemon_kill(d);
    expect_shell(TERMINAL "until_screen 'NO ANSWER'; until_screen 'No answer from'");
    daemon_start(d);
    expect_shell(TERMINAL "while screen | grep -q 'NO ANSWER'; do :; done; future submit slow; "
                          "until_screen 'slow  *cpu'; t send-keys q; until_end");
}
END_TEST

static TCase *case_of(const char *name, void (*after)(void), const TTest *const *tests, size_t n)
{
    TCase *c = suite_case(name, SUITE_TIMEOUT_S, setup, after);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(c, tests[i]);
    return c;
}

int main(void)
{
    TCase *table = suite_case("commands", SUITE_TIMEOUT_S, setup, teardown);
    const TTest *const rest[] = {test_cli_makes_text_safe_for_a_terminal, test_cli_graph,
                                 test_cli_draws_on_a_terminal, test_cli_map_outlasts_a_restart,
                                 test_cli_speaks_over_a_unix_socket_with_a_token};
    const TTest *const top[] = {test_top_shows_and_steers, test_top_shows_hostile_text_as_text,
                                test_top_outlasts_a_restart};
    tcase_add_loop_test(table, test_cli_commands, 0, FUT_COUNT(cases));
    return suite_run_cases("cli", table, case_of("rest", teardown, rest, FUT_COUNT(rest)),
                           case_of("top", end_terminal, top, FUT_COUNT(top)), NULL);
}
