/* tune_run: runs real tasks of one handler, over a store in memory and the real scheduler, with a
 * number of slots that changes from step to step. Main thread; blocks. */
#ifndef FUT_DAEMON_TUNE_RUN_H
#define FUT_DAEMON_TUNE_RUN_H

#include "core/err.h"
#include "daemon/config.h"
#include "daemon/tune/curve.h"
#include "workers/handlers/registry.h"

struct tune_run;

struct tune_task {
    const struct handler *handler; /* borrowed, as all here */
    enum lane lane;
    const unsigned char *input;
    size_t input_len;
    const char *input_type;
};

/* Before any thread. Starts the fork server, the store and the scheduler. */
FUT_MUST_CHECK int tune_run_open(const struct config *cfg, const struct handlers *handlers,
                                 const struct tune_task *task, struct tune_run **out,
                                 struct fut_errbuf *err);
/* One step: so many slots, for min_seconds at least and until whole waves of tasks have ended.
 * FUT_ERR_STATE with the task's own words in err: it failed. */
FUT_MUST_CHECK int tune_run_step(struct tune_run *t, uint32_t slots, double min_seconds,
                                 struct tune_step *out, struct fut_errbuf *err);
/* Ends all of it. NULL ok. */
void tune_run_close(struct tune_run **t);

#endif
