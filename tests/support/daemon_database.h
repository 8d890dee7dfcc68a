/* daemon_database: the real binary on a PostgreSQL server of the test's own. Any thread. */
#ifndef FUT_TESTS_SUPPORT_DAEMON_DATABASE_H
#define FUT_TESTS_SUPPORT_DAEMON_DATABASE_H

#include "tests/support/daemon.h"
#include "tests/support/database.h"

/* The daemon keeps its tasks there, from its next start on. */
void daemon_database_give(struct daemon *d, const struct database *db);
/* A new one on it, with two workers and a short drain, that runs; daemon_free it. */
struct daemon *daemon_database_start(const struct database *db);

#endif
