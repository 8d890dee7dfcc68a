/* json_check and jansson agree on what JSON is, but for what the header of json_check says. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "tests/fuzz/fuzz.h"
#include "workers/base/json_check.h"

#define FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

/* How deep the brackets go, whether they match or not. */
static size_t depth_of(const char *text, size_t n)
{
    size_t depth = 0, deepest = 0;
    for (size_t i = 0; i < n; i++) {
        depth += text[i] == '[' || text[i] == '{';
        depth -= depth && (text[i] == ']' || text[i] == '}');
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/* An escaped half of a pair, which may be alone: RFC 8259 lets it pass and warns of it. */
static bool has_surrogate(const char *text, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i++) {
        if (text[i] == '\\' && text[i + 1] == 'u' && (text[i + 2] | 32) == 'd' &&
            strchr("89abcdefABCDEF", text[i + 3]))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_error_t why = {0};
    char *text = fuzz_bytes(data, n);
    bool ok = json_check(text, n);
    json_t *root = json_loadb(text, n, FLAGS, &why);
    enum json_error_code code = json_error_code(&why);
    if (root && !ok && !memchr(text, 0, n)) /* jansson swallows some NULs */
        FUT_ASSERT(depth_of(text, n) > JSON_CHECK_DEPTH);
    if (ok && !root) /* the grammar allows what jansson cannot hold */
        FUT_ASSERT(code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
                   has_surrogate(text, n));
    json_decref(root);
    free(text);
    return 0;
}
