/* spans: sends what became of tasks that belong to a trace to a collector of OpenTelemetry, as JSON
 * over HTTP (OTLP): for each task that was submitted with a sampled traceparent one span for its
 * wait, and one for each attempt. A batch leaves once it is large or a second old, from a thread of
 * its own. Memory is bounded: what finds no space is counted and dropped.
 *
 * The store's writer tells of changes and never waits for the collector; the main thread calls the
 * rest. */
#ifndef FUT_DAEMON_SPANS_H
#define FUT_DAEMON_SPANS_H

#include <stdbool.h>

#include "core/err.h"
#include "core/span_view.h"

struct store;
struct spans;

/* Can spans be sent to this URL: http or https, without a user, password or fragment? */
bool spans_url_ok(const char *url);
/* url: spans_url_ok; a URL without a path gets /v1/traces. FUT_ERR_AGAIN: there is no thread to be
 * had; *out untouched. */
FUT_MUST_CHECK int spans_start(const char *url, struct spans **out, struct fut_errbuf *err);
/* Once, before store_start: s hears of the changes of this store from now on. */
void spans_listen(struct spans *s, struct store *store);
/* For the metrics; until spans_free. */
struct span_view spans_view(struct spans *s);
/* After store_stop: sends what is left within max_ms, counts the rest as dropped, ends the thread.
 * Blocks for max_ms and a second at most. Twice is once; NULL ok. */
void spans_stop(struct spans *s, int64_t max_ms);
/* Stops without sending, when that has not been done; frees, NULLs. NULL ok. */
void spans_free(struct spans **s);

#endif
