/* submission_task: the task that a submission becomes, with what its handler adds. */
#include <jansson.h>
#include <string.h>

#include "api/resources/callback_task.h"
#include "api/resources/submission.h"
#include "core/id.h"
#include "core/mem.h"
#include "storage/limit.h"

/* An `http` task has the limit of the host that it asks, if one is defined. */
static void add_host_limit(struct task_limits *to, const struct submission *s, struct store *store)
{
    char name[TASK_LIMIT_NAME_MAX + 1];
    bool per_key;
    if (!store || !s->handler || strcmp(s->handler, "http") != 0 || !store_limit_has_hosts(store))
        return;
    json_t *input = json_loadb(s->input, s->input_len, JSON_DECODE_ANY, NULL);
    const char *url = json_string_value(json_object_get(input, "url"));
    if (url && task_limit_of_url(url, name) && store_limit_find(store, name, &per_key) &&
        !per_key) {
        int rc = task_limits_add(to, name, "");
        (void)rc; /* it names this one already, or four others */
    }
    json_decref(input);
}

/* NULL: the default one. */
static const char *queue_of(const struct submission *s, const struct handler_info *h)
{
    const char *name = s->queue ? s->queue : h->queue;
    return name && strcmp(name, TASK_QUEUE_DEFAULT) != 0 ? name : NULL;
}

int submission_task_limits(const struct submission *s, const struct handler_info *h,
                           struct store *store, struct task_limits *out, size_t *out_refused)
{
    struct task_limits more;
    out->n = s->limits.n; /* what is not in use is not copied: half a KiB for each task */
    memcpy(out->items, s->limits.items, s->limits.n * sizeof(out->items[0]));
    if (!h->task_limits)
        return 0;
    more.n = 0;
    FUT_MUST(task_limits_read(h->task_limits, &more) == 0);
    for (size_t i = 0; i < more.n; i++) {
        const struct task_limit *l = &more.items[i];
        bool per_key, is_defined = store && store_limit_find(store, l->name, &per_key);
        int rc = task_limits_add(out, l->name, is_defined && !per_key ? "" : l->key);
        if (rc == FUT_ERR_EXISTS)
            continue; /* the task's own word */
        if (rc == 0 && is_defined && per_key && !*l->key)
            rc = FUT_ERR_INVAL;
        *out_refused = i;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int submission_task_needs(const json_t *needs, struct task_needs *out)
{
    const char *list = json_string_value(needs);
    if (list)
        return task_needs_parse(list, out);
    out->n = 0;
    for (size_t i = 0; i < json_array_size(needs); i++) {
        const json_t *v = json_array_get(needs, i);
        const char *label = json_string_value(v);
        if (!label || strlen(label) != json_string_length(v) || !task_needs_label_ok(label))
            return FUT_ERR_INVAL;
        if (task_needs_add(out, label) == FUT_ERR_FULL)
            return FUT_ERR_FULL;
    }
    return 0;
}

/* Returns the length of the text. */
static size_t write_needs(const struct submission *s, char out[TASK_NEEDS_SIZE])
{
    struct task_needs needs;
    if (!s->needs)
        return 0;
    FUT_MUST(submission_task_needs(s->needs, &needs) == 0);
    return task_needs_write(&needs, out);
}

void submission_task_make(const struct submission *s, const struct handler_info *h,
                          const struct submission_frame *frame, struct task *out,
                          struct task *out_callback)
{
    struct task_id callback = s->callback_url ? id_new() : (struct task_id){0};
    char limits[TASK_LIMITS_TEXT_SIZE];
    *out_callback = (struct task){0};
    if (s->callback_url)
        callback_task_make(out_callback, callback, frame->id, s->callback_url, frame->traceparent);
    struct task_limits named;
    size_t refused;
    if (submission_task_limits(s, h, frame->store, &named, &refused) != 0)
        named = s->limits; /* the definitions have changed since it was checked */
    add_host_limit(&named, s, frame->store);
    if (frame->session_limit)
        FUT_MUST(task_limits_add(&named, frame->session_limit, "") != FUT_ERR_FULL);
    task_limits_write(&named, limits + write_needs(s, limits));
    int64_t due_wall_ms =
        s->times.delay_ms ? frame->created_wall_ms + s->times.delay_ms : s->times.run_at_wall_ms;
    bool is_due = due_wall_ms <= frame->created_wall_ms;
    *out = (struct task){.state = is_due && !s->is_promise ? TASK_QUEUED : TASK_SCHEDULED,
                         .due_wall_ms = is_due ? 0 : due_wall_ms};
    out->spec = task_spec_new(&(struct task_spec){
        .id = frame->id,
        .lane = s->has_lane ? s->lane : h->lane,
        .retries = s->retries >= 0 ? (uint32_t)s->retries : h->retries,
        .retry = s->retry,
        .timeout_ms = s->timeout_ms ? s->timeout_ms : h->timeout_ms,
        .times = s->times,
        .has_refs = s->has_refs,
        .is_promise = s->is_promise,
        .once = s->once,
        .created_wall_ms = frame->created_wall_ms,
        .handler = h->name,
        .input_type = s->input_type,
        .input = (const unsigned char *)(s->input_len ? s->input : ""),
        .input_len = s->input_len,
        .batch = frame->batch,
        .in_session = frame->in_session,
        .parent = frame->parent,
        .batch_pos = frame->batch_pos,
        .callback = callback,
        .name = s->name,
        .unique = s->unique,
        .schedule = frame->schedule,
        .queue = queue_of(s, h),
        .fair_key = s->fair_key,
        .priority = s->priority,
        .traceparent = frame->traceparent,
        .limits = *limits ? limits : NULL,
    });
}
