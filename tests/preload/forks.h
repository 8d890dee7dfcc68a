/* forks: lets fork() fail as it does where no process can be had, put before libc by LD_PRELOAD. */
#ifndef FUT_TESTS_PRELOAD_FORKS_H
#define FUT_TESTS_PRELOAD_FORKS_H

/* Names a file of four bytes: the errno that fork() fails with, an int in the machine's order; 0:
 * it does not fail. It may be written at any time. */
#define FORKS_ERROR_ENV "FUT_FORKS_ERROR"

#endif
