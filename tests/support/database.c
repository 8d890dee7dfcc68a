#include "tests/support/database.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/program.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define SUPERUSER "futured"
#define ARGS_MAX 40
#define INIT_MS 120000

struct database {
    char *dir, *data, *bin;
    const struct passwd *user; /* NULL: the test's own */
    int is_durable, is_shared;
    struct program *server;
};

/* The programs of the newest PostgreSQL that is installed. */
static char *find_bin(void)
{
    glob_t found = {0};
    char *bin = NULL;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0)
        bin = xstrdup(found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    if (!bin)
        fail("PostgreSQL is not installed: tests/deps.sh test");
    return bin;
}

static const struct passwd *find_user(void)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

/* Appends `more`, and puts what makes it run as the user in front. */
static struct program *start(const struct database *d, const char *const *more)
{
    const char *argv[ARGS_MAX] = {0};
    char *uid = d->user ? text_printf("--reuid=%u", (unsigned)d->user->pw_uid) : NULL;
    char *gid = d->user ? text_printf("--regid=%u", (unsigned)d->user->pw_gid) : NULL;
    size_t n = 0;
    if (d->user) {
        argv[n++] = "/usr/bin/setpriv";
        argv[n++] = uid;
        argv[n++] = gid;
        argv[n++] = "--clear-groups";
        argv[n++] = "--pdeathsig=QUIT";
    }
    for (; *more; more++)
        argv[n++] = *more;
    struct program *p = program_start(argv, NULL, d->dir);
    free(uid);
    free(gid);
    return p;
}

static void init(const struct database *d)
{
    char *initdb = dir_path(d->bin, "initdb");
    const char *const argv[] = {
        initdb, "-D",   d->data,      "-U", SUPERUSER,           "-A", "trust",
        "-E",   "UTF8", "--locale=C", "-N", "--no-instructions", NULL};
    struct program *p = start(d, argv);
    int status = 0;
    if (!program_wait(p, INIT_MS, &status) || status != 0) {
        char *text = program_text(p, PROGRAM_ERR);
        fail("initdb: status %d: %s", status, text);
    }
    program_free(&p);
    free(initdb);
}

/* The last line of its pid file says how it is. */
static bool is_ready(const struct database *d)
{
    char *text = dir_read(d->data, "postmaster.pid");
    bool is = text && (strstr(text, "ready") || strstr(text, "standby"));
    free(text);
    return is;
}

void database_start(struct database *d)
{
    char *postgres = dir_path(d->bin, "postgres");
    const char *sync = d->is_durable ? "fsync=on" : "fsync=off";
    const char *const argv[] = {postgres,
                                "-D",
                                d->data,
                                "-k",
                                d->dir,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                sync,
                                "-c",
                                "max_connections=60",
                                "-c",
                                "shared_buffers=64MB",
                                "-c",
                                "max_wal_size=2GB",
                                NULL};
    d->server = start(d, argv);
    wait_for(is_ready(d));
    free(postgres);
}

void database_start_standby(struct database *d)
{
    dir_write(d->data, "standby.signal", "", 0);
    database_start(d);
}

struct database *database_new(int is_durable)
{
    struct database *d = xnew(struct database);
    d->is_durable = is_durable;
    d->bin = find_bin();
    d->user = find_user();
    d->dir = dir_new();
    d->data = dir_path(d->dir, "data");
    /* The group stays this test's, which daemons in a name space of users still have. */
    if (d->user && (chown(d->dir, d->user->pw_uid, (gid_t)-1) != 0 || chmod(d->dir, 0710) != 0))
        fail("cannot give %s to %s", d->dir, d->user->pw_name);
    init(d);
    database_start(d);
    return d;
}

struct database *database_shared(void)
{
    const char *dir = getenv("FUT_POSTGRES");
    if (!dir)
        return database_new(0);
    struct database *d = xnew(struct database);
    d->bin = find_bin();
    d->dir = xstrdup(dir);
    d->is_shared = 1;
    return d;
}

void database_stop(struct database *d, int sig)
{
    int status;
    program_signal(d->server, sig);
    if (!program_wait(d->server, WAIT_LONG_MS, &status))
        fail("PostgreSQL did not end");
    program_free(&d->server);
}

void database_free(struct database **d_)
{
    struct database *d = *d_;
    if (!d)
        return;
    if (d->server)
        database_stop(d, SIGQUIT);
    if (d->is_shared)
        free(d->dir);
    else
        dir_free(&d->dir);
    free(d->data);
    free(d->bin);
    free(d);
    *d_ = NULL;
}

char *database_url(const struct database *d, const char *schema)
{
    return text_printf("postgresql:///postgres?host=%s&user=" SUPERUSER "%s%s", d->dir,
                       *schema ? "&options=-csearch_path%3D" : "", schema);
}

const char *database_dir(const struct database *d)
{
    return d->dir;
}

pid_t database_pid(const struct database *d)
{
    return program_pid(d->server);
}

char *database_sql(const struct database *d, const char *sql)
{
    char *psql = dir_path(d->bin, "psql"), *url = database_url(d, "");
    char *out = NULL, *err = NULL;
    const char *const argv[] = {psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                                "-d", url,  "-c", sql,  NULL};
    if (program_run(argv, NULL, WAIT_LONG_MS, &out, &err) != 0)
        fail("psql: %s", err);
    free(err);
    free(url);
    free(psql);
    return out;
}
