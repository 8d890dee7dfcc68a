#include "workers/exec/exec_env.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"

#define OWN_NAMES 7

static const char *name_value(struct arena *a, const char *name, const char *value)
{
    struct buf entry = BUF_INIT;
    buf_printf(&entry, "%s=%s", name, value);
    const char *copy = arena_strndup(a, entry.data, entry.len);
    buf_release(&entry);
    return copy;
}

const char *const *exec_env_make(const struct exec_start *how, struct arena *a)
{
    const struct task_spec *spec = how->task->spec;
    const char *trace = spec->traceparent;
    char id[ID_TEXT_SIZE], attempt[16];
    size_t n = 0, kept = 0;
    while (how->command->env[n])
        n++;
    const char **env = arena_alloc(a, (n + OWN_NAMES + 1) * sizeof(*env));
    for (size_t i = 0; i < n; i++) {
        if (!trace || strncmp(how->command->env[i], "TRACEPARENT=", 12) != 0)
            env[kept++] = how->command->env[i];
    }
    id_format(spec->id, id);
    (void)snprintf(attempt, sizeof(attempt), "%u", how->task->attempt);
    env[kept++] = name_value(a, "FUTURED_TASK_ID", id);
    env[kept++] = name_value(a, "FUTURED_ATTEMPT", attempt);
    env[kept++] = name_value(a, "FUTURED_HANDLER", spec->handler);
    env[kept++] = name_value(a, "FUTURED_PROGRESS_FD", "3");
    if (how->url) {
        env[kept++] = name_value(a, "FUTURED_URL", how->url);
        env[kept++] = name_value(a, "FUTURED_TOKEN", how->token);
    }
    if (trace)
        env[kept++] = name_value(a, "TRACEPARENT", trace);
    return env;
}
