/* replay: what a power cut may leave of the files whose record the preload library wrote. Between
 * two syncs the disk may have kept any part of what was written since: nothing, all, a beginning,
 * some of the writes, some sectors of some of them. One thread. A record that makes no sense ends
 * the program by fail().
 *
 * A file's name is on disk when its directory was synced after it was created; a name that was
 * removed may come back until then. */
#ifndef FUT_TESTS_SUPPORT_REPLAY_H
#define FUT_TESTS_SUPPORT_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replay_loss {
    REPLAY_ALL_LOST,  /* nothing of what was not synced */
    REPLAY_NONE_LOST, /* all of it */
    REPLAY_BEGINNING, /* the first so many operations */
    REPLAY_SOME,      /* each operation or not, by chance */
    REPLAY_TORN,      /* each sector of 512 bytes or not, by chance */
};
#define REPLAY_LOSSES 5

struct replay;

/* Opens a record; replay_close frees and NULLs. */
struct replay *replay_open(const char *record);
void replay_close(struct replay **r);
/* Goes on to the next moment before a sync is over (or to the end of the record, once). False:
 * there is none any more. */
bool replay_next(struct replay *r);
/* Operations that are not on disk for certain at this moment. */
size_t replay_pending(const struct replay *r);
/* The number of marks before this moment, and the bytes of each in turn (borrowed). */
size_t replay_marks(const struct replay *r);
const char *replay_mark(const struct replay *r, size_t i);
/* Writes what is left as DIR/futured.db and what stands beside it; removes what was there. */
void replay_leave(const struct replay *r, enum replay_loss loss, uint64_t *random, const char *dir);

/* For the recording side: appends a mark to the record, after all that was done before the call. */
void replay_put_mark(const char *record, const char *text);

#endif
