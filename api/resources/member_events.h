/* member_events: what happens to the futures that a stream follows, beside their ends: attempts
 * that begin, futures that wait again, text for their logs. A request has none of it, or what
 * member_events_read has made (r->members, in the arena). Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_MEMBER_EVENTS_H
#define FUT_API_RESOURCES_MEMBER_EVENTS_H

#include <stdbool.h>

#include "api/http/request.h"
#include "api/text/event_out.h"

enum member_event { MEMBER_STARTED, MEMBER_WAITING, MEMBER_LOG, MEMBER_DONE, MEMBER_PROGRESS };

/* What a stream follows. */
enum member_events_of {
    MEMBER_EVENTS_OF_SESSION, /* the members of the session that the waiter's one link names */
    MEMBER_EVENTS_OF_LINKS,   /* the futures that are linked; `progress` may be told, too */
};

/* Makes what is needed to tell these events. list: as in ?events=; NULL: `done`, and of links
 * `progress`. False: a name is not known, and the request was answered; never without a list. */
bool member_events_read(struct request *r, const char *list, enum member_events_of of);
/* Is this to be told? */
bool member_events_wants(const struct request *r, enum member_event event);
/* Is anything to be told that the waiter has to collect? */
bool member_events_follow(const struct request *r);

/* For waiter_wish.members; NULL: nothing is followed. out: of the stream, for as long as it. */
struct waiter_members *member_events_begin(struct request *r, const struct event_out *out);
/* Tells all that has come, then runs `then`; for that r->op must be free where logs are wanted.
 * `then` is left out when the store has failed: that is answered. */
void member_events_tell(struct request *r, request_step *then);
/* Tells what the future has written and was not told, for the last time before its end. Otherwise
 * as member_events_tell. */
void member_events_tell_log(struct request *r, struct task_id id, request_step *then);

#endif
