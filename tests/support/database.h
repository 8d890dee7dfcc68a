/* database: a PostgreSQL server of a test's own: in a scratch directory, on a Unix socket alone, as
 * an unprivileged user when the test is root (PostgreSQL refuses root). It ends with the thread
 * that started it. Every misfortune ends the test by fail(). */
#ifndef FUT_TESTS_SUPPORT_DATABASE_H
#define FUT_TESTS_SUPPORT_DATABASE_H

#include <sys/types.h>

struct database;

/* Makes a cluster and starts its server; returns when it takes connections. is_durable: it waits
 * for its disk at each commit, as servers do; else the machine's crash may cost it data. Blocks for
 * seconds. */
struct database *database_new(int is_durable);
/* The server whose socket's directory is in $FUT_POSTGRES, of tests/tools/with_postgres: others use
 * it too, so it is not to be stopped. Without that, database_new(0). */
struct database *database_shared(void);
/* Stops the server, unless it is shared, at once, removes what it has written, frees, NULLs. NULL
 * ok. */
void database_free(struct database **d);
/* The URL of its database with this schema first in the search path ("": the usual ones). What
 * psql can reach; free() it. */
char *database_url(const struct database *d, const char *schema);
/* The directory of its socket. */
const char *database_dir(const struct database *d);
/* Ends the server: SIGINT (fast), SIGQUIT (immediate) or SIGTERM (when all have gone), and waits
 * for its end. */
void database_stop(struct database *d, int sig);
/* Starts it again; returns when it takes connections. */
void database_start(struct database *d);
/* Starts it as a standby of nobody, which takes no writes until it is told SELECT pg_promote(). */
void database_start_standby(struct database *d);
pid_t database_pid(const struct database *d);
/* Runs SQL with psql as its superuser; returns what it printed, unaligned and without headers;
 * free() it. */
char *database_sql(const struct database *d, const char *sql);

#endif
