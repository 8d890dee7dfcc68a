#include "core/task_filter.h"

#include <stddef.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/number.h"

#define MEMBER_TEXT_MAX 128
#define AGE_MAX_MS (INT64_C(100) * 366 * 86400000)
#define CLOCK_SLACK_MS 1000 /* between the time in an id and the time of submission beside it */

const struct task_filter task_filter_all = {.lane = -1};

/* ---- members --------------------------------------------------------------------------------- */

struct member {
    const char *name, *allowed;
    bool (*set)(struct task_filter *f, const struct member *m, const char *text);
    /* Writes nothing when the filter does not say it. */
    void (*write)(struct buf *out, const struct task_filter *f, const struct member *m);
    size_t at;                       /* of its field in struct task_filter */
    bool (*is_ok)(const char *text); /* a name that fits the field */
};

static bool set_states(struct task_filter *f, const struct member *m, const char *text)
{
    (void)m;
    unsigned mask = 0;
    char name[16];
    for (;;) {
        size_t n = strcspn(text, ",");
        enum task_state s;
        if (n >= sizeof(name))
            return false;
        memcpy(name, text, n);
        name[n] = '\0';
        if (!task_state_parse(name, &s))
            return false;
        mask |= 1u << s;
        if (!text[n])
            break;
        text += n + 1;
    }
    f->states = mask;
    return true;
}

static void write_states(struct buf *out, const struct task_filter *f, const struct member *m)
{
    (void)m;
    const char *comma = "";
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        if (!(f->states & 1u << s))
            continue;
        buf_printf(out, "%s%s", comma, task_state_name((enum task_state)s));
        comma = ",";
    }
}

static bool set_lane(struct task_filter *f, const struct member *m, const char *text)
{
    (void)m;
    enum lane lane;
    if (!lane_parse(text, &lane))
        return false;
    f->lane = (int)lane;
    return true;
}

static void write_lane(struct buf *out, const struct task_filter *f, const struct member *m)
{
    (void)m;
    if (f->lane >= 0)
        buf_puts(out, lane_name((enum lane)f->lane));
}

static bool code_ok(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
    size_t n = strlen(text);
    return n >= 1 && n <= TASK_FILTER_CODE_MAX && strspn(text, allowed) == n;
}

static bool set_name(struct task_filter *f, const struct member *m, const char *text)
{
    if (!m->is_ok(text))
        return false;
    memcpy((char *)f + m->at, text, strlen(text) + 1);
    return true;
}

static void write_name(struct buf *out, const struct task_filter *f, const struct member *m)
{
    buf_puts(out, (const char *)f + m->at);
}

static bool set_id(struct task_filter *f, const struct member *m, const char *text)
{
    return id_parse(text, (struct task_id *)(void *)((char *)f + m->at));
}

static void write_id(struct buf *out, const struct task_filter *f, const struct member *m)
{
    char text[ID_TEXT_SIZE];
    struct task_id id;
    memcpy(&id, (const char *)f + m->at, sizeof(id));
    if (!id.hi)
        return;
    id_format(id, text);
    buf_puts(out, text);
}

static bool set_after(struct task_filter *f, const struct member *m, const char *text)
{
    (void)m;
    return clock_parse_rfc3339(text, &f->from_wall_ms);
}

/* 0 would mean all; nothing was submitted before the first millisecond either. */
static void set_until(struct task_filter *f, int64_t wall_ms)
{
    f->until_wall_ms = wall_ms > 1 ? wall_ms : 1;
}

static bool set_before(struct task_filter *f, const struct member *m, const char *text)
{
    (void)m;
    int64_t wall_ms;
    if (!clock_parse_rfc3339(text, &wall_ms))
        return false;
    set_until(f, wall_ms);
    return true;
}

static bool set_older_than(struct task_filter *f, const struct member *m, const char *text)
{
    (void)m;
    int64_t age_ms;
    if (!number_parse_seconds(text, AGE_MAX_MS, &age_ms))
        return false;
    set_until(f, clock_wall_ms() - age_ms);
    return true;
}

static void write_time(struct buf *out, const struct task_filter *f, const struct member *m)
{
    char text[CLOCK_RFC3339_SIZE];
    int64_t wall_ms;
    memcpy(&wall_ms, (const char *)f + m->at, sizeof(wall_ms));
    if (!wall_ms)
        return;
    clock_rfc3339(wall_ms, text);
    buf_puts(out, text);
}

