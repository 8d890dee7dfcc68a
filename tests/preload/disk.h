/* disk: what a test and the library that stands between a daemon and its files (disk.c, put in
 * front by LD_PRELOAD) tell each other: a page of shared memory, and a record of what was done.
 *
 * The library sees the files whose names begin with the database's. Rules say which of its
 * operations fail, or at which one the daemon is killed; a budget makes the disk small; the record
 * holds what a power cut could leave of it. */
#ifndef FUT_TESTS_PRELOAD_DISK_H
#define FUT_TESTS_PRELOAD_DISK_H

#include <stdatomic.h>
#include <stdint.h>

#define DISK_CONTROL_ENV "FUT_DISK_CONTROL"

/* Bits: a rule may name several. */
enum disk_op {
    DISK_OP_WRITE = 1,
    DISK_OP_TRUNCATE = 2,
    DISK_OP_SYNC = 4,
    DISK_OP_CREATE = 8,
    DISK_OP_UNLINK = 16,
    DISK_OP_ALLOCATE = 32,
    DISK_OP_STEP = 64, /* a statement that writes: sqlite3_step of BEGIN IMMEDIATE, COMMIT … */
    DISK_OP_SYNC_BEGIN = 128, /* in the record only */
    DISK_OP_MARK = 256,       /* in the record only: what a client was told */
};

enum disk_file {
    DISK_FILE_DB = 1,
    DISK_FILE_WAL = 2,
    DISK_FILE_JOURNAL = 4,
    DISK_FILE_RESERVE = 8,
    DISK_FILE_DIRECTORY = 16,
};
#define DISK_FILES_ALL 31

enum disk_action {
    DISK_NOTHING,
    DISK_FAIL,        /* with the rule's errno, instead of its work */
    DISK_KILL_BEFORE, /* SIGKILL to the daemon itself, after kill_delay_us */
    DISK_KILL_AFTER,
    DISK_LIE, /* say that it is done, and do nothing */
};

/* Matching operations number after+1 to after+times get the action. */
struct disk_rule {
    atomic_uint ops, files;
    atomic_uint after, times;
    atomic_uint seen, given; /* matching operations so far; of them, those that got the action */
    atomic_int action, error;
    char statement[32]; /* DISK_OP_STEP: how the statement begins; "" any that writes */
};
#define DISK_RULES 2

struct disk_control {
    char database[512];        /* its path */
    char record[512];          /* where to write the record; "" none */
    atomic_llong capacity;     /* bytes that all files may take together; 0: no limit */
    atomic_uint sync_delay_us; /* makes the window before a sync wide */
    atomic_uint kill_delay_us; /* so long its other threads go on before DISK_KILL_BEFORE */
    struct disk_rule rules[DISK_RULES];
};

/* One entry of the record, with `length` bytes behind it and zeros up to a multiple of 8. Appended
 * whole. */
struct disk_entry {
    uint32_t op, file;
    int64_t offset; /* of a write; size of a truncate */
    uint32_t length;
    uint32_t check; /* DISK_ENTRY_CHECK */
};
#define DISK_ENTRY_CHECK 0x6b736964u

#endif
