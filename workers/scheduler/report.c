#include "workers/scheduler/report.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"

/* One store_report, with the memory it refers to. Outlives its report when need be. */
struct post {
    struct store_report op;
    struct report_news news;
    struct mailbox *inbox;
    struct mailbox_call item;
    struct list_node link;
    struct report *owner; /* NULL: gone */
};

/* ---- news ---- */

static void news_release(struct report_news *n)
{
    free(n->message);
    buf_release(&n->log);
    *n = (struct report_news){.progress = -1};
}

/* The store keeps no more than STORE_LOG_MAX bytes either; so memory is bounded however fast a
 * program writes. */
static void news_add_log(struct report_news *n, const char *bytes, size_t len)
{
    buf_put(&n->log, bytes, len);
    n->any = true;
    if (n->log.len <= 2 * (size_t)STORE_LOG_MAX)
        return;
    n->dropped += n->log.len - STORE_LOG_MAX;
    buf_consume(&n->log, n->log.len - STORE_LOG_MAX);
}

static void news_set_message(struct report_news *n, const char *message)
{
    free(n->message);
    n->message = xstrdup(message);
}

/* `old` could not be stored: it comes before what is new. */
static void news_put_back(struct report_news *n, struct report_news *old)
{
    struct report_news both = {.any = true, .progress = old->progress, .dropped = old->dropped};
    if (n->progress >= 0)
        both.progress = n->progress;
    if (n->message || old->message)
        both.message = xstrdup(n->message ? n->message : old->message);
    if (old->log.len)
        news_add_log(&both, old->log.data, old->log.len);
    both.dropped += n->dropped;
    if (n->log.len)
        news_add_log(&both, n->log.data, n->log.len);
    news_release(n);
    *n = both;
}

/* ---- posting ---- */

static void look(struct report *r);

static void post_free(struct post *p)
{
    news_release(&p->news);
    task_spec_unref(p->op.spec);
    free(p);
}

bool report_may_repeat(int rc)
{
    return rc == FUT_ERR_IO || rc == FUT_ERR_NO_SPACE || rc == FUT_ERR_READ_ONLY ||
           rc == FUT_ERR_FULL || rc == FUT_ERR_BUSY;
}

/* After any other failure nobody is interested: the attempt is stale, or the store is closing. */
static void on_posted(struct mailbox_call *item)
{
    struct post *p = FUT_CONTAINER(item, struct post, item);
    struct report *r = p->owner;
    if (r) {
        list_remove(&r->posted, &p->link);
        mutex_lock(&r->mu);
        if (report_may_repeat(p->op.op.rc))
            news_put_back(&r->news, &p->news);
        mutex_unlock(&r->mu);
        look(r);
    }
    post_free(p);
}

/* The store's writer thread. */
static void post_done(struct store_op *op)
{
    struct post *p = FUT_CONTAINER(op, struct post, op.op);
    mailbox_push(p->inbox, &p->item.link);
}

/* So that a reader sees that something is missing. */
static void mark_gap(struct report_news *n)
{
    struct buf whole = BUF_INIT;
    if (!n->dropped)
        return;
    buf_printf(&whole, "\n[futured: %llu bytes of log left out]\n", (unsigned long long)n->dropped);
    buf_put(&whole, n->log.data, n->log.len);
    buf_release(&n->log);
    n->log = whole;
    n->dropped = 0;
}

static bool take_news(struct report *r, struct report_news *out)
{
    mutex_lock(&r->mu);
    bool any = r->news.any;
    if (any) {
        *out = r->news;
        r->news = (struct report_news){.progress = -1};
    }
    mutex_unlock(&r->mu);
    return any;
}

