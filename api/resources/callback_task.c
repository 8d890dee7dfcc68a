#include "api/resources/callback_task.h"

#include <string.h>

#include "api/text/json_out.h"
#include "api/text/json_text.h"
#include "core/clock.h"

#define HANDLER "callback" /* the daemon's own, on the io lane */
#define RETRIES 8
#define TIMEOUT_MS 30000

void callback_task_make(struct task *out, struct task_id id, struct task_id after, const char *url,
                        const char *traceparent)
{
    struct buf input = BUF_INIT;
    buf_putc(&input, '{');
    json_out_str(&input, "url", url);
    buf_putc(&input, '}');
    *out = (struct task){.state = TASK_SCHEDULED};
    out->spec = task_spec_new(&(struct task_spec){
        .id = id,
        .lane = LANE_IO,
        .retries = RETRIES,
        .timeout_ms = TIMEOUT_MS,
        .created_wall_ms = clock_wall_ms(),
        .handler = HANDLER,
        .queue = TASK_QUEUE_CALLBACKS,
        .input_type = CONTENT_JSON,
        .input = (const unsigned char *)input.data,
        .input_len = input.len,
        .after = after,
        .traceparent = traceparent,
    });
    buf_release(&input);
}

void callback_task_write_url(struct buf *out, const struct task *t)
{
    const char *url;
    size_t n;
    if (!t->spec->input)
        return;
    json_text_find_member((const char *)t->spec->input, t->spec->input_len, "url", &url, &n);
    json_out_key(out, "url");
    buf_put(out, url, n);
}
