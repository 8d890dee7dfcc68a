/* history: how the daemon has done during the last hour, in a ring of samples of fixed size, so
 * that whoever looks sees it at once. One thread samples; any may read. */
#ifndef FUT_API_RESOURCES_HISTORY_H
#define FUT_API_RESOURCES_HISTORY_H

struct api;
struct history;

/* Empty; as large as an hour of samples needs. Never NULL; one owner. */
struct history *history_new(void);
/* NULLs. NULL ok. */
void history_free(struct history **h);
/* Takes a sample when the latest one is old enough, else does nothing; to be called every few
 * seconds, from one thread. Takes short locks; blocks for nothing else. */
void history_sample(const struct api *a);

#endif
