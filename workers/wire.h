/* wire: the frames between the scheduler and a worker process: pure encode and decode.
 *
 *   u32 length of the rest · u8 type · fields (little-endian)
 *   string: u16 length, bytes, NUL      bytes: u32 length, bytes
 *   HELLO  u32 magic, u16 version
 *   RUN    u64 seq, u64 max_result, string handler, string input_type, bytes input
 *   RESULT u64 seq, u8 class, string type, string code, string message, bytes body
 *   PROGRESS u64 seq, f64 fraction (its IEEE 754 bits), string message ("": none)
 *   LOG    u64 seq, bytes log
 *
 * Decoding trusts nothing: any byte string gives a frame, "more", or an error. Any thread. */
#ifndef FUT_WORKERS_WIRE_H
#define FUT_WORKERS_WIRE_H

#include <stdint.h>

#include "core/buf.h"
#include "workers/run.h"

#define WIRE_VERSION 2
#define WIRE_HEAD_BYTES 4
#define WIRE_STRING_MAX 4096
/* What a frame needs beside its input or body, at most. */
#define WIRE_SLACK_BYTES ((size_t)4 * WIRE_STRING_MAX)
#define WIRE_FRAME_MAX ((size_t)1 << 30)

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_RUN = 2,
    WIRE_RESULT = 3,
    WIRE_PROGRESS = 4, /* while the task runs */
    WIRE_LOG = 5,
};

struct wire_hello {
    uint16_t version;
};

struct wire_run {
    uint64_t seq;
    uint64_t max_result_bytes;
    const char *handler, *input_type;
    const unsigned char *input;
    size_t input_len;
};

struct wire_result {
    uint64_t seq;
    enum run_class class;
    const char *type;           /* "" unless it succeeded */
    const char *code, *message; /* "" when it succeeded */
    const unsigned char *body;
    size_t body_len;
};

struct wire_progress {
    uint64_t seq;
    double fraction; /* 0..1 */
    const char *message;
};

struct wire_log {
    uint64_t seq;
    const unsigned char *bytes;
    size_t len;
};

struct wire_frame {
    enum wire_type type;
    union {
        struct wire_hello hello;
        struct wire_run run;
        struct wire_result result;
        struct wire_progress progress;
        struct wire_log log;
    } as; /* strings and bytes point into what was decoded */
};

/* Append one frame. FUT_ERR_TOO_BIG (nothing appended): over WIRE_FRAME_MAX or WIRE_STRING_MAX. */
void wire_put_hello(struct buf *out);
FUT_MUST_CHECK int wire_put_run(struct buf *out, const struct wire_run *run);
FUT_MUST_CHECK int wire_put_result(struct buf *out, const struct wire_result *result);
FUT_MUST_CHECK int wire_put_progress(struct buf *out, const struct wire_progress *progress);
FUT_MUST_CHECK int wire_put_log(struct buf *out, const struct wire_log *log);

/* Reads the first frame of data. 0 (out and used set), FUT_ERR_AGAIN (not all there yet),
 * FUT_ERR_TOO_BIG (longer than max_frame), FUT_ERR_INVAL (not a frame). */
FUT_MUST_CHECK int wire_decode(const void *data, size_t len, size_t max_frame,
                               struct wire_frame *out, size_t *used);

#endif
