#include "daemon/config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/http/origin.h"
#include "api/text/params.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/number.h"
#include "core/pool_view.h"
#include "daemon/config_internal.h"
#include "daemon/cpus.h"
#include "daemon/env_file.h"
#include "daemon/spans.h"
#include "storage/store.h"
#include "workers/base/http_allow.h"
#include "workers/base/run_as.h"
#include "workers/handlers/webhook.h"

#define AT(field) offsetof(struct config, field)
#define SECOND 1000LL
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define MIB (1LL << 20)

const struct config_row config_rows[] = {
    {"MAX_WORKERS", KIND_NUMBER, AT(max_workers), NULL, 1, POOL_WORKERS_MAX,
     "worker processes of the cpu lane: cpu tasks that run at once (default: the CPUs that this "
     "process may use, by affinity and cgroup quota)"},
    {"MAX_THREADS", KIND_NUMBER, AT(max_threads), "20", 1, POOL_THREADS_MAX,
     "threads of the io lane: io tasks that run at once"},
    {"FUTURED_PAUSED", KIND_LANES, AT(paused), "", 0, 0,
     "lanes that take no task from the queue: io, cpu or io,cpu"},
    {"FUTURED_ENV_FILE", KIND_FILE, AT(env_file), "", 0, 4000,
     "file of NAME=value lines that count before the environment; SIGHUP reads it again"},
    {"FUTURED_LISTEN", KIND_TEXT, AT(listen), "127.0.0.1:8420", 1, 255,
     "where HTTP is served: host:port, [v6]:port, port 0 for any, or unix:/path"},
    {"FUTURED_DB", KIND_TEXT, AT(db), "futured.db", 1, 4000,
     "the SQLite database file, or the URL of a PostgreSQL database (postgresql://…)"},
    {"FUTURED_DB_WAIT", KIND_DURATION, AT(db_wait_ms), "5m", 0, 30 * DAY,
     "how long a start waits for a PostgreSQL database that cannot be reached"},
    {"FUTURED_NODE", KIND_TEXT, AT(node), "", 0, 64,
     "the name of this daemon among those that share a PostgreSQL database; the host's when empty"},
    {"FUTURED_LABELS", KIND_LABELS, AT(labels), "", 0, TASK_NEEDS_SIZE,
     "comma list of labels (gpu,big) that this daemon has, for tasks that need some; none when "
     "empty"},
    {"FUTURED_STORE", KIND_STORE, AT(store), "sqlite", 0, 0,
     "sqlite or postgres (FUTURED_DB says where and which of both), or memory (nothing survives a "
     "restart)"},
    {"FUTURED_HANDLERS", KIND_TEXT, AT(handlers), "", 0, 4000,
     "JSON file with your own handlers; none when empty"},
    {"FUTURED_SCHEDULES", KIND_TEXT, AT(schedules), "", 0, 4000,
     "JSON file with schedules, an object with a member for each; none when empty"},
    {"FUTURED_RETENTION", KIND_DURATION, AT(retention_ms), "7d", SECOND, 3650 * DAY,
     "how long a done future is kept"},
    {"FUTURED_RESERVE", KIND_SIZE, AT(reserve_bytes), "16M", 0, 1024 * MIB,
     "disk space held back: when the disk is full, the results of running tasks can still be "
     "stored"},
    {"FUTURED_MAX_BODY", KIND_SIZE, AT(max_body_bytes), "4M", 1024, 1024 * MIB,
     "largest request body"},
    {"FUTURED_MAX_HEADERS", KIND_SIZE, AT(max_header_bytes), "3584", 3584, 65536,
     "memory of a connection, for what stands before the body (api/README.md, Errors)"},
    {"FUTURED_MAX_RESULT", KIND_SIZE, AT(max_result_bytes), "16M", 1024, 1024 * MIB,
     "largest result of a task"},
    {"FUTURED_MAX_BUFFERED", KIND_SIZE, AT(max_buffered_bytes), "256M", MIB, 1024LL * 1024 * MIB,
     "large request bodies and unread answers in memory, together; beyond, 503"},
    {"FUTURED_MAX_QUEUED", KIND_NUMBER, AT(max_queued), "10000000", 1, 1000000000,
     "unfinished tasks that may wait; beyond, submits answer 503"},
    {"FUTURED_MAX_WAIT", KIND_DURATION, AT(max_wait_ms), "50s", SECOND, HOUR,
     "longest long-poll; a longer ?wait is shortened to this"},
    {"FUTURED_MAX_CONNECTIONS", KIND_NUMBER, AT(max_connections), "10000", 16, 1000000,
     "open HTTP connections, nine tenths of which may be long-polls"},
    {"FUTURED_HTTP_THREADS", KIND_NUMBER, AT(http_threads), "1", 1, 64, "HTTP event loops"},
    {"FUTURED_DRAIN", KIND_DURATION, AT(drain_ms), "20s", 0, HOUR,
     "how long SIGTERM lets running tasks end before they are stopped and queued again"},
    {"FUTURED_KILL_GRACE", KIND_DURATION, AT(kill_grace_ms), "5s", 10, HOUR,
     "between TERM and KILL for a task that is stopped"},
    {"FUTURED_TOKENS", KIND_FILE, AT(tokens), "", 0, 4000,
     "file with lines `token scope[,scope]`, scopes submit, read, admin, code; unset: the "
     "systemd credential \"tokens\" when there is one; without either only loopback and unix "
     "sockets are "
     "served"},
    {"FUTURED_TLS_CERT", KIND_FILE, AT(tls_cert), "", 0, 4000,
     "PEM file with the certificate chain: HTTPS instead of HTTP"},
    {"FUTURED_TLS_KEY", KIND_FILE, AT(tls_key), "", 0, 4000, "PEM file with its private key"},
    {"FUTURED_HOSTS", KIND_HOSTS, AT(hosts), "", 0, 16384,
     "comma list of names that a Host header may have besides localhost, loopback addresses and "
     "the name in FUTURED_LISTEN; with tokens any name will do"},
    {"FUTURED_ORIGINS", KIND_ORIGINS, AT(origins), "", 0, 16384,
     "comma list of origins (https://app.example) whose web pages may ask here; others may not"},
    {"FUTURED_CALLBACK_SECRET", KIND_SECRET, AT(callback_secret), "", 0, 512,
     "signs done-callbacks (Standard Webhooks): whsec_ and base64; unsigned when empty"},
    {"FUTURED_HTTP_PREFIXES", KIND_PREFIXES, AT(http_prefixes), "", 0, 16384,
     "comma list of URL prefixes below which the http handler and callbacks may call; any when "
     "empty"},
    {"FUTURED_HTTP_NETWORKS", KIND_NETWORKS, AT(http_networks), "", 0, 16384,
     "comma list of networks (10.0.0.0/8, ::1) that they may reach besides public addresses"},
    {"FUTURED_RUN_AS", KIND_USER, AT(run_as), "", 0, 120,
     "user or user:group that worker processes and programs run as (the daemon must be root); the "
     "daemon's own when empty"},
    {"FUTURED_OTLP_URL", KIND_COLLECTOR, AT(otlp_url), "", 0, PARAMS_URL_MAX,
     "collector of OpenTelemetry (OTLP over HTTP, as JSON) that gets the spans of tasks which came "
     "with a traceparent, such as http://127.0.0.1:4318; none when empty"},
    {"FUTURED_LOG", KIND_LEVEL, AT(log_level), "info", 0, 0, "debug, info, warn or error"},
};
const size_t config_n_rows = FUT_COUNT(config_rows);

