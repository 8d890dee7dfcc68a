/* progress: waiting for futures, with a bar on a terminal. Blocks; one thread. */
#ifndef FUT_CLIENT_CLI_PROGRESS_H
#define FUT_CLIENT_CLI_PROGRESS_H

#include <stdio.h>

#include "client/cli/cli.h"

/* Waits until the future is done, at most `seconds` (negative: for ever), and writes the bytes of
 * its result to f. What did not succeed is explained on standard error. */
int progress_result(struct cli *c, const char *id, double seconds, FILE *f);

/* Waits likewise and returns the future as JSON (json_decref it); NULL with *code set when there is
 * no such future or no answer. The future may be unfinished when the time is up. */
json_t *progress_wait(struct cli *c, const char *id, double seconds, int *code);

/* Waits for all of the n futures, calling done(ctx, index, end) for each as it ends, in order of
 * completion. Draws a bar with rate and remaining time on standard error where that is a terminal.
 */
int progress_watch(struct cli *c, char *const *ids, size_t n, double seconds,
                   void (*done)(void *ctx, size_t index, enum cli_exit end), void *ctx);

#endif
