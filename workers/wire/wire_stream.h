/* wire_stream: one end of a worker's channel: headers, payloads and passed descriptors in and out
 * of a unix stream socket. Both the daemon and the built-in worker use it; it blocks exactly as
 * the flags given to read and flush let the socket block. One owner at a time. */
#ifndef FUT_WORKERS_WIRE_WIRE_STREAM_H
#define FUT_WORKERS_WIRE_WIRE_STREAM_H

#include "workers/wire/wire.h"

#define WIRE_FDS_MAX 8  /* descriptors that came and were not asked for yet */
#define WIRE_PASS_MAX 3 /* descriptors that go with one header */

/* A payload that goes by descriptor, or a few descriptors that go with a header. */
struct wire_pass {
    size_t at; /* place in out of the byte that they go with */
    int fds[WIRE_PASS_MAX];
    size_t n;
};

struct wire_stream {
    int sock;           /* borrowed */
    size_t max_payload; /* bytes; a longer one is skipped */
    bool peer_takes_fds;

    struct buf in;
    size_t at;         /* the first byte of in that was not taken */
    size_t to_release; /* bytes of the payload that next has handed out */
    uint64_t skip;     /* bytes of a payload that nobody wants */
    bool filled;       /* the last read filled its buffer or brought a descriptor: more may come */
    bool has_head;
    char line[WIRE_LINE_MAX + 1]; /* the strings of head are here */
    struct wire_head head;
    int fds[WIRE_FDS_MAX];
    size_t n_fds;
    void *map; /* of the payload that next has handed out */
    size_t map_len;
    struct buf copy; /* instead of map, where mapping is not safe */

    struct buf out;
    size_t sent;
    struct wire_pass *passes;
    size_t n_passes;
    uint64_t bytes_copied; /* through the socket, both ways; for measurements */
};

struct wire_message {
    struct wire_head head;        /* strings: valid until the next wire_stream_next */
    const unsigned char *payload; /* head.bytes of them, likewise; NULL when too_long */
    bool too_long;                /* over max_payload: was left out */
};

/* s is the caller's memory; sock stays the caller's. */
void wire_stream_init(struct wire_stream *s, int sock, size_t max_payload);
/* Frees the buffers and closes descriptors that were on their way. */
void wire_stream_release(struct wire_stream *s);

/* One recvmsg. 0: something came. FUT_ERR_AGAIN, FUT_ERR_CLOSED (end of stream), FUT_ERR_IO (also
 * for more descriptors than anyone needs). */
FUT_MUST_CHECK int wire_stream_read(struct wire_stream *s, int flags);
/* The next message of what was read. FUT_ERR_AGAIN: read more. FUT_ERR_INVAL: the other side does
 * not keep to the protocol. */
FUT_MUST_CHECK int wire_stream_next(struct wire_stream *s, struct wire_message *out);
/* The first descriptor that came and was not taken, the caller's from now on; -1: there is none. */
int wire_stream_take_fd(struct wire_stream *s);
/* Nothing is left of what was read. */
bool wire_stream_is_clean(const struct wire_stream *s);

/* Adds a message; head->bytes says how long payload is. A long one goes by descriptor when the
 * other side takes them. FUT_ERR_INVAL as wire_put, FUT_ERR_TOO_BIG: over WIRE_PAYLOAD_MAX. */
FUT_MUST_CHECK int wire_stream_put(struct wire_stream *s, const struct wire_head *head,
                                   const void *payload);
/* How much is to be sent, for wire_stream_back, which takes back what was put since; nothing of it
 * may have been sent. */
struct wire_mark {
    size_t len, n_passes;
};
struct wire_mark wire_stream_mark(const struct wire_stream *s);
void wire_stream_back(struct wire_stream *s, struct wire_mark to);
/* A message without payload that n descriptors go with; they are s's from now on. */
FUT_MUST_CHECK int wire_stream_put_fds(struct wire_stream *s, const struct wire_head *head,
                                       const int *fds, size_t n);
/* Sends what it can. 0: all of it. FUT_ERR_AGAIN, FUT_ERR_IO. */
FUT_MUST_CHECK int wire_stream_flush(struct wire_stream *s, int flags);

#endif
