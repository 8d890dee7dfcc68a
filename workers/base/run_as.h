/* run_as: the user that worker processes and programs run as, when it is not the daemon's. Set once
 * by main before the fork server is made, which inherits it; applied in each of its children. */
#ifndef FUT_WORKERS_BASE_RUN_AS_H
#define FUT_WORKERS_BASE_RUN_AS_H

#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"

#define RUN_AS_GROUPS_MAX 64

struct run_as {
    uid_t uid;
    gid_t gid;
    gid_t groups[RUN_AS_GROUPS_MAX];
    int n_groups;
    char home[256];
};

/* "user" or "user:group", by name or number. Reads the system's user database: blocks. 0, or
 * FUT_ERR_INVAL with a sentence: no such user or group, root, or one that this process may not
 * become. */
FUT_MUST_CHECK int run_as_find(const char *text, struct run_as *out, struct fut_errbuf *err);

/* who: copied; NULL: nobody else. Before any thread. */
void run_as_set(const struct run_as *who);
/* The home of the user that was set; NULL: none was. */
const char *run_as_home(void);

/* In a fresh child: gives it those of the n descriptors from 0 on that are pipes (so that it may
 * open /dev/stderr), then becomes the user for good. 0, also when none was set, or FUT_ERR_STATE.
 */
FUT_MUST_CHECK int run_as_apply(pid_t parent, int n);

#endif
