/* conn: one connection to PostgreSQL, in libpq's pipeline mode: statements are prepared when they
 * are first used, sent without waiting, and their results read in order when one is needed. */
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "storage/postgres/internal.h"

/* What a prepared statement's flag says. */
enum { NOT_PREPARED, PREPARE_SENT, IS_PREPARED };

/* ---- errors -----------------------------------------------------------------------------------
 */

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

int postgres_rc(const char *sqlstate)
{
    if (!sqlstate)
        return FUT_ERR_IO;
    if (begins(sqlstate, "53100"))
        return FUT_ERR_NO_SPACE;
    if (begins(sqlstate, "XX001") || begins(sqlstate, "XX002"))
        return FUT_ERR_DAMAGED;
    if (begins(sqlstate, "22012")) /* our own checks divide by the rows that they find */
        return FUT_ERR_READ_ONLY;
    return FUT_ERR_IO;
}

/* Has this error ended the connection's use: it broke, or the server takes no writes? */
static bool ends_connection(const char *sqlstate)
{
    return !sqlstate || begins(sqlstate, "08") || begins(sqlstate, "57P0") ||
           begins(sqlstate, "25006");
}

const char *postgres_message(const struct postgres_conn *c, char *out, size_t size)
{
    const char *text = c->pg ? PQerrorMessage(c->pg) : "";
    size_t n = strcspn(text, "\n");
    (void)snprintf(out, size, "%.*s", (int)n, n ? text : "it cannot be reached");
    return out;
}

/* Remembers the first failure of a transaction. */
static int fail(struct postgres_conn *c, int rc)
{
    if (c->rc == 0)
        c->rc = rc;
    return c->rc;
}

static int lose(struct postgres_conn *c)
{
    char text[256];
    log_debug("postgres_lost", LOG_STR("why", postgres_message(c, text, sizeof(text))));
    postgres_disconnect(c);
    return fail(c, FUT_ERR_IO);
}

/* ---- connecting -------------------------------------------------------------------------------
 */

void postgres_disconnect(struct postgres_conn *c)
{
    PQfinish(c->pg);
    c->pg = NULL;
    c->first_sent = c->n_sent = 0;
    memset(c->prepared, NOT_PREPARED, sizeof(c->prepared));
}

bool postgres_is_connected(const struct postgres_conn *c)
{
    return c->pg && PQstatus(c->pg) == CONNECTION_OK;
}

bool postgres_is_usable(struct postgres_conn *c)
{
    if (!postgres_is_connected(c))
        return false;
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};
    if (poll(&fd, 1, 0) <= 0)
        return true;
    postgres_disconnect(c);
    return false;
}

static void ignore_notice(void *ctx, const PGresult *r)
{
    (void)ctx;
    (void)r;
}

/* What the URL says of these comes later, so it counts. libpq prints what a server says before
 * there is a receiver for it, and its messages have no code unless asked for; both can be set once
 * connecting has begun, and hold when it then begins anew. */
static PGconn *connect_to(const char *url)
{
    static const char *const keywords[] = {"application_name",     "connect_timeout",
                                           "target_session_attrs", "keepalives_idle",
                                           "keepalives_interval",  "keepalives_count",
                                           "tcp_user_timeout",     "dbname",
                                           "client_encoding",      NULL};
    const char *const values[] = {"futured", "3",     "read-write", "10",   "5",
                                  "3",       "10000", url,          "UTF8", NULL};
    PGconn *pg = PQconnectStartParams(keywords, values, 1);
    if (!pg || PQstatus(pg) == CONNECTION_BAD)
        return pg;
    (void)PQsetNoticeReceiver(pg, ignore_notice, NULL);
    (void)PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    PQreset(pg);
    (void)PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
    return pg;
}

