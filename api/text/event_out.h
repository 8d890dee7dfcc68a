/* event_out: the text of a stream of events: server-sent events (WHATWG) or NDJSON, one object per
 * line. Pure; any thread; nothing blocks. */
#ifndef FUT_API_TEXT_EVENT_OUT_H
#define FUT_API_TEXT_EVENT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* Lines of JSON, and behind a line so many bytes as its member "bytes" says. */
#define FRAMES_TYPE "application/vnd.futured.frames"

struct event_out {
    bool is_ndjson; /* lines of JSON, */
    bool is_framed; /* and bytes behind them */
};

#define EVENT_OUT_KEEP_ALIVE_MS 15000 /* the longest silence of a stream */

/* As the client's Accept asks, which may be NULL: frames when they are named, NDJSON when that is
 * named alone. */
void event_out_choose(struct event_out *e, const char *accept);
/* The content type of the stream. */
const char *event_out_type(const struct event_out *e);
/* What stands before all events. */
void event_out_begin(struct buf *out, const struct event_out *e);
/* One event. name: a plain word. id: 0 none. json: n bytes of one JSON value, in which line ends
 * are white space: they become blanks. */
void event_out_write(struct buf *out, const struct event_out *e, const char *name, uint64_t id,
                     const char *json, size_t n);
/* Puts n bytes behind the line that out ends with, a JSON object, and says so in it. */
void event_out_add_bytes(struct buf *out, const void *bytes, size_t n);
void event_out_keep_alive(struct buf *out, const struct event_out *e);
/* Appends a JSON value on one line. */
void event_out_one_line(struct buf *out, const char *json, size_t n);

#endif
