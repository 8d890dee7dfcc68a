/* copy: which tables and columns there are, and the copying of them from one side to the other,
 * with the digests of both. */
#include "storage/copy.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/store.h"

#define I(name)                                                                                    \
    {                                                                                              \
        COPY_INT, name                                                                             \
    }
#define B(name)                                                                                    \
    {                                                                                              \
        COPY_BOOL, name                                                                            \
    }
#define R(name)                                                                                    \
    {                                                                                              \
        COPY_REAL, name                                                                            \
    }
#define T(name)                                                                                    \
    {                                                                                              \
        COPY_TEXT, name                                                                            \
    }
#define K(name)                                                                                    \
    {                                                                                              \
        COPY_KEY, name                                                                             \
    }
#define D(name)                                                                                    \
    {                                                                                              \
        COPY_BYTES, name                                                                           \
    }

const struct copy_table copy_tables[] = {
    {"counters", 0, {I("seq"), I("up_ms"), I("wall_ms")}},
    {"tasks",
     1,
     {I("key"), I("lo"), I("lane"), T("handler"), I("created_ms"), I("timeout_ms"), I("retries"),
      I("batch"), I("batch_pos"), I("after_key"), I("after_lo"), I("callback_key"),
      I("callback_lo"), T("traceparent"), T("input_type"), D("input")}},
    {"options",
     1,
     {I("key"), K("unique_key"), I("retry_on"), I("retry_first_ms"), I("retry_max_ms"),
      I("retry_jitter"), I("delay_ms"), I("run_at_ms"), I("expires_in_ms"), I("deadline_ms"),
      T("schedule"), T("queue"), T("fair_key"), I("priority"), I("flags"), T("limits"), T("name"),
      I("parent"), I("parent_lo")}},
    {"live",
     1,
     {I("key"), I("line"), I("queue"), I("place"), I("due_ms"), I("started_ms"), I("after_key"),
      I("attempt"), I("earlier_attempts"), I("daemon_deaths"), I("priority"), I("unmet"),
      I("suspended"), I("state"), I("lane"), K("unique_key")}},
    {"results", 1, {I("key"),        I("seq"),           I("session"),   I("up_ms"),
                    I("started_ms"), I("finished_ms"),   I("attempt"),   I("max_rss_kib"),
                    I("cpu_ms"),     I("daemon_deaths"), I("exit_code"), I("signal"),
                    I("state"),      I("oom"),           T("type"),      T("code"),
                    T("message"),    T("error_type"),    D("log"),       D("body")}},
    {"attempts",
     2,
     {I("key"), I("attempt"), I("state"), I("started_ms"), I("finished_ms"), T("code"),
      T("message"), I("exit_code"), I("signal"), I("oom"), I("max_rss_kib"), I("cpu_ms"), D("log"),
      T("error_type")}},
    {"checkpoints", 1, {I("key"), I("attempt"), I("stored_ms"), T("type"), D("body")}},
    {"reports", 1, {I("key"), R("progress"), T("message"), I("log_end"), D("log")}},
    {"timers", 2, {I("key"), I("kind"), I("at_ms")}},
    {"edges", 2, {I("parent"), I("child"), I("parent_lo"), I("kind"), B("is_pending")}},
    {"cascades", 2, {I("key"), I("kind"), I("state"), I("after")}},
    {"batches",
     1,
     {I("key"), I("lo"), I("created_ms"), I("up_ms"), I("total"), I("unfinished"), I("failed"),
      I("cancelled"), I("callback_key"), I("callback_lo"), I("then_key"), I("then_lo"), I("parent"),
      I("parent_lo"), I("keep_ms"), B("fail_fast"), B("cancelling"), B("keeps_default"),
      B("spares_running")}},
    {"kept", 1, {I("key"), B("is_batch"), I("until_ms"), I("then_up_ms")}},
    {"sessions",
     1,
     {I("key"), I("lo"), T("handler"), I("created_ms"), I("closed_ms"), T("init_type"), D("init"),
      I("max_tasks"), T("broken"), I("on_disconnect"), I("grace_ms"), I("lease_ms"),
      I("disconnected_ms")}},
    {"keys", 1, {K("key"), D("fingerprint"), I("task"), I("lo"), I("created_ms")}},
    {"bulks",
     1,
     {I("key"), I("lo"), I("kind"), B("is_dry"), T("filter"), T("by"), I("created_ms"),
      I("finished_ms"), B("is_stopped"), I("next"), I("seen"), I("matched"), I("changed"),
      I("refused")}},
    {"schedules",
     1,
     {T("name"), B("is_file"), B("is_paused"), B("is_ready"), I("revision"), I("since_ms"),
      I("next_ms"), I("due_ms"), I("waiting_ms"), I("runs"), I("wake_ms"), T("text")}},
    {"schedule_runs",
     2,
     {T("name"), I("n"), I("kind"), I("at_ms"), I("to_ms"), I("done_ms"), B("is_manual"), I("key"),
      I("lo")}},
    {"schedule_tasks", 2, {T("name"), I("key")}},
    {"lines", 1, {I("number"), I("lane"), T("queue"), T("handler"), T("fair_key"), T("limits")}},
    {"limits",
     1,
     {T("name"), B("per_key"), I("max_running"), R("rate_tasks"), I("rate_per_ms"),
      R("rate_burst")}},
    {"limit_keys", 2, {T("name"), T("key"), R("tokens"), I("tokens_ms"), I("closed_until_ms")}},
    {"queues",
     1,
     {T("name"), R("weight"), I("max_running"), R("rate_tasks"), I("rate_per_ms"), R("rate_burst"),
      I("age_after_ms"), I("retention_ms")}},
    {"fair_weights", 2, {T("queue"), T("fair_key"), R("weight")}},
    {"pauses", 2, {I("kind"), T("name"), I("since_ms"), T("by"), T("reason")}},
};
const size_t copy_n_tables = FUT_COUNT(copy_tables);

