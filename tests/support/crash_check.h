/* crash_check: the reckoning after the crashes: everything in the ledger is there, ends, and ends
 * right; the list shows each future once; the journal of the exec handler fits the attempts that
 * the daemon tells; and a calm restart changes nothing. One thread. */
#ifndef FUT_TESTS_SUPPORT_CRASH_CHECK_H
#define FUT_TESTS_SUPPORT_CRASH_CHECK_H

#include "tests/support/daemon.h"
#include "tests/support/ledger.h"

/* The daemon says this (debug), with the task and its attempt, before it gives one back that it has
 * stopped for a drain: that number may run once more, and no other. */
#define CRASH_RELEASES " task_releases "

/* d does not run, and does not run afterwards; it keeps the lines with CRASH_RELEASES. limit_s: all
 * must have ended by then. Breaches go to the ledger. */
void crash_check(struct daemon *d, struct ledger *l, int limit_s);

#endif
