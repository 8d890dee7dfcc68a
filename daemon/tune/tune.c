#include "daemon/tune/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/number.h"
#include "core/pool_view.h"
#include "daemon/cpus.h"
#include "daemon/tune/run.h"
#include "workers/base/json_check.h"

#define MIB (1024.0 * 1024.0)
#define IO_MAX 64
#define INPUT_MAX_BYTES ((size_t)1 << 30)

static const char usage[] =
    "usage: futured tune HANDLER --input FILE [--lane io|cpu] [--seconds N] [--max N]\n"
    "\n"
    "Runs tasks of the handler, each with the file as its input, at 1, 2, 4 ... slots (to --max: "
    "4\n"
    "times the CPUs on the cpu lane, 64 on the io lane), --seconds (3) each, in this process and\n"
    "without a database; prints what came of it and a line for the environment file.\n";

struct asked {
    const char *handler, *input, *lane, *seconds, *max;
};

static int complain(int code, const char *what, const char *name)
{
    (void)fprintf(stderr, "futured: %s%s\n", what, name);
    return code;
}

/* ---- what is asked for ------------------------------------------------------------------------
 */

static int read_args(char **args, struct asked *a)
{
    const struct {
        const char *name, **value;
    } options[] = {{"--input", &a->input},
                   {"--lane", &a->lane},
                   {"--seconds", &a->seconds},
                   {"--max", &a->max}};
    for (; *args; args++) {
        size_t i = 0;
        while (i < FUT_COUNT(options) && strcmp(options[i].name, *args) != 0)
            i++;
        if (i < FUT_COUNT(options) && args[1])
            *options[i].value = *++args;
        else if (**args != '-' && !a->handler)
            a->handler = *args;
        else
            return EX_USAGE;
    }
    return a->handler && a->input ? 0 : EX_USAGE;
}

/* False: it is not a number from min to max. */
static bool read_number(const char *text, double preset, double min, double max, double *out)
{
    *out = preset;
    return (!text || number_parse(text, out)) && *out >= min && *out <= max;
}

static int choose_lane(const struct asked *a, const struct handler_info *h, enum lane *out)
{
    *out = h->lane;
    if (!a->lane)
        return 0;
    if (!lane_parse(a->lane, out))
        return complain(EX_USAGE, "--lane is io or cpu, not ", a->lane);
    return *out == h->lane || h->any_lane ? 0 : complain(EX_USAGE, "it does not run on ", a->lane);
}

/* ---- what is shown ----------------------------------------------------------------------------
 */

static void print_step(const struct tune_step *steps, size_t i)
{
    double rate = tune_curve_rate(&steps[i]);
    char gain[16] = "-", memory[24] = "-";
    if (i)
        (void)snprintf(gain, sizeof(gain), "%.2fx", rate / tune_curve_rate(&steps[i - 1]));
    if (steps[i].rss_bytes)
        (void)snprintf(memory, sizeof(memory), "%.1f", (double)steps[i].rss_bytes / MIB);
    (void)printf("%8" PRIu32 " %12.2f %10s %14s\n", steps[i].slots, rate, gain, memory);
    (void)fflush(stdout);
}

/* What is free now and may be used: four fifths of it. */
static uint64_t spare_memory(void)
{
    static const char key[] = "\nMemAvailable:";
    char text[4096];
    const char *at =
        file_read_text("/proc/meminfo", text, sizeof(text)) > 0 ? strstr(text, key) : NULL;
    return at ? strtoull(at + sizeof(key) - 1, NULL, 10) * 1024 / 5 * 4 : 0;
}

static void print_advice(const struct tune_step *steps, size_t n, const struct tune_task *task)
{
    struct tune_advice advice;
    const char *name = task->lane == LANE_IO ? "MAX_THREADS" : "MAX_WORKERS";
    tune_curve_advise(steps, n, spare_memory(), &advice);
    (void)printf("\n# %s on %" PRId64 " CPUs: %s\n%s=%" PRIu32 "\n", task->handler->info.name,
                 cpus_usable(), advice.reason, name, advice.slots);
}

