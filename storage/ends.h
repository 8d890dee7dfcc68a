/* ends: what has ended a moment ago, told from the writer's memory without a read. Everything here
 * was committed before it could be seen. The store keeps some thousand such ends, for a moment,
 * while somebody wants them; whoever is not told reads (store_verb_session_ends, store_verb_get). A
 * store that is shared with other nodes keeps none. Any thread; nothing blocks. */
#ifndef FUT_STORAGE_ENDS_H
#define FUT_STORAGE_ENDS_H

#include "storage/session.h"
#include "storage/store.h"

/* Somebody wants ends, or (false) does no longer who has said so before. */
void store_want_ends(struct store *s, bool wants);

/* Fills o (id, after, limit and tasks as for store_verb_session_ends) with all that has ended since
 * o->after. True with none when nothing has. is_finished stays false: whoever was told of the
 * session's end (store_change.session_ended) reads. is_whole: nothing may be missing that a read
 * would tell (checkpoints of what did not succeed). False: it is not known here, o->n is 0. */
FUT_MUST_CHECK bool store_recent_session_ends(struct store *s, struct store_session_ends *o,
                                              bool is_whole);

/* The future whose end had this seq, as it ended; the caller's to release. is_whole: as above, and
 * what it reported. False: it is not known here, *out is untouched. */
FUT_MUST_CHECK bool store_recent_end(struct store *s, struct task_id id, uint64_t seq,
                                     bool is_whole, struct task *out);

#endif
