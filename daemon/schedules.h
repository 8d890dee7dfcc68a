/* schedules: fires schedules when they are due. One thread of its own asks the store for those
 * whose time has come, makes their tasks, and posts a firing for each; what becomes of it is the
 * store's to say, in one commit. It sleeps until the next time, and looks again when a schedule
 * changes, when a task ends for which another one waits, and when the clock of the machine is set.
 */
#ifndef FUT_DAEMON_SCHEDULES_H
#define FUT_DAEMON_SCHEDULES_H

#include <stdbool.h>

#include "core/catalog.h"
#include "core/err.h"

struct schedules;
struct store;
struct http_allow;

struct schedules_config {
    struct store *store;
    const struct catalog *catalog; /* at first; a reference is taken */
    bool (*allows_url)(const struct http_allow *allow, const char *url);
    const struct http_allow *allow; /* borrowed until schedules_free */
};

/* Before store_start: watches the store. Never NULL. */
struct schedules *schedules_new(const struct schedules_config *cfg);
/* After store_start. */
void schedules_start(struct schedules *s);
/* Tasks are made by this catalog from now on; a reference is taken. Any thread. */
void schedules_set_catalog(struct schedules *s, const struct catalog *c);
/* Has the thread had a turn since the last call? True the first time, and while it is not started.
 * Each call that says yes asks anew. One thread. */
bool schedules_has_moved(struct schedules *s);
/* Fires nothing any more; waits for what is being committed. Before store_stop. Nothing happens
 * when not started. */
void schedules_stop(struct schedules *s);
/* After store_stop. NULLs; NULL ok. */
void schedules_free(struct schedules **s);

/* Brings the schedules of the store in line with those of a file: an object with a member for each
 * schedule, its definition as PUT /v1/schedules/{name} takes it. All or none; blocks. Tasks are
 * checked against c. path "": no schedule comes from a file. err: a sentence with the line and the
 * member. */
FUT_MUST_CHECK int schedules_load_file(const struct schedules *s, const char *path,
                                       const struct catalog *c, struct fut_errbuf *err);

#endif
