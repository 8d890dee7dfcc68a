/* hostile: requests as nobody should make them, over raw sockets: cut, split, half-closed, too big,
 * malformed. Each has a connection of its own and a verdict: what must not happen is a 2xx for what
 * is wrong, a wrong answer for what is right, or no end. Any thread; blocks. */
#ifndef FUT_TESTS_SUPPORT_HOSTILE_H
#define FUT_TESTS_SUPPORT_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct hostile_report {
    size_t tried;
    size_t served;   /* 2xx, where that is right */
    size_t refused;  /* 4xx or 5xx, where that is right */
    size_t closed;   /* the daemon closed without an answer, where that is right */
    size_t given_up; /* it waited for the rest of a request, and we left */
    size_t wrong;    /* any other end */
    size_t hung;     /* neither an answer nor an end within a minute */
    char what[200];  /* the latest of the last two; "" none */
};

/* Every kind of request, in every way of sending it, `rounds` times over. Adds to *r.
 * address: "127.0.0.1:8420" of a daemon with its default limits. */
void hostile_run(const char *address, unsigned rounds, struct hostile_report *r);
/* Requests of one round. */
size_t hostile_kinds(void);

/* One of them (i < hostile_kinds()), begun and ended apart, so that others can be served between.
 */
struct hostile_one {
    size_t i;
    int fd;
};
struct hostile_one hostile_begin(const char *address, size_t i);
void hostile_end(struct hostile_one *one, struct hostile_report *r);
/* "1,000 deep"; the ways of sending one kind follow each other and have the same name. */
const char *hostile_name(size_t i);

/* n connections that say `text` ("": nothing) and then stay open; those that could be had. Close
 * them with hostile_drop. */
struct hostile_idle;
struct hostile_idle *hostile_hold(const char *address, size_t n, const char *text);
/* Sends one byte more on each of the n next ones, round and round. */
void hostile_drip(struct hostile_idle *idle, size_t n, char byte);
size_t hostile_count(const struct hostile_idle *idle);
void hostile_drop(struct hostile_idle **idle);

/* KiB of memory that a process has resident. */
size_t hostile_rss_kib(pid_t pid);

#endif