/* What SIGHUP puts in force. */
static const size_t live[] = {AT(max_workers), AT(max_threads), AT(paused),
                              AT(handlers),    AT(schedules),   AT(log_level)};

#define UNITS_MAX 1e15 /* exact in a double */

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit durations[] = {{"", SECOND},       {"ms", 1},   {"s", SECOND},
                                        {"m", 60 * SECOND}, {"h", HOUR}, {"d", DAY}};
static const struct unit sizes[] = {{"", 1}, {"K", 1024}, {"M", MIB}, {"G", 1024 * MIB}};
static const struct unit plain[] = {{"", 1}};

static const struct {
    const struct unit *units;
    size_t n;
    const char *form;
} forms[] = {
    [KIND_NUMBER] = {plain, FUT_COUNT(plain), "a whole number"},
    [KIND_DURATION] = {durations, FUT_COUNT(durations),
                       "a duration such as 500ms, 30s, 5m, 2h, 7d"},
    [KIND_SIZE] = {sizes, FUT_COUNT(sizes), "a size such as 4096, 64K, 16M, 1G"},
};

/* A number and a unit ("1.5h", "64K"), nothing else. Parts of a millisecond round up; a size and a
 * plain number must be whole. False also when it is beyond all ranges. */
static bool parse_units(const char *text, enum config_kind kind, int64_t *out)
{
    const char *end;
    double n;
    if (!number_scan(text, &end, &n) || n < 0)
        return false;
    for (size_t i = 0; i < forms[kind].n; i++) {
        double value = n * (double)forms[kind].units[i].factor;
        if (strcmp(forms[kind].units[i].suffix, end) != 0)
            continue;
        if (value > UNITS_MAX || (kind != KIND_DURATION && floor(value) != value))
            return false;
        *out = kind == KIND_DURATION ? number_ms(value / (double)SECOND) : (int64_t)value;
        return true;
    }
    return false;
}

