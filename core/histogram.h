/* histogram: how long something took, counted by fixed upper bounds, for metrics. Observing and
 * reading are a few relaxed atomic operations: any thread; nothing blocks. A reader may see one
 * value in its bucket and not yet in the sum. */
#ifndef FUT_CORE_HISTOGRAM_H
#define FUT_CORE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 20

struct histogram {                              /* begins as zeros */
    atomic_ullong counts[HISTOGRAM_BOUNDS + 1]; /* by bucket; the last one has no upper bound */
    atomic_ullong sum_us;
};

/* The upper bound of a bucket in µs, itself included; i < HISTOGRAM_BOUNDS. From 100 µs to an
 * hour. */
int64_t histogram_bound_us(size_t i);
/* Counts one value; a negative one (a clock that was set back) counts as 0. */
void histogram_observe(struct histogram *h, int64_t us);
/* The values in one bucket, which are above the bound before it; i <= HISTOGRAM_BOUNDS. */
uint64_t histogram_count(const struct histogram *h, size_t i);
/* The sum of all values in µs. */
uint64_t histogram_sum_us(const struct histogram *h);

#endif
