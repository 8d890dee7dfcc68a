/* proc: what /proc says of a process. One open, read and close per call: some tens of microseconds,
 * never the disk. Any thread. */
#ifndef FUT_CORE_PROC_H
#define FUT_CORE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* 'R' runs, 'Z' has ended and is not waited for … */
    pid_t parent, group, session;
    uint64_t started;         /* in ticks since boot: with the pid, which process it is */
    uint64_t cpu_ms;          /* user and system */
    uint64_t children_cpu_ms; /* of the children that it has waited for */
    uint64_t rss_bytes;
};

/* False: there is no such process (any more); *out is untouched. */
bool proc_stat_read(pid_t pid, struct proc_stat *out);
/* Reads /proc/PID/NAME: the first cap - 1 bytes, NUL-terminated, also on failure. Returns how many
 * there were, or FUT_ERR_IO. */
ssize_t proc_read(pid_t pid, const char *name, char *out, size_t cap);
/* Entries of /proc/PID/NAME, which is a directory ("fd", "task"); 0 when it cannot be read. */
uint32_t proc_count(pid_t pid, const char *name);
/* Resident memory with shared pages in proportion (PSS), in KiB; 0 when it is not known. Slower:
 * the kernel walks the page tables. */
uint64_t proc_pss_kib(pid_t pid);
/* The path of this process's own group in the one hierarchy of cgroup 2 ("/system.slice/x"), ""
 * when there is none. False when it is not known or does not fit into cap. */
bool proc_own_cgroup(char *out, size_t cap);

#endif
