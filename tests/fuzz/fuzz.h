/* fuzz: what the targets share. A target is one LLVMFuzzerTestOneInput: it gives the bytes to a
 * parser and asserts what must hold whatever they are (FUT_ASSERT aborts, which the fuzzer reports
 * with the input). Single-threaded; nothing blocks. */
#ifndef FUT_TESTS_FUZZ_FUZZ_H
#define FUT_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

struct problem;

/* Called by the fuzzer. 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A heap copy of the bytes and a NUL, of exactly that size, so that a read beyond is seen. The
 * caller frees it. */
char *fuzz_text(const uint8_t *data, size_t n);
/* A heap copy of exactly n bytes (1 when n is 0). The caller frees it. */
char *fuzz_bytes(const uint8_t *data, size_t n);
/* A refusal says something, and as JSON. */
void fuzz_check_problem(const struct problem *p);

#endif