/* ---- digests ----------------------------------------------------------------------------------
 */

/* Of the rows of a table, or of all. */
struct digest {
    EVP_MD_CTX *ctx;
    int64_t rows;
};

static void digest_begin(struct digest *d)
{
    *d = (struct digest){.ctx = EVP_MD_CTX_new()};
    FUT_MUST(d->ctx && EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1);
}

static void add(struct digest *d, const void *p, size_t n)
{
    FUT_MUST(EVP_DigestUpdate(d->ctx, p, n) == 1);
}

/* Whether it is NULL, then the number, or the length and the bytes. */
static void add_value(struct digest *d, enum copy_kind kind, const struct copy_value *v)
{
    uint64_t bits = v->n;
    add(d, &v->is_null, 1);
    if (v->is_null)
        return;
    if (kind == COPY_INT || kind == COPY_BOOL)
        bits = (uint64_t)v->i;
    if (kind == COPY_REAL)
        memcpy(&bits, &v->d, sizeof(bits));
    add(d, &bits, sizeof(bits));
    if (v->n)
        add(d, v->p, v->n);
}

static void add_row(struct digest *d, const struct copy_table *t, const struct copy_value *values)
{
    for (size_t i = 0; t->columns[i].kind; i++)
        add_value(d, t->columns[i].kind, &values[i]);
    d->rows++;
}

static void digest_end(struct digest *d, unsigned char out[EVP_MAX_MD_SIZE])
{
    FUT_MUST(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1);
    EVP_MD_CTX_free(d->ctx);
}

/* ---- one table --------------------------------------------------------------------------------
 */

struct copy {
    const struct copy_side_ops *from_ops, *to_ops;
    struct copy_side *from, *to;
    const struct copy_table *table;
    struct digest digest; /* of the rows of the table that are read */
    struct copy_report report;
    struct fut_errbuf *err;
};

/* Texts that the target would change are changed before they count. */
static int put_row(void *copy, const struct copy_value *values)
{
    struct copy *c = copy;
    struct copy_value fitted[COPY_COLUMNS_MAX] = {{0}};
    char *owned[COPY_COLUMNS_MAX] = {NULL};
    size_t n = 0;
    for (; c->table->columns[n].kind; n++) {
        fitted[n] = values[n];
        if (c->table->columns[n].kind == COPY_TEXT && !values[n].is_null)
            owned[n] = c->to_ops->fit(values[n].p, values[n].n);
        if (owned[n]) {
            fitted[n].p = owned[n];
            c->report.texts_changed++;
        }
    }
    add_row(&c->digest, c->table, fitted);
    int rc = c->to_ops->put(c->to, fitted, c->err);
    for (size_t i = 0; i < n; i++)
        free(owned[i]);
    return rc;
}

