/* exec_command: an operator's program as it will be started: where it is, its arguments, its clean
 * environment. Made once at boot, immutable after (but for writes_much), shared by every attempt.
 */
#ifndef FUT_WORKERS_HANDLERS_EXEC_COMMAND_H
#define FUT_WORKERS_HANDLERS_EXEC_COMMAND_H

#include <stddef.h>

#include "core/err.h"
#include "core/task.h"
#include "workers/base/limits.h"

/* Bytes of path, arguments, environment and directory together: one message to the fork server. */
#define EXEC_COMMAND_MAX_BYTES 60000

struct exec_command {
    char *path;         /* absolute */
    char **argv;        /* NULL-ended; argv[0] as the operator wrote it */
    char **env;         /* NULL-ended NAME=value: PATH, HOME, LANG, TMPDIR and the handler's own */
    char *cwd;          /* absolute, or NULL: the daemon's */
    char *content_type; /* of standard output */
    struct limits limits;
    bool takes_checkpoints; /* exec: its descriptor 3 goes both ways */
    bool is_local;          /* program, interpreter and cwd are on file systems of this machine */
    bool *writes_much;      /* did the last run? The scheduler's thread alone; NULL: nobody asks */
};

/* Finds a program: with a slash as it stands (a relative one from the current directory), else in
 * PATH. 0 and an absolute path (the caller's), FUT_ERR_NOT_FOUND, or FUT_ERR_INVAL (there, but not
 * a program that may be executed). */
FUT_MUST_CHECK int exec_command_resolve(const char *name, char **out_path);

/* The interpreter that a script's first line names; "" when it names none. out holds size bytes. */
void exec_command_interpreter(const char *path, char *out, size_t size);
/* Asks the file systems, and blocks for them: at boot and reload alone. */
bool exec_command_is_local(const struct exec_command *c);

/* The environment that every program starts with; NULL-ended, the caller's. */
char **exec_command_base_env(void);
/* Sets NAME=value in a NULL-ended heap list, in place of an entry of the same name. */
void exec_command_set_env(char ***env, const char *name, const char *value);

/* What may stand in a handler's entry: "text/csv"; a name that is not our own (FUTURED_…). */
bool exec_command_type_ok(const char *s);
bool exec_command_env_name_ok(const char *s);

/* Bytes of path, arguments, environment and directory together, each with its NUL. */
size_t exec_command_bytes(const struct exec_command *c);
/* Frees the command and everything in it; NULLs. NULL inside is ok. */
void exec_command_free(struct exec_command **c);

#endif
