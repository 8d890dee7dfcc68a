/* progress_lines: what a program writes to its FUTURED_PROGRESS_FD: lines
 * `progress FRACTION [message]`, FRACTION from 0 to 1; where checkpoints are taken also
 * `checkpoint BASE64`, `until ID [ID]...` and `suspend [SECONDS]`. Bytes in, words out; other lines
 * are counted and left, but of those that were to suspend the task one is kept. Pure; one owner at
 * a time. */
#ifndef FUT_WORKERS_EXEC_PROGRESS_LINES_H
#define FUT_WORKERS_EXEC_PROGRESS_LINES_H

#include <stdint.h>

#include "core/base64.h"
#include "core/buf.h"
#include "core/id.h"
#include "core/task.h"
#include "workers/handlers/run.h"

#define PROGRESS_LINE_MAX (RUN_MESSAGE_MAX + 64) /* bytes; a longer line is bad */

#define PROGRESS_CHECKPOINT_MAX                                                                    \
    (BASE64_LEN(TASK_CHECKPOINT_MAX) + 4) /* characters that are kept                              \
                                           */

/* Bytes of ids that are kept: of more futures than a task may be suspended for. */
#define PROGRESS_UNTIL_MAX ((size_t)1001 * ID_TEXT_SIZE)

/* What a line says. */
enum progress_word {
    PROGRESS_NOTHING,
    PROGRESS_REPORT,
    PROGRESS_CHECKPOINT,
    PROGRESS_UNTIL,
    PROGRESS_SUSPEND
};

struct progress_lines {
    bool takes_checkpoints; /* its owner's */
    bool in_checkpoint;     /* this line is one */
    char line[PROGRESS_LINE_MAX + 1];
    size_t len;
    bool too_long; /* the rest of this line is dropped */
    uint64_t bad;
    /* The latest good line: */
    double fraction;
    char message[RUN_MESSAGE_MAX + 1]; /* "" when it had none */
    struct buf checkpoint;             /* base64, as it came, up to PROGRESS_CHECKPOINT_MAX */
    uint64_t checkpoint_len;           /* characters that there were */
    struct buf until; /* ids of futures, a space between them, up to PROGRESS_UNTIL_MAX */
    int64_t suspend_ms;
    char refused[64]; /* the begin of the first `suspend` or `until` line that is wrong; or "" */
};

/* Zeroed memory is a fresh one. Takes bytes up to the end of a good line, of which it says what it
 * is, or all (PROGRESS_NOTHING); *bytes and *n are what remains. */
FUT_MUST_CHECK enum progress_word progress_lines_next(struct progress_lines *p, const char **bytes,
                                                      size_t *n);
/* The program has ended: a last line may lack its newline. */
FUT_MUST_CHECK enum progress_word progress_lines_end(struct progress_lines *p);
/* Frees what the lines hold. */
void progress_lines_release(struct progress_lines *p);

#endif
