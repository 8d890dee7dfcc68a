/* main: arguments, and the life of the daemon.
 *
 * SIGHUP reads the configuration again. SIGTERM and SIGINT drain; a second one ends the process at
 * once, which must be as safe as kill -9. Exit codes: 0, 1 (the environment failed), 65
 * (EX_DATAERR: the database is damaged) and 78 (EX_CONFIG), which are not worth retrying. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "api/resources/metrics.h"
#include "core/clock.h"
#include "core/end_codes.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/task_state.h"
#include "daemon/boot.h"
#include "daemon/commands.h"
#include "daemon/journal.h"
#include "daemon/rejoin.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/system.h"
#include "workers/base/run_as.h"
#include "workers/handlers/handlers_file.h"
#include "workers/plugin_host.h"

#define LOG_END_MS 1000 /* for the last lines, when nobody reads the log */

static const char usage[] =
    "usage: futured [option]\n"
    "       futured [option] check | backup FILE | tune HANDLER --input FILE\n"
    "\n"
    "A durable task queue with futures over HTTP. Configuration is by environment variables.\n"
    "\n"
    "  --help           this text; after a command: how it is used\n"
    "  --version        the version\n"
    "  --check-config   read environment and handlers file, print what is in force, end\n"
    "  --dump-config    the variables as a Markdown table\n"
    "  --dump-states    the state machine as a Markdown table\n"
    "  --dump-ends      the codes of how an attempt ends as a Markdown table\n"
    "  --dump-metrics   what GET /metrics shows as a Markdown table\n"
    "  --dump-handlers-file\n"
    "                   the members of the handlers file as a Markdown table\n"
    "  --store=memory   the same as FUTURED_STORE=memory\n"
    "  --env-file=FILE  the same as FUTURED_ENV_FILE=FILE\n"
    "\n"
    "  check            read the whole database file: is it as it was written?\n"
    "  backup FILE      copy the database as it is now to FILE; the daemon may go on meanwhile\n"
    "  copy FROM TO     copy all of a database to another one, a file or a postgresql:// URL;\n"
    "                   no daemon may run on either\n"
    "  tune HANDLER --input FILE\n"
    "                   run its tasks at 1, 2, 4 ... slots; say how many are right\n"
    "\n"
    "variables:\n";

static int complain(int exit_code, const char *text)
{
    (void)fprintf(stderr, "futured: %s\n", text);
    return exit_code;
}

/* ---- options --------------------------------------------------------------------------------- */

static int show_help(void)
{
    (void)fputs(usage, stdout);
    config_print_help();
    return EXIT_SUCCESS;
}

static int show_version(void)
{
    (void)puts("futured " FUT_VERSION);
    return EXIT_SUCCESS;
}

static int show_states(void)
{
    task_state_dump();
    return EXIT_SUCCESS;
}

static int show_ends(void)
{
    end_codes_dump();
    return EXIT_SUCCESS;
}

static int show_metrics(void)
{
    metrics_dump();
    return EXIT_SUCCESS;
}

static int show_handlers_file(void)
{
    handlers_file_print_fields();
    return EXIT_SUCCESS;
}

static int show_config_table(void)
{
    config_print_markdown();
    return EXIT_SUCCESS;
}

/* Before the handlers, whose environment has the user's home, and before the fork server. */
static int choose_user(const struct config *cfg, struct fut_errbuf *err)
{
    struct run_as who;
    if (!*cfg->run_as)
        return 0;
    int rc = run_as_find(cfg->run_as, &who, err);
    if (rc == 0)
        run_as_set(&who);
    return rc;
}

/* Reads everything that a start reads. 0, or an exit code after having complained. */
static int read_all(struct config *cfg, struct handlers **handlers)
{
    struct fut_errbuf err;
    if (config_load(cfg, &err) != 0)
        return complain(EX_CONFIG, err.text);
    if (choose_user(cfg, &err) != 0 ||
        handlers_load(*cfg->handlers ? cfg->handlers : NULL, handlers, &err) != 0) {
        int code = complain(EX_CONFIG, err.text);
        config_release(cfg);
        return code;
    }
    log_set_level((enum log_level)cfg->log_level);
    return 0;
}

static void complain_unknown(const char *name)
{
    (void)fprintf(stderr, "futured: there is no variable %s\n", name);
}

static int check_config(void)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    int code = read_all(&cfg, &handlers);
    if (code == 0) {
        config_each_unknown(complain_unknown);
        config_print_values(&cfg);
        config_release(&cfg);
    }
    handlers_free(&handlers);
    return code;
}

static const struct {
    const char *name;
    int (*run)(void);
} options[] = {
    {"--help", show_help},
    {"-h", show_help},
    {"--version", show_version},
    {"--check-config", check_config},
    {"--dump-config", show_config_table},
    {"--dump-states", show_states},
    {"--dump-ends", show_ends},
    {"--dump-metrics", show_metrics},
    {"--dump-handlers-file", show_handlers_file},
};

/* Options that stand for a variable. */
static const struct {
    const char *prefix, *name;
} settings[] = {{"--store=", "FUTURED_STORE"}, {"--env-file=", "FUTURED_ENV_FILE"}};

