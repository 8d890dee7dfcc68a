#include "api/resources/settings.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "api/resources/waiting_for.h"
#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"

#define MAX_RUNNING 1000000
#define RATE_TASKS_MAX 1e6
#define RATE_PER_MAX_S 86400.0

/* ---- max_running and rate -------------------------------------------------------------------- */

int settings_set_max(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct settings_limit *a = to;
    double n = json_number_value(v);
    a->has_max = true;
    a->is.max_running = 0;
    if (json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return json_in_wrong_type(f, v, p);
    if (!(n >= 1 && n <= MAX_RUNNING) || n != floor(n)) {
        p->limit = MAX_RUNNING;
        return json_in_bad_number(f, n, p);
    }
    a->is.max_running = (uint32_t)n;
    return 0;
}

static int set_tasks(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct store_limit *l = to;
    l->rate_tasks = json_number_value(v);
    return l->rate_tasks > 0 && l->rate_tasks <= RATE_TASKS_MAX
               ? 0
               : json_in_bad_number(f, l->rate_tasks, p);
}

static int set_per(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct store_limit *l = to;
    double seconds = json_number_value(v);
    if (!(seconds >= 0.001 && seconds <= RATE_PER_MAX_S))
        return json_in_bad_number(f, seconds, p);
    l->rate_per_ms = number_ms(seconds);
    return 0;
}

static int set_burst(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    struct store_limit *l = to;
    l->rate_burst = json_number_value(v);
    return l->rate_burst >= 1 && l->rate_burst <= RATE_TASKS_MAX
               ? 0
               : json_in_bad_number(f, l->rate_burst, p);
}

static const struct json_in_field rate_members[] = {
    {"rate.tasks", "a number above 0, at most 1000000", JSON_IN_NUMBER, false, 0, set_tasks},
    {"rate.per", "a number of seconds from 0.001 to 86400", JSON_IN_NUMBER, false, 0, set_per},
    {"rate.burst", "a number from 1 to 1000000", JSON_IN_NUMBER, true, 0, set_burst},
};

int settings_set_rate(void *to, const struct json_in_field *f, const json_t *v, struct problem *p)
{
    static const struct json_in_object object = {"a rate", "rate.", rate_members,
                                                 FUT_COUNT(rate_members), 0};
    struct settings_limit *a = to;
    struct store_limit rate = {.rate_per_ms = 0, .rate_burst = 1};
    a->has_rate = true;
    a->is.rate_tasks = 0;
    a->is.rate_burst = 1;
    a->is.rate_per_ms = 1000;
    if (json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return json_in_wrong_type(f, v, p);
    if (json_in_read(&object, v, &rate, p) != 0)
        return FUT_ERR_INVAL;
    if (rate.rate_tasks <= 0 || rate.rate_per_ms <= 0) {
        const char *field = rate.rate_tasks <= 0 ? "rate.tasks" : "rate.per";
        problem_set(p, PROBLEM_MISSING_FIELD, "A rate must have \"tasks\" and \"per\" (seconds).");
        problem_set_field(p, field);
        return FUT_ERR_INVAL;
    }
    a->is.rate_tasks = rate.rate_tasks;
    a->is.rate_per_ms = rate.rate_per_ms;
    a->is.rate_burst = rate.rate_burst;
    return 0;
}

static void write_rate(struct buf *out, const struct store_limit *l)
{
    json_out_key(out, "rate");
    if (l->rate_tasks <= 0) {
        buf_puts(out, "null");
        return;
    }
    buf_printf(out, "{\"tasks\":%.15g,\"per\":%.15g,\"burst\":%.15g}", l->rate_tasks,
               (double)l->rate_per_ms / 1000, l->rate_burst);
}

void settings_write_limit(struct buf *out, const struct store_limit *l)
{
    json_out_key(out, "max_running");
    if (l->max_running)
        buf_printf(out, "%u", l->max_running);
    else
        buf_puts(out, "null");
    write_rate(out, l);
}

/* ---- paused ---------------------------------------------------------------------------------- */

void settings_read_paused(struct settings_pause *to, const json_t *v)
{
    to->is_said = true;
    to->is_paused = json_is_true(v);
}

int settings_read_reason(struct settings_pause *to, const struct json_in_field *f, const json_t *v,
                         struct problem *p)
{
    if (json_string_length(v) >= POOL_REASON_SIZE) {
        (void)json_in_bad_value(f, "this text", p);
        p->limit = POOL_REASON_SIZE - 1;
        return FUT_ERR_INVAL;
    }
    memcpy(to->is.reason, json_string_value(v), json_string_length(v));
    to->has_reason = true;
    return 0;
}

int settings_finish_pause(const struct request *r, struct settings_pause *pause, struct problem *p)
{
    if (pause->has_reason && !pause->is_paused) {
        problem_set(p, PROBLEM_INVALID_VALUE,
                    "\"reason\" is for a pause: it goes with \"paused\": true.");
        problem_set_field(p, "reason");
        return FUT_ERR_INVAL;
    }
    if (pause->is_paused) {
        pause->is.since_wall_ms = clock_wall_ms();
        request_write_client(r, pause->is.by, sizeof(pause->is.by));
    }
    return 0;
}

void settings_write_pause(struct buf *out, const struct pool_pause *p)
{
    json_out_bool(out, "paused", p->since_wall_ms != 0);
    if (p->since_wall_ms)
        waiting_for_write_pause(out, p);
}
