/* count_wire: what the daemon and a worker say about one task of 64 bytes, put into frames and read
 * again, over and over, in one thread, for callgrind to count.
 *   count_wire --rounds 1000 */
#include <string.h>

#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "workers/wire.h"

static const unsigned char payload[64] = {'x'};

static void there(struct buf *b, uint64_t seq)
{
    struct wire_run run = {.seq = seq,
                           .max_result_bytes = 1 << 20,
                           .handler = "echo",
                           .input_type = "text/plain; charset=utf-8",
                           .input = payload,
                           .input_len = sizeof(payload)};
    struct wire_frame frame;
    size_t used;
    b->len = 0;
    if (wire_put_run(b, &run) != 0 || wire_decode(b->data, b->len, 1 << 20, &frame, &used) != 0 ||
        frame.type != WIRE_RUN || frame.as.run.input_len != sizeof(payload))
        fail("count_wire: the run did not come through");
}

static void back(struct buf *b, uint64_t seq)
{
    struct wire_result result = {.seq = seq,
                                 .class = RUN_SUCCESS,
                                 .type = "text/plain; charset=utf-8",
                                 .code = "",
                                 .message = "",
                                 .body = payload,
                                 .body_len = sizeof(payload)};
    struct wire_frame frame;
    size_t used;
    b->len = 0;
    if (wire_put_result(b, &result) != 0 ||
        wire_decode(b->data, b->len, 1 << 20, &frame, &used) != 0 || frame.type != WIRE_RESULT ||
        frame.as.result.body_len != sizeof(payload))
        fail("count_wire: the result did not come through");
}

int main(int argc, char **argv)
{
    double rounds = 1000;
    struct buf b = BUF_INIT;
    const struct option_row rows[] = {{"rounds", NULL, &rounds, "how often"}};
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    for (unsigned i = 0; i < (unsigned)rounds; i++) {
        there(&b, i);
        back(&b, i);
    }
    buf_release(&b);
    return 0;
}
