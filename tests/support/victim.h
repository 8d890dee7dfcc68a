/* victim: the ways in which a crash harness ends a daemon under load. Each leaves it dead, whatever
 * it was that was killed. One thread, the daemon's owner. */
#ifndef FUT_TESTS_SUPPORT_VICTIM_H
#define FUT_TESTS_SUPPORT_VICTIM_H

#include <stdint.h>

#include "tests/support/daemon.h"
#include "tests/support/disk.h"

enum victim {
    VICTIM_DAEMON,      /* SIGKILL at a random moment, half of the time while it still recovers */
    VICTIM_POINT,       /* SIGKILL before or after some write, sync or statement of the store */
    VICTIM_DRAIN,       /* SIGTERM, then SIGKILL within some step of the drain */
    VICTIM_FORK_SERVER, /* it is killed; the daemon must drain and end by itself, with status 1 */
    VICTIM_WORKERS,     /* some are killed while the daemon goes on, in the end the daemon */
};
#define VICTIMS 5

/* The name of a victim, for reports. */
const char *victim_name(enum victim v);
/* Before the start: arms what must be armed. disk: of disk_attach. */
void victim_prepare(enum victim v, struct disk_control *disk, uint64_t *random);
/* After the start: ends it. Returns false when the daemon did not end as it should have. */
bool victim_kill(enum victim v, struct daemon *d, uint64_t *random);
/* After the end: was the point of VICTIM_POINT reached? Disarms. */
bool victim_was_hit(enum victim v, struct disk_control *disk);
/* How often each point of VICTIM_POINT was armed, and reached. */
void victim_print_points(void);

#endif
