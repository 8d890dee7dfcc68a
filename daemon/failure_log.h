/* failure_log: a line at level warn for each task that has failed, whoever ended it. A flood of
 * failures is counted: so many lines at once and so many a second, then how many more there were.
 *
 * The store's writer tells it of failures and never waits for it; the main thread calls the rest.
 */
#ifndef FUT_DAEMON_FAILURE_LOG_H
#define FUT_DAEMON_FAILURE_LOG_H

#include <stddef.h>

struct store_change;
struct failure_log;

/* To be told of changes (failure_log_on_change) by a store that it outlives. Never NULL. */
struct failure_log *failure_log_new(void);
/* A store_listener; f: the failure_log. Also for what opening the store changes: tasks that fail as
 * the daemon before this one has died. */
void failure_log_on_change(void *f, const struct store_change *changes, size_t n);
/* Logs how many failures had no line of their own, when there are any and it is time. */
void failure_log_tick(struct failure_log *f);
/* After store_stop: logs what was only counted, frees, NULLs. NULL ok. */
void failure_log_free(struct failure_log **f);

#endif
