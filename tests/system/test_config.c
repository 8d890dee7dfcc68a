/* Configuration: a bad value is refused at start: which variable, what it was, what is allowed. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define EXIT_CONFIG 78

static const struct {
    const char *setting;
    const char *allowed; /* part of what must be said */
} bad[] = {
    {"MAX_WORKERS=0", "1 to 1024"},
    {"MAX_WORKERS=many", "a whole number"},
    {"MAX_WORKERS=2x", "a whole number"},
    {"MAX_THREADS=-1", "1 to 4096"},
    {"MAX_THREADS=99999999999999999999", "1 to 4096"},
    {"FUTURED_RETENTION=a week", "7d"},
    {"FUTURED_RETENTION=10ms", "1s"},
    {"FUTURED_MAX_BODY=1T", "64K"},
    {"FUTURED_MAX_BODY=1", "1K"},
    {"FUTURED_MAX_QUEUED=0", "1 to"},
    {"FUTURED_MAX_WAIT=2h", "1h"},
    {"FUTURED_DRAIN=soon", "30s"},
    {"FUTURED_LOG=loud", "debug, info, warn or error"},
    {"FUTURED_STORE=tape", "sqlite, postgres or memory"},
};

static void check_refused(struct daemon *d, const char *setting, const char *allowed)
{
    char name[64], *said = NULL;
    const char *value = strchr(setting, '=') + 1;
    (void)snprintf(name, sizeof(name), "%.*s", (int)(value - 1 - setting), setting);
    daemon_set(d, setting);
    int status = daemon_start_refused(d, &said);
    ck_assert_msg(status == EXIT_CONFIG, "%s: exit status %d: %s", setting, status, said);
    ck_assert_msg(strstr(said, name) && strstr(said, value) && strstr(said, allowed), "%s: %s",
                  setting, said);
    ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "one line: %s", said);
    free(said);
}

START_TEST(test_config_bad_values_are_refused_with_name_value_and_range)
{
    for (size_t i = 0; i < FUT_COUNT(bad); i++) {
        struct daemon *d = daemon_new();
        check_refused(d, bad[i].setting, bad[i].allowed);
        daemon_free(&d);
    }
}
END_TEST

START_TEST(test_config_listen_address_must_be_one)
{
    static const char *const addresses[] = {"localhost", "127.0.0.1:port", "127.0.0.1:99999",
                                            "203.0.113.1:0"};
    for (size_t i = 0; i < FUT_COUNT(addresses); i++) {
        struct daemon *d = daemon_new();
        char setting[128], *said = NULL;
        (void)snprintf(setting, sizeof(setting), "FUTURED_LISTEN=%s", addresses[i]);
        daemon_set(d, setting);
        int status = daemon_start_refused(d, &said);
        ck_assert_msg(status == 1 || status == EXIT_CONFIG, "%s: %d", addresses[i], status);
        ck_assert_msg(strstr(said, addresses[i]) != NULL, "%s: %s", addresses[i], said);
        free(said);
        daemon_free(&d);
    }
}
END_TEST

static const struct text_case bad_handlers[] = {
    {"{\"x\": {\"exec\": [\"true\"]", "line 1"},
    {"[]", "not an object"},
    {"{\"x\": {}}", "\"x\""},
    {"{\"x\": {\"exec\": []}}", "exec"},
    {"{\"x\": {\"exec\": [\"no-such-program-anywhere\"]}}", "no-such-program-anywhere"},
    {"{\"x\": {\"exec\": [\"true\"], \"lane\": \"gpu\"}}", "gpu"},
    {"{\"x\": {\"exec\": [\"true\"], \"timeout\": 0}}", "timeout"},
    {"{\"x\": {\"exec\": [\"true\"], \"retry\": 1}}", "retry"},
    {"{\"echo\": {\"exec\": [\"true\"]}}", "built-in"},
    {"{\"../x\": {\"exec\": [\"true\"]}}", "../x"},
};

START_TEST(test_config_bad_handlers_files_are_refused)
{
    for (size_t i = 0; i < FUT_COUNT(bad_handlers); i++) {
        struct daemon *d = daemon_new();
        char *said = NULL;
        daemon_set_handlers(d, bad_handlers[i].given);
        int status = daemon_start_refused(d, &said);
        ck_assert_msg(status == EXIT_CONFIG, "%s: exit status %d", bad_handlers[i].given, status);
        ck_assert_msg(strstr(said, "handlers.json") && strstr(said, bad_handlers[i].expected),
                      "%s: %s", bad_handlers[i].given, said);
        free(said);
        daemon_free(&d);
    }
}
END_TEST

