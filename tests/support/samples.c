#include "tests/support/samples.h"

#include <stdlib.h>

#include "core/mem.h"

#define LONGEST_US 3600000000LL

void samples_release(struct samples *s)
{
    free(s->us);
    *s = (struct samples){0};
}

void samples_add(struct samples *s, int64_t us)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 1024;
        s->us = xrealloc(s->us, s->cap * sizeof(*s->us));
    }
    if (us > LONGEST_US)
        us = LONGEST_US;
    s->us[s->n++] = us > 0 ? (uint32_t)us : 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double samples_ms(struct samples *s, double share)
{
    if (!s->n)
        return 0;
    qsort(s->us, s->n, sizeof(*s->us), compare);
    size_t at = (size_t)(share * (double)s->n);
    return s->us[at < s->n ? at : s->n - 1] / 1000.0;
}
