/* conn: one connection to PostgreSQL: its statements, the values that go into them, the rows that
 * come out. */
#ifndef FUT_STORAGE_POSTGRES_CONN_H
#define FUT_STORAGE_POSTGRES_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"

/* Every statement, prepared on a connection when it is first used there (sql.c). */
enum postgres_stmt {
    P_BEGIN,
    P_COMMIT,
    P_ROLLBACK,
    P_MARK,
    P_UNMARK,
    P_BACK,
    P_SCHEMA_NUMBER,
    P_SHARE,
    P_ALONE,
    P_TRY_NODE,
    P_FREE_NODE,
    P_HOLDER,
    P_END_SESSION,
    P_TURN,
    P_TURN_OF_SESSION,
    P_END_TURN,
    P_TURN_IS_WANTED,
    P_END_STANDING,
    P_NEW_NODE,
    P_OWN_NODE,
    P_NAMESAKES,
    P_GIVE_UP,
    P_EXPIRE,
    P_JOIN,
    P_LEAVE,
    P_BEAT,
    P_PUBLISH,
    P_NODES,
    P_QUEUE_NODES,
    P_DRAIN,
    P_NOTIFY,
    P_LATEST_NEWS,
    P_NEWS,
    P_TELL,
    P_TRIM_NEWS,
    P_REPLICAS,
    P_ABANDONED,
    P_GUARD,
    P_TRIM_COMMITS,
    P_INSERT,
    P_ADD_TASK,
    P_ADD_TASKS,
    P_ADD_LIVE,
    P_ADD_LIVES,
    P_PUT_OPTIONS,
    P_PUT_OPTIONS_OF,
    P_UPDATE_LIVE,
    P_FINISH,
    P_ADD_RESULT,
    P_ADD_RESULTS,
    P_END_LIVE,
    P_END_LIVES,
    P_RETURN,
    P_ADD_ATTEMPT,
    P_TRIM_ATTEMPTS,
    P_SET_CALLBACK,
    P_ADD_LINE,
    P_DROP_LINE,
    P_TAKE,
    P_FIRST,
    P_LOAD,
    P_DUE,
    P_RUN_AT,
    P_NEXT_TIMES,
    P_PUT_TIMER,
    P_RETURN_EXPIRY,
    P_TIMED_OUT,
    P_DROP_TIMER,
    P_DROP_TIMERS,
    P_IN_STATE,
    P_AFTER,
    P_QUEUE,
    P_FIND_STATE,
    P_PUT_EDGE,
    P_PENDING_EDGES,
    P_CHILDREN,
    P_PARENTS,
    P_PLACE,
    P_SUBMITTED,
    P_SET_UNMET,
    P_SET_DUE,
    P_FIND_LIVE,
    P_FIND_DONE,
    P_PUT_CASCADE,
    P_NEXT_CASCADE,
    P_DROP_CASCADE,
    P_DROP_WAKES,
    P_WAKES,
    P_FIND_UNIQUE,
    P_FIND_KEY,
    P_PUT_KEY,
    P_PUT_BATCH,
    P_FAIL_BATCH,
    P_CANCEL_BATCH,
    P_END_MEMBERS,
    P_KEEP_BATCH,
    P_KEEP,
    P_DROP_KEPT,
    P_KEPT_OLDEST,
    P_END_KEPT,
    P_HAS_KEPT,
    P_RETURN_MEMBER,
    P_BATCH_ENDS,
    P_SET_BATCH_CALLBACK,
    P_CANCELLING,
    P_UNFINISHED,
    P_WINDOW,
    P_CANCELLED,
    P_OLD_BATCH,
    P_MEMBER_KEYS,
    P_DELETE_BATCH,
    P_DELETE_EMPTY_BATCH,
    P_PUT_SESSION,
    P_SESSION_INIT,
    P_BREAK_SESSION,
    P_FIND_SESSION,
    P_SESSION_LIST,
    P_ADD_TO_SESSION,
    P_CLOSE_SESSION,
    P_RENEW_SESSION,
    P_RENEW_SESSIONS,
    P_SESSION_LEASES,
    P_END_LEASE,
    P_SESSION_ENDS,
    P_IS_RUNNING,
    P_REPORT,
    P_IS_LIVE,
    P_DELETE_TASKS,
    P_PUT_CHECKPOINT,
    P_DELETE_CHECKPOINT,
    P_GET_CHECKPOINT,
    P_CHECKPOINT_SIZE,
    P_HAS_CHECKPOINTS,
    P_OLDEST,
    P_KEEP_LONGER,
    P_BULK_PUT,
    P_BULK_TRIM,
    P_BULK_NEXT,
    P_BULK_FIND,
    P_BULKS,
    P_SCHEDULE_FIND,
    P_SCHEDULE_PUT,
    P_SCHEDULE_REMOVE,
    P_SCHEDULE_REMOVE_RUNS,
    P_SCHEDULE_COUNT,
    P_SCHEDULE_OF_FILE,
    P_SCHEDULE_ADD_RUN,
    P_SCHEDULE_TRIM_RUNS,
    P_SCHEDULE_END_WAITING,
    P_SCHEDULE_UNFINISHED,
    P_SCHEDULE_ADD_TASK,
    P_SCHEDULE_DROP_TASK,
    P_SCHEDULE_READY,
    P_SCHEDULE_RUNS,
    P_SCHEDULE_LIST,
    P_SCHEDULE_DUE,
    P_SCHEDULE_NEXT,
    P_LIMIT_PUT,
    P_LIMIT_DROP,
    P_LIMIT_KEY_PUT,
    P_LIMIT_KEY_DROP,
    P_LIMITS,
    P_LIMIT_KEYS,
    P_QUEUE_PUT,
    P_QUEUE_DROP,
    P_FAIR_PUT,
    P_FAIR_DROP,
    P_FAIR_DROP_ALL,
    P_PAUSE_PUT,
    P_PAUSE_DROP,
    P_QUEUES,
    P_FAIR_WEIGHTS,
    P_PAUSES,
    P_SAVE,
    P_TOUCH,
    P_SIZE,
    P_TOTALS,
    P_LINES,
    P_PASS_DUE,
    P_PASS_TIMERS,
    P_PASS_LIMITS,
    P_GET,
    P_SCAN_ALL,
    P_SCAN_LIVE,
    P_SCAN_DONE,
    P_SCAN_CODE,
    P_SCAN_CODE_WHOLE,
    P_SCAN_QUEUE,
    P_SCAN_QUEUE_WHOLE,
    P_SCAN_SCHEDULE,
    P_SCAN_SCHEDULE_WHOLE,
    P_SCAN_PARENT,
    P_SCAN_PARENT_WHOLE,
    P_SCAN_HERE,
    P_BRIEFS,
    P_BATCH,
    P_BATCH_COUNTS,
    P_BATCH_LIST,
    P_MEMBERS,
    P_LOG,
    P_INPUT,
    P_ATTEMPTS,
    P_EDGES,
    P_AHEAD,
    P_QUEUE_LINES,
    P_LINE_NEXT,
    P_COUNT,
};
extern const char *const postgres_sql[P_COUNT];

