/* wait: the long-poll that several routes share: link, read, sleep, read again. The steps run on
 * the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_WAIT_H
#define FUT_API_RESOURCES_WAIT_H

#include <stdbool.h>

#include "api/http/request.h"

/* Reads ?wait or Prefer: wait into r->wait_ms, cut to the server's maximum. False: the request was
 * answered (bad value). */
FUT_MUST_CHECK bool wait_parse(struct request *r);
/* When a wait is wished: links the request to this future, before its state is read or it is
 * submitted. With too many waiters the wish is dropped (wait_refused, Retry-After). */
void wait_open(struct request *r, struct task_id id);
/* Opens, reads the future into r->task, waits while it is not done, then runs after; or answers 404
 * or the store's failure. */
void wait_read(struct request *r, struct task_id id, request_step *after);
/* r->task was submitted or read just now: waits as wished, then runs after with the newest state.
 */
void wait_go_on(struct request *r, request_step *after);
/* Adds Preference-Applied when the wish came by Prefer and was honoured. */
void wait_add_headers(struct request *r);

#endif