START_TEST(test_config_missing_handlers_file_is_refused)
{
    struct daemon *d = daemon_new();
    char *said = NULL;
    daemon_set(d, "FUTURED_HANDLERS=/nowhere/handlers.json");
    ck_assert_int_eq(daemon_start_refused(d, &said), EXIT_CONFIG);
    ck_assert_msg(strstr(said, "/nowhere/handlers.json") != NULL, "%s", said);
    free(said);
    daemon_free(&d);
}
END_TEST

START_TEST(test_config_database_that_is_none_is_refused)
{
    struct daemon *d = daemon_new();
    static const char letter[] =
        "this is a letter to my aunt, not a database; it goes on for a while.\n";
    char *path = daemon_path(d, "futured.db"), *said = NULL;
    dir_write(daemon_dir(d), "futured.db", letter, sizeof(letter) - 1);
    ck_assert_int_ne(daemon_start_refused(d, &said), 0);
    ck_assert_msg(strstr(said, path) != NULL, "%s", said);
    free(said);
    free(path);
    daemon_free(&d);
}
END_TEST

/* Runs futured with one argument. */
static int run_with(const char *arg, const char *const *env, char **out, char **err)
{
    char *path = daemon_built("futured");
    const char *argv[] = {path, arg, NULL};
    int status = program_run(argv, env, WAIT_LONG_MS, out, err);
    free(path);
    return status;
}

START_TEST(test_config_help_names_every_variable)
{
    static const char *const names[] = {
        "MAX_WORKERS",        "MAX_THREADS",         "FUTURED_LISTEN",   "FUTURED_DB",
        "FUTURED_HANDLERS",   "FUTURED_RETENTION",   "FUTURED_MAX_BODY", "FUTURED_MAX_RESULT",
        "FUTURED_MAX_QUEUED", "FUTURED_MAX_WAIT",    "FUTURED_DRAIN",    "FUTURED_KILL_GRACE",
        "FUTURED_LOG",        "FUTURED_HTTP_THREADS"};
    char *out = NULL;
    ck_assert_int_eq(run_with("--help", NULL, &out, NULL), 0);
    for (size_t i = 0; i < FUT_COUNT(names); i++)
        ck_assert_msg(strstr(out, names[i]) != NULL, "%s is not in --help", names[i]);
    free(out);
}
END_TEST

START_TEST(test_config_version_and_unknown_options)
{
    char *out = NULL, *err = NULL;
    ck_assert_int_eq(run_with("--version", NULL, &out, NULL), 0);
    ck_assert_str_eq(out, "futured " FUT_VERSION "\n");
    ck_assert_int_ne(run_with("--teleport", NULL, NULL, &err), 0);
    ck_assert_ptr_nonnull(strstr(err, "--teleport"));
    free(out);
    free(err);
}
END_TEST

START_TEST(test_config_check_config_shows_what_is_in_force)
{
    static const char *const good[] = {"MAX_THREADS=7", "FUTURED_RETENTION=36h", NULL};
    static const char *const wrong[] = {"MAX_THREADS=seven", NULL};
    char *out = NULL, *err = NULL;
    ck_assert_int_eq(run_with("--check-config", good, &out, NULL), 0);
    ck_assert_ptr_nonnull(strstr(out, "MAX_THREADS=7\n"));
    ck_assert_ptr_nonnull(strstr(out, "FUTURED_RETENTION=36h\n"));
    ck_assert_ptr_nonnull(strstr(out, "FUTURED_LISTEN=127.0.0.1:8420\n"));
    ck_assert_int_eq(run_with("--check-config", wrong, NULL, &err), EXIT_CONFIG);
    ck_assert_ptr_nonnull(strstr(err, "seven"));
    free(out);
    free(err);
}
END_TEST

