/* main: arguments, signals, and the life of the house.
 *
 * SIGHUP reads the configuration again. SIGTERM and SIGINT drain; a second one ends the process at
 * once, which must be as safe as kill -9. Exit codes: 0, 1 (the environment failed), 65
 * (EX_DATAERR: the database is damaged) and 78 (EX_CONFIG), which are not worth retrying. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/task_state.h"
#include "daemon/boot.h"
#include "daemon/commands.h"
#include "daemon/journal.h"
#include "daemon/service.h"
#include "workers/base/run_as.h"
#include "workers/plugin_host.h"

static const char usage[] =
    "usage: futured [option]\n"
    "       futured check | backup FILE\n"
    "\n"
    "A durable task queue with futures over HTTP. Configuration is by environment variables.\n"
    "\n"
    "  --help           this text\n"
    "  --version        the version\n"
    "  --check-config   read environment and handlers file, print what is in force, end\n"
    "  --dump-config    the variables as a Markdown table\n"
    "  --dump-states    the state machine as a Markdown table\n"
    "  --store=memory   the same as FUTURED_STORE=memory\n"
    "  --env-file=FILE  the same as FUTURED_ENV_FILE=FILE\n"
    "\n"
    "  check            read the whole database file: is it as it was written?\n"
    "  tune HANDLER --input FILE\n"
    "                   run its tasks at 1, 2, 4 ... slots; say how many are right\n"
    "  backup FILE      copy the database as it is now to FILE; the daemon may go on meanwhile\n"
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

static int check_config(void)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    int code = read_all(&cfg, &handlers);
    if (code == 0) {
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
};

/* What the fork server starts to serve a plug-in; not for people. */
static int run_plugin_host(int argc, char **argv)
{
    return argc == 3 ? plugin_host_main(argv[2]) : EX_USAGE;
}

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

/* Returns an exit code, or -1 to go on and serve. */
static int run_options(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--role=plugin-host") == 0)
        return run_plugin_host(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (take_setting(argv[i]))
            continue;
        for (size_t o = 0; o < FUT_COUNT(options); o++) {
            if (strcmp(argv[i], options[o].name) == 0)
                return options[o].run();
        }
        (void)fprintf(stderr, "futured: unknown option \"%s\"; futured --help lists them\n",
                      argv[i]);
        return EX_USAGE;
    }
    return -1;
}

/* ---- serving --------------------------------------------------------------------------------- */

static void end_at_once(int sig)
{
    (void)sig;
    _exit(EXIT_FAILURE);
}

/* From the first signal on, the next one needs no thread of ours to be obeyed. */
static void arm_second_signal(void)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct sigaction act = {.sa_handler = end_at_once};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < FUT_COUNT(signals); i++) {
        (void)sigaction(signals[i], &act, NULL);
        (void)sigaddset(&set, signals[i]);
    }
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Signals arrive by descriptor; blocked before any thread or child exists, so all inherit it. */
static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error of its write */
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* As many descriptors as the system allows: each long-poll is one. */
static void raise_file_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim); /* best effort */
    }
}

/* Sleeps until a signal has come or a room has broken down. */
static void wait_for_news(struct house *h, struct pollfd *fds, nfds_t n_fds,
                          struct service *service)
{
    for (int n = -1; n <= 0;) {
        n = poll(fds, n_fds, (int)service->tick_ms);
        if (n == 0)
            service_tick(service, h);
        FUT_ASSERT(n >= 0 || errno == EINTR);
    }
}

/* Waits for a reason to end; its name. Reloads in between. */
static const char *wait_for_end(struct house *h, int signals, struct service *service)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {house_broken_fd(h), POLLIN, 0}};
    struct signalfd_siginfo info;
    for (;;) {
        wait_for_news(h, fds, FUT_COUNT(fds), service);
        if (fds[1].revents)
            return "fork server died";
        if (read(signals, &info, sizeof(info)) != sizeof(info))
            return "signal";
        if (info.ssi_signo != SIGHUP)
            return info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
        service_reloading();
        service_reloaded(service, h, house_reload(h));
    }
}

static void report_start(const struct config *cfg, const struct house *h)
{
    log_info("listening", LOG_STR("address", house_address(h, 0)),
             LOG_INT("workers", cfg->max_workers), LOG_INT("threads", cfg->max_threads),
             LOG_STR("db", cfg->db), LOG_STR("version", FUT_VERSION));
    for (size_t i = 1; house_address(h, i); i++)
        log_info("listening_also", LOG_STR("address", house_address(h, i)));
}

static int serve(void)
{
    struct config cfg;
    struct handlers *handlers = NULL;
    struct house *house = NULL;
    struct fut_errbuf err = {""};
    struct service service = service_new();
    struct sockets sockets;
    journal_use();
    int code = read_all(&cfg, &handlers);
    if (code != 0)
        return code;
    raise_file_limit();
    int signals = open_signals();
    int rc = sockets_take(&sockets, &err);
    if (rc == 0)
        rc = house_build(&cfg, &handlers, &sockets, &house, &err);
    if (rc != 0) {
        handlers_free(&handlers);
        return complain(commands_exit_code(rc), err.text);
    }
    report_start(&cfg, house);
    service_ready(&service, house);
    const char *reason = wait_for_end(house, signals, &service);
    bool asked = strncmp(reason, "SIG", 3) == 0;
    log_info("draining", LOG_STR("reason", reason));
    service_stopping();
    arm_second_signal();
    house_tear_down(&house);
    (void)close(signals);
    log_info("ended", LOG_STR("reason", reason));
    return asked ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-')
        return commands_run(argc, argv);
    int code = run_options(argc, argv);
    return code >= 0 ? code : serve();
}