/* ---- values: what goes into a statement -------------------------------------------------------
 */

enum postgres_kind {
    PG_INT,
    PG_TEXT,
    PG_BYTES,
    PG_DOUBLE,
    PG_INTS,
    /* arrays as the server reads them */
    PG_INT_ARRAY,
    PG_TEXT_ARRAY,
    PG_BYTES_ARRAY,
};
struct postgres_value {
    enum postgres_kind kind;
    bool is_null;
    int64_t i;
    double d;
    const void *p; /* borrowed until the statement is sent */
    size_t n;
};

static inline struct postgres_value v_int(int64_t i)
{
    return (struct postgres_value){.kind = PG_INT, .i = i};
}

static inline struct postgres_value v_key(uint64_t key)
{
    return v_int((int64_t)key);
}

static inline struct postgres_value v_int_or_null(int64_t i, int64_t null)
{
    return (struct postgres_value){.kind = PG_INT, .i = i, .is_null = i == null};
}

/* NULL stays NULL. Bytes that are not UTF-8 are replaced: use bytes where each one counts. */
static inline struct postgres_value v_text(const char *s)
{
    return (struct postgres_value){.kind = PG_TEXT, .p = s, .n = s ? strlen(s) : 0, .is_null = !s};
}

static inline struct postgres_value v_bytes(const void *p, size_t n)
{
    return (struct postgres_value){.kind = PG_BYTES, .p = n ? p : "", .n = n};
}

