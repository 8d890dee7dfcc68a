/* sleep: {"seconds": N} or {"ms": N}; ends at once when it is cancelled. */
#include <stdio.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/builtins/json_input.h"

#define MAX_MS 86400000.0
#define REPORT_MS 500 /* the shortest step between two reports; shorter sleeps make none */

static const char *const fields[] = {"seconds", "ms", NULL};

static bool read_ms(struct run *run, json_t *root, int64_t *out_ms)
{
    json_t *seconds = json_object_get(root, "seconds"), *ms = json_object_get(root, "ms");
    if (!seconds == !ms) {
        run_fail(run, end_code_text(END_BAD_INPUT),
                 "the input must have exactly one of \"seconds\" and \"ms\"");
        return false;
    }
    json_t *given = seconds ? seconds : ms;
    double value = json_number_value(given) * (seconds ? 1000.0 : 1.0);
    if (!json_is_number(given) || !(value >= 0 && value <= MAX_MS)) {
        json_input_bad(run, seconds ? "seconds" : "ms", given,
                       seconds ? "a number from 0 to 86400" : "a number from 0 to 86400000");
        return false;
    }
    *out_ms = (int64_t)value;
    return true;
}

/* In steps, each with a word on how far it is. False when cancelled. */
static bool sleep_for(struct run *run, int64_t ms)
{
    int64_t step_ms = ms / 100 > REPORT_MS ? ms / 100 : REPORT_MS;
    int64_t from_ms = clock_mono_ms(), slept_ms = 0;
    while (ms - slept_ms > step_ms) {
        char text[64];
        if (!run_wait_ms(run, step_ms))
            return false;
        slept_ms = clock_mono_ms() - from_ms;
        (void)snprintf(text, sizeof(text), "%.1f of %.1f s", (double)slept_ms / 1000.0,
                       (double)ms / 1000.0);
        run_progress(run, (double)slept_ms / (double)ms, text);
    }
    return slept_ms >= ms ? !run_is_cancelled(run) : run_wait_ms(run, ms - slept_ms);
}

void sleep_run(struct run *run)
{
    json_t *root = json_input_read(run, fields);
    int64_t ms;
    if (root && read_ms(run, root, &ms)) {
        int64_t from_ms = clock_mono_ms();
        if (sleep_for(run, ms))
            json_input_succeed(
                run, json_pack("{s:I}", "slept_ms", (json_int_t)(clock_mono_ms() - from_ms)));
        else
            run_fail_cancelled(run);
    }
    json_decref(root);
}