/* ---- the steps --------------------------------------------------------------------------------
 */

static int climb(struct tune_run *run, const struct tune_task *task, double seconds, uint32_t max)
{
    struct tune_step steps[TUNE_STEPS_MAX];
    struct fut_errbuf err = {""};
    size_t n = 0;
    (void)printf("%8s %12s %10s %14s\n", task->lane == LANE_IO ? "threads" : "workers", "tasks/s",
                 "gain", "MiB for each");
    for (uint32_t slots = 1; slots <= max && n < TUNE_STEPS_MAX; slots *= 2) {
        if (isatty(STDERR_FILENO)) /* on one line that goes again */
            (void)fprintf(stderr, "\r%" PRIu32 " at once ...\r", slots);
        if (tune_run_step(run, slots, seconds, &steps[n], &err) != 0)
            return complain(EXIT_FAILURE, err.text, "");
        print_step(steps, n++);
        if (tune_curve_is_flat(steps, n))
            break;
    }
    print_advice(steps, n, task);
    return EXIT_SUCCESS;
}

static int run(const struct config *cfg, const struct handlers *handlers, const struct asked *a,
               struct tune_task *task)
{
    double seconds, max, most = task->lane == LANE_IO ? IO_MAX : 4 * (double)cpus_usable();
    struct tune_run *t = NULL;
    struct fut_errbuf err = {""};
    if (!read_number(a->seconds, 3, 0.01, 3600, &seconds))
        return complain(EX_USAGE, "--seconds is a number from 0.01 to 3600", "");
    if (!read_number(a->max, most, 1, pool_lane_max(task->lane), &max))
        return complain(EX_USAGE, "--max is a number of slots, up to what the lane can have", "");
    if (tune_run_open(cfg, handlers, task, &t, &err) != 0)
        return complain(EXIT_FAILURE, err.text, "");
    int code = climb(t, task, seconds, (uint32_t)max);
    tune_run_close(&t);
    return code;
}

static int with_input(const struct config *cfg, const struct handlers *handlers,
                      const struct asked *a, const struct handler *h)
{
    struct buf input = BUF_INIT;
    struct fut_errbuf err = {""};
    struct tune_task task = {.handler = h};
    int code = choose_lane(a, &h->info, &task.lane);
    if (code == 0)
        code = file_read(a->input, INPUT_MAX_BYTES, &input, &err) == 0
                   ? 0
                   : complain(EXIT_FAILURE, err.text, "");
    if (code == 0) {
        task.input = (const unsigned char *)(input.len ? input.data : "");
        task.input_len = input.len;
        task.input_type =
            input.len && json_check(input.data, input.len) ? CONTENT_JSON : CONTENT_BYTES;
        code = run(cfg, handlers, a, &task);
    }
    buf_release(&input);
    return code;
}

int tune_help(void)
{
    (void)fputs(usage, stdout);
    return EXIT_SUCCESS;
}

int tune_command(const struct config *cfg, char **args)
{
    struct asked a = {0};
    struct handlers *handlers = NULL;
    struct fut_errbuf err = {""};
    if (read_args(args, &a) != 0) {
        (void)fputs(usage, stderr);
        return EX_USAGE;
    }
    log_set_level(LOG_LEVEL_WARN);
    if (handlers_load(*cfg->handlers ? cfg->handlers : NULL, &handlers, &err) != 0)
        return complain(EX_CONFIG, err.text, "");
    const struct handler *h = handlers_find(handlers, a.handler);
    int code = h && !h->info.is_internal ? with_input(cfg, handlers, &a, h)
                                         : complain(EX_USAGE, "no handler is called ", a.handler);
    handlers_free(&handlers);
    return code;
}