/* The bytes of a string; NULL stays NULL. */
static inline struct postgres_value v_key_text(const char *s)
{
    return (struct postgres_value){.kind = PG_BYTES, .p = s, .n = s ? strlen(s) : 0, .is_null = !s};
}

static inline struct postgres_value v_bytes_or_null(const void *p, size_t n)
{
    return (struct postgres_value){.kind = PG_BYTES, .p = p, .n = n, .is_null = !n};
}

static inline struct postgres_value v_double(double d)
{
    return (struct postgres_value){.kind = PG_DOUBLE, .d = d};
}

static inline struct postgres_value v_ints(const int64_t *ints, size_t n)
{
    return (struct postgres_value){.kind = PG_INTS, .p = ints, .n = n};
}

/* The server's number for a type, which is the same in each of its versions. */
static inline uint32_t postgres_type(enum postgres_kind kind)
{
    static const uint16_t types[] = {
        [PG_INT] = 20,    [PG_TEXT] = 25,        [PG_BYTES] = 17,        [PG_DOUBLE] = 701,
        [PG_INTS] = 1016, [PG_INT_ARRAY] = 1016, [PG_TEXT_ARRAY] = 1009, [PG_BYTES_ARRAY] = 1001};
    return types[kind];
}

/* PG_INT, PG_TEXT or PG_BYTES: an array of such. */
static inline enum postgres_kind postgres_kind_of_array(enum postgres_kind kind)
{
    return kind == PG_INT ? PG_INT_ARRAY : kind == PG_TEXT ? PG_TEXT_ARRAY : PG_BYTES_ARRAY;
}

/* What stands before the n elements of an array of this kind, any of which may be NULL. */
#define POSTGRES_ARRAY_HEADER 20
void postgres_put_array_header(char *to, enum postgres_kind kind, size_t n);

/* NULL: PostgreSQL takes the text of n bytes as it is; else a copy with a question mark for each
 * byte that is not UTF-8. free() it. */
char *postgres_fit(const char *text, size_t n);

#define PG_VALUES_MAX 40
/* The values of a statement and how many they are: two arguments. */
#define PG_VALUES(...)                                                                             \
    (const struct postgres_value[]){__VA_ARGS__},                                                  \
        sizeof((const struct postgres_value[]){__VA_ARGS__}) / sizeof(struct postgres_value)
#define PG_NO_VALUES NULL, 0

/* ---- conn.c: one connection -------------------------------------------------------------------
 *
 * Always in libpq's pipeline mode. A statement whose answer nobody needs before the commit is sent
 * without waiting; an error of it ends the transaction and is heard of by the next answer that is
 * waited for, at the latest by the commit's. One thread. */

struct postgres_sent {
    enum postgres_stmt stmt;
    bool is_prepare;
};
struct postgres_conn {
    const char *url;          /* borrowed */
    const char *settings;     /* statements run once per connection; borrowed */
    int (*before)(void *ctx); /* sends what must come before any other statement; NULL: nothing */
    void *before_ctx;
    PGconn *pg; /* NULL: not connected */
    bool in_txn;
    bool has_written; /* in the transaction: more than SELECT */
    int rc; /* of the first failure in the transaction; nothing more is sent until its end */
    unsigned char prepared[P_COUNT];
    struct postgres_sent *sent; /* whose results were not read yet, oldest first */
    size_t first_sent, n_sent, cap_sent;
};

/* Connects anew, whatever there was. 0, or FUT_ERR_IO with the reason in err (NULL ok). Blocks for
 * as long as the URL's connect_timeout says, 3 s by default. */
