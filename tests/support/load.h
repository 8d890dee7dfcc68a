/* load: many connections in one thread, to press a server hard and to miss no answer. Raw sockets
 * and epoll: one write and one read per request, nothing else, so that the client costs less than
 * what it measures. A connection has one request open at a time and keeps alive. The same engine
 * speaks to the daemon and to the servers that it is compared with: what is said stands in
 * load_script.h, one file per protocol. */
#ifndef FUT_TESTS_SUPPORT_LOAD_H
#define FUT_TESTS_SUPPORT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/samples.h"

enum load_mode {
    LOAD_POST,      /* hand in a task */
    LOAD_POST_WAIT, /* hand it in and have its result */
    LOAD_POST_POLL, /* http: POST, then GET ?wait of the future that came, in turn */
    LOAD_BULK,      /* hand in cfg->bulk tasks per request */
    LOAD_WORK,      /* not http: be the worker, hand back what came */
    LOAD_GET,       /* http: GET of one path */
};

struct load_config {
    const struct load_script *script;
    enum load_mode mode;
    const char *address; /* "127.0.0.1:8420" */
    const char *handler;
    const char *input; /* http: the JSON value for "input"; NULL: a string of body_bytes */
    const char *path;  /* of LOAD_GET */
    const char *lane;  /* http: NULL: the handler's */
    bool raw;          /* http: the input is the body, the handler in the path */
    unsigned bulk;
    unsigned connections;
    int64_t requests; /* stop after this many (LOAD_POST_POLL: whole pairs); 0: after seconds */
    double seconds;
    double wait_s;  /* of Prefer: wait and of ?wait */
    double late_s;  /* an answer that took longer counts as late */
    double grace_s; /* how long answers are awaited after the last request */
    unsigned body_bytes;
};

#define LOAD_STATUS_MAX 600

struct load_report {
    int64_t requests, answered;
    int64_t unanswered;   /* still open when the grace was over */
    int64_t disconnected; /* open when the daemon closed the connection; not among the unanswered */
    int64_t late;
    int64_t waited; /* answers of waiting requests */
    int64_t undone; /* answers of waiting requests that showed a future that was not done */
    int64_t by_status[LOAD_STATUS_MAX]; /* of other protocols: 200 each */
    int64_t longest_gap_us; /* in which no answer came on any connection, since the first one */
    double seconds;         /* first request to last answer */
    struct samples samples; /* one per answer */
};

/* Blocks until it is over. report: zeroed by the caller; samples_release(&report->samples). False
 * when nothing could be connected. */
bool load_run(const struct load_config *cfg, struct load_report *report);

#endif
