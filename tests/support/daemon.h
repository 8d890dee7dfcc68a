/* daemon: the real binary ($FUT_BUILD/futured) in a fresh directory of its own, on a port that the
 * kernel chose. Its environment is made here from nothing: PATH, HOME, the sanitizers' options, and
 * what the test sets. One owner, one thread (the one that starts it). Misfortune ends the test by
 * fail(), with the daemon's log. */
#ifndef FUT_TESTS_SUPPORT_DAEMON_H
#define FUT_TESTS_SUPPORT_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon;

/* Do daemons of this run keep their tasks in PostgreSQL ($FUT_STORE is "postgres"), each in a
 * schema of its own on the server of tests/tools/with_postgres, and not in a file of theirs? */
bool daemon_is_on_postgres(void);
/* Do they keep them nowhere ($FUT_STORE is "memory")? */
bool daemon_is_in_memory(void);
/* For the first line of a test that is of the file alone: on PostgreSQL it says the reason, which
 * tests/run.sh shows with the result, and is true: the test returns. */
bool daemon_leaves_out_on_postgres(const char *reason);

/* A directory and settings; not running yet. */
struct daemon *daemon_new(void);
/* new, set each "NAME=value" (n of them), start. */
struct daemon *daemon_start_with(const char *const *settings, int n);
/* Starts a daemon with this handlers file and these settings; returns when it listens. */
struct daemon *daemon_start_handlers(const char *json, const char *const *settings, int n);
/* "NAME=value"; replaces an earlier one of that name. Takes effect at the next start. */
void daemon_set(struct daemon *d, const char *setting);
/* Writes the handlers file and points FUTURED_HANDLERS to it. In the JSON, DIR is replaced by the
 * daemon's directory. */
void daemon_set_handlers(struct daemon *d, const char *json);
/* From the next start on it inherits this listening socket (LISTEN_FDS), which stays the caller's.
 */
void daemon_pass_socket(struct daemon *d, int fd);
/* From the next start on a shell runs this script (borrowed), which ends with exec "$0": the
 * daemon. */
void daemon_start_by(struct daemon *d, const char *script);
/* From the next start on: the port that it has now. */
void daemon_keep_port(struct daemon *d);

/* Starts it (again, on the same directory) and returns when it listens. With the memory store
 * ($FUT_STORE is "memory") a second start ends the test as passed, with a NOTE. */
void daemon_start(struct daemon *d);
/* Starts it where its database is away; returns when it listens and waits for that. */
void daemon_start_early(struct daemon *d);
/* Starts it; false when it ended instead of listening. */
bool daemon_try_start(struct daemon *d);
/* Starts it where it must refuse to start: waits for its end. Returns its exit status and, in
 * *out_stderr, what it said (free() it). */
int daemon_start_refused(struct daemon *d, char **out_stderr);
/* SIGTERM; returns when it and its processes are gone. It must exit with 0. */
void daemon_stop(struct daemon *d);
/* SIGKILL; returns when it and its processes are gone. */
void daemon_kill(struct daemon *d);
void daemon_signal(struct daemon *d, int sig);
/* For the end after daemon_signal; what waitpid says. */
int daemon_wait_end(struct daemon *d);
/* daemon_stop, then daemon_free. */
void daemon_end(struct daemon **d);
/* Kills it when it runs, removes the directory, frees, NULLs. A daemon that a sanitizer has
 * complained about fails the test here at the latest. NULL ok. */
void daemon_free(struct daemon **d);

/* The pid of the running daemon. */
pid_t daemon_pid(const struct daemon *d);
/* "http://127.0.0.1:PORT" of the latest start. */
const char *daemon_url(const struct daemon *d);
const char *daemon_address(const struct daemon *d);
const char *daemon_dir(const struct daemon *d);
/* "DIR/name"; free() it. */
char *daemon_path(const struct daemon *d, const char *name);
/* The file's text, or NULL when it is not there; free() it. */
char *daemon_read_file(const struct daemon *d, const char *name);
/* Waits until the file is there and ends with a newline; its text; fail()s after a minute. */
char *daemon_wait_file(const struct daemon *d, const char *name);
/* What the latest start has written to stderr so far; free() it. */
char *daemon_log(struct daemon *d);
/* Waits for a line with needle in the latest start's stderr; free() it. */
char *daemon_wait_log(struct daemon *d, const char *needle);

/* From now on the lines with needle (borrowed) that a start writes to stderr are kept when it ends.
 */
void daemon_keep_lines(struct daemon *d, const char *needle);
/* Those of all starts that have ended, one behind the other; "" none. */
const char *daemon_kept(const struct daemon *d);

/* Absolute path of a built program, such as "futured" or "tests/tools/load"; free() it. */
char *daemon_built(const char *name);

#endif
