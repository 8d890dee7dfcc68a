/* scripted: a worker program for tests: the test's own executable, started again with the
 * argument "worker". Each task's input says what to do. Further arguments: keys of its greeting
 * ("cancel=1"), "ahead" (tasks are taken ahead), "die" (say why and exit before it), "once=FILE"
 * (die the same while FILE is missing), "mute" (never greet), "deaf" (ignores TERM). */
#ifndef FUT_TESTS_UNIT_WORKERS_SCRIPTED_H
#define FUT_TESTS_UNIT_WORKERS_SCRIPTED_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/wire/wire_stream.h"

extern struct wire_stream scripted;

/* For main: does not return when this is the worker. */
void scripted_main(int argc, char **argv);
/* The path of the test's own executable, for a handlers file. */
const char *scripted_self(void);

/* Uses the CPU for so long. */
void scripted_burn(int ms);
/* Dies by the signal, whatever a sanitizer would make of it; says so on standard error. */
void scripted_die(int sig);

#endif
