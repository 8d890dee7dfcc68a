/* wait: waiting with a deadline, for things that offer no descriptor to wait on. Tests never guess
 * how long something takes: they wait for it here, and fail when it does not come. Any thread. */
#ifndef FUT_TESTS_SUPPORT_WAIT_H
#define FUT_TESTS_SUPPORT_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Generous: only a failing test waits this long. */
#define WAIT_LONG_MS 60000

/* Asks every few milliseconds until the answer is yes; false when timeout_ms passed first. */
bool wait_until(bool (*is_true)(void *ctx), void *ctx, int timeout_ms);
/* Waits until the condition is true; the program fails, and names it, when that takes WAIT_LONG_MS.
 */
#define wait_for(condition)                                                                        \
    for (int64_t waited_until_mono_ms = 0; !(condition);)                                          \
    wait_again(&waited_until_mono_ms, #condition, __FILE__, __LINE__)
/* A step of wait_for. */
void wait_again(int64_t *deadline_mono_ms, const char *what, const char *file, int line);
/* Waits for the end of any process (a zombie counts as ended). False when it outlived timeout_ms.
 */
bool wait_process_end(pid_t pid, int timeout_ms);
/* Lets time pass. For tools that make load (random moments, held answers), not for tests. */
void wait_ms(int ms);

/* For servers: block SIGTERM and SIGINT before the first thread starts … */
void wait_term_prepare(void);
/* … and wait for one of them. */
void wait_term(void);

#endif
