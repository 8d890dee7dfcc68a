/* version: which version of a future an answer shows, as its ETag says, and which one a client
 * names in If-None-Match. Loop thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_VERSION_H
#define FUT_API_RESOURCES_VERSION_H

#include "api/http/request.h"

#define VERSION_ETAG_SIZE 24

/* The entity tag of a future: of its state, attempt, due time, report and callback. reported and
 * callback may be NULL. Pure. */
void version_etag(const struct task *t, const struct store_reported *reported,
                  const struct task *callback, char out[VERSION_ETAG_SIZE]);
/* Does the value of an If-None-Match header name this entity tag, by weak comparison? Pure. */
bool version_matches(const char *header, const char *etag);

/* Writes the entity tag of r->task, as it was read, to r->etag. */
void version_make(struct request *r);
/* False when the request has an If-None-Match and that does not name the version of r->task. */
bool version_is_known(struct request *r);
/* What r->task reported, as far as it is shown; NULL: nothing. */
const struct store_reported *version_reported(const struct request *r);

#endif
