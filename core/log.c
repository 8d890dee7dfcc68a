#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/sync.h"

#define GATHER_MS 2                     /* lines that come soon after the first go with it */
#define GATHER_BYTES ((size_t)32 << 10) /* so many do not wait for more */
#define USUAL_BYTES 240                 /* of a line, and more */
#define KEEP_BYTES ((size_t)64 << 10)   /* of an empty buffer */
#define LAST_LINES_MS 200               /* for what led to a bug, before the abort */

static const struct log_sink to_stderr;
static const struct log_sink *sink = &to_stderr;

/* Between the threads that log and the one that writes. */
static struct {
    struct mutex mu;
    struct cond changed, written; /* for the writer; for log_flush */
    struct buf lines;             /* guarded by mu, as all below: whole lines, not yet taken */
    uint64_t dropped;             /* lines that found no space since the writer was here */
    uint64_t pushed, done;        /* lines: handed over; written or given up */
    bool is_asleep, is_urgent, is_stopping, has_ended;
    pthread_t thread;
} ring;
/* RING_OFF: each line is written by its own thread. */
enum { RING_OFF, RING_RUNS, RING_STUCK };
static atomic_int ring_state = RING_OFF;

static atomic_int threshold = LOG_LEVEL_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

bool log_level_parse(const char *word, enum log_level *out)
{
    for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++) {
        if (strcmp(word, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* Quotes only where logfmt needs it, so that plain words stay greppable. */
static bool is_plain(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c <= '"' ? c != '!' : c == '=' || c == '\\' || c == 127)
            return false;
    }
    return n > 0;
}

static void put_quoted(struct buf *line, const char *s)
{
    buf_putc(line, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c == '\n')
            buf_puts(line, "\\n");
        else if (c < ' ' || c == 127)
            buf_printf(line, "\\x%02x", c);
        else
            buf_putc(line, (char)c);
    }
    buf_putc(line, '"');
}

/* " key=value" in one piece: there are a dozen of these for each task. */
static void put_pair(struct buf *line, const char *key, const char *value, size_t n)
{
    size_t len = strlen(key);
    buf_reserve(line, len + n + 2);
    char *to = line->data + line->len;
    *to++ = ' ';
    memcpy(to, key, len + 1); /* = comes where its NUL is */
    to[len] = '=';
    memcpy(to + len + 1, value, n);
    line->len += len + n + 2;
    line->data[line->len] = '\0';
}

static void put_field(struct buf *line, const struct log_field *f)
{
    const char *s = f->str ? f->str : "";
    size_t n = strlen(s);
    if (f->kind == LOG_KIND_INT) {
        put_pair(line, f->key, "", 0);
        buf_put_int(line, f->num);
    } else if (is_plain(s, n)) {
        put_pair(line, f->key, s, n);
    } else {
        put_pair(line, f->key, "", 0);
        put_quoted(line, s);
    }
}

void log_format(struct buf *out, const char *event, const struct log_field *fields)
{
    buf_puts(out, event);
    for (; fields->kind != LOG_KIND_END; fields++)
        put_field(out, fields);
}

/* ---- standard error ---------------------------------------------------------------------------
 */

static void format_line(struct buf *out, enum log_level level, const char *event,
                        const struct log_field *fields)
{
    char ts[CLOCK_RFC3339_SIZE];
    buf_reserve(out, USUAL_BYTES);
    clock_rfc3339(clock_wall_ms(), ts);
    buf_puts(out, ts);
    buf_putc(out, ' ');
    buf_puts(out, level_names[level]);
    buf_putc(out, ' ');
    log_format(out, event, fields);
    buf_putc(out, '\n');
}

/* Whoever made standard error may have made it nonblocking. Any other failure has nowhere to
 * complain. */
static void write_lines(const char *lines, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, lines, n);
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN)
            (void)poll(&p, 1, -1);
        else if (done < 0 && errno != EINTR)
            return;
        if (done > 0) {
            lines += done;
            n -= (size_t)done;
        }
    }
}

static const struct log_sink to_stderr = {format_line, write_lines};

void log_set_sink(const struct log_sink *other)
{
    sink = other ? other : &to_stderr;
}

/* ---- the ring ---------------------------------------------------------------------------------
 */

static void push(const struct buf *line, enum log_level level)
{
    mutex_lock(&ring.mu);
    if (ring.lines.len + line->len > LOG_WAITING_MAX) {
        ring.dropped++;
    } else {
        buf_put(&ring.lines, line->data, line->len);
        ring.pushed++;
    }
    bool is_enough = level >= LOG_LEVEL_WARN || ring.lines.len >= GATHER_BYTES;
    bool must_wake = ring.is_asleep || (is_enough && !ring.is_urgent);
    ring.is_asleep = false;
    ring.is_urgent = ring.is_urgent || is_enough;
    mutex_unlock(&ring.mu);
    if (must_wake)
        cond_signal(&ring.changed);
}

