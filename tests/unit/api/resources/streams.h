/* streams: a client for batches and for answers without a length, beside fixture.h. Streams are
 * asked for in HTTP/1.0, so that their bytes come without chunks and end with the connection. */
#ifndef FUT_TESTS_UNIT_API_RESOURCES_STREAMS_H
#define FUT_TESTS_UNIT_API_RESOURCES_STREAMS_H

#include "core/id.h"
#include "tests/support/text.h"
#include "tests/unit/api/fixture.h"

#define MADE_MAX 1000

struct made {
    char batch[ID_TEXT_SIZE];
    char ids[MADE_MAX][ID_TEXT_SIZE];
    size_t n;
};

/* Reads what the answer to a submission says, and frees it. */
void made_read(struct made *m, struct reply r);

/* Submits a batch in JSON. */
void make_batch(const struct fixture *f, const char *json, struct made *out);

/* {"handler":…,"inputs":[0,1,…]} */
void make_many(const struct fixture *f, const char *handler, int n, struct made *out);

/* Cancels one future. */
void cancel_one(const struct fixture *f, const char *id);

/* A body with all ids, and more members behind them ("" or ",\"timeout\":1"). */
void write_ids(struct buf *out, const struct made *m, const char *more);

/* Asks for a stream; body NULL: without one. The socket; close() it. */
int stream_open(const struct fixture *f, const char *line, const char *headers, const char *body);

/* Asks for /v1/batches/ID/what. */
int stream_batch(const struct fixture *f, const struct made *m, const char *what,
                 const char *headers);

/* Reads until text has come; NULL: to the end. False: it ended before. */
bool stream_until(int fd, struct buf *b, const char *text);

/* Reads to the end, closes. */
void stream_rest(int fd, struct buf *b);

#endif
