/* What a program writes of its progress: pieces say what the whole says. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "tests/fuzz/fuzz.h"
#include "workers/exec/progress_lines.h"

static bool feed(struct progress_lines *p, const char *text, size_t n, size_t piece)
{
    bool good = false;
    for (size_t at = 0; at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        good |= progress_lines_feed(p, text + at, len);
    }
    good |= progress_lines_end(p);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct progress_lines *whole = xnew(struct progress_lines),
                          *parts = xnew(struct progress_lines);
    char *text = fuzz_bytes(data + 1, n - 1);
    bool good = feed(whole, text, n - 1, n);
    FUT_MUST(feed(parts, text, n - 1, (size_t)data[0] % 64 + 1) == good);
    FUT_ASSERT(whole->bad == parts->bad && strcmp(whole->message, parts->message) == 0);
    FUT_ASSERT(whole->fraction >= 0 && whole->fraction <= 1);
    FUT_ASSERT(whole->fraction >= parts->fraction && whole->fraction <= parts->fraction);
    free(text);
    free(whole);
    free(parts);
    return 0;
}
