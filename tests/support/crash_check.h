/* crash_check: the reckoning after the crashes: everything in the ledger is there, ends, and ends
 * right; the list shows each future once; the journal of the exec handler fits the attempts that
 * the daemon tells; and a calm restart changes nothing. One thread. */
#ifndef FUT_TESTS_SUPPORT_CRASH_CHECK_H
#define FUT_TESTS_SUPPORT_CRASH_CHECK_H

#include "tests/support/daemon.h"
#include "tests/support/ledger.h"

/* d does not run, and does not run afterwards. drains: how often it was drained instead of killed.
 * Breaches go to the ledger. */
void crash_check(struct daemon *d, struct ledger *l, size_t drains);

#endif
