/* transfer: one HTTP exchange by libcurl on the calling thread. Each thread keeps its connections,
 * names and TLS sessions from one exchange to the next, until it ends. */
#ifndef FUT_WORKERS_HANDLERS_BUILTINS_TRANSFER_H
#define FUT_WORKERS_HANDLERS_BUILTINS_TRANSFER_H

#include <curl/curl.h>

#include "workers/handlers/run.h"

/* This thread's handle, with no option set but those of every exchange: the user agent, only http
 * and https, no signals, no proxy, and the allow-list of run->about (NULL: none), which sees each
 * URL (also of redirects) and each address that a connection goes to. Not to be freed. */
CURL *transfer_begin(struct run *run);
/* What transfer_run will ask for; not set when the allow-list of run does not allow it. */
CURLcode transfer_set_url(struct run *run, CURL *easy, const char *url);
/* Runs it to its end or to the cancel, which is CURLE_ABORTED_BY_CALLBACK. The response can be
 * asked for until transfer_end. */
CURLcode transfer_run(struct run *run, CURL *easy);
/* After transfer_run: why the allow-list stopped it, a sentence; NULL: it did not. */
const char *transfer_refusal(void);
/* After transfer_run: for how long an answer of 429 or 503 asks to be left alone, RETRY_MAX_MS at
 * most; 0: it does not. */
int64_t transfer_retry_after_ms(CURL *easy);
/* Lets go of everything that the caller's options point to. */
void transfer_end(CURL *easy);

/* May it go away by itself? *out_before: it surely happened before the first byte of the request.
 */
bool transfer_may_pass(CURLcode rc, bool *out_before);

/* Options whose failure would mean that this libcurl is not the one we were built for. */
#define TRANSFER_SET(easy, option, value)                                                          \
    FUT_MUST(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

#endif
