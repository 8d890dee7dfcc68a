/* top: what the full-screen view shows, and how it is drawn. One thread. */
#ifndef FUT_CLIENT_CLI_TOP_H
#define FUT_CLIENT_CLI_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

enum top_pane { TOP_LANES, TOP_QUEUES, TOP_RUNNING, TOP_FAILURES };
#define TOP_PANES (TOP_FAILURES + 1)

/* Numbers of GET /v1/stats whose growth in a second is shown. */
enum top_rate { TOP_IN, TOP_STARTED, TOP_SUCCEEDED, TOP_FAILED, TOP_CANCELLED };
#define TOP_RATES (TOP_CANCELLED + 1)

struct top_log {
    char *id; /* of the future whose log is shown; NULL: none is */
    struct buf text;
    long long from; /* what is to be read next */
    size_t up;      /* lines that the view is above the end; 0: it follows */
};

struct top {
    const char *url;
    json_t *stats;           /* NULL until it was read */
    json_t *rows[TOP_PANES]; /* arrays */
    double rates[TOP_RATES];
    enum top_pane pane;
    size_t selected[TOP_PANES];
    char *question; /* that y answers; NULL: none */
    char *message;  /* about what was done last, or why nothing is new; may be NULL */
    bool is_away;   /* the daemon does not answer */
    bool has_colour;
    struct top_log log;
};

/* What makes a row of a pane the same when it is read again: a name or an id. May be NULL. */
const char *top_view_key(enum top_pane pane, const json_t *row);
/* Draws all of it on the terminal that ncurses has, whatever its size. */
void top_view_draw(const struct top *t);

#endif
