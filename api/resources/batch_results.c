#include "api/resources/rows.h"

#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/http/sleep.h"
#include "api/resources/batches.h"
#include "api/resources/future_json.h"
#include "api/resources/result_page.h"
#include "api/resources/show.h"
#include "api/resources/wait.h"
#include "api/text/event_out.h"
#include "core/clock.h"

struct results {
    struct task_id id;
    struct task page[RESULT_PAGE_MAX]; /* lent to op.members, which releases what is not taken */
    size_t at, n;                      /* next of the page, and its end */
    size_t limit;                      /* of the next page */
    unsigned fields;                   /* of each future; 0: all */
    bool is_framed;                    /* bytes stand behind their lines */
    bool is_last;                      /* there is no page behind it */
    size_t lines;                      /* written */
    size_t unfinished;                 /* of those, futures that were waited for and are not done */
    uint32_t next;                     /* place of the next to read */
    int64_t until_mono_ms;             /* end of the waiting */
};

static void next_lines(struct request *r);

/* r->task is the future of the line. */
static void write_line(struct request *r)
{
    struct results *w = r->work;
    struct buf json = BUF_INIT;
    bool timed_out = r->wait_ms && !task_state_is_final(r->task.state);
    const struct task_outcome *bytes = NULL;
    future_json_write_view(&json,
                           &(struct future_view){.task = &r->task,
                                                 .timed_out = timed_out,
                                                 .fields = w->fields,
                                                 .bytes_behind = w->is_framed ? &bytes : NULL});
    w->lines++;
    w->unfinished += timed_out;
    event_out_one_line(&r->out, json.data, json.len);
    buf_putc(&r->out, '\n');
    if (bytes)
        event_out_add_bytes(&r->out, bytes->body, bytes->body_len);
    buf_release(&json);
    w->next = r->task.spec->batch_pos + 1;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void page_read(struct request *r)
{
    struct results *w = r->work;
    if (r->op.base.rc != 0) {
        request_fail(r, r->op.base.rc);
        return;
    }
    w->n = r->op.members.page.n;
    w->is_last = !r->op.members.page.is_full;
    w->limit = result_page_next(&r->op.members.page);
    next_lines(r);
}

static void read_page(struct request *r)
{
    struct results *w = r->work;
    w->at = w->n = 0;
    r->op.members = (struct store_members){
        .id = w->id,
        .from = w->next,
        .with_body = true,
        .page = {.limit = w->limit, .max_bytes = RESULT_PAGE_BYTES, .tasks = w->page}};
    request_members(r, page_read);
}

static void drop_page(struct request *r)
{
    struct results *w = r->work;
    while (w->at < w->n)
        task_release(&w->page[w->at++]);
    w->at = w->n = 0;
    w->limit = RESULT_PAGE_FIRST;
    w->is_last = false;
    r->drop_op = NULL;
}

/* ---- waiting for one ------------------------------------------------------------------------- */

static void future_read(struct request *r)
{
    waiter_close(&r->api->waiters, &r->waiter);
    if (r->op.base.rc != 0 && r->op.base.rc != FUT_ERR_NOT_FOUND) {
        request_fail(r, r->op.base.rc);
        return;
    }
    if (r->op.base.rc == 0) /* else it was deleted just now: as it was last seen */
        request_take_task(r);
    write_line(r);
    next_lines(r);
}

static void woken(struct request *r)
{
    waiter_unlink(&r->api->waiters, &r->waiter);
    if (r->is_hung_up)
        request_stream_break(r);
    else
        request_get(r, r->task.spec->id, future_read);
}

static void state_read(struct request *r)
{
    struct results *w = r->work;
    if (r->op.base.rc != 0) {
        future_read(r);
        return;
    }
    request_take_task(r);
    int64_t remaining = w->until_mono_ms - clock_mono_ms();
    if (task_state_is_final(r->task.state) || remaining <= 0 || !r->waiter.is_open) {
        waiter_close(&r->api->waiters, &r->waiter);
        write_line(r);
        next_lines(r);
    } else {
        sleep_until_woken(r, remaining, woken);
    }
}

/* Link, then read, then sleep. What else is on the page may be old by then: it is read again. */
static void await(struct request *r)
{
    drop_page(r);
    r->link = (struct waiter_link){.id = r->task.spec->id};
    (void)!waiter_open(&r->api->waiters, &r->waiter, &r->link, 1,
                       &(struct waiter_wish){.need = 1, .wake = request_wake});
    request_get(r, r->task.spec->id, state_read);
}

/* ---- the loop of the stream ------------------------------------------------------------------ */

static bool may_wait(const struct request *r)
{
    const struct results *w = r->work;
    return r->wait_ms && !task_state_is_final(r->task.state) &&
           clock_mono_ms() < w->until_mono_ms && !atomic_load(&r->api->is_released);
}

/* A stream whose time was up ends with the problem that a single result would be. */
static void end_stream(struct request *r)
{
    const struct results *w = r->work;
    struct problem p;
    if (w->unfinished) {
        problem_set(&p, PROBLEM_NOT_DONE,
                    "%zu of %zu futures were not done when the wait ended; ask again for the rest.",
                    w->unfinished, w->lines);
        problem_write(&r->out, &p);
        buf_putc(&r->out, '\n');
    }
    request_stream_end(r);
}

static void take_next(struct request *r)
{
    struct results *w = r->work;
    task_release(&r->task);
    r->task = w->page[w->at];
    w->page[w->at++] = (struct task){0};
}

/* What is written leaves before the stream waits for anything. */
static void next_lines(struct request *r)
{
    struct results *w = r->work;
    while (w->at < w->n && r->out.len < REQUEST_STREAM_BYTES) {
        take_next(r);
        if (may_wait(r)) {
            if (r->out.len)
                request_stream_more(r, await);
            else
                await(r);
            return;
        }
        write_line(r);
    }
    if (r->out.len)
        request_stream_more(r, next_lines);
    else if (w->is_last)
        end_stream(r);
    else
        read_page(r);
}

static void found(struct request *r)
{
    const struct results *w = r->work;
    if (r->op.base.rc != 0) {
        batches_fail(r, r->op.base.rc);
        return;
    }
    wait_add_headers(r);
    request_stream(r, w->is_framed ? FRAMES_TYPE : "application/x-ndjson", read_page);
}

void batch_results_get(struct request *r)
{
    struct results *w = arena_alloc(&r->arena, sizeof(*w));
    w->fields = 0;
    if (!show_read_fields(r, &w->fields) || !batches_read_id(r, &w->id) || !wait_parse(r))
        return;
    struct event_out form;
    event_out_choose(&form, http_header(r, "Accept"));
    r->work = w;
    w->is_framed = form.is_framed;
    w->limit = RESULT_PAGE_FIRST;
    w->until_mono_ms = clock_mono_ms() + r->wait_ms;
    request_batch_get(r, w->id, found);
}
