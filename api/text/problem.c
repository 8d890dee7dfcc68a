#include "api/text/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/text/json_out.h"
#include "core/mem.h"

struct kind {
    unsigned status;
    const char *name, *title;
};

/* The names are part of the HTTP contract: never change one. */
static const struct kind kinds[PROBLEM_COUNT] = {
    [PROBLEM_BAD_JSON] = {400, "bad_json", "The body is not valid JSON"},
    [PROBLEM_TOO_DEEP] = {400, "json_too_deep", "The JSON is nested too deeply"},
    [PROBLEM_UNKNOWN_FIELD] = {422, "unknown_field", "The body has a member that is not known"},
    [PROBLEM_MISSING_FIELD] = {422, "missing_field", "The body lacks a member"},
    [PROBLEM_WRONG_TYPE] = {422, "wrong_type", "A value has the wrong type"},
    [PROBLEM_INVALID_VALUE] = {422, "invalid_value", "A value is not allowed"},
    [PROBLEM_LANE_FIXED] = {422, "lane_fixed", "The handler runs on its own lane only"},
    [PROBLEM_UNKNOWN_PARAMETER] = {400, "unknown_parameter", "A query parameter is not known"},
    [PROBLEM_INVALID_PARAMETER] = {400, "invalid_parameter", "A parameter is not allowed"},
    [PROBLEM_INVALID_PATH] = {400, "invalid_path", "The path is not well-formed"},
    [PROBLEM_INVALID_HEADER] = {400, "invalid_header", "A header is not allowed"},
    [PROBLEM_INVALID_CURSOR] = {400, "invalid_cursor", "The cursor is not one that was given out"},
    [PROBLEM_HEADERS_TOO_LARGE] = {431, "headers_too_large", "The headers are too large"},
    [PROBLEM_BODY_TOO_LARGE] = {413, "body_too_large", "The body is too large"},
    [PROBLEM_UNAUTHORIZED] = {401, "unauthorized", "A valid bearer token is needed"},
    [PROBLEM_FORBIDDEN] = {403, "forbidden", "The token does not allow this"},
    [PROBLEM_FOREIGN_ORIGIN] = {403, "foreign_origin", "Pages of this origin may not ask here"},
    [PROBLEM_UNKNOWN_HOST] = {421, "unknown_host", "The Host is not a name of this daemon"},
    [PROBLEM_UNSUPPORTED_ENCODING] = {415, "unsupported_encoding",
                                      "The body is encoded in a way that is not understood"},
    [PROBLEM_KEY_REUSED] = {422, "idempotency_key_reused",
                            "The idempotency key stands for another request"},
    [PROBLEM_BATCH_TOO_LARGE] = {413, "batch_too_large", "The batch has too many tasks"},
    [PROBLEM_TOO_MANY_IDS] = {413, "too_many_ids", "The request names too many futures"},
    [PROBLEM_UNKNOWN_ROUTE] = {404, "unknown_route", "There is nothing at this path"},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed", "The method is not allowed here"},
    [PROBLEM_UNKNOWN_FUTURE] = {404, "unknown_future", "There is no such future"},
    [PROBLEM_UNKNOWN_BATCH] = {404, "unknown_batch", "There is no such batch"},
    [PROBLEM_UNKNOWN_SESSION] = {404, "unknown_session", "There is no such session"},
    [PROBLEM_SESSION_BROKEN] = {409, "session_broken", "The init of the session has failed"},
    [PROBLEM_SESSION_CLOSED] = {409, "session_closed", "The session takes no more tasks"},
    [PROBLEM_UNKNOWN_OPERATION] = {404, "unknown_operation", "There is no such operation"},
    [PROBLEM_UNKNOWN_QUEUE] = {404, "unknown_queue", "There is no such queue"},
    [PROBLEM_UNKNOWN_LIMIT] = {404, "unknown_limit", "There is no such limit"},
    [PROBLEM_UNKNOWN_LIMIT_NAME] = {422, "unknown_limit", "There is no such limit"},
    [PROBLEM_TOO_MANY] = {422, "too_many", "There are as many of these as there may be"},
    [PROBLEM_HISTORY_GONE] = {410, "history_gone", "What the stream would go on with has expired"},
    [PROBLEM_NO_CHECKPOINT] = {404, "no_checkpoint", "The future has no checkpoint"},
    [PROBLEM_NO_ERROR_DATA] = {404, "no_error_data", "The failure has no data"},
    [PROBLEM_UNKNOWN_HANDLER] = {404, "unknown_handler", "There is no such handler"},
    [PROBLEM_UNKNOWN_HANDLER_NAME] = {422, "unknown_handler", "There is no such handler"},
    [PROBLEM_UNKNOWN_NODE] = {404, "unknown_node", "There is no such node"},
    [PROBLEM_UNKNOWN_POOL] = {404, "unknown_pool", "There is no such pool"},
    [PROBLEM_UNKNOWN_SCHEDULE] = {404, "unknown_schedule", "There is no such schedule"},
    [PROBLEM_UNKNOWN_PROBLEM] = {404, "unknown_problem", "There is no such problem"},
    [PROBLEM_NOT_DONE] = {409, "not_done", "The future is not done"},
    [PROBLEM_ALREADY_DONE] = {409, "already_done", "The future is done already"},
    [PROBLEM_ALREADY_RUNNING] = {409, "already_running", "The future runs already"},
    [PROBLEM_NOT_A_PROMISE] = {409, "not_a_promise", "The future is not a promise"},
    [PROBLEM_PARENT_FAILED] = {409, "parent_failed",
                               "A future that it waits for has ended otherwise"},
    [PROBLEM_DEADLOCK] = {409, "deadlock", "The wait would never end"},
    [PROBLEM_NO_SLOT_TO_LEND] = {409, "no_slot_to_lend", "No further slot of the lane is lent"},
    [PROBLEM_CONFLICT] = {409, "conflict", "The future changed at the same time"},
    [PROBLEM_SCHEDULE_OF_FILE] = {409, "schedule_of_file", "The schedule comes from a file"},
    [PROBLEM_TOO_MANY_SCHEDULES] = {409, "too_many_schedules", "There are too many schedules"},
    [PROBLEM_TASK_FAILED] = {422, "task_failed", "The task failed"},
    [PROBLEM_TASK_CANCELLED] = {409, "task_cancelled", "The task was cancelled"},
    [PROBLEM_QUEUE_FULL] = {503, "queue_full", "The queue is full"},
    [PROBLEM_BUSY] = {503, "busy", "Too many operations are waiting"},
    [PROBLEM_NOT_READY] = {503, "not_ready", "The daemon is not ready"},
    [PROBLEM_SHUTTING_DOWN] = {503, "shutting_down", "The daemon is shutting down"},
    [PROBLEM_STORE_FAILED] = {503, "store_failed", "The store failed"},
    [PROBLEM_READ_ONLY] = {503, "read_only", "The store takes no more writes"},
    [PROBLEM_NO_SPACE] = {507, "no_space", "The disk is full"},
    [PROBLEM_INTERNAL] = {500, "internal", "The daemon made a mistake"},
};

