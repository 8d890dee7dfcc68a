/* disk: a daemon whose disk does as the test says (tests/preload/disk.h says what it can do). One
 * owner; the control may be changed while the daemon runs. Misfortune ends the test by fail(). */
#ifndef FUT_TESTS_SUPPORT_DISK_H
#define FUT_TESTS_SUPPORT_DISK_H

#include "tests/preload/disk.h"
#include "tests/support/daemon.h"

/* Before the daemon's start; it stays so for all its starts. The database must be the daemon's own
 * (DIR/futured.db). */
struct disk_control *disk_attach(struct daemon *d);
/* After the daemon's end. NULL ok; NULLs. */
void disk_detach(struct disk_control **c);

/* From now on: matching operations number after+1 to after+times get the action. */
struct disk_order {
    unsigned ops, files; /* bits of enum disk_op and enum disk_file; files 0: all */
    unsigned after, times;
    enum disk_action action;
    int error;
    const char *statement; /* NULL: any */
};
void disk_arm(struct disk_control *c, int rule, const struct disk_order *o);
void disk_disarm(struct disk_control *c, int rule);
/* How many operations got the action since the rule was armed. */
unsigned disk_given(const struct disk_control *c, int rule);

#endif
