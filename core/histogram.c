#include "core/histogram.h"

#define MS 1000LL
#define S (1000 * MS)

static const int64_t bounds_us[HISTOGRAM_BOUNDS] = {
    100,      250,      500,   1 * MS,    2500,  5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS,
    250 * MS, 500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S, 30 * S,  60 * S,  600 * S, 3600 * S,
};

int64_t histogram_bound_us(size_t i)
{
    return bounds_us[i];
}

/* The first bucket whose bound is not below the value. */
static size_t bucket_of(int64_t us)
{
    size_t low = 0, high = HISTOGRAM_BOUNDS;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bounds_us[middle] < us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void histogram_observe(struct histogram *h, int64_t us)
{
    if (us < 0)
        us = 0;
    atomic_fetch_add_explicit(&h->counts[bucket_of(us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, (unsigned long long)us, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *h, size_t i)
{
    return atomic_load_explicit(&h->counts[i], memory_order_relaxed);
}

uint64_t histogram_sum_us(const struct histogram *h)
{
    return atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}