FUT_MUST_CHECK int postgres_connect(struct postgres_conn *c, struct fut_errbuf *err);
/* postgres_connect, at the opening: FUT_ERR_INVAL when the server refuses for a reason that waiting
 * does not mend (a wrong password, no such database), FUT_ERR_IO when it may be there later. The
 * reason is in err (NULL ok). */
FUT_MUST_CHECK int postgres_connect_first(struct postgres_conn *c, struct fut_errbuf *err);
/* Closes it and forgets what was sent. */
void postgres_disconnect(struct postgres_conn *c);
/* Is it connected, as far as is known? */
bool postgres_is_connected(const struct postgres_conn *c);
/* Likewise, while nothing was sent: when the server has said something all the same, such as its
 * farewell, the connection is closed. */
bool postgres_is_usable(struct postgres_conn *c);
/* Sends a statement that gives no rows and does not wait. In a transaction alone. 0, or the error
 * of this transaction. */
FUT_MUST_CHECK int postgres_send(struct postgres_conn *c, enum postgres_stmt stmt,
                                 const struct postgres_value *values, size_t n);
/* Sends a statement and waits for its rows: *out, PQclear by the caller. Outside of a transaction
 * the statement is one of its own. */
FUT_MUST_CHECK int postgres_ask(struct postgres_conn *c, enum postgres_stmt stmt,
                                const struct postgres_value *values, size_t n, PGresult **out);
/* Behind postgres_ask and the like: FUT_ERR_NOT_FOUND, and nothing to clear, when they found no
 * row; else rc. */
FUT_MUST_CHECK int postgres_row(int rc, PGresult **r);
/* postgres_ask of a statement whose rows nobody needs, but its end. */
int postgres_run(struct postgres_conn *c, enum postgres_stmt stmt,
                 const struct postgres_value *values, size_t n);
/* Begins a transaction, without waiting. */
FUT_MUST_CHECK int postgres_txn_begin(struct postgres_conn *c);
/* Ends it and waits for everything. *out_unknown: the connection broke before the answer came, so
 * nobody knows yet whether it happened. */
FUT_MUST_CHECK int postgres_txn_commit(struct postgres_conn *c, bool *out_unknown);
/* Takes it back, whatever state it is in. */
void postgres_txn_rollback(struct postgres_conn *c);
/* The code for an error at the opening; NULL: the connection broke. FUT_ERR_INVAL: see above. */
int postgres_first_rc(const char *sqlstate);
/* Runs SQL text that gives no rows, outside of a transaction, at the opening. err: one sentence. */
int postgres_exec(struct postgres_conn *c, const char *sql, struct fut_errbuf *err);
/* The code for an error with this SQLSTATE (NULL: none came). */
int postgres_rc(const char *sqlstate);
/* The first line of what the server or libpq said of the latest failure. */
const char *postgres_message(const struct postgres_conn *c, char *out, size_t size);

/* ---- reading a row ----------------------------------------------------------------------------
 */

/* A whole number of any width or a boolean; NULL: 0. */
static inline int64_t postgres_int(const PGresult *r, int row, int column)
{
    const unsigned char *p = (const unsigned char *)PQgetvalue(r, row, column);
    int n = PQgetisnull(r, row, column) ? 0 : PQgetlength(r, row, column);
    int64_t v = n > 1 && p[0] & 0x80 ? -1 : 0;
    for (int i = 0; i < n; i++)
        v = (int64_t)((uint64_t)v << 8 | p[i]);
    return v;
}
static inline double postgres_double(const PGresult *r, int row, int column)
{
    uint64_t bits = (uint64_t)postgres_int(r, row, column);
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}
static inline uint64_t postgres_uint(const PGresult *r, int row, int column)
{
    return (uint64_t)postgres_int(r, row, column);
}
static inline bool postgres_is_null(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column);
}
/* Borrowed from the result, with a NUL behind it; NULL stays NULL. */
static inline const char *postgres_text(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}
static inline size_t postgres_len(const PGresult *r, int row, int column)
{
    return (size_t)PQgetlength(r, row, column);
}
static inline struct task_id postgres_id(const PGresult *r, int row, int hi, int lo)
{
    return (struct task_id){postgres_uint(r, row, hi), postgres_uint(r, row, lo)};
}

#endif