struct cause {
    enum problem_code code;
    unsigned retry_after_s;
    const char *detail;
};

/* Indexed by -rc. */
static const struct cause causes[] = {
    [-FUT_OK] = {PROBLEM_INTERNAL, 0, "No error was given."},
    [-FUT_ERR_INVAL] = {PROBLEM_INTERNAL, 0, "The store refused the request as malformed."},
    [-FUT_ERR_NOT_FOUND] = {PROBLEM_UNKNOWN_FUTURE, 0,
                            "No future has this id; it may have expired or been deleted."},
    [-FUT_ERR_STALE] = {PROBLEM_CONFLICT, 0, "The future changed at the same time; read it again."},
    [-FUT_ERR_FULL] = {PROBLEM_QUEUE_FULL, 1, "The queue is full; nothing was stored."},
    [-FUT_ERR_CLOSED] = {PROBLEM_SHUTTING_DOWN, 1,
                         "The daemon is shutting down; nothing was stored."},
    [-FUT_ERR_IO] = {PROBLEM_STORE_FAILED, 1, "The store failed to do this; nothing was stored."},
    [-FUT_ERR_NO_SPACE] = {PROBLEM_NO_SPACE, 30, "The disk is full; nothing was stored."},
    [-FUT_ERR_READ_ONLY] = {PROBLEM_READ_ONLY, 60,
                            "A write to disk failed earlier, so the store takes no more of them "
                            "until the daemon is restarted; nothing was stored."},
    [-FUT_ERR_TOO_BIG] = {PROBLEM_BODY_TOO_LARGE, 0, "The request is over a limit."},
    [-FUT_ERR_AGAIN] = {PROBLEM_BUSY, 1,
                        "100,000 keys of limits are in use, the most there may be; one becomes "
                        "free when the tasks that name it have ended. Nothing was stored."},
    [-FUT_ERR_STATE] = {PROBLEM_CONFLICT, 0, "The future's state does not allow this."},
    [-FUT_ERR_EXISTS] = {PROBLEM_INTERNAL, 0, "The new id was taken; nothing was stored."},
    [-FUT_ERR_BUSY] = {PROBLEM_BUSY, 1, "Another process holds the store."},
    [-FUT_ERR_CONFLICT] = {PROBLEM_KEY_REUSED, 0,
                           "This Idempotency-Key came before with another request; nothing was "
                           "stored."},
    [-FUT_ERR_DAMAGED] = {PROBLEM_READ_ONLY, 60,
                          "The database file is damaged, so the store takes no more writes; "
                          "`futured check` on the server says what is wrong; nothing was stored."},
};

