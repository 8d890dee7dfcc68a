/* session_in: what opens a session. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_SESSION_IN_H
#define FUT_API_RESOURCES_SESSION_IN_H

#include "storage/session.h"

struct problem;
struct request;

/* Reads the body of the request into *out, with a new id and one reference to its init (NULL:
 * none). FUT_ERR_INVAL with *p set; then *out is untouched. */
FUT_MUST_CHECK int session_in_read(struct request *r, struct store_session_open *out,
                                   struct problem *p);
/* The name of what becomes of a session without its client, as clients say it. Pure. */
const char *session_in_on_disconnect(enum store_on_disconnect what);

#endif
