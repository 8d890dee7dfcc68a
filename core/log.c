#include "core/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

#define HOLD_BYTES ((size_t)32 << 10)

/* Of this thread: nobody else sees it, so there is no lock. */
static _Thread_local struct {
    bool holds;
    struct buf lines;
} own;

static log_sink *other_sink;
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

static void put_int(struct buf *line, const struct log_field *f)
{
    put_pair(line, f->key, "", 0);
    buf_put_int(line, f->num);
}

static void put_field(struct buf *line, const struct log_field *f)
{
    const char *s = f->str ? f->str : "";
    size_t n = strlen(s);
    if (f->kind == LOG_KIND_INT) {
        put_int(line, f);
    } else if (is_plain(s, n)) {
        put_pair(line, f->key, s, n);
    } else {
        put_pair(line, f->key, "", 0);
        put_quoted(line, s);
    }
}

static void write_out(struct buf *lines)
{
    ssize_t n = write(STDERR_FILENO, lines->data, lines->len);
    (void)n; /* a log that cannot be written has nowhere to complain */
    lines->len = 0;
}

void log_flush(void)
{
    if (own.lines.len)
        write_out(&own.lines);
}

void log_hold(void)
{
    own.holds = true;
    fut_on_bug(log_flush); /* what led to it */
}

void log_let_go(void)
{
    log_flush();
    own.holds = false;
    buf_release(&own.lines);
}

void log_set_sink(log_sink *sink)
{
    other_sink = sink;
}

void log_format(struct buf *out, const char *event, const struct log_field *fields)
{
    buf_puts(out, event);
    for (; fields->kind != LOG_KIND_END; fields++)
        put_field(out, fields);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    char ts[CLOCK_RFC3339_SIZE];
    if (other_sink) {
        other_sink(level, event, fields);
        return;
    }
    struct buf single = BUF_INIT, *out = own.holds ? &own.lines : &single;
    clock_rfc3339(clock_wall_ms(), ts);
    buf_puts(out, ts);
    buf_putc(out, ' ');
    buf_puts(out, level_names[level]);
    buf_putc(out, ' ');
    log_format(out, event, fields);
    buf_putc(out, '\n');
    if (!own.holds || level >= LOG_LEVEL_WARN || out->len >= HOLD_BYTES)
        write_out(out);
    buf_release(&single);
}
