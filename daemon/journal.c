#include "daemon/journal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"

#define FIELDS_MAX 24

/* As <syslog.h> numbers them. */
static const int priorities[] = {
    [LOG_LEVEL_DEBUG] = 7, [LOG_LEVEL_INFO] = 6, [LOG_LEVEL_WARN] = 4, [LOG_LEVEL_ERROR] = 3};

/* Keys whose meaning wants a better name than FUTURE_ and themselves. */
static const struct {
    const char *key, *field;
} renamed[] = {{"task", "FUTURE_ID"}, {"ms", "FUTURE_DURATION_MS"}};

/* An entry in the log's buffer: the number of its fields, then each as its length and its bytes. */
typedef uint32_t count;

static void put_name(struct buf *out, const char *key)
{
    for (size_t i = 0; i < FUT_COUNT(renamed); i++) {
        if (strcmp(renamed[i].key, key) == 0) {
            buf_puts(out, renamed[i].field);
            return;
        }
    }
    buf_puts(out, "FUTURE_");
    for (; *key; key++)
        buf_putc(out, (char)toupper((unsigned char)*key));
}

/* Leaves space for a number that is known later; returns where. */
static size_t begin_count(struct buf *out)
{
    count none = 0;
    size_t at = out->len;
    buf_put(out, &none, sizeof(none));
    return at;
}

static void end_count(struct buf *out, size_t at, size_t value)
{
    count n = (count)value;
    memcpy(out->data + at, &n, sizeof(n));
}

static void end_field(struct buf *out, size_t at)
{
    end_count(out, at, out->len - at - sizeof(count));
}

static void put_field(struct buf *out, const struct log_field *f)
{
    size_t at = begin_count(out);
    put_name(out, f->key);
    if (f->kind == LOG_KIND_INT)
        buf_printf(out, "=%" PRId64, f->num);
    else
        buf_printf(out, "=%s", f->str ? f->str : "");
    end_field(out, at);
}

static void format_entry(struct buf *out, enum log_level level, const char *event,
                         const struct log_field *fields)
{
    size_t n = 3, entry = begin_count(out), at = begin_count(out);
    buf_puts(out, "MESSAGE=");
    log_format(out, event, fields);
    end_field(out, at);
    at = begin_count(out);
    buf_printf(out, "PRIORITY=%d", priorities[level]);
    end_field(out, at);
    at = begin_count(out);
    buf_printf(out, "FUTURE_EVENT=%s", event);
    end_field(out, at);
    for (; fields->kind != LOG_KIND_END && n < FIELDS_MAX; fields++, n++)
        put_field(out, fields);
    end_count(out, entry, n);
}

static count take_count(const char **at)
{
    count n;
    memcpy(&n, *at, sizeof(n));
    *at += sizeof(n);
    return n;
}

static void write_entries(const char *entries, size_t n)
{
    for (const char *at = entries; at < entries + n;) {
        struct iovec parts[FIELDS_MAX];
        count fields = take_count(&at);
        for (count i = 0; i < fields; i++) {
            size_t len = take_count(&at);
            parts[i] = (struct iovec){(void *)(uintptr_t)at, len};
            at += len;
        }
        (void)sd_journal_sendv(parts, (int)fields); /* nowhere to complain */
    }
}

static bool is_connected(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    (void)snprintf(own, sizeof(own), "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev,
                   (uint64_t)st.st_ino);
    return strcmp(stream, own) == 0;
}

void journal_use(void)
{
    static const struct log_sink sink = {format_entry, write_entries};
    if (is_connected())
        log_set_sink(&sink);
}
