/* worker_main: the life of one worker process: say hello, then run one task after another until
 * the channel closes. A plain function over a stream socket, so tests may call it on a thread. */
#ifndef FUT_WORKERS_HANDLERS_WORKER_MAIN_H
#define FUT_WORKERS_HANDLERS_WORKER_MAIN_H

#include "core/err.h"

/* Blocks. fd stays the caller's. 0 at a clean end; FUT_ERR_IO, or FUT_ERR_INVAL (not our protocol).
 */
FUT_MUST_CHECK int worker_main(int fd);

#endif
