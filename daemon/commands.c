#include "daemon/commands.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "core/mem.h"
#include "daemon/config.h"
#include "daemon/tune/tune.h"
#include "storage/copy.h"
#include "storage/sqlite/check.h"

int commands_exit_code(int rc)
{
    switch (rc) {
    case 0: return EXIT_SUCCESS;
    case FUT_ERR_INVAL: return EX_CONFIG;
    case FUT_ERR_DAMAGED: return EX_DATAERR;
    default: return EXIT_FAILURE;
    }
}

static int finish(int rc, const struct fut_errbuf *err)
{
    if (rc != 0)
        (void)fprintf(stderr, "futured: %s\n", err->text);
    return commands_exit_code(rc);
}

/* These read the whole database, and the daemon's tasks come first. */
static void stand_back(void)
{
    (void)setpriority(PRIO_PROCESS, 0, 10);
}

static void print_complaint(void *ctx, const char *text)
{
    (void)ctx;
    (void)printf("%s\n", text);
}

/* These are of the SQLite file. */
static int needs_file(const struct config *cfg, const char *instead, struct fut_errbuf *err)
{
    return config_db_is_url(cfg)
               ? fut_fail(err, FUT_ERR_INVAL, "FUTURED_DB is a PostgreSQL database: %s", instead)
               : 0;
}

static int check(const struct config *cfg, char **args)
{
    struct fut_errbuf err = {""};
    struct sqlite_check_view v;
    (void)args;
    stand_back();
    int rc = needs_file(cfg, "its own pg_amcheck checks it", &err);
    if (rc == 0)
        rc = sqlite_check(cfg->db, print_complaint, NULL, &v, &err);
    if (rc == 0)
        (void)printf("%s is whole: schema version %lld, %lld tasks, %lld unfinished, %lld results, "
                     "%lld bytes\n",
                     cfg->db, (long long)v.schema_version, (long long)v.tasks,
                     (long long)v.unfinished, (long long)v.results, (long long)v.bytes);
    return finish(rc, &err);
}

static int backup(const struct config *cfg, char **args)
{
    struct fut_errbuf err = {""};
    stand_back();
    int rc = needs_file(cfg, "pg_dump or pg_basebackup copies it", &err);
    if (rc == 0)
        rc = sqlite_backup(cfg->db, args[0], &err);
    if (rc == 0)
        (void)printf("%s is copied to %s\n", cfg->db, args[0]);
    return finish(rc, &err);
}

static int compact(const struct config *cfg, char **args)
{
    struct fut_errbuf err = {""};
    int64_t before = 0, after = 0;
    (void)args;
    int rc = needs_file(cfg, "its autovacuum reuses the space; VACUUM FULL gives it back", &err);
    if (rc == 0)
        rc = sqlite_compact(cfg->db, &before, &after, &err);
    if (rc == 0)
        (void)printf("%s has %lld bytes, %lld before\n", cfg->db, (long long)after,
                     (long long)before);
    return finish(rc, &err);
}

static int copy(const struct config *cfg, char **args)
{
    struct fut_errbuf err = {""};
    struct copy_report r;
    (void)cfg;
    int rc = store_copy(args[0], args[1], &r, &err);
    if (rc == 0)
        (void)printf("%lld tasks (%lld unfinished), %lld results, %lld rows of all kinds are "
                     "copied; the digest of both sides is %s\n",
                     (long long)r.tasks, (long long)r.unfinished, (long long)r.results,
                     (long long)r.rows, r.digest);
    if (rc == 0 && r.texts_changed)
        (void)printf("%lld texts are not UTF-8; a question mark stands for each byte that "
                     "PostgreSQL does not take\n",
                     (long long)r.texts_changed);
    return finish(rc, &err);
}

#define ANY (-1)

static const struct {
    const char *name;
    int n_args;       /* or ANY */
    const char *args; /* as the help has them */
    int (*run)(const struct config *cfg, char **args);
    int (*help)(void); /* NULL: the help of all */
} commands[] = {
    {"check", 0, "", check, NULL},
    {"backup", 1, " FILE", backup, NULL},
    {"compact", 0, "", compact, NULL},
    {"copy", 2, " FROM TO", copy, NULL},
    {"tune", ANY, "", tune_command, tune_help},
};

static bool asks_for_help(char **args)
{
    for (; *args; args++) {
        if (strcmp(*args, "--help") == 0 || strcmp(*args, "-h") == 0)
            return true;
    }
    return false;
}

int commands_run(int argc, char **argv, int (*show_help)(void))
{
    struct config cfg;
    struct fut_errbuf err = {""};
    size_t i = 0;
    while (i < FUT_COUNT(commands) && strcmp(commands[i].name, argv[1]) != 0)
        i++;
    if (i < FUT_COUNT(commands) && asks_for_help(argv + 2))
        return commands[i].help ? commands[i].help() : show_help();
    if (i == FUT_COUNT(commands)) {
        (void)fprintf(stderr, "futured: no such command; futured --help lists them\n");
        return EX_USAGE;
    }
    if (commands[i].n_args != argc - 2 && commands[i].n_args != ANY) {
        (void)fprintf(stderr, "usage: futured %s%s\n", commands[i].name, commands[i].args);
        return EX_USAGE;
    }
    int rc = config_load(&cfg, &err);
    if (rc != 0)
        return finish(rc, &err);
    int code = commands[i].run(&cfg, argv + 2);
    config_release(&cfg);
    return code;
}
