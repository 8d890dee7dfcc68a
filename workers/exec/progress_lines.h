/* progress_lines: what a program writes to its FUTURED_PROGRESS_FD: lines
 * `progress FRACTION [message]`, FRACTION from 0 to 1. Bytes in, reports out; other lines are
 * counted and left. Pure; one owner at a time. */
#ifndef FUT_WORKERS_EXEC_PROGRESS_LINES_H
#define FUT_WORKERS_EXEC_PROGRESS_LINES_H

#include <stdint.h>

#include "workers/handlers/run.h"

#define PROGRESS_LINE_MAX (RUN_MESSAGE_MAX + 64) /* bytes; a longer line is bad */

struct progress_lines {
    char line[PROGRESS_LINE_MAX + 1];
    size_t len;
    bool too_long; /* the rest of this line is dropped */
    uint64_t bad;
    /* The latest good line: */
    double fraction;
    char message[RUN_MESSAGE_MAX + 1]; /* "" when it had none */
};

/* Zeroed memory is a fresh one. True when there was a good line among these bytes. */
FUT_MUST_CHECK bool progress_lines_feed(struct progress_lines *p, const char *bytes, size_t n);
/* The program has ended: a last line may lack its newline. True when it was a good one. */
FUT_MUST_CHECK bool progress_lines_end(struct progress_lines *p);

#endif
