/* members: sessions of one handler, and tasks that join them, for tests of any store. One thread.
 */
#ifndef FUT_TESTS_CONTRACT_MEMBERS_H
#define FUT_TESTS_CONTRACT_MEMBERS_H

#include "tests/contract/fixture.h"

#define MEMBERS_MAX 8

/* Opens a session of the handler echo; max_running 0: any number. */
struct task_id members_session(struct fixture *k, uint32_t max_running);
/* Submits n tasks (MEMBERS_MAX at most) into the session; their ids go to ids. What the store says
 * of it. */
int members_join(struct fixture *k, struct task_id session, const char *handler, size_t n,
                 struct task_id *ids);

#endif
