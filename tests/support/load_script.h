/* load_script: what is said on a connection of the load engine, one protocol per file. A script
 * writes requests and finds the end of answers; sockets, clocks and counts are the engine's. Called
 * by the engine's one thread; nothing here blocks. */
#ifndef FUT_TESTS_SUPPORT_LOAD_SCRIPT_H
#define FUT_TESTS_SUPPORT_LOAD_SCRIPT_H

#include "core/buf.h"
#include "core/id.h"
#include "tests/support/load.h"

/* A connection that failed is opened anew at the next turn of the loop, with step 0. */
struct load_conn {
    int fd;
    unsigned number; /* 0, 1, … */
    bool open;       /* a request waits for its answer */
    bool greeting;   /* what was said does not count as a request */
    bool greeted;
    bool writing; /* epoll watches for space to write */
    int64_t began_mono_us;
    const char *out; /* rest of the request */
    size_t out_len;
    struct buf request; /* a request made for this connection, if it is not shared */
    struct buf in;      /* what came; the script takes its answers off the front */
    /* the script's own */
    int step;
    char id[ID_TEXT_SIZE]; /* http: the future to poll */
    struct buf kept;       /* what a worker hands back with its next request */
};

/* Outputs of take. */
struct load_answer {
    int status;
    bool close;  /* the server closes the connection after it */
    bool waited; /* it was to be a result */
    bool done;   /* it was one */
};

enum load_taken {
    LOAD_MORE,    /* not whole yet */
    LOAD_BROKEN,  /* nothing that was asked for */
    LOAD_GOES_ON, /* taken off, and the same request has more to say: ask again */
    LOAD_WHOLE,   /* taken off, the request is answered */
};

struct load_script {
    const char *name;
    bool modes[LOAD_GET + 1]; /* that it knows */
    /* The request that is the same each time, into out; may leave it empty. May be NULL. */
    void (*prepare)(const struct load_config *cfg, struct buf *out);
    /* Appends to c->request (empty) what is said once per connection before the first request. May
     * be NULL: nothing. */
    void (*greet)(const struct load_config *cfg, struct load_conn *c);
    /* Appends to c->request (empty) what is to be said next; false: the prepared one. */
    bool (*ask)(const struct load_config *cfg, struct load_conn *c);
    /* Looks at c->in (NUL-terminated, not empty). LOAD_WHOLE ends a greeting as well. */
    enum load_taken (*take)(const struct load_config *cfg, struct load_conn *c,
                            struct load_answer *out);
};

extern const struct load_script load_http, load_beanstalk, load_gearman, load_redis;

#endif