void config_format_units(enum config_kind kind, int64_t value, char *out, size_t cap)
{
    const struct unit *best = &forms[kind].units[kind == KIND_DURATION ? 1 : 0];
    for (size_t i = 0; i < forms[kind].n; i++) {
        const struct unit *u = &forms[kind].units[i];
        if (*u->suffix && value && value % u->factor == 0 && u->factor >= best->factor)
            best = u;
    }
    (void)snprintf(out, cap, "%" PRId64 "%s", value / best->factor, best->suffix);
}

static int refuse_range(const struct config_row *r, const char *value, struct fut_errbuf *err)
{
    char min[32], max[32];
    config_format_units(r->kind, r->min, min, sizeof(min));
    config_format_units(r->kind, r->max, max, sizeof(max));
    return fut_fail(err, FUT_ERR_INVAL, "%s is \"%s\": it must be %s from %s to %s", r->name, value,
                    forms[r->kind].form, min, max);
}

static int set_number(struct config *c, const struct config_row *r, const char *value,
                      struct fut_errbuf *err)
{
    int64_t n;
    if (!parse_units(value, r->kind, &n) || n < r->min || n > r->max)
        return refuse_range(r, value, err);
    *config_number_at(c, r) = n;
    return 0;
}

static int set_text(struct config *c, const struct config_row *r, const char *value,
                    struct fut_errbuf *err)
{
    if ((int64_t)strlen(value) > r->max)
        return fut_fail(err, FUT_ERR_INVAL, "%s is longer than %" PRId64 " bytes", r->name, r->max);
    *config_text_at(c, r) = value;
    return 0;
}

static int set_level(struct config *c, const struct config_row *r, const char *value,
                     struct fut_errbuf *err)
{
    enum log_level level;
    if (!log_level_parse(value, &level))
        return fut_fail(err, FUT_ERR_INVAL, "%s is \"%s\": it must be debug, info, warn or error",
                        r->name, value);
    *config_number_at(c, r) = level;
    return 0;
}

static int set_store(struct config *c, const struct config_row *r, const char *value,
                     struct fut_errbuf *err)
{
    if (strcmp(value, "sqlite") != 0 && strcmp(value, "postgres") != 0 &&
        strcmp(value, "memory") != 0)
        return fut_fail(err, FUT_ERR_INVAL, "%s is \"%s\": it must be sqlite, postgres or memory",
                        r->name, value);
    *config_text_at(c, r) = value;
    return 0;
}

static int set_file(struct config *c, const struct config_row *r, const char *value,
                    struct fut_errbuf *err)
{
    if (*value && access(value, R_OK) != 0)
        return fut_fail(err, FUT_ERR_INVAL,
                        "%s is \"%.200s\": it must be a file that can be read: %s", r->name, value,
                        strerror(errno));
    return set_text(c, r, value, err);
}

/* The value is never shown, not even in a complaint. */
static int set_secret(struct config *c, const struct config_row *r, const char *value,
                      struct fut_errbuf *err)
{
    struct webhook_secret secret;
    struct fut_errbuf why = {""};
    int rc = *value ? webhook_secret_parse(value, &secret, &why) : 0;
    if (rc != 0)
        return fut_fail(err, FUT_ERR_INVAL, "%s: %.400s", r->name, why.text);
    explicit_bzero(&secret, sizeof(secret));
    return set_text(c, r, value, err);
}

static int set_lanes(struct config *c, const struct config_row *r, const char *value,
                     struct fut_errbuf *err)
{
    char copy[16];
    int n = snprintf(copy, sizeof(copy), "%s", value);
    int64_t mask = 0;
    for (char *rest = copy, *word; (word = strsep(&rest, ",")) != NULL && *value;) {
        enum lane lane;
        if ((size_t)n >= sizeof(copy) || !lane_parse(word, &lane))
            return fut_fail(err, FUT_ERR_INVAL, "%s is \"%.200s\": it must be io, cpu or io,cpu",
                            r->name, value);
        mask |= 1LL << lane;
    }
    *config_number_at(c, r) = mask;
    return 0;
}

