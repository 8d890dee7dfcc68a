/* forks: lets fork() and clone() fail as they do where no process can be had, put before libc by
 * LD_PRELOAD. */
#ifndef FUT_TESTS_PRELOAD_FORKS_H
#define FUT_TESTS_PRELOAD_FORKS_H

/* Names a file of four bytes: the errno that they fail with, an int in the machine's order; 0:
 * they do not fail. It may be written at any time. */
#define FORKS_ERROR_ENV "FUT_FORKS_ERROR"

#endif