START_TEST(test_config_memory_store_works_and_forgets)
{
    static const char *const settings[] = {"FUTURED_STORE=memory"};
    struct daemon *d = daemon_start_with(settings, 1);
    json_t *f = api_run(daemon_url(d), "{\"handler\":\"sha256\",\"input\":\"hello\"}");
    ck_assert_str_eq(api_str(f, "state"), "succeeded");
    daemon_stop(d);
    daemon_start(d);
    struct http_reply r = api_get(daemon_url(d), "/v1/futures/%s", api_str(f, "id"));
    ck_assert_int_eq(r.status, 404);
    http_reply_release(&r);
    json_decref(f);
    daemon_free(&d);
}
END_TEST

/* ---- what the system refuses at start ----------------------------------------------------------
 */

/* Runs a shell script with $0 the daemon and $1 an address; standard error. */
static int run_script(const char *script, char **out_said)
{
    struct daemon *d = daemon_new(); /* for its directory */
    char *path = daemon_built("futured");
    char *db = daemon_path(d, "futured.db");
    const char *argv[] = {"/bin/sh", "-c", script, path, db, NULL};
    int status = program_run(argv, NULL, WAIT_LONG_MS, NULL, out_said);
    free(db);
    free(path);
    daemon_free(&d);
    return status;
}

START_TEST(test_config_closed_descriptors_are_replaced)
{
    struct daemon *d = daemon_new();
    daemon_start_by(d, "exec 0<&- 1>&-; exec \"$0\"");
    daemon_start(d);
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

START_TEST(test_config_too_few_descriptors_are_a_sentence)
{
    struct daemon *d = daemon_new();
    char *said = NULL;
    daemon_start_by(d, "ulimit -n 24; exec \"$0\"");
    ck_assert_int_eq(daemon_start_refused(d, &said), EXIT_CONFIG);
    ck_assert_msg(strstr(said, "ulimit -n) is 24") != NULL, "%s", said);
    free(said);
    daemon_free(&d);
}
END_TEST

START_TEST(test_config_connections_are_fitted_to_the_descriptors)
{
    struct daemon *d = daemon_new();
    daemon_start_by(d, "ulimit -n 400; exec \"$0\"");
    daemon_start(d);
    free(daemon_wait_log(d, "connections_fitted wanted=10000"));
    daemon_stop(d);
    daemon_free(&d);
}
END_TEST

/* ---- names and commands ------------------------------------------------------------------------
 */

START_TEST(test_config_unknown_variables_are_named)
{
    struct daemon *d = daemon_new();
    daemon_set(d, "MAX_WORKER=3");
    daemon_set(d, "FUTURED_LISTN=:1");
    daemon_start(d);
    free(daemon_wait_log(d, "unknown_variable variable=MAX_WORKER"));
    free(daemon_wait_log(d, "unknown_variable variable=FUTURED_LISTN"));
    daemon_free(&d);
}
END_TEST

START_TEST(test_config_commands_take_options_and_help)
{
    static const char *const scripts[] = {
        "$0 check --help | grep -q '^usage: futured'",
        "$0 backup -h | grep -q '^usage: futured'",
        "$0 tune --help | grep -q '^usage: futured tune'",
        ("echo FUTURED_DB=$1 > $1.env; $0 --env-file=$1.env --check-config > $1.out && grep -q $1 "
         "$1.out && $0 --env-file=$1.env check --store=sqlite 2>&1 | grep -q $1"),
        "! $0 chek",
        "! $0 backup",
    };
    for (size_t i = 0; i < FUT_COUNT(scripts); i++) {
        char *said = NULL;
        int status = run_script(scripts[i], &said);
        ck_assert_msg(status == 0, "%s: %d: %s", scripts[i], status, said);
        free(said);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_config_bad_values_are_refused_with_name_value_and_range,
        test_config_listen_address_must_be_one,
        test_config_bad_handlers_files_are_refused,
        test_config_missing_handlers_file_is_refused,
        test_config_database_that_is_none_is_refused,
        test_config_help_names_every_variable,
        test_config_version_and_unknown_options,
        test_config_check_config_shows_what_is_in_force,
        test_config_memory_store_works_and_forgets,
        test_config_closed_descriptors_are_replaced,
        test_config_too_few_descriptors_are_a_sentence,
        test_config_connections_are_fitted_to_the_descriptors,
        test_config_unknown_variables_are_named,
        test_config_commands_take_options_and_help,
    };
    return suite_run("config", tests, FUT_COUNT(tests));
}