static int set_http_allow(struct config *c, const struct config_row *r, const char *value,
                          struct fut_errbuf *err)
{
    struct http_allow *allow = NULL;
    struct fut_errbuf why = {""};
    bool is_prefixes = r->kind == KIND_PREFIXES;
    int rc = http_allow_new(is_prefixes ? value : "", is_prefixes ? "" : value, &allow, &why);
    http_allow_free(&allow);
    if (rc != 0)
        return fut_fail(err, FUT_ERR_INVAL, "%s: %.400s", r->name, why.text);
    return set_text(c, r, value, err);
}

static int set_origins(struct config *c, const struct config_row *r, const char *value,
                       struct fut_errbuf *err)
{
    struct origin_rules *rules = NULL;
    struct fut_errbuf why = {""};
    bool is_hosts = r->kind == KIND_HOSTS;
    int rc = origin_rules_new(is_hosts ? value : "", is_hosts ? "" : value, &rules, &why);
    origin_rules_free(&rules);
    if (rc != 0)
        return fut_fail(err, FUT_ERR_INVAL, "%s: %.400s", r->name, why.text);
    return set_text(c, r, value, err);
}

static int set_collector(struct config *c, const struct config_row *r, const char *value,
                         struct fut_errbuf *err)
{
    if (*value && !spans_url_ok(value))
        return fut_fail(err, FUT_ERR_INVAL,
                        "%s is \"%.200s\": it must be a URL with http or https, without a user, "
                        "password or fragment",
                        r->name, value);
    return set_text(c, r, value, err);
}

static int set_labels(struct config *c, const struct config_row *r, const char *value,
                      struct fut_errbuf *err)
{
    struct task_needs labels;
    if (task_needs_parse(value, &labels) != 0 || strchr(value, '\n'))
        return fut_fail(err, FUT_ERR_INVAL,
                        "%s is \"%.200s\": it must be a comma list of at most %d labels, each of 1 "
                        "to %d of A-Z a-z 0-9 . _ -",
                        r->name, value, TASK_NEEDS_MAX, TASK_LABEL_MAX);
    return set_text(c, r, value, err);
}

static int set_user(struct config *c, const struct config_row *r, const char *value,
                    struct fut_errbuf *err)
{
    struct run_as who;
    struct fut_errbuf why = {""};
    if (*value && run_as_find(value, &who, &why) != 0)
        return fut_fail(err, FUT_ERR_INVAL, "%s: %.400s", r->name, why.text);
    return set_text(c, r, value, err);
}

static int (*const setters[])(struct config *, const struct config_row *, const char *,
                              struct fut_errbuf *) = {
    [KIND_NUMBER] = set_number,       [KIND_DURATION] = set_number,
    [KIND_SIZE] = set_number,         [KIND_TEXT] = set_text,
    [KIND_LEVEL] = set_level,         [KIND_STORE] = set_store,
    [KIND_FILE] = set_file,           [KIND_SECRET] = set_secret,
    [KIND_LANES] = set_lanes,         [KIND_PREFIXES] = set_http_allow,
    [KIND_NETWORKS] = set_http_allow, [KIND_USER] = set_user,
    [KIND_HOSTS] = set_origins,       [KIND_ORIGINS] = set_origins,
    [KIND_COLLECTOR] = set_collector, [KIND_LABELS] = set_labels,
};

/* Tokens that systemd hands over (LoadCredential=tokens:…) when no file is named. */
static int find_credential(struct config *c, struct fut_errbuf *err)
{
    static char path[4096];
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (*c->tokens || !dir || !*dir)
        return 0;
    int n = snprintf(path, sizeof(path), "%s/tokens", dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return fut_fail(err, FUT_ERR_INVAL, "CREDENTIALS_DIRECTORY is too long");
    if (access(path, R_OK) == 0)
        c->tokens = path;
    else if (errno != ENOENT) /* to go on without tokens would let everybody in */
        return fut_fail(err, FUT_ERR_INVAL, "the credential %s cannot be read: %s", path,
                        strerror(errno));
    return 0;
}

static bool is_in_file(const char *name)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        if (strcmp(config_rows[i].name, name) == 0)
            return config_rows[i].offset != AT(env_file);
    }
    return false;
}

static int set_row(struct config *c, const struct config_row *r, struct fut_errbuf *err)
{
    const char *value = env_file_get(c->file, r->name);
    if (!value)
        value = getenv(r->name);
    if (!value || !*value)
        value = r->preset;
    return value ? setters[r->kind](c, r, value, err) : 0;
}