static void copy_cut(char *dst, size_t cap, const char *src)
{
    size_t n = strnlen(src, cap - 1);
    memcpy(dst, src, n);
    dst[n] = '\0';
}

static void start(struct problem *p, enum problem_code code)
{
    p->code = code;
    p->field[0] = p->parameter[0] = '\0';
    p->line = p->column = 0;
    p->limit = 0;
    p->retry_after_s = 0;
    p->scope = NULL;
    p->error = NULL;
}

void problem_set(struct problem *p, enum problem_code code, const char *fmt, ...)
{
    va_list ap;
    start(p, code);
    va_start(ap, fmt);
    (void)vsnprintf(p->detail, sizeof(p->detail), fmt, ap); /* cut when too long */
    va_end(ap);
}

void problem_set_field(struct problem *p, const char *name)
{
    copy_cut(p->field, sizeof(p->field), name);
}

void problem_set_parameter(struct problem *p, const char *name)
{
    copy_cut(p->parameter, sizeof(p->parameter), name);
}

void problem_from_err(struct problem *p, int rc)
{
    size_t i = rc <= 0 && (size_t)-rc < FUT_COUNT(causes) ? (size_t)-rc : 0;
    start(p, causes[i].code);
    copy_cut(p->detail, sizeof(p->detail), causes[i].detail);
    p->retry_after_s = causes[i].retry_after_s;
}

unsigned problem_status(enum problem_code code)
{
    return kinds[code].status;
}

const char *problem_name(enum problem_code code)
{
    return kinds[code].name;
}

const char *problem_title(enum problem_code code)
{
    return kinds[code].title;
}

bool problem_parse(const char *name, enum problem_code *out)
{
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *out = (enum problem_code)i;
            return true;
        }
    }
    return false;
}

static void write_text(struct buf *out, const char *key, const char *value)
{
    json_out_key(out, key);
    json_out_text(out, value, strlen(value));
}

void problem_write(struct buf *out, const struct problem *p)
{
    /* cppcheck-suppress ctuuninitvar ; every caller sets p by problem_set or problem_from_err */
    const struct kind *k = &kinds[p->code];
    buf_puts(out, "{\"type\":\"/problems/");
    buf_puts(out, k->name);
    buf_putc(out, '"');
    write_text(out, "title", k->title);
    json_out_uint(out, "status", k->status);
    write_text(out, "detail", p->detail);
    write_text(out, "code", k->name);
    if (p->field[0])
        write_text(out, "field", p->field);
    if (p->parameter[0])
        write_text(out, "parameter", p->parameter);
    if (p->line > 0)
        json_out_int(out, "line", p->line);
    if (p->column > 0)
        json_out_int(out, "column", p->column);
    if (p->limit)
        json_out_uint(out, "limit", p->limit);
    if (p->retry_after_s)
        json_out_uint(out, "retry_after", p->retry_after_s);
    if (p->error) {
        json_out_key(out, "error");
        buf_put(out, p->error->data, p->error->len);
    }
    buf_putc(out, '}');
}
