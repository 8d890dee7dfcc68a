/* A cursor that is taken is the one that would be given; each key survives its text. */
#include <stdlib.h>
#include <string.h>

#include "api/text/cursor.h"
#include "core/err.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint64_t key = 0, before = 0;
    char again[CURSOR_TEXT_SIZE];
    char *text = fuzz_text(data, n);
    if (cursor_parse(text, &before)) {
        cursor_format(before, again);
        FUT_ASSERT(strcmp(again, text) == 0);
    }
    free(text);
    memcpy(&key, data, n < sizeof(key) ? n : sizeof(key));
    if (key) {
        cursor_format(key, again);
        FUT_MUST(cursor_parse(again, &before) && before == key);
        again[key % 16] ^= 1; /* a mistyped one is refused, or was another's text */
        FUT_ASSERT(!cursor_parse(again, &before) || before != key);
    }
    return 0;
}
