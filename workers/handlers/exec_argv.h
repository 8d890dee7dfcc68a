/* exec_argv: "exec", "worker" and "plugin" of a handler's entry: what is started, with which
 * arguments. Each returns NULL when all is well, else what is allowed (a literal); what has been
 * read by then is in *out, which the caller frees in any case. Boot; looks at the file system. */
#ifndef FUT_WORKERS_HANDLERS_EXEC_ARGV_H
#define FUT_WORKERS_HANDLERS_EXEC_ARGV_H

#include "workers/handlers/exec_command.h"

struct json_t;

/* ["program", "argument", …] */
const char *exec_argv_read(const struct json_t *value, struct exec_command *out);
/* "/path/of/the/plug-in.so": this very program in the role of its host. */
const char *exec_argv_of_plugin(const struct json_t *value, struct exec_command *out);

#endif