static bool take_setting(const char *arg)
{
    for (size_t i = 0; i < FUT_COUNT(settings); i++) {
        size_t n = strlen(settings[i].prefix);
        if (strncmp(arg, settings[i].prefix, n) != 0)
            continue;
        FUT_MUST(setenv(settings[i].name, arg + n, 1) == 0);
        return true;
    }
    return false;
}

/* Takes the settings out of the arguments, wherever they stand; the number of those that remain. */
static int take_settings(int argc, char **argv)
{
    int n = 1;
    for (int i = 1; i < argc; i++) {
        if (!take_setting(argv[i]))
            argv[n++] = argv[i];
    }
    argv[n] = NULL;
    return n;
}

static int run_option(const char *name)
{
    for (size_t o = 0; o < FUT_COUNT(options); o++) {
        if (strcmp(name, options[o].name) == 0)
            return options[o].run();
    }
    (void)fprintf(stderr, "futured: unknown option \"%s\"; futured --help lists them\n", name);
    return EX_USAGE;
}

/* ---- serving --------------------------------------------------------------------------------- */

/* Asks the modules for a sign of life, tells systemd and /readyz, and reaps as process 1. */
static void tick(struct boot *b, struct service *service)
{
    char status[200];
    const char *stuck = boot_stuck_module(b);
    boot_sample(b);
    boot_describe(b, status, sizeof(status));
    boot_report_failures(b);
    service_tick(service, stuck, status);
    system_reap_strangers(boot_fork_pid(b));
}

/* Sleeps until a signal has come or a module has failed. */
static void wait_for_news(struct boot *b, struct pollfd *fds, nfds_t n_fds, struct service *service)
{
    static int64_t next_mono_ms;
    int n;
    do {
        int64_t wait_ms = next_mono_ms - clock_mono_ms();
        if (wait_ms <= 0) {
            tick(b, service);
            next_mono_ms = clock_mono_ms() + service->tick_ms;
            wait_ms = service->tick_ms;
        }
        n = poll(fds, n_fds, (int)wait_ms);
    } while (n <= 0);
}

/* Waits for a reason to end; its name. Reloads in between. */
static const char *wait_for_end(struct boot *b, int signals, struct service *service)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {boot_broken_fd(b), POLLIN, 0}};
    for (;;) {
        wait_for_news(b, fds, FUT_COUNT(fds), service);
        if (fds[1].revents)
            return "fork server died";
        int sig = signals_next(signals);
        if (sig == SIGTERM || sig == SIGINT)
            return sig == SIGINT ? "SIGINT" : "SIGTERM";
        if (sig != SIGHUP)
            continue;
        service_reloading();
        service_reloaded(service, boot_reload(b));
    }
}

static void report_unknown(const char *name)
{
    log_warn("unknown_variable", LOG_STR("variable", name));
}

static void report_start(const struct config *cfg, const struct boot *b)
{
    char db[4096];
    config_db_name(cfg, db, sizeof(db));
    log_info("listening", LOG_STR("address", boot_address(b, 0)),
             LOG_INT("workers", cfg->max_workers), LOG_INT("threads", cfg->max_threads),
             LOG_STR("db", db), LOG_STR("version", FUT_VERSION));
    for (size_t i = 1; boot_address(b, i); i++)
        log_info("listening_also", LOG_STR("address", boot_address(b, i)));
    config_each_unknown(report_unknown);
}

/* Serves until there is a reason to end. The exit code. */
static int live(const struct config *cfg, struct boot *b, int signals, struct service *service)
{
    report_start(cfg, b);
    service_ready(service);
    const char *reason = wait_for_end(b, signals, service);
    bool is_asked = strncmp(reason, "SIG", 3) == 0;
    if (!is_asked && boot_lease_has_ended(b))
        rejoin_now();
    log_info("draining", LOG_STR("reason", reason));
    service_stopping();
    boot_stop(&b);
    log_info("ended", LOG_STR("reason", reason));
    log_ring_stop(LOG_END_MS);
    return is_asked ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int serve(void)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    struct boot *boot = NULL;
    struct fut_errbuf err = {""};
    struct service service = service_new();
    struct sockets sockets;
    int signals = -1;
    journal_use();
    bool begins_again = rejoin_take(&sockets);
    int code = read_all(&cfg, &handlers);
    if (code != 0)
        return code;
    int rc = signals_open(&signals, &err);
    if (rc == 0 && !begins_again)
        rc = service_take_sockets(&sockets, &err);
    if (rc == 0)
        rc = boot_start(&cfg, &handlers, &sockets, signals, &boot, &err);
    if (rc != 0) {
        handlers_free(&handlers);
        log_ring_stop(LOG_END_MS);
        code = complain(commands_exit_code(rc), err.text);
        return rc == FUT_ERR_CLOSED ? EXIT_SUCCESS : code;
    }
    return live(&cfg, boot, signals, &service);
}

int main(int argc, char **argv)
{
    system_open_standard();
    if (argc > 1 && strcmp(argv[1], "--role=plugin-host") == 0)
        return argc == 3 ? plugin_host_main(argv[2]) : EX_USAGE; /* for the fork server alone */
    argc = take_settings(argc, argv);
    if (argc > 1)
        return argv[1][0] == '-' ? run_option(argv[1]) : commands_run(argc, argv, show_help);
    return serve();
}