/* The SQLSTATE in the message of a connection that has failed: "FATAL:  28P01: …". */
static bool find_sqlstate(const char *message, char out[6])
{
    bool found = false;
    for (const char *at = message; (at = strstr(at, ":  ")) != NULL; at += 3) {
        size_t n = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n != 5 || at[8] != ':')
            continue;
        (void)snprintf(out, 6, "%.5s", at + 3);
        found = true;
    }
    return found;
}

/* Will it be refused however long one waits? Wrong passwords, users and databases that are not
 * there, what is not allowed, values that the server does not know. */
static bool is_for_good(const char *sqlstate)
{
    return begins(sqlstate, "28") || begins(sqlstate, "3D") || begins(sqlstate, "42") ||
           begins(sqlstate, "22") || begins(sqlstate, "0A") || begins(sqlstate, "3F");
}

int postgres_first_rc(const char *sqlstate)
{
    return sqlstate && is_for_good(sqlstate) ? FUT_ERR_INVAL : postgres_rc(sqlstate);
}

static int connect_rc(const PGconn *pg)
{
    char sqlstate[6];
    if (pg && PQconnectionNeedsPassword(pg))
        return FUT_ERR_INVAL;
    bool is_known = pg && find_sqlstate(PQerrorMessage(pg), sqlstate);
    return postgres_first_rc(is_known ? sqlstate : NULL) == FUT_ERR_INVAL ? FUT_ERR_INVAL
                                                                          : FUT_ERR_IO;
}

/* libpq quotes what it cannot read, which may be a piece of the password. */
static bool is_readable(const char *url)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    bool is = options != NULL;
    for (const PQconninfoOption *o = options; o && o->keyword; o++) {
        if (strcmp(o->keyword, "port") == 0 && o->val)
            is = o->val[strspn(o->val, "0123456789,")] == '\0';
    }
    PQconninfoFree(options);
    PQfreemem(why);
    return is;
}

int postgres_connect_first(struct postgres_conn *c, struct fut_errbuf *err)
{
    char text[256];
    postgres_disconnect(c);
    c->rc = 0;
    c->in_txn = false;
    if (!is_readable(c->url))
        return fut_fail(err, FUT_ERR_INVAL,
                        "cannot read the URL of the PostgreSQL database: in a password @ : / %% "
                        "and others are written percent-encoded (%%40)");
    c->pg = connect_to(c->url);
    if (!postgres_is_connected(c)) {
        int rc = fut_fail(err, connect_rc(c->pg), "cannot connect to PostgreSQL: %s",
                          postgres_message(c, text, sizeof(text)));
        postgres_disconnect(c);
        return rc;
    }
    int rc = postgres_exec(c, c->settings, err);
    if (rc == 0 && PQenterPipelineMode(c->pg) != 1)
        rc = fut_fail(err, FUT_ERR_IO, "cannot talk to PostgreSQL in a pipeline");
    if (rc != 0)
        postgres_disconnect(c);
    return rc;
}

int postgres_connect(struct postgres_conn *c, struct fut_errbuf *err)
{
    int rc = postgres_connect_first(c, err);
    return rc == FUT_ERR_INVAL ? FUT_ERR_IO : rc;
}

