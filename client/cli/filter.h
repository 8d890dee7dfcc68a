/* filter: the options that name futures by what they are, for lists and changes; one command runs
 * per process, so their values stand here. One thread. */
#ifndef FUT_CLIENT_CLI_FILTER_H
#define FUT_CLIENT_CLI_FILTER_H

#include "client/cli/cli.h"
#include "core/buf.h"

enum filter_value {
    FILTER_STATE,
    FILTER_HANDLER,
    FILTER_LANE,
    FILTER_QUEUE,
    FILTER_SCHEDULE,
    FILTER_CODE,
    FILTER_BATCH,
    FILTER_PARENT,
    FILTER_AFTER,
    FILTER_BEFORE,
    FILTER_OLDER_THAN,
};
#define FILTER_COUNT 11

/* As given on the command line; NULL: not. */
extern const char *filter_values[FILTER_COUNT];

/* Rows for a table of options; clang-format would break them apart. */
/* clang-format off */
#define FILTER_OPTIONS \
    {"state", 's', "STATES", "comma list of scheduled, queued, running, succeeded, failed, cancelled", \
     &filter_values[FILTER_STATE], NULL}, \
    {"handler", 'H', "HANDLER", "of this handler alone", &filter_values[FILTER_HANDLER], NULL}, \
    {"lane", 'l', "LANE", "io or cpu", &filter_values[FILTER_LANE], NULL}, \
    {"queue", 'q', "QUEUE", "of this queue alone", &filter_values[FILTER_QUEUE], NULL}, \
    {"schedule", 0, "SCHEDULE", "made by this schedule", &filter_values[FILTER_SCHEDULE], NULL}, \
    {"code", 'c', "CODE", "that ended with this error code, such as timeout", \
     &filter_values[FILTER_CODE], NULL}, \
    {"batch", 0, "BATCH", "members of this batch", &filter_values[FILTER_BATCH], NULL}, \
    {"parent", 0, "ID", "submitted by this task", &filter_values[FILTER_PARENT], NULL}, \
    {"after", 0, "TIME", "submitted at this time or later, such as 2026-11-22T10:00:00Z", \
     &filter_values[FILTER_AFTER], NULL}, \
    {"before", 0, "TIME", "submitted before this time", &filter_values[FILTER_BEFORE], NULL}, \
    {"older-than", 0, "AGE", "submitted longer ago than this, such as 90 or 2h", \
     &filter_values[FILTER_OLDER_THAN], NULL}
/* clang-format on */

/* Was any of them given? */
bool filter_is_given(void);
/* Appends "&state=…" and so on. CLI_OK, or the exit code of a wrong value after a sentence. */
int filter_write_query(struct cli *c, struct buf *path);
/* The body of a change: what was given, and these states when no states were. json_decref() it;
 * NULL with *code set after a sentence. */
json_t *filter_body(const char *states, int *code);

#endif
