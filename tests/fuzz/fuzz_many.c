/* The bodies of POST /v1/wait (first byte odd) and POST /v1/as_completed. */
#include <stdlib.h>

#include "api/text/many_in.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct many_in *in)
{
    FUT_ASSERT(in->timeout_ms >= -1);
    FUT_ASSERT((unsigned)in->when <= FIRST_EXCEPTION);
    if (!in->ids) {
        FUT_ASSERT(in->batch.hi != 0);
        return;
    }
    FUT_ASSERT(many_in_count(in) <= MANY_IN_MAX);
    for (size_t i = 0; i < many_in_count(in); i++)
        FUT_ASSERT(many_in_id(in, i).hi != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct many_in in;
    struct problem p;
    if (n == 0)
        return 0;
    char *text = fuzz_bytes(data + 1, n - 1);
    if (many_in_read(text, n - 1, data[0] & 1, &in, &p) == 0) {
        check(&in);
        many_in_release(&in);
    } else {
        fuzz_check_problem(&p);
    }
    free(text);
    return 0;
}