bool config_db_is_url(const struct config *c)
{
    return store_is_url(c->db);
}

void config_db_name(const struct config *c, char *out, size_t size)
{
    const char *host = config_db_is_url(c) ? strstr(c->db, "://") + 3 : NULL;
    const char *at = host ? strrchr(host, '@') : NULL;
    if (!host)
        (void)snprintf(out, size, "%s", c->db);
    else if (at && at > host + strcspn(host, "?")) /* where a password ends is not clear */
        (void)snprintf(out, size, "postgresql://...");
    else
        (void)snprintf(out, size, "postgresql://%.*s", (int)strcspn(at ? at + 1 : host, "?"),
                       at ? at + 1 : host);
}

/* A URL says by itself that it is not SQLite's. */
static int find_store(struct config *c, struct fut_errbuf *err)
{
    bool is_url = config_db_is_url(c);
    if (!is_url && (strstr(c->db, "://") || strstr(c->db, "dbname=") || strstr(c->db, "host=") ||
                    strstr(c->db, "password=")))
        return fut_fail(err, FUT_ERR_INVAL,
                        "FUTURED_DB is neither a file nor a URL that begins with postgresql://");
    if (!is_url && strcmp(c->store, "postgres") == 0)
        return fut_fail(err, FUT_ERR_INVAL,
                        "FUTURED_STORE is \"postgres\": FUTURED_DB must be a URL that begins with "
                        "postgresql://");
    if (is_url && strcmp(c->store, "memory") != 0)
        c->store = "postgres";
    return 0;
}

static int set_rows(struct config *c, struct fut_errbuf *err)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        int rc = set_row(c, &config_rows[i], err);
        if (rc != 0)
            return rc;
    }
    if (find_store(c, err) != 0)
        return FUT_ERR_INVAL;
    if (!*c->tls_cert != !*c->tls_key)
        return fut_fail(err, FUT_ERR_INVAL,
                        "FUTURED_TLS_CERT and FUTURED_TLS_KEY go together: %s is not set",
                        *c->tls_cert ? "FUTURED_TLS_KEY" : "FUTURED_TLS_CERT");
    return find_credential(c, err);
}

int config_load(struct config *out, struct fut_errbuf *err)
{
    const char *path = getenv("FUTURED_ENV_FILE");
    struct config c = {.max_workers = cpus_usable()};
    int rc = path && *path ? env_file_load(path, is_in_file, &c.file, err) : 0;
    if (rc == 0)
        rc = set_rows(&c, err);
    if (rc != 0) {
        config_release(&c);
        return FUT_ERR_INVAL;
    }
    *out = c;
    return 0;
}

void config_release(struct config *c)
{
    env_file_free(&c->file);
}

bool config_is_live(const struct config_row *r)
{
    for (size_t i = 0; i < FUT_COUNT(live); i++) {
        if (live[i] == r->offset)
            return true;
    }
    return false;
}

void config_each_fixed_change(const struct config *before, const struct config *now,
                              void (*fn)(const char *name))
{
    struct config a = *before, b = *now;
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *r = &config_rows[i];
        bool same = config_is_text(r->kind)
                        ? strcmp(*config_text_at(&a, r), *config_text_at(&b, r)) == 0
                        : *config_number_at(&a, r) == *config_number_at(&b, r);
        if (!same && !config_is_live(r))
            fn(r->name);
    }
}

/* ---- variables that nobody knows --------------------------------------------------------------
 */

/* What a daemon sets for its children, which may start a daemon of their own. */
static const char *const of_children[] = {"FUTURED_CHILD", "FUTURED_WORKER_FD"};

static bool is_known(const char *name)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        if (strcmp(config_rows[i].name, name) == 0)
            return true;
    }
    for (size_t i = 0; i < FUT_COUNT(of_children); i++) {
        if (strcmp(of_children[i], name) == 0)
            return true;
    }
    return false;
}

static bool looks_like_ours(const char *name)
{
    static const char *const prefixes[] = {"FUTURED_", "MAX_WORKER", "MAX_THREAD"};
    for (size_t i = 0; i < FUT_COUNT(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

void config_each_unknown(void (*fn)(const char *name))
{
    for (char **at = environ; *at; at++) {
        char name[128];
        size_t n = strcspn(*at, "=");
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, *at);
        if (n < sizeof(name) && looks_like_ours(name) && !is_known(name))
            fn(name);
    }
}