void report_flush(struct report *r)
{
    struct report_news news;
    loop_timer_clear(r->loop, &r->timer);
    if (!take_news(r, &news))
        return;
    struct post *p = xnew(struct post);
    p->news = news;
    mark_gap(&p->news);
    p->inbox = r->inbox;
    p->item.fn = on_posted;
    p->owner = r;
    p->op.id = r->spec->id;
    p->op.spec = task_spec_ref(r->spec);
    p->op.attempt = r->attempt;
    p->op.progress = p->news.progress;
    p->op.message = p->news.message;
    p->op.log = p->news.log.data;
    p->op.log_len = p->news.log.len;
    r->next_mono_ms = clock_mono_ms() + REPORT_EVERY_MS;
    list_push_back(&r->posted, &p->link);
    if (store_post(r->store, &store_verb_report, &p->op.op, post_done) != 0) { /* closing */
        list_remove(&r->posted, &p->link);
        post_free(p);
    }
}

/* Posts the news, now or when the time has come. */
static void look(struct report *r)
{
    mutex_lock(&r->mu);
    bool any = r->news.any;
    mutex_unlock(&r->mu);
    if (!any || !list_is_empty(&r->posted))
        return; /* on_posted looks again */
    if (clock_mono_ms() >= r->next_mono_ms)
        report_flush(r);
    else
        loop_timer_set(r->loop, &r->timer, r->next_mono_ms);
}

static void on_time(struct loop_timer *t)
{
    look(FUT_CONTAINER(t, struct report, timer));
}

/* ---- the sink ---- */

/* True: there was no news before. */
static bool add_progress(struct report *r, double fraction, const char *message)
{
    mutex_lock(&r->mu);
    bool first = !r->news.any;
    r->news.any = true;
    r->news.progress = fraction;
    if (message)
        news_set_message(&r->news, message);
    mutex_unlock(&r->mu);
    return first;
}

static bool add_log(struct report *r, const char *bytes, size_t n)
{
    mutex_lock(&r->mu);
    bool first = !r->news.any;
    news_add_log(&r->news, bytes, n);
    mutex_unlock(&r->mu);
    return first;
}

static void on_progress(struct sink *to, double fraction, const char *message)
{
    struct report *r = FUT_CONTAINER(to, struct report, sink);
    if (add_progress(r, fraction, message))
        look(r);
}

static void on_log(struct sink *to, const char *bytes, size_t n)
{
    struct report *r = FUT_CONTAINER(to, struct report, sink);
    if (add_log(r, bytes, n))
        look(r);
}

static void on_wake(struct mailbox_call *item)
{
    struct report *r = FUT_CONTAINER(item, struct report, wake);
    atomic_store(&r->is_waking, false);
    look(r);
}

/* There may be first news again while the item is still queued, as the loop posts by its timer,
 * too. */
static void wake(struct report *r)
{
    if (!atomic_exchange(&r->is_waking, true))
        mailbox_push(r->inbox, &r->wake.link);
}

static void on_progress_elsewhere(struct sink *to, double fraction, const char *message)
{
    struct report *r = FUT_CONTAINER(to, struct report, sink);
    if (add_progress(r, fraction, message))
        wake(r);
}

static void on_log_elsewhere(struct sink *to, const char *bytes, size_t n)
{
    struct report *r = FUT_CONTAINER(to, struct report, sink);
    if (add_log(r, bytes, n))
        wake(r);
}

struct sink *report_sink(struct report *r)
{
    r->sink = (struct sink){on_progress, on_log};
    return &r->sink;
}

struct sink *report_sink_threads(struct report *r)
{
    r->sink = (struct sink){on_progress_elsewhere, on_log_elsewhere};
    return &r->sink;
}

/* ---- life ---- */

void report_init(struct report *r, struct store *store, struct loop *l, struct mailbox *inbox,
                 const struct task *task)
{
    *r = (struct report){.store = store,
                         .loop = l,
                         .inbox = inbox,
                         .spec = task_spec_ref(task->spec),
                         .attempt = task->attempt};
    r->news.progress = -1;
    r->timer.fn = on_time;
    r->wake.fn = on_wake;
    mutex_init(&r->mu);
    list_init(&r->posted);
}

void report_release(struct report *r)
{
    for (struct list_node *n; (n = list_pop_front(&r->posted)) != NULL;)
        FUT_CONTAINER(n, struct post, link)->owner = NULL;
    loop_timer_clear(r->loop, &r->timer);
    news_release(&r->news);
    task_spec_unref(r->spec);
    mutex_destroy(&r->mu);
}
