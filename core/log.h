/* log: one line per event in logfmt on standard error: `ts level event key=value …`.
 *
 * Fields are typed, so that another sink (the journal) can keep them apart. Strings are quoted and
 * escaped; payloads and tokens are never logged. core/ and storage/ log at debug only: above them
 * exactly one caller logs a failure.
 *
 * Any thread. Between log_ring_start and log_ring_stop no call waits for whoever reads the log:
 * lines go through a bounded ring to a thread of their own. Lines that find no space are counted,
 * and a line says how many were lost. Before and after, a line is written by the thread that logs
 * it. */
#ifndef FUT_CORE_LOG_H
#define FUT_CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct buf;

/* Bytes of lines that wait for whoever reads the log; beyond, lines are lost. */
#define LOG_WAITING_MAX ((size_t)1 << 20)

/* Not LOG_INFO and the like: <syslog.h> owns those names. */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_kind { LOG_KIND_END, LOG_KIND_INT, LOG_KIND_STR };

struct log_field {
    const char *key;
    enum log_kind kind;
    int64_t num;
    const char *str; /* borrowed for the call; NULL prints as "" */
};

#define LOG_INT(key, value) ((struct log_field){(key), LOG_KIND_INT, (int64_t)(value), 0})
#define LOG_STR(key, value) ((struct log_field){(key), LOG_KIND_STR, 0, (value)})
/* log_info("task_done", LOG_STR("task", id), LOG_INT("ms", 12)); with at least one field. */
#define log_debug(event, ...) LOG_EMIT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_EMIT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_EMIT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_EMIT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define LOG_EMIT(level, event, ...)                                                                \
    do {                                                                                           \
        if (log_wants(level))                                                                      \
            log_write((level), (event),                                                            \
                      (const struct log_field[]){__VA_ARGS__, {0, LOG_KIND_END, 0, 0}});           \
    } while (0)

/* "debug" "info" "warn" "error"; false when the word is none of them, *out untouched. */
bool log_level_parse(const char *word, enum log_level *out);
/* Where lines go. format: appends one line, on the thread that logs. write: writes whole lines, all
 * of them from format; blocks; on the log's own thread between log_ring_start and log_ring_stop. */
struct log_sink {
    void (*format)(struct buf *out, enum log_level level, const char *event,
                   const struct log_field *fields);
    void (*write)(const char *lines, size_t n);
};
/* Set while there is one thread, and before log_ring_start; NULL: standard error. Borrowed for
 * good. */
void log_set_sink(const struct log_sink *sink);
/* Starts the thread that writes. FUT_ERR_AGAIN: it cannot be had, and lines are written as before.
 */
FUT_MUST_CHECK int log_ring_start(void);
/* Waits until all lines so far are written, max_ms at most; false: some are not. Blocks. */
bool log_flush(int64_t max_ms);
/* Writes what waits and ends the thread, within max_ms: when nobody reads the log for so long, it
 * is abandoned, and later lines are dropped. Blocks. */
void log_ring_stop(int64_t max_ms);
/* Appends "event key=value …", as the lines on standard error have it. */
void log_format(struct buf *out, const char *event, const struct log_field *fields);
/* From which level on lines are written; info at first. */
void log_set_level(enum log_level level);
/* Is a line of this level written? */
bool log_wants(enum log_level level);
/* Writes one line. fields end with a LOG_KIND_END entry. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
