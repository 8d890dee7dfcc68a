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

/* The fields lie one behind the other in one buffer, which may move while it grows. */
struct entry {
    struct buf text;
    size_t ends[FIELDS_MAX];
    size_t n;
};

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

static void end_field(struct entry *e)
{
    e->ends[e->n++] = e->text.len;
}

static void put_field(struct entry *e, const struct log_field *f)
{
    put_name(&e->text, f->key);
    if (f->kind == LOG_KIND_INT)
        buf_printf(&e->text, "=%" PRId64, f->num);
    else
        buf_printf(&e->text, "=%s", f->str ? f->str : "");
    end_field(e);
}

static void send_entry(struct entry *e)
{
    struct iovec parts[FIELDS_MAX];
    size_t begin = 0;
    for (size_t i = 0; i < e->n; begin = e->ends[i++])
        parts[i] = (struct iovec){e->text.data + begin, e->ends[i] - begin};
    (void)sd_journal_sendv(parts, (int)e->n); /* nowhere to complain */
}

static void write_entry(enum log_level level, const char *event, const struct log_field *fields)
{
    struct entry e = {.text = BUF_INIT};
    buf_puts(&e.text, "MESSAGE=");
    log_format(&e.text, event, fields);
    end_field(&e);
    buf_printf(&e.text, "PRIORITY=%d", priorities[level]);
    end_field(&e);
    buf_printf(&e.text, "FUTURE_EVENT=%s", event);
    end_field(&e);
    for (; fields->kind != LOG_KIND_END && e.n < FIELDS_MAX; fields++)
        put_field(&e, fields);
    send_entry(&e);
    buf_release(&e.text);
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
    if (is_connected())
        log_set_sink(write_entry);
}