/* By the simple protocol, outside of the pipeline, as it may be more than one statement. */
int postgres_exec(struct postgres_conn *c, const char *sql, struct fut_errbuf *err)
{
    char text[256];
    bool in_pipeline = PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF;
    if (in_pipeline)
        (void)PQexitPipelineMode(c->pg);
    PGresult *r = PQexec(c->pg, sql);
    ExecStatusType status = PQresultStatus(r);
    int rc = 0;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        rc = fut_fail(err, postgres_first_rc(PQresultErrorField(r, PG_DIAG_SQLSTATE)),
                      "PostgreSQL refuses: %s", postgres_message(c, text, sizeof(text)));
    PQclear(r);
    if (in_pipeline && postgres_is_connected(c))
        (void)PQenterPipelineMode(c->pg);
    return rc;
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* The values of one statement as libpq wants them. */
struct bound {
    const char *values[PG_VALUES_MAX];
    int lengths[PG_VALUES_MAX], formats[PG_VALUES_MAX];
    Oid types[PG_VALUES_MAX];
    uint64_t numbers[PG_VALUES_MAX];
    void *owned[PG_VALUES_MAX]; /* freed when it is sent */
    size_t n;
};

/* The length of the UTF-8 character there, of n bytes; 0: it is none that PostgreSQL takes. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return s[0] != 0;
    size_t len = s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (len == 0 || s[0] < 0xC2 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    bool is_bad = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
                  (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F);
    return is_bad ? 0 : len;
}

char *postgres_fit(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    char *copy = NULL;
    for (size_t i = 0, len; i < n; i += len) {
        len = utf8_len(s + i, n - i);
        if (len)
            continue;
        if (!copy)
            copy = xstrndup(text, n);
        copy[i] = '?';
        len = 1;
    }
    return copy;
}

static void put_be32(char *to, uint32_t v)
{
    v = htobe32(v);
    memcpy(to, &v, sizeof(v));
}

void postgres_put_array_header(char *to, enum postgres_kind kind, size_t n)
{
    put_be32(to, 1);
    put_be32(to + 4, 1);
    put_be32(to + 8, postgres_type(kind));
    put_be32(to + 12, (uint32_t)n);
    put_be32(to + 16, 1);
}

/* An array without elements has no dimension. */
static char *array_of(const int64_t *ints, size_t n, int *out_len)
{
    char *a = xmalloc(POSTGRES_ARRAY_HEADER + 12 * n), *p = a + POSTGRES_ARRAY_HEADER;
    postgres_put_array_header(a, PG_INT, n);
    if (n == 0)
        put_be32(a, 0);
    for (size_t i = 0; i < n; i++, p += 12) {
        uint64_t v = htobe64((uint64_t)ints[i]);
        put_be32(p, sizeof(v));
        memcpy(p + 4, &v, sizeof(v));
    }
    *out_len = (int)(n ? POSTGRES_ARRAY_HEADER + 12 * n : 12);
    return a;
}

static void bind_number(struct bound *b, size_t i, uint64_t bits)
{
    b->numbers[i] = htobe64(bits);
    b->values[i] = (const char *)&b->numbers[i];
    b->lengths[i] = sizeof(bits);
}

static void bind_text(struct bound *b, size_t i, const struct postgres_value *v)
{
    b->owned[i] = v->is_null ? NULL : postgres_fit(v->p, v->n);
    b->values[i] = b->owned[i] ? b->owned[i] : v->p;
    b->lengths[i] = (int)v->n;
}

static void bind_one(struct bound *b, size_t i, const struct postgres_value *v)
{
    uint64_t bits;
    b->types[i] = postgres_type(v->kind);
    b->formats[i] = 1;
    b->owned[i] = NULL;
    switch (v->kind) {
    case PG_INT: bind_number(b, i, (uint64_t)v->i); break;
    case PG_TEXT: bind_text(b, i, v); break;
    case PG_BYTES:
    case PG_INT_ARRAY:
    case PG_TEXT_ARRAY:
    case PG_BYTES_ARRAY:
        b->values[i] = v->p;
        b->lengths[i] = (int)v->n;
        break;
    case PG_DOUBLE:
        memcpy(&bits, &v->d, sizeof(bits));
        bind_number(b, i, bits);
        break;
    case PG_INTS: b->values[i] = b->owned[i] = array_of(v->p, v->n, &b->lengths[i]); break;
    }
    if (v->is_null)
        b->values[i] = NULL;
}

static void bind(struct bound *b, const struct postgres_value *values, size_t n)
{
    FUT_ASSERT(n <= PG_VALUES_MAX);
    b->n = n;
    for (size_t i = 0; i < n; i++)
        bind_one(b, i, &values[i]);
}

static void unbind(struct bound *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->owned[i]);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void add_sent(struct postgres_conn *c, enum postgres_stmt stmt, bool is_prepare)
{
    if (c->first_sent == c->n_sent)
        c->first_sent = c->n_sent = 0;
    if (c->n_sent == c->cap_sent) {
        c->cap_sent = c->cap_sent ? c->cap_sent * 2 : 256;
        c->sent = xrealloc(c->sent, c->cap_sent * sizeof(*c->sent));
    }
    c->sent[c->n_sent++] = (struct postgres_sent){stmt, is_prepare};
}

static int send_one(struct postgres_conn *c, enum postgres_stmt stmt,
                    const struct postgres_value *values, size_t n)
{
    struct bound b;
    char name[16];
    bool ok = true;
    bind(&b, values, n);
    (void)snprintf(name, sizeof(name), "s%d", (int)stmt);
    if (c->prepared[stmt] == NOT_PREPARED) {
        ok = PQsendPrepare(c->pg, name, postgres_sql[stmt], (int)n, b.types) == 1;
        if (ok)
            add_sent(c, stmt, true);
        c->prepared[stmt] = PREPARE_SENT;
    }
    ok = ok && PQsendQueryPrepared(c->pg, name, (int)n, b.values, b.lengths, b.formats, 1) == 1;
    unbind(&b);
    if (!ok)
        return lose(c);
    add_sent(c, stmt, false);
    c->has_written = c->has_written || strncmp(postgres_sql[stmt], "SELECT", 6) != 0;
    return 0;
}

int postgres_send(struct postgres_conn *c, enum postgres_stmt stmt,
                  const struct postgres_value *values, size_t n)
{
    if (c->rc == 0 && c->before)
        (void)c->before(c->before_ctx);
    if (c->rc != 0)
        return c->rc;
    if (!postgres_is_connected(c))
        return lose(c);
    return send_one(c, stmt, values, n);
}

/* ---- results ----------------------------------------------------------------------------------
 */

/* After an error the server has skipped what was sent behind it: also what was to be prepared. */
static void forget_prepares(struct postgres_conn *c)
{
    for (size_t i = 0; i < P_COUNT; i++) {
        if (c->prepared[i] == PREPARE_SENT)
            c->prepared[i] = NOT_PREPARED;
    }
}

/* The code for an error of this statement. Rows whose keys are known to be new are added without
 * looking: when one is there, somebody else has written. */
static int rc_of(enum postgres_stmt stmt, const char *sqlstate)
{
    bool is_sure = stmt == P_ADD_TASK || stmt == P_ADD_TASKS || stmt == P_ADD_LIVE ||
                   stmt == P_ADD_LIVES || stmt == P_ADD_RESULT || stmt == P_ADD_RESULTS ||
                   stmt == P_GUARD;
    return is_sure && sqlstate && begins(sqlstate, "23505") ? FUT_ERR_READ_ONLY
                                                            : postgres_rc(sqlstate);
}

static void check_result(struct postgres_conn *c, const struct postgres_sent *of, const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    if (status == PGRES_PIPELINE_ABORTED) {
        (void)fail(c, FUT_ERR_IO);
        return;
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (of->is_prepare)
            c->prepared[of->stmt] = IS_PREPARED;
        return;
    }
    log_debug("postgres_error", LOG_INT("statement", of->stmt), LOG_STR("sqlstate", state),
              LOG_STR("text", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)));
    forget_prepares(c);
    (void)fail(c, rc_of(of->stmt, state));
    if (ends_connection(state))
        (void)lose(c);
}

