/* wire: the header lines that the daemon and a worker process exchange: pure encode and decode.
 * README.md has the specification (version 1):
 *
 *   VERB ID BYTES[ key=value]...[ type=CONTENT TYPE TO THE END OF THE LINE]\n
 *
 * Decoding trusts nothing: any line gives a head or an error. Any thread. */
#ifndef FUT_WORKERS_WIRE_WIRE_H
#define FUT_WORKERS_WIRE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

#define WIRE_VERSION 1
#define WIRE_LINE_MAX 1024 /* bytes of a header line with its newline */
#define WIRE_ID_MAX ((uint64_t)INT64_MAX)
#define WIRE_PAYLOAD_MAX ((size_t)1 << 30)
#define WIRE_KIND_MAX 64
#define WIRE_CONCURRENCY_MAX 1000
#define WIRE_FD_BYTES ((size_t)256 << 10) /* from here on a payload may go by descriptor */

enum wire_verb {
    WIRE_HELLO, /* from a worker */
    WIRE_PROGRESS,
    WIRE_LOG,
    WIRE_DONE,
    WIRE_FAIL,
    WIRE_FORKED,
    WIRE_SUSPEND,
    WIRE_CHECKPOINT, /* both ways */
    WIRE_RUN,        /* to a worker */
    WIRE_CANCEL,
    WIRE_FORK,
    WIRE_SAVED,
    WIRE_REFUSED,
    WIRE_YIELD,
    WIRE_RESULTS,
    WIRE_INIT,
    WIRE_CLOSE,
};
#define WIRE_VERB_COUNT 17

/* What a worker says of CANCEL. */
enum wire_cancel {
    WIRE_CANCEL_NONE, /* does not understand it */
    WIRE_CANCEL_HARD, /* understands it, and may be killed when it does not follow */
    WIRE_CANCEL_SOFT, /* likewise, and is not killed for it where it runs several tasks at once */
};

/* One header. What is absent is 0, false or NULL unless said. */
struct wire_head {
    enum wire_verb verb;
    uint64_t id; /* HELLO: the version */
    uint64_t bytes;
    bool fd;                 /* the payload comes by descriptor */
    enum wire_cancel cancel; /* HELLO */
    bool fork;               /* HELLO: is a template */
    bool memfd;              /* HELLO: takes and sends payloads by descriptor */
    bool checkpoint;         /* HELLO: takes and stores checkpoints */
    bool yield;              /* HELLO: understands YIELD */
    bool results;            /* HELLO: understands RESULTS */
    bool sessions;           /* HELLO: understands INIT */
    bool closes;             /* HELLO: understands CLOSE */
    bool token_wanted;       /* HELLO: its tasks submit others, so each RUN has a token */
    uint64_t concurrency;    /* HELLO: tasks at once */
    uint64_t ahead;          /* the built-ins' HELLO: tasks that it takes ahead (worker_ahead);
                              * their RUN: 1, it is one of these */
    double fraction;         /* PROGRESS: 0..1; < 0: absent */
    int retry;               /* FAIL: 0, 1; -1: absent */
    int64_t text;            /* FAIL: so many bytes of the payload are its text; -1: all */
    uint64_t attempt;        /* RUN; CHECKPOINT to a worker: that stored it */
    uint64_t for_ms;         /* SUSPEND */
    uint64_t timeout_ms;     /* RUN */
    uint64_t max_result;     /* RUN: bytes that a result may have */
    uint64_t pid;            /* FORKED */
    const char *kind;        /* FAIL: the program's own name for the error */
    const char *task;        /* RUN: the future's id */
    const char *handler;     /* RUN */
    const char *trace;       /* RUN: traceparent */
    const char *url;         /* RUN: where the daemon is */
    const char *token;       /* RUN: the attempt's, there */
    const char *session;     /* INIT, CLOSE; RUN of a session that has an init: its id */
    const char *type; /* INIT, RUN, DONE, CHECKPOINT: content type of the payload; FAIL: of the
                       * data behind its text */
};

#define WIRE_HEAD(v)                                                                               \
    {                                                                                              \
        .verb = (v), .fraction = -1, .retry = -1, .text = -1                                       \
    }

/* How many bytes of a FAIL are its text; what follows is the error's data. */
static inline size_t wire_text_bytes(const struct wire_head *fail)
{
    return (size_t)(fail->text < 0 ? fail->bytes : (uint64_t)fail->text);
}

/* Appends the line with its newline. FUT_ERR_INVAL (nothing appended): a value that no header can
 * hold (a space in a word, a control character, too long). */
FUT_MUST_CHECK int wire_put(struct buf *out, const struct wire_head *head);

/* line: n bytes without the newline, and a NUL behind them; it is cut into pieces, to which the
 * strings of out point. Unknown keys are left out. FUT_ERR_INVAL: not a header. */
FUT_MUST_CHECK int wire_parse(char *line, size_t n, struct wire_head *out);

/* The word that begins its lines; a literal. */
const char *wire_verb_name(enum wire_verb verb);

#endif