/* Waits for lines, and a moment more for others that go with them. False: there are no more. */
static bool take_lines(struct buf *out, uint64_t *out_n, uint64_t *out_dropped)
{
    mutex_lock(&ring.mu);
    while (!ring.lines.len && !ring.dropped && !ring.is_stopping) {
        ring.is_asleep = true;
        cond_wait(&ring.changed, &ring.mu);
    }
    ring.is_asleep = false;
    int64_t until_us = clock_mono_us() + INT64_C(1000) * GATHER_MS;
    while (!ring.is_urgent && !ring.is_stopping) {
        if (!cond_wait_until(&ring.changed, &ring.mu, until_us))
            break;
    }
    struct buf empty = *out;
    *out = ring.lines;
    ring.lines = empty;
    *out_n = ring.pushed;
    *out_dropped = ring.dropped;
    ring.dropped = 0;
    ring.is_urgent = false;
    bool more = !ring.is_stopping || out->len > 0 || *out_dropped > 0;
    mutex_unlock(&ring.mu);
    return more;
}

static void *write_ring(void *unused)
{
    struct buf lines = BUF_INIT;
    uint64_t n, dropped;
    (void)unused;
    while (take_lines(&lines, &n, &dropped)) {
        if (dropped)
            sink->format(
                &lines, LOG_LEVEL_WARN, "log_lines_lost",
                (const struct log_field[]){LOG_INT("lines", dropped), {0, LOG_KIND_END, 0, 0}});
        sink->write(lines.data, lines.len);
        lines.len = 0;
        if (lines.cap > KEEP_BYTES)
            buf_release(&lines);
        mutex_lock(&ring.mu);
        ring.done = n;
        cond_broadcast(&ring.written);
        mutex_unlock(&ring.mu);
    }
    buf_release(&lines);
    mutex_lock(&ring.mu);
    ring.has_ended = true;
    cond_broadcast(&ring.written);
    mutex_unlock(&ring.mu);
    return NULL;
}

bool log_flush(int64_t max_ms)
{
    if (atomic_load(&ring_state) != RING_RUNS)
        return true;
    int64_t until_us = clock_mono_us() + max_ms * 1000;
    mutex_lock(&ring.mu);
    uint64_t mine = ring.pushed;
    ring.is_urgent = true;
    cond_signal(&ring.changed);
    while (ring.done < mine && cond_wait_until(&ring.written, &ring.mu, until_us))
        ;
    bool all = ring.done >= mine;
    mutex_unlock(&ring.mu);
    return all;
}

static void flush_before_abort(void)
{
    (void)log_flush(LAST_LINES_MS);
}

int log_ring_start(void)
{
    mutex_init(&ring.mu);
    cond_init(&ring.changed);
    cond_init(&ring.written);
    ring.is_stopping = ring.has_ended = ring.is_urgent = false;
    int rc = thread_try_start(&ring.thread, "log", write_ring, NULL);
    if (rc != 0)
        return rc;
    atomic_store(&ring_state, RING_RUNS);
    fut_on_bug(flush_before_abort); /* what led to it */
    return 0;
}

void log_ring_stop(int64_t max_ms)
{
    if (atomic_load(&ring_state) != RING_RUNS)
        return;
    int64_t until_us = clock_mono_us() + max_ms * 1000;
    mutex_lock(&ring.mu);
    ring.is_stopping = true;
    cond_signal(&ring.changed);
    while (!ring.has_ended && cond_wait_until(&ring.written, &ring.mu, until_us))
        ;
    bool has_ended = ring.has_ended;
    mutex_unlock(&ring.mu);
    fut_on_bug(NULL);
    atomic_store(&ring_state, has_ended ? RING_OFF : RING_STUCK);
    if (!has_ended) { /* nobody reads: the thread goes with the process */
        thread_abandon(ring.thread);
        return;
    }
    thread_join(ring.thread);
    buf_release(&ring.lines);
    cond_destroy(&ring.written);
    cond_destroy(&ring.changed);
    mutex_destroy(&ring.mu);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf line = BUF_INIT;
    int state = atomic_load(&ring_state);
    if (state == RING_STUCK)
        return;
    sink->format(&line, level, event, fields);
    if (state == RING_RUNS)
        push(&line, level);
    else
        sink->write(line.data, line.len);
    buf_release(&line);
}
