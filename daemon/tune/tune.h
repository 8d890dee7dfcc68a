/* tune: `futured tune HANDLER`: how many slots are right for a handler, found by running its real
 * tasks at 1, 2, 4 … of them. Main thread; blocks. */
#ifndef FUT_DAEMON_TUNE_TUNE_H
#define FUT_DAEMON_TUNE_TUNE_H

#include "daemon/config.h"

/* args: what stands behind the word, NULL-ended. Returns the exit code: 0, 1 (a task failed, a file
 * cannot be read), 64 (usage), 78 (the handlers file is wrong). */
int tune_command(const struct config *cfg, char **args);
/* Prints how the command is used. Returns 0. */
int tune_help(void);

#endif