#define FIELD(name) offsetof(struct task_filter, name)
#define TIME "a time such as \"2026-11-22T10:00:00Z\""
static const struct member members[] = {
    {"state", "a comma list of scheduled, queued, running, succeeded, failed, cancelled",
     set_states, write_states, 0, NULL},
    {"lane", "\"io\" or \"cpu\"", set_lane, write_lane, 0, NULL},
    {"handler", "a handler's name", set_name, write_name, FIELD(handler), task_handler_name_ok},
    {"queue", "a queue's name", set_name, write_name, FIELD(queue), task_queue_name_ok},
    /* Names of schedules are made like those of handlers. */
    {"schedule", "a schedule's name", set_name, write_name, FIELD(schedule), task_handler_name_ok},
    {"code", "an error code such as \"timeout\"", set_name, write_name, FIELD(code), code_ok},
    {"batch", "the id of a batch", set_id, write_id, FIELD(batch), NULL},
    {"parent", "the id of the task that submitted them", set_id, write_id, FIELD(parent), NULL},
    {"after", TIME, set_after, write_time, FIELD(from_wall_ms), NULL},
    {"before", TIME, set_before, write_time, FIELD(until_wall_ms), NULL},
    {"older_than", "a number of seconds", set_older_than, NULL, 0, NULL},
};

int task_filter_set(struct task_filter *f, const char *name, const char *text,
                    const char **out_allowed)
{
    for (size_t i = 0; i < FUT_COUNT(members); i++) {
        if (strcmp(members[i].name, name) != 0)
            continue;
        *out_allowed = members[i].allowed;
        return members[i].set(f, &members[i], text) ? 0 : FUT_ERR_INVAL;
    }
    return FUT_ERR_NOT_FOUND;
}

const char *task_filter_members(void)
{
    return "\"state\", \"lane\", \"handler\", \"queue\", \"schedule\", \"code\", \"batch\", "
           "\"parent\", \"after\", "
           "\"before\" and \"older_than\"";
}

/* ---- as text --------------------------------------------------------------------------------- */

void task_filter_write(struct buf *out, const struct task_filter *f)
{
    size_t begin = out->len;
    for (size_t i = 0; i < FUT_COUNT(members); i++) {
        struct buf text = BUF_INIT;
        if (members[i].write)
            members[i].write(&text, f, &members[i]);
        if (text.len)
            buf_printf(out, "%s%s=%.*s", out->len > begin ? "&" : "", members[i].name,
                       (int)text.len, text.data);
        buf_release(&text);
    }
}

/* Copies up to the next `end`, or to the end of the text. False: there is more than fits. */
static bool take_until(const char **at, char end, char *out, size_t size)
{
    size_t n = strcspn(*at, (char[]){end, '\0'});
    if (n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n + ((*at)[n] == end);
    return true;
}

int task_filter_read(const char *text, struct task_filter *out)
{
    char name[16], value[MEMBER_TEXT_MAX];
    const char *allowed;
    *out = task_filter_all;
    while (*text) {
        if (!take_until(&text, '=', name, sizeof(name)) ||
            !take_until(&text, '&', value, sizeof(value)) ||
            task_filter_set(out, name, value, &allowed) != 0)
            return FUT_ERR_INVAL;
    }
    return 0;
}

/* ---- what is meant --------------------------------------------------------------------------- */

static bool wants_end(const struct task_filter *f, const struct task_outcome *o)
{
    return !f->code[0] || (o && o->code && strcmp(f->code, o->code) == 0);
}

static bool wants_origin(const struct task_filter *f, const struct task_spec *s)
{
    const char *queue = s->queue ? s->queue : TASK_QUEUE_DEFAULT;
    return (!f->queue[0] || strcmp(f->queue, queue) == 0) &&
           (!f->schedule[0] || (s->schedule && strcmp(f->schedule, s->schedule) == 0));
}

bool task_filter_wants(const struct task_filter *f, const struct task *t)
{
    const struct task_spec *s = t->spec;
    return (!f->states || (f->states & 1u << t->state)) &&
           (f->lane < 0 || f->lane == (int)s->lane) &&
           (!f->handler[0] || strcmp(f->handler, s->handler) == 0) && wants_end(f, t->outcome) &&
           wants_origin(f, s) && (!f->batch.hi || id_equal(f->batch, s->batch)) &&
           (!f->parent.hi || id_equal(f->parent, s->parent)) &&
           (!f->from_wall_ms || s->created_wall_ms >= f->from_wall_ms) &&
           (!f->until_wall_ms || s->created_wall_ms < f->until_wall_ms);
}

/* The id of a batch is made before those of its members, that of a task before those of what it
 * submits; the time in an id is never behind the clock. */
uint64_t task_filter_lowest(const struct task_filter *f)
{
    int64_t from_ms = f->from_wall_ms - CLOCK_SLACK_MS;
    uint64_t lowest = from_ms > 0 ? (uint64_t)from_ms << 16 : 0;
    lowest = f->batch.hi > lowest ? f->batch.hi : lowest;
    return f->parent.hi > lowest ? f->parent.hi : lowest;
}
