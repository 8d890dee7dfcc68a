/* show: the answer that is a future: what else is read for it, its headers, its version (ETag).
 * Steps on the request's loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_SHOW_H
#define FUT_API_RESOURCES_SHOW_H

#include "api/http/request.h"
#include "api/resources/waiting_for.h"

/* r->task was read just now: reads what a full answer shows besides (its callback's state, its last
 * report, its earlier attempts) and runs after. For answers to a change, which has happened: what
 * the store cannot tell any more (it stops) is left out. */
void show_gather(struct request *r, request_step *after);
/* As show_gather, for answers that only show: what cannot be read is an error. A version (ETag)
 * says nothing of what was left out, and what was shown once looks the same ever after. */
void show_gather_all(struct request *r, request_step *after);
/* Answers with r->task and what was gathered, its ETag, and the headers of a wait. */
void show_reply(struct request *r, unsigned status);
/* Answers as show_reply with 200, or 304 when If-None-Match names this version. */
void show_reply_or_unchanged(struct request *r);
/* Reads the parameter that chooses members of futures (future_json_fields); *out stays as it is
 * when there is none. False: the request was answered. */
FUT_MUST_CHECK bool show_read_fields(struct request *r, unsigned *out);
/* How the daemon stands now, for "waiting_for" of any number of futures. Takes short locks. */
void show_look(const struct request *r, struct waiting_scene *out);

#endif
