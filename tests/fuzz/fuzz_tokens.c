/* The file of tokens, and the Authorization header (the first line) against it. */
#include <stdlib.h>
#include <string.h>

#include "api/http/auth.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct auth *a = NULL;
    struct fut_errbuf err = {""};
    char principal[AUTH_PRINCIPAL_SIZE] = "";
    unsigned scopes = 0;
    const uint8_t *line = n ? memchr(data, '\n', n) : NULL;
    size_t head = line ? (size_t)(line - data) + 1 : 0;
    char *header = fuzz_text(data, head ? head - 1 : 0), *text = fuzz_bytes(data + head, n - head);
    int rc = auth_parse(text, n - head, "tokens", &a, &err);
    FUT_ASSERT(rc == 0 ? a && !err.text[0] : !a && err.text[0]);
    if (rc == 0 && auth_check(a, header, AUTH_SUBMIT, principal, &scopes) == 0)
        FUT_ASSERT(strlen(principal) == AUTH_PRINCIPAL_SIZE - 1);
    auth_free(&a);
    free(header);
    free(text);
    return 0;
}