/* The result of the oldest statement; NULL: the connection broke. */
static PGresult *read_one(struct postgres_conn *c)
{
    struct postgres_sent of = c->sent[c->first_sent];
    PGresult *r = PQgetResult(c->pg);
    if (!r || (PQstatus(c->pg) == CONNECTION_BAD && !PQresultErrorField(r, PG_DIAG_SQLSTATE))) {
        PQclear(r);
        (void)lose(c);
        return NULL;
    }
    c->first_sent++;
    check_result(c, &of, r);
    if (c->pg)
        PQclear(PQgetResult(c->pg)); /* the end of its results */
    return r;
}

/* Reads all but the last `keep` results. */
static void read_until(struct postgres_conn *c, size_t keep)
{
    while (c->pg && c->n_sent - c->first_sent > keep)
        PQclear(read_one(c));
}

/* Reads the answer to the Sync that was sent last. */
static void read_sync(struct postgres_conn *c)
{
    PGresult *r = c->pg ? PQgetResult(c->pg) : NULL;
    if (c->pg && PQresultStatus(r) != PGRES_PIPELINE_SYNC)
        (void)lose(c);
    PQclear(r);
}

int postgres_ask(struct postgres_conn *c, enum postgres_stmt stmt,
                 const struct postgres_value *values, size_t n, PGresult **out)
{
    bool in_txn = c->in_txn;
    int rc = postgres_send(c, stmt, values, n);
    if (rc != 0 && in_txn)
        return rc;
    if (rc == 0 && (in_txn ? PQsendFlushRequest(c->pg) : PQpipelineSync(c->pg)) != 1)
        (void)lose(c);
    if (c->pg && PQflush(c->pg) < 0)
        (void)lose(c);
    read_until(c, 1);
    PGresult *r = c->pg && c->n_sent > c->first_sent ? read_one(c) : NULL;
    if (!in_txn)
        read_sync(c);
    rc = c->rc;
    if (!in_txn)
        c->rc = 0;
    if (rc == 0)
        *out = r;
    else
        PQclear(r);
    return rc;
}

