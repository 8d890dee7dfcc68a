/* program: another program as a child: started in a directory with an environment, its two outputs
 * collected as they come, waited for with a deadline. It dies with the thread that started it
 * (PR_SET_PDEATHSIG), so start from a thread that stays. One owner per program; the texts may be
 * read from any thread. Every misfortune ends the test by fail(). */
#ifndef FUT_TESTS_SUPPORT_PROGRAM_H
#define FUT_TESTS_SUPPORT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct program;

enum program_stream { PROGRAM_OUT, PROGRAM_ERR };

/* argv and env end with NULL; env NULL: the caller's. dir NULL: the caller's. All are read before
 * this returns. stdin is empty. */
struct program *program_start(const char *const *argv, const char *const *env, const char *dir);
/* As program_start; fds[i] becomes descriptor 3 + i of the child, and stays the caller's. */
#define PROGRAM_FDS_MAX 16
struct program *program_start_with_fds(const char *const *argv, const char *const *env,
                                       const char *dir, const int *fds, size_t n_fds);
pid_t program_pid(const struct program *p);
void program_signal(struct program *p, int sig);
/* Waits until needle is in the stream. A copy of its line (free() it), or NULL when timeout_ms
 * passed or the stream ended without it. */
char *program_wait_line(struct program *p, enum program_stream s, const char *needle,
                        int timeout_ms);
/* A copy of all that came so far; free() it. */
char *program_text(struct program *p, enum program_stream s);
/* Waits for its end and for the end of both outputs, which its own children hold open too:
 * *out_status is what waitpid says. False when timeout_ms passed first. May be called again. */
bool program_wait(struct program *p, int timeout_ms, int *out_status);
/* Kills it when it still runs, frees, NULLs. NULL ok. */
void program_free(struct program **p);

/* Starts, waits, and returns the exit status (128 + signal when killed); *out gets stdout, *err
 * stderr (free() both; either may be NULL). fail()s after timeout_ms. */
int program_run(const char *const *argv, const char *const *env, int timeout_ms, char **out,
                char **err);

#endif
