/* log: one line per event in logfmt on standard error: `ts level event key=value …`.
 *
 * Fields are typed, so that another sink (the journal) can keep them apart. Strings are quoted and
 * escaped; payloads and tokens are never logged. core/ and storage/ log at debug only: above them
 * exactly one caller logs a failure. Any thread; blocks for one write(2), or not at all where the
 * thread holds its lines back (log_hold). */
#ifndef FUT_CORE_LOG_H
#define FUT_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

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
/* Where lines go instead of standard error, each as it comes (log_hold holds nothing back then).
 * Set at boot, before threads; NULL: standard error. Any thread calls it. */
typedef void log_sink(enum log_level level, const char *event, const struct log_field *fields);
void log_set_sink(log_sink *sink);
/* Appends "event key=value …", as the lines on standard error have it. */
void log_format(struct buf *out, const char *event, const struct log_field *fields);
/* Default info. Any thread. */
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
/* fields: ended by a LOG_KIND_END entry. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* For loops that log many lines a turn. This thread's lines wait for log_flush from now on; a
 * warning or an error, 32 KiB of them, or FUT_BUG writes them at once, in order. */
void log_hold(void);
/* Writes what this thread holds back; nothing to do for a thread that holds nothing. */
void log_flush(void);
/* Flushes, and holds no longer. Before the thread ends. */
void log_let_go(void);

#endif
