/* stats: the numbers of the daemon as one table, which GET /v1/stats, GET /metrics and
 * `futured --dump-metrics` are written from. */
#ifndef FUT_API_RESOURCES_STATS_H
#define FUT_API_RESOURCES_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/pool_view.h"
#include "storage/store.h"

struct api;

enum stats_kind {
    STATS_GAUGE,   /* goes up and down */
    STATS_COUNTER, /* only grows, since boot */
};

/* What a row has one number of. */
enum stats_split {
    STATS_WHOLE,      /* one number */
    STATS_LANE,       /* one for each lane */
    STATS_LANE_STATE, /* one for each lane and state that is not final */
    STATS_END_STATE,  /* one for each final state */
};

/* Where the numbers are read once for all rows. */
struct stats_numbers {
    struct store_stats store;
    struct pool_stats pools;
    bool has_pools;
    struct {
        uint64_t connections, requests, open, waiters, max_waiters, buffered, max_buffered;
        uint64_t max_connections;
    } http;
    double uptime;
};

struct stats_row {
    const char *section, *member; /* in GET /v1/stats; section NULL: at the top; member NULL: not
                                     shown there, or the names of the states are the members */
    const char *metric;           /* after "futured_", without "_total"; NULL: in /v1/stats alone */
    enum stats_kind kind;
    enum stats_split split;
    double (*read)(const struct stats_numbers *n, enum lane lane, enum task_state state);
    const char *help; /* a sentence */
};

struct stats_table {
    const struct stats_row *rows;
    size_t n;
};

extern const struct stats_table stats_table;

/* Reads them all. Any thread; takes short locks. */
void stats_read(const struct api *a, struct stats_numbers *out);

#endif
