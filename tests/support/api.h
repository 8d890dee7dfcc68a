/* api: what nearly every system test says to the daemon, in a line each. Any thread. What must not
 * happen here (no answer, not the expected status) ends the test by fail(), with the answer. */
#ifndef FUT_TESTS_SUPPORT_API_H
#define FUT_TESTS_SUPPORT_API_H

#include <jansson.h>

#include "core/err.h"
#include "core/id.h"
#include "tests/support/http.h"

/* base: daemon_url(). The reply is the caller's to release. */
struct http_reply api_get(const char *base, const char *fmt, ...) FUT_PRINTF(2, 3);
struct http_reply api_delete(const char *base, const char *fmt, ...) FUT_PRINTF(2, 3);
/* body NULL: without one. As application/json. */
struct http_reply api_post(const char *base, const char *path, const char *body);

/* POST /v1/tasks: must be accepted (202, or 200). */
void api_submit(const char *base, const char *json, char out_id[ID_TEXT_SIZE]);
/* POST /v1/futures/{id}/cancel; the status. */
int api_cancel(const char *base, const char *id);
/* The future as it is now; must exist. json_decref() it. */
json_t *api_future(const char *base, const char *id);
/* The future once it is done (long-polls, two minutes at most). json_decref() it. */
json_t *api_done(const char *base, const char *id);
/* api_done; its state and error.code ("": none) must be these. */
void api_expect_end(const char *base, const char *id, const char *state, const char *code);
/* Submit, then api_done. */
json_t *api_run(const char *base, const char *json);
/* Its result as it is, which must be there, as text; free() it. */
char *api_result(const char *base, const char *id);
/* POST /v1/batches: must be accepted. What is answered; json_decref() it. */
json_t *api_batch(const char *base, const char *json);
/* Waits until the future is in this state (by asking). */
void api_wait_state(const char *base, const char *id, const char *state);

/* Waits until that member of the future (path: as below) contains text; the future then.
 * json_decref() it. */
json_t *api_wait_text(const char *base, const char *id, const char *path, const char *text);

/* PATCH /v1/pools/{lane}: must be done. */
void api_patch_pool(const char *base, const char *lane, const char *json);
/* A whole number of one lane in GET /v1/pools, or -1. */
json_int_t api_pool_int(const char *base, const char *lane, const char *key);

/* A string of the object, "" when it is not there or none. `path`: keys with dots between
 * ("error.code"). */
const char *api_str(const json_t *object, const char *path);
/* A whole number, or -1. */
json_int_t api_int(const json_t *object, const char *path);
/* Anything, or NULL. Borrowed. */
json_t *api_at(const json_t *object, const char *path);

#endif
