/* count_wire: the lines that the daemon and a worker exchange about one task, written and read
 * again, over and over, in one thread, for callgrind to count. Payloads are not touched by wire.
 *   count_wire --rounds 1000 */
#include <string.h>

#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"
#include "workers/wire/wire.h"

/* What came out is read into *out. */
static void there_and_back(struct buf *b, const struct wire_head *head, struct wire_head *out)
{
    b->len = 0;
    if (wire_put(b, head) != 0)
        fail("count_wire: it was not written");
    b->data[b->len - 1] = '\0';
    if (wire_parse(b->data, b->len - 1, out) != 0 || out->verb != head->verb ||
        out->id != head->id || out->bytes != head->bytes)
        fail("count_wire: it did not come through");
}

int main(int argc, char **argv)
{
    double rounds = 1000;
    struct buf b = BUF_INIT;
    struct wire_head run = WIRE_HEAD(WIRE_RUN), done = WIRE_HEAD(WIRE_DONE), out;
    const struct option_row rows[] = {{"rounds", NULL, &rounds, "how often"}};
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    run.bytes = done.bytes = 64;
    run.task = "01932b6e-7c1f-7000-8000-000000000001";
    run.attempt = 1;
    run.timeout_ms = 300000;
    run.max_result = 16777216;
    run.handler = "echo";
    run.type = done.type = "text/plain; charset=utf-8";
    for (unsigned i = 0; i < (unsigned)rounds; i++) {
        run.id = done.id = i;
        there_and_back(&b, &run, &out);
        there_and_back(&b, &done, &out);
    }
    buf_release(&b);
    return 0;
}
