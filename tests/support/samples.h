/* samples: durations collected one by one, and what they say together. Not thread-safe. */
#ifndef FUT_TESTS_SUPPORT_SAMPLES_H
#define FUT_TESTS_SUPPORT_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *us;
    size_t n, cap;
};

/* Frees the samples. */
void samples_release(struct samples *s);
/* Longer than an hour counts as an hour. */
void samples_add(struct samples *s, int64_t us);
/* Milliseconds below which `share` (0..1) of them lie; 1 is the longest; 0 when there are none.
 * Sorts. */
double samples_ms(struct samples *s, double share);

#endif
