/* sessions: what other resources need of sessions. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_SESSIONS_H
#define FUT_API_RESOURCES_SESSIONS_H

#include <stdbool.h>

#include "storage/session.h"

struct request;

/* The id in the path. False: it is malformed, so nobody has it, and the request was answered. */
bool sessions_read_id(struct request *r, struct task_id *out);
/* Answers why the store does not take tasks into a session, or does not know it (a negative enum
 * fut_err). */
void sessions_fail(struct request *r, int rc);
/* The limit that tasks of the session have. False: none, or there is no such session. */
bool sessions_find_limit(struct request *r, struct task_id id, char out[STORE_SESSION_LIMIT_SIZE]);

#endif
