#include "daemon/tune/curve.h"

#include <stdio.h>

#define FLAT_GAIN 1.05
#define NEAR_BEST 0.9
#define MIB (1024.0 * 1024.0)

double tune_curve_rate(const struct tune_step *s)
{
    return s->seconds > 0 ? (double)s->tasks / s->seconds : 0;
}

static double gain(const struct tune_step *steps, size_t i)
{
    double before = tune_curve_rate(&steps[i - 1]);
    return before > 0 ? tune_curve_rate(&steps[i]) / before : 0;
}

bool tune_curve_is_flat(const struct tune_step *steps, size_t n)
{
    return n >= 3 && gain(steps, n - 1) < FLAT_GAIN && gain(steps, n - 2) < FLAT_GAIN;
}

static size_t best_of(const struct tune_step *steps, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        if (tune_curve_rate(&steps[i]) > tune_curve_rate(&steps[best]))
            best = i;
    }
    return best;
}

static size_t near_best(const struct tune_step *steps, size_t n)
{
    double enough = NEAR_BEST * tune_curve_rate(&steps[best_of(steps, n)]);
    size_t i = 0;
    while (tune_curve_rate(&steps[i]) < enough)
        i++;
    return i;
}

static bool fits(const struct tune_step *s, uint64_t memory_bytes)
{
    return !memory_bytes || !s->rss_bytes || (uint64_t)s->slots * s->rss_bytes <= memory_bytes;
}

static void say_curve(const struct tune_step *steps, size_t n, size_t i, char *out, size_t size)
{
    if (i + 1 == n && n > 1)
        (void)snprintf(out, size,
                       "the rate still grows from %u to %u (%.2f times): measure more with --max",
                       steps[i - 1].slots, steps[i].slots, gain(steps, i));
    else if (i + 1 < n)
        (void)snprintf(out, size, "the curve bends there: %u bring %.2f times the rate of %u",
                       steps[i + 1].slots, gain(steps, i + 1), steps[i].slots);
    else
        (void)snprintf(out, size, "it is all that was measured");
}

void tune_curve_advise(const struct tune_step *steps, size_t n, uint64_t memory_bytes,
                       struct tune_advice *out)
{
    size_t i = near_best(steps, n), wanted = i;
    while (i > 0 && !fits(&steps[i], memory_bytes))
        i--;
    out->slots = steps[i].slots;
    if (i == wanted)
        say_curve(steps, n, i, out->reason, sizeof(out->reason));
    else
        (void)snprintf(
            out->reason, sizeof(out->reason),
            "%u would be faster, but at %.0f MiB for each process they need more than the "
            "%.0f MiB that are free",
            steps[wanted].slots, (double)steps[wanted].rss_bytes / MIB, (double)memory_bytes / MIB);
}
