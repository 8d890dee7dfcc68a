/* tune_curve: from measured steps to a recommended number of slots, and why. Pure. */
#ifndef FUT_DAEMON_TUNE_CURVE_H
#define FUT_DAEMON_TUNE_CURVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNE_STEPS_MAX 16
#define TUNE_REASON_SIZE 320

struct tune_step {
    uint32_t slots;
    uint64_t tasks; /* that ended in the time */
    double seconds;
    uint64_t rss_bytes; /* of one process, the largest seen; 0: not known */
};

struct tune_advice {
    uint32_t slots;
    char reason[TUNE_REASON_SIZE];
};

/* Tasks per second of the step. */
double tune_curve_rate(const struct tune_step *s);
/* More slots will bring nothing: the last two doublings gained less than a twentieth each. */
bool tune_curve_is_flat(const struct tune_step *steps, size_t n);
/* The fewest slots that come within a tenth of the best rate, as far as memory lasts. n >= 1;
 * memory_bytes: what may be used for all processes together, 0: not known. */
void tune_curve_advise(const struct tune_step *steps, size_t n, uint64_t memory_bytes,
                       struct tune_advice *out);

#endif