static int look_at_row(void *copy, const struct copy_value *values)
{
    struct copy *c = copy;
    add_row(&c->digest, c->table, values);
    return 0;
}

static int copy_table(struct copy *c)
{
    int rc = c->to_ops->begin_table(c->to, c->table, c->err);
    if (rc == 0)
        rc = c->from_ops->read(c->from, c->table, put_row, c, c->err);
    return rc == 0 ? c->to_ops->end_table(c->to, c->err) : rc;
}

/* Copies it, reads it back, compares; `all`: of the digests of the tables. */
static int do_table(struct copy *c, struct digest *all)
{
    unsigned char was[EVP_MAX_MD_SIZE], is[EVP_MAX_MD_SIZE];
    digest_begin(&c->digest);
    int rc = copy_table(c);
    int64_t rows = c->digest.rows;
    digest_end(&c->digest, was);
    if (rc != 0)
        return rc;
    digest_begin(&c->digest);
    rc = c->to_ops->read(c->to, c->table, look_at_row, c, c->err);
    int64_t rows_there = c->digest.rows;
    digest_end(&c->digest, is);
    if (rc == 0 && (rows != rows_there || memcmp(was, is, 32) != 0))
        rc = fut_fail(c->err, FUT_ERR_DAMAGED,
                      "of the table %s %lld rows were read and %lld are in the copy, and their "
                      "digests differ: nothing was copied",
                      c->table->name, (long long)rows, (long long)rows_there);
    add(all, is, 32);
    all->rows += rows;
    return rc;
}

static void count(struct copy_report *r, const struct copy_table *t, int64_t rows)
{
    if (strcmp(t->name, "tasks") == 0)
        r->tasks = rows;
    else if (strcmp(t->name, "live") == 0)
        r->unfinished = rows;
    else if (strcmp(t->name, "results") == 0)
        r->results = rows;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static const struct copy_side_ops *side_of(const char *where)
{
    return store_is_url(where) ? &postgres_copy_side : &sqlite_copy_side;
}

static int refuse_row(void *copy, const struct copy_value *values)
{
    struct copy *c = copy;
    (void)values;
    return fut_fail(c->err, FUT_ERR_EXISTS,
                    "the database to copy to is not empty (%s): name a new one", c->table->name);
}

static int check_empty(struct copy *c)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < copy_n_tables; i++) {
        c->table = &copy_tables[i];
        if (c->table->n_key)
            rc = c->to_ops->read(c->to, c->table, refuse_row, c, c->err);
    }
    return rc;
}

static int copy_all(struct copy *c)
{
    struct digest all;
    unsigned char bytes[EVP_MAX_MD_SIZE];
    int rc = 0;
    digest_begin(&all);
    for (size_t i = 0; rc == 0 && i < copy_n_tables; i++) {
        int64_t before = all.rows;
        c->table = &copy_tables[i];
        rc = do_table(c, &all);
        count(&c->report, c->table, all.rows - before);
    }
    c->report.rows = all.rows;
    digest_end(&all, bytes);
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(c->report.digest + 2 * i, 3, "%02x", bytes[i]);
    return rc == 0 ? c->to_ops->commit(c->to, c->err) : rc;
}

int store_copy(const char *from, const char *to, struct copy_report *out, struct fut_errbuf *err)
{
    struct copy c = {.from_ops = side_of(from), .to_ops = side_of(to), .err = err};
    int rc = c.from_ops->open(from, false, &c.from, err);
    if (rc != 0)
        return rc;
    rc = c.to_ops->open(to, true, &c.to, err);
    if (rc == 0) {
        rc = check_empty(&c);
        if (rc == 0)
            rc = copy_all(&c);
        c.to_ops->close(c.to);
    }
    c.from_ops->close(c.from);
    if (rc == 0)
        *out = c.report;
    return rc;
}
