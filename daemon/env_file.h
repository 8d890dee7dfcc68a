/* env_file: a file of NAME=value lines, as systemd's EnvironmentFile= has them, read by the daemon
 * itself so that it can be read again while it runs. Names that begin with FUTURED_ or MAX_ must be
 * variables of ours: a mistyped one is refused; others are left alone. Only env_file_load blocks.
 */
#ifndef FUT_DAEMON_ENV_FILE_H
#define FUT_DAEMON_ENV_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define ENV_FILE_MAX_BYTES ((size_t)64 << 10)
#define ENV_FILE_MAX_NAMES 256

struct env_file;

/* is_known: is this the name of a variable that may stand in the file? 0, or FUT_ERR_INVAL /
 * FUT_ERR_NOT_FOUND / FUT_ERR_TOO_BIG / FUT_ERR_IO with a sentence that names file and line. */
FUT_MUST_CHECK int env_file_load(const char *path, bool (*is_known)(const char *name),
                                 struct env_file **out, struct fut_errbuf *err);
/* The value, or NULL when the file does not set it; lives as long as f. The last line counts. f may
 * be NULL. */
const char *env_file_get(const struct env_file *f, const char *name);
/* NULLs. NULL ok. */
void env_file_free(struct env_file **f);

#endif