int postgres_row(int rc, PGresult **r)
{
    if (rc != 0 || PQntuples(*r) > 0)
        return rc;
    PQclear(*r);
    return FUT_ERR_NOT_FOUND;
}

int postgres_run(struct postgres_conn *c, enum postgres_stmt stmt,
                 const struct postgres_value *values, size_t n)
{
    PGresult *r;
    int rc = postgres_ask(c, stmt, values, n, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

/* ---- transactions -----------------------------------------------------------------------------
 */

int postgres_txn_begin(struct postgres_conn *c)
{
    c->rc = 0;
    c->in_txn = true;
    int rc = postgres_send(c, P_BEGIN, PG_NO_VALUES);
    c->has_written = false;
    return rc;
}

/* The answer to COMMIT may be the last thing that the connection brings: then it has happened. */
int postgres_txn_commit(struct postgres_conn *c, bool *out_unknown)
{
    bool has_happened = false;
    *out_unknown = false;
    int rc = postgres_send(c, P_COMMIT, PG_NO_VALUES);
    if (rc != 0)
        return rc;
    if (PQpipelineSync(c->pg) != 1)
        (void)lose(c);
    read_until(c, 1);
    if (c->rc == 0 && c->pg) {
        PGresult *r = read_one(c);
        has_happened = r && c->rc == 0 && strcmp(PQcmdStatus(r), "COMMIT") == 0;
        if (r && c->rc == 0 && !has_happened)
            (void)fail(c, FUT_ERR_IO);
        PQclear(r);
    }
    read_until(c, 0);
    *out_unknown = !c->pg && !has_happened;
    if (c->pg)
        read_sync(c);
    if (has_happened)
        c->rc = 0;
    c->in_txn = c->rc != 0 && c->pg;
    return c->rc;
}

void postgres_txn_rollback(struct postgres_conn *c)
{
    if (c->pg && PQpipelineSync(c->pg) == 1) {
        read_until(c, 0);
        read_sync(c);
    }
    forget_prepares(c);
    c->rc = 0;
    c->in_txn = false;
    if (c->pg)
        (void)postgres_run(c, P_ROLLBACK, PG_NO_VALUES);
    c->rc = 0;
}
