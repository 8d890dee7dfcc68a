#include "tests/support/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/task.h"
#include "tests/support/api.h"
#include "tests/support/database.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/http.h"
#include "tests/support/program.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define SETTINGS_MAX 48

struct daemon {
    struct program *program; /* NULL while it does not run */
    char *dir;
    char *settings[SETTINGS_MAX + 1]; /* "NAME=value", NULL at the end */
    int fds[PROGRAM_FDS_MAX];         /* borrowed */
    size_t n_fds;
    bool has_run;
    const char *script; /* borrowed: starts it; NULL none */
    const char *keep;   /* borrowed: of the lines to keep; NULL none */
    struct buf kept;
    char address[160];
    char url[180];
};

/* …/build/debug, from $FUT_BUILD or from where this program lies (…/build/debug/tests/…). */
static void find_build(char *out, size_t size)
{
    const char *build = getenv("FUT_BUILD");
    if (build) {
        (void)snprintf(out, size, "%s", build);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    char *tests = NULL; /* the last one: the tree may lie below a directory of that name */
    for (char *at = out; (at = strstr(at, "/tests/")) != NULL; at++)
        tests = at;
    if (!tests)
        fail("set FUT_BUILD to the directory that holds futured");
    *tests = '\0';
}

char *daemon_built(const char *name)
{
    char build[4096];
    find_build(build, sizeof(build));
    return text_printf("%s/%s", build, name);
}

/* ---- settings -------------------------------------------------------------------------------- */

void daemon_set(struct daemon *d, const char *setting)
{
    const char *eq = strchr(setting, '=');
    if (!eq)
        fail("no = in the setting %s", setting);
    int i = 0;
    while (d->settings[i] && strncmp(d->settings[i], setting, (size_t)(eq - setting) + 1) != 0)
        i++;
    if (i == SETTINGS_MAX)
        fail("more than %d settings", SETTINGS_MAX);
    free(d->settings[i]);
    d->settings[i] = xstrdup(setting);
}

static void set_path(struct daemon *d, const char *name, const char *file)
{
    char *setting = text_printf("%s=%s/%s", name, d->dir, file);
    daemon_set(d, setting);
    free(setting);
}

static void inherit(struct daemon *d, const char *name)
{
    const char *value = getenv(name);
    if (!value)
        return;
    char *setting = text_printf("%s=%s", name, value);
    daemon_set(d, setting);
    free(setting);
}

/* A schema of its own on the server of the run. */
static void use_postgres(struct daemon *d)
{
    const char *unique = strrchr(d->dir, '-') + 1;
    struct database *server = database_shared();
    char *sql = text_printf("CREATE SCHEMA \"d%s\"", unique);
    char *schema = text_printf("%%22d%s%%22", unique);
    char *url = database_url(server, schema);
    char *setting = text_printf("FUTURED_DB=%s", url);
    free(database_sql(server, sql));
    daemon_set(d, setting);
    free(setting);
    free(url);
    free(schema);
    free(sql);
    database_free(&server);
}

static bool is_on(const char *kind)
{
    const char *store = getenv("FUT_STORE");
    return store && strcmp(store, kind) == 0;
}

bool daemon_is_on_postgres(void)
{
    return is_on("postgres");
}

bool daemon_is_in_memory(void)
{
    return is_on("memory");
}

bool daemon_leaves_out_on_postgres(const char *reason)
{
    if (!daemon_is_on_postgres())
        return false;
    (void)fprintf(stderr, "NOTE: left out on PostgreSQL: %s\n", reason);
    return true;
}

struct daemon *daemon_new(void)
{
    struct daemon *d = xnew(struct daemon);
    d->dir = dir_new();
    static const char *const inherited[] = {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                            "LSAN_OPTIONS"};
    for (size_t i = 0; i < FUT_COUNT(inherited); i++)
        inherit(d, inherited[i]);
    daemon_set(d, "FUTURED_LISTEN=127.0.0.1:0");
    daemon_set(d, "FUTURED_HTTP_NETWORKS=127.0.0.0/8,::1"); /* where the tests' servers are */
    set_path(d, "HOME", "");
    if (daemon_is_on_postgres())
        use_postgres(d);
    else if (daemon_is_in_memory())
        daemon_set(d, "FUTURED_STORE=memory");
    else
        set_path(d, "FUTURED_DB", "futured.db");
    return d;
}

struct daemon *daemon_start_handlers(const char *json, const char *const *settings, int n)
{
    struct daemon *d = daemon_new();
    for (int i = 0; i < n; i++)
        daemon_set(d, settings[i]);
    if (json)
        daemon_set_handlers(d, json);
    daemon_start(d);
    return d;
}

struct daemon *daemon_start_with(const char *const *settings, int n)
{
    return daemon_start_handlers(NULL, settings, n);
}

void daemon_set_handlers(struct daemon *d, const char *json)
{
    struct buf text = BUF_INIT;
    for (const char *at; (at = strstr(json, "DIR")) != NULL; json = at + strlen("DIR")) {
        buf_put(&text, json, (size_t)(at - json));
        buf_puts(&text, d->dir);
    }
    buf_puts(&text, json);
    dir_write(d->dir, "handlers.json", text.data, text.len);
    buf_release(&text);
    set_path(d, "FUTURED_HANDLERS", "handlers.json");
}

void daemon_pass_socket(struct daemon *d, int fd)
{
    if (d->n_fds == PROGRAM_FDS_MAX)
        fail("more than %d sockets", PROGRAM_FDS_MAX);
    d->fds[d->n_fds++] = fd;
    char *setting = text_printf("LISTEN_FDS=%zu", d->n_fds);
    daemon_set(d, setting);
    free(setting);
}

void daemon_start_by(struct daemon *d, const char *script)
{
    d->script = script;
}

void daemon_keep_port(struct daemon *d)
{
    char *setting = text_printf("FUTURED_LISTEN=%s", d->address);
    daemon_set(d, setting);
    free(setting);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void spawn(struct daemon *d)
{
    if (d->program)
        fail("the daemon runs already");
    char *path = daemon_built("futured");
    /* LISTEN_PID must be its own, which nobody knows before it is there. */
    static const char with_fds[] = "LISTEN_PID=$$; export LISTEN_PID; exec \"$0\"";
    const char *script = d->script || !d->n_fds ? d->script : with_fds;
    const char *argv[] = {"/bin/sh", "-c", script, path, NULL};
    d->program = program_start_with_fds(script ? argv : argv + 3,
                                        (const char *const *)(const void *)d->settings, d->dir,
                                        d->fds, d->n_fds);
    free(path);
}

static FUT_NORETURN void fail_with_log(struct daemon *d, const char *what)
{
    char *log = daemon_log(d);
    fail("%s; its log:\n%s", what, log);
}

/* False when it has said nothing of where it listens. */
static bool wait_listening(struct daemon *d, const char *event)
{
    char *line = program_wait_line(d->program, PROGRAM_ERR, event, WAIT_LONG_MS);
    const char *address = line ? strstr(line, "address=") : NULL;
    if (!address) {
        free(line);
        return false;
    }
    address += strlen("address=");
    size_t len = strcspn(address, " ");
    (void)snprintf(d->address, sizeof(d->address), "%.*s", (int)len, address);
    (void)snprintf(d->url, sizeof(d->url), "http://%s", d->address);
    free(line);
    return true;
}

/* The memory store is empty then, so what the test has to say is over: it ends as passed. What it
 * has started ends with it. */
static void leave_out_restart(struct daemon *d)
{
    if (!d->has_run || !daemon_is_in_memory())
        return;
    (void)fputs("NOTE: left out with the memory store: what follows a start of the daemon anew\n",
                stderr);
    dir_free(&d->dir);
    (void)fflush(stderr);
    _exit(EXIT_SUCCESS);
}

void daemon_start(struct daemon *d)
{
    leave_out_restart(d);
    spawn(d);
    if (!wait_listening(d, " listening "))
        fail_with_log(d, "the daemon did not say where it listens");
    d->has_run = true;
}

void daemon_start_early(struct daemon *d)
{
    spawn(d);
    if (!wait_listening(d, " listening_early "))
        fail_with_log(d, "the daemon did not wait for its database");
}

static const char *const complaints[] = {
    "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer",
    "runtime error:",          "futured: bug at",          "task_without_attempt"};

/* What a sanitizer or FUT_BUG said must fail a test even where the daemon was killed on purpose. */
static void check_complaints(struct daemon *d)
{
    char *log = daemon_log(d);
    for (size_t i = 0; i < FUT_COUNT(complaints); i++) {
        if (strstr(log, complaints[i]))
            fail_with_log(d, "the daemon complained about itself");
    }
    free(log);
}

static void forget_program(struct daemon *d)
{
    char *log = d->keep ? daemon_log(d) : NULL;
    for (char *line = log, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (strstr(line, d->keep))
            buf_printf(&d->kept, "%s\n", line);
    }
    free(log);
    program_free(&d->program);
}

int daemon_wait_end(struct daemon *d)
{
    int status = 0;
    if (!program_wait(d->program, WAIT_LONG_MS, &status))
        fail_with_log(d, "the daemon or a process of its own did not end within a minute");
    check_complaints(d);
    forget_program(d);
    return status;
}

bool daemon_try_start(struct daemon *d)
{
    spawn(d);
    if (wait_listening(d, " listening "))
        return true;
    char *log = daemon_log(d);
    (void)printf("%s", log);
    free(log);
    (void)daemon_wait_end(d);
    return false;
}

int daemon_start_refused(struct daemon *d, char **out_stderr)
{
    int status = 0;
    spawn(d);
    if (!program_wait(d->program, WAIT_LONG_MS, &status))
        fail_with_log(d, "the daemon should have refused to start");
    check_complaints(d);
    *out_stderr = daemon_log(d);
    forget_program(d);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void daemon_signal(struct daemon *d, int sig)
{
    program_signal(d->program, sig);
}

/* ---- what runs ------------------------------------------------------------------------------- */

#define AGREE_MS 10000
#define STATS_MS 2000 /* for an answer; a test may have stopped the daemon */

/* What was seen of a lane: the numbers of running tasks in the store and in the scheduler change
 * while one is read after the other, so each must be seen not to exceed the other, at any time. */
struct running {
    const struct daemon *d;
    bool store_fits[LANE_COUNT], scheduler_fits[LANE_COUNT];
};

static json_int_t running_number(const json_t *stats, const char *of, enum lane lane,
                                 const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s.%s.%s", of, lane_name(lane), name);
    return api_int(stats, path);
}

static bool runs_agree(void *running)
{
    struct running *r = running;
    struct http_reply reply = http_call(
        r->d->url,
        &(struct http_request){.method = "GET", .path = "/v1/stats", .timeout_ms = STATS_MS});
    bool all = true;
    for_each_lane (l) {
        json_int_t in_store = running_number(reply.json, "tasks", l, "running");
        json_int_t claimed = running_number(reply.json, "pools", l, "claimed");
        r->store_fits[l] |= in_store <= claimed;
        r->scheduler_fits[l] |= claimed <= in_store;
        all = all && r->store_fits[l] && r->scheduler_fits[l];
    }
    bool is_told = reply.status == 200; /* it may want a token, or be past answering */
    http_reply_release(&reply);
    return all || !is_told;
}

/* At the end of each test: no task is running without an attempt, and no attempt without a task. */
static void check_running(struct daemon *d)
{
    struct running r = {.d = d};
    if (*d->url && !wait_until(runs_agree, &r, AGREE_MS))
        fail_with_log(d, "the store and the scheduler do not agree on what is running");
}

void daemon_stop(struct daemon *d)
{
    int status = 0;
    check_running(d);
    daemon_signal(d, SIGTERM);
    if (!program_wait(d->program, WAIT_LONG_MS, &status))
        fail_with_log(d, "the daemon or a process of its own survived SIGTERM for a minute");
    check_complaints(d);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_with_log(d, "the daemon did not exit with 0 after SIGTERM");
    forget_program(d);
}

void daemon_kill(struct daemon *d)
{
    daemon_signal(d, SIGKILL);
    (void)daemon_wait_end(d);
}

void daemon_free(struct daemon **dp)
{
    struct daemon *d = *dp;
    if (!d)
        return;
    *dp = NULL;
    if (d->program) {
        check_running(d);
        daemon_kill(d);
    }
    dir_free(&d->dir);
    buf_release(&d->kept);
    for (int i = 0; d->settings[i]; i++)
        free(d->settings[i]);
    free(d);
}

/* ---- looking --------------------------------------------------------------------------------- */

pid_t daemon_pid(const struct daemon *d)
{
    return program_pid(d->program);
}

const char *daemon_url(const struct daemon *d)
{
    return d->url;
}

const char *daemon_address(const struct daemon *d)
{
    return d->address;
}

const char *daemon_dir(const struct daemon *d)
{
    return d->dir;
}

char *daemon_path(const struct daemon *d, const char *name)
{
    return dir_path(d->dir, name);
}

char *daemon_read_file(const struct daemon *d, const char *name)
{
    return dir_read(d->dir, name);
}

char *daemon_wait_file(const struct daemon *d, const char *name)
{
    return dir_wait_line(d->dir, name);
}

char *daemon_log(struct daemon *d)
{
    return program_text(d->program, PROGRAM_ERR);
}

char *daemon_wait_log(struct daemon *d, const char *needle)
{
    char *line = program_wait_line(d->program, PROGRAM_ERR, needle, WAIT_LONG_MS);
    if (!line)
        fail_with_log(d, needle);
    return line;
}

void daemon_keep_lines(struct daemon *d, const char *needle)
{
    d->keep = needle;
}

const char *daemon_kept(const struct daemon *d)
{
    return d->kept.len ? d->kept.data : "";
}

void daemon_end(struct daemon **d)
{
    daemon_stop(*d);
    daemon_free(d);
}
