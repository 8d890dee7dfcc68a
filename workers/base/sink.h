/* sink: where what a running attempt says of itself goes. One interface for whatever runs it: a
 * pool thread, a worker process, a program. The receiver embeds the struct. */
#ifndef FUT_WORKERS_BASE_SINK_H
#define FUT_WORKERS_BASE_SINK_H

#include <stddef.h>

/* Both functions may be called any number of times before the attempt ends, on the thread that runs
 * the attempt or reads from it; neither blocks. What they are given is borrowed for the call. */
struct sink {
    /* fraction: 0 to 1, or below 0: not told. message: one line, or NULL: none. */
    void (*progress)(struct sink *to, double fraction, const char *message);
    void (*log)(struct sink *to, const char *bytes, size_t n);
};

#endif
