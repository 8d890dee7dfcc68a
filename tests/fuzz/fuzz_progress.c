/* What a program writes of its progress: pieces say what the whole says. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "tests/fuzz/fuzz.h"
#include "workers/exec/progress_lines.h"

static enum progress_word feed(struct progress_lines *p, const char *text, size_t n, size_t piece)
{
    enum progress_word good = PROGRESS_NOTHING; /* the last one */
    for (size_t at = 0; at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;
        const char *rest = text + at;
        for (enum progress_word said;
             (said = progress_lines_next(p, &rest, &len)) != PROGRESS_NOTHING;)
            good = said;
    }
    enum progress_word last = progress_lines_end(p);
    return last != PROGRESS_NOTHING ? last : good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct progress_lines *whole = xnew(struct progress_lines),
                          *parts = xnew(struct progress_lines);
    char *text = fuzz_bytes(data + 1, n - 1);
    whole->takes_checkpoints = parts->takes_checkpoints = data[0] >= 128;
    enum progress_word good = feed(whole, text, n - 1, n);
    FUT_MUST(feed(parts, text, n - 1, (size_t)data[0] % 64 + 1) == good);
    FUT_ASSERT(whole->bad == parts->bad && strcmp(whole->message, parts->message) == 0);
    FUT_ASSERT(whole->fraction >= 0 && whole->fraction <= 1);
    FUT_ASSERT(whole->fraction >= parts->fraction && whole->fraction <= parts->fraction);
    FUT_ASSERT(whole->suspend_ms == parts->suspend_ms && whole->suspend_ms >= 0);
    FUT_ASSERT(whole->checkpoint_len == parts->checkpoint_len);
    progress_lines_release(whole);
    progress_lines_release(parts);
    free(text);
    free(whole);
    free(parts);
    return 0;
}
