/* failure_log: a line at level warn for each task that has failed, whoever ended it. A flood of
 * failures is counted: so many lines at once and so many a second, then how many more there were.
 *
 * The store's writer tells it of failures and never waits for it; the main thread calls the rest.
 */
#ifndef FUT_DAEMON_FAILURE_LOG_H
#define FUT_DAEMON_FAILURE_LOG_H

struct store;
struct failure_log;

/* Before store_start, which it must outlive. */
struct failure_log *failure_log_new(struct store *s);
/* Logs how many failures had no line of their own, when there are any and it is time. */
void failure_log_tick(struct failure_log *f);
/* After store_stop: logs what was only counted, frees, NULLs. NULL ok. */
void failure_log_free(struct failure_log **f);

#endif
