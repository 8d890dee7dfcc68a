/* schedules_file: reads the file that FUTURED_SCHEDULES names: an object with a member for each
 * schedule. Any thread; blocks for the file. */
#ifndef FUT_DAEMON_SCHEDULES_FILE_H
#define FUT_DAEMON_SCHEDULES_FILE_H

#include "api/resources/schedule_in.h"

struct schedules_file {
    struct store_schedule *items; /* by name */
    size_t n;
};

/* All of it, checked by the rules. *out: schedules_file_release. On failure (FUT_ERR_INVAL or
 * FUT_ERR_IO) err names the line and the member. */
FUT_MUST_CHECK int schedules_file_read(const char *path, const struct submission_rules *rules,
                                       struct schedules_file *out, struct fut_errbuf *err);
void schedules_file_release(struct schedules_file *f);

#endif
