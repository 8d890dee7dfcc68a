/* request: the owner of all that one request needs: arena, body, store operation, waiter, answer.
 *
 * It runs as steps on its event loop's thread. A step either answers (request_reply_*, _problem,
 * _fail), or posts a store operation, or goes to sleep on its waiter, naming the step that follows.
 * Nothing here blocks. The store's threads touch a request only between the post and its done, and
 * only to put it on the loop's ready list. It is freed when the HTTP library calls it completed,
 * which never comes while the connection is suspended, and is put off while the store has its
 * operation: that is what makes the borrowed pointers in posted operations safe.
 *
 * Where a request stands is its state (request_state.h), which request_move alone changes. */
#ifndef FUT_API_HTTP_REQUEST_H
#define FUT_API_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/budget.h"
#include "api/http/feed.h"
#include "api/http/request_state.h"
#include "api/http/route.h"
#include "api/http/waiters.h"
#include "api/text/event_out.h"
#include "api/text/problem.h"
#include "core/arena.h"
#include "core/attempt_token.h"
#include "core/buf.h"
#include "core/heap.h"
#include "core/list.h"
#include "storage/batch.h"
#include "storage/node.h"
#include "storage/queue.h"
#include "storage/results.h"
#include "storage/schedule.h"
#include "storage/session.h"
#include "storage/store.h"

struct api;
struct http_conn;
struct http_loop;
struct member_events;
struct request_large;
struct MHD_Connection;
/* What requests are told before the store is there. */
#define REQUEST_EARLY "The daemon waits for its database; its log says why."

struct request;
typedef void request_step(struct request *r);
/* Takes n more bytes of the body (n > 0), in order. */
typedef void request_sink(struct request *r, const char *bytes, size_t n);

struct request_pair { /* in the arena */
    struct request_pair *next;
    const char *name, *value; /* of args decoded, in the arena; of headers borrowed until the
                                 request is freed */
};

struct request {
    struct api *api;
    struct http_loop *loop;
    struct MHD_Connection *conn;
    struct http_conn *peer;     /* ours of the same connection; NULL once it has closed */
    struct request *next_spare; /* while kept for reuse */
    int64_t began_mono_us;      /* when its head was here */

    /* flow */
    enum request_state state; /* the loop's thread alone; changed by request_move */
    request_step *next;       /* runs when the request is complete, or when it was woken */
    struct list_node ready;   /* guarded by the loop's mutex */
    bool is_refused;          /* by its head alone: next says so */
    bool is_complete;         /* its body is here, or it has none */
    bool has_stayed;          /* it sleeps long enough to be told of a hang-up */
    bool is_hung_up;          /* its client left while it slept */
    int64_t polled_mono_ms;   /* since when it is polled */
    int64_t wake_mono_ms;     /* end of the sleep */
    struct heap_node timer;   /* of the loop's sleepers */

    /* what came */
    enum route_method method;
    const char *path;  /* raw; the HTTP library's until the end */
    const char *host;  /* of the Host header or the whole URL; NULL none */
    const char *query; /* likewise; NULL none */
    const struct route *route;
    unsigned allowed;                         /* methods of the path */
    const char *captures[ROUTE_CAPTURES_MAX]; /* decoded; in the arena */
    struct request_pair *args;                /* in order */
    uint64_t header_names;                    /* bits of those that came: http_header_bit */
    size_t record_bytes; /* what the library keeps of headers and cookies beside the head */
    struct buf body;
    size_t body_seen; /* bytes that came, kept or not */
    struct budget_share share;
    size_t body_limit;
    bool keeps_body;
    request_sink *sink;      /* takes the body as it comes, in place of keeps_body; or NULL */
    struct problem *refusal; /* found before the body was complete; in the arena; NULL none */
    const char
        *cors_origin; /* the named origin of the page that asks; borrowed header; NULL none */
    char principal[AUTH_PRINCIPAL_SIZE]; /* who asks; "" when no tokens are configured */
    unsigned scopes;                     /* of who asks: bits of enum auth_scope */
    struct attempt_who attempt;          /* a running attempt asks; task.hi 0: somebody else */

    /* work */
    struct arena arena;
    const struct catalog *catalog; /* by catalog_lend_to */
    void *work;                    /* what the route keeps between its steps; in the arena */
    struct member_events *members; /* what a stream tells beside ends; in the arena */
    union {
        struct store_op base; /* first member of each */
        struct store_submit submit;
        struct store_apply apply;
        struct store_revive revive;
        struct store_attempts attempts;
        struct store_delete del;
        struct store_get get;
        struct store_get_many get_many;
        struct store_batch_get batch_get;
        struct store_members members;
        struct store_session_close session_close;
        struct store_session_renew session_renew;
        struct store_session_list session_list;
        struct store_batch_list batch_list;
        struct store_session_ends session_ends;
        struct store_edges edges;
        struct store_batch_cancel batch_cancel;
        struct store_tree_cancel tree_cancel;
        struct store_log log;
        struct store_schedules_put schedules_put;
        struct store_schedule_remove schedule_remove;
        struct store_schedule_pause schedule_pause;
        struct store_schedule_fire schedule_fire;
        struct store_schedule_get schedule_get;
        struct store_schedule_list schedule_list;
        struct store_bulk_list bulk_list;
        struct store_queue_drop queue_drop;
        struct store_queue_list queue_list;
        struct store_queue_oldest queue_oldest;
        struct store_queue_nodes queue_nodes;
        struct store_limit_put limit_put;
        struct store_limit_drop limit_drop;
        struct store_limit_close limit_close;
        struct store_limit_list limit_list;
        struct store_node_list node_list;
        struct store_node_drain node_drain;
    } op;
    struct request_large *large; /* NULL: none posted yet */
    void (*drop_op)(
        struct request *r); /* lets go what op or large holds and no step has taken; or NULL */
    struct task task;       /* the future in hand; released with the request */
    struct store_reported reported; /* what task reported, as of its last read; message owned */
    bool reported_is_known;         /* reported belongs to the state in task */
    struct task *callback;          /* the task that tells of its end; in the arena, released
                                       likewise; NULL: none */
    struct store_attempt *attempts; /* its earlier ones; freed with the request */
    size_t n_attempts;
    struct store_key *key;    /* of a submission; in the arena; NULL: none */
    struct store_edge *edges; /* of the task that is submitted; in the arena; NULL: none */
    size_t n_edges;
    struct task_outcome *outcome; /* one reference, lent to op.apply; NULL none */
    unsigned tries;
    int64_t wait_ms;            /* how long its client wants to wait; 0 not */
    int64_t wait_until_mono_ms; /* the same as a time, from wait_open on */
    bool watches;               /* woken by reports too, not by the end alone */
    uint64_t log_from;          /* offset of the log that is asked for */
    bool wait_from_prefer;
    bool wait_refused; /* too many waiters: answered at once */
    request_step *after_wait, *after_gather;
    bool gathers_all; /* show_gather_all */
    struct waiter waiter;
    struct waiter_link link;
    struct feed_reader *reader; /* of the stream of all that happens; in the arena; NULL: none */
    struct attempt_wait *lends; /* while it sleeps the running attempt that asks lends its slot; in
                                   the arena; NULL: no attempt has asked */
    request_step *after_sleep;  /* while the store looks whether it may sleep; else NULL */

    /* answer */
    unsigned status; /* 0: none yet */
    struct buf out;
    bool is_stream;    /* steps go on behind the status: they write as the reader takes */
    bool wants_ends;   /* it has told the store so */
    size_t taken;      /* of out, by the reader of the stream */
    const void *bytes; /* what is sent; in out, or borrowed until the request is freed */
    size_t n_bytes;
    struct request_pair *headers; /* in order */
    char etag[24];
    bool closes; /* the connection ends with this answer */
};

/* A request of this loop, in REQUEST_READING; reuses the buffers of an ended one. */
struct request *request_new(struct http_loop *loop);
/* Moves to a state that its own allows; another move is a bug of ours and aborts. Keeps the loop's
 * counters. The loop's thread. */
void request_move(struct request *r, enum request_state to);
/* Moves to REQUEST_ENDED, closes the waiter, lets everything go, and keeps the memory for the next
 * request_new of its loop, or frees it. */
void request_end(struct request *r);
/* Frees what the loop keeps for request_new. */
void request_free_spares(struct http_loop *loop);

/* Lets go what its operation holds and no step has taken. */
void request_drop_op(struct request *r);

/* Takes *callback, which is empty then, in place of the one that it has. */
void request_take_callback(struct request *r, struct task *callback);
/* Does the attempt that asks lend its slot? */
bool request_lends(const struct request *r);
/* What it has slept for has come: the attempt that asks has its slot again. */
void request_take_slot(struct request *r);
/* Puts the waiter's request on its loop's ready list: for struct waiter_wish. Once for each sleep;
 * any thread; never blocks. */
void request_wake(struct waiter *w);

/* Lets go what is kept of the body, and what its sink made of it; the rest will be swallowed. */
void request_forget_body(struct request *r);
/* Frees the bytes of the body once a task has them; keeps the sink and what it has made. */
void request_drop_body(struct request *r);
/* As request_forget_body; *p is copied, to be answered when the body is complete. */
void request_refuse_body(struct request *r, const struct problem *p);

/* name, value: decoded, in the arena. */
void request_add_arg(struct request *r, const char *name, const char *value);
/* Decoded value of a query parameter, or NULL. */
const char *request_arg(const struct request *r, const char *name);
/* Reads the parameters that filter futures. False: the request was answered. */
FUT_MUST_CHECK bool request_read_filter(struct request *r, struct task_filter *out);
/* Who asks, for people: "token NAME" or "client". */
void request_write_client(const struct request *r, char *out, size_t size);

/* ---- answers: exactly one per request, a second is a bug --------------------------------------
 */

/* May the finished answer be refused when there is no memory for it? Only that of a GET, which can
 * be repeated, and only before it has begun: not a stream. */
bool request_is_refusable(const struct request *r);
/* value: borrowed until the request is freed. */
void request_add_header(struct request *r, const char *name, const char *value);
/* The bytes of the answer are a task's: a browser is to run none of them, and to guess no type. */
void request_add_sandbox(struct request *r);
/* The path of something new: both texts are copied. */
void request_add_location(struct request *r, const char *path, const char *id);
void request_add_retry_after(struct request *r, unsigned seconds);
/* r->out holds the JSON text. */
void request_reply_json(struct request *r, unsigned status);
void request_reply_bytes(struct request *r, unsigned status, const char *type, const void *bytes,
                         size_t n);
void request_reply_empty(struct request *r, unsigned status);
/* r->out is overwritten. */
void request_problem(struct request *r, const struct problem *p);
/* The problem of a negative enum fut_err from the store. */
void request_fail(struct request *r, int rc);
/* 400: that parameter must be what allowed says. False, for the caller to give back. */
bool request_refuse_arg(struct request *r, const char *name, const char *allowed);
/* Reads a parameter that is true or false; *out stays as it is when there is none. False: answered.
 */
FUT_MUST_CHECK bool request_read_flag(struct request *r, const char *name, bool *out);
/* The problem of a store operation that was not taken: too many of them wait, or the store stops.
 */
void request_not_posted(struct request *r, int rc);
/* The problem in place of an answer that finds no memory, also of one that is given already and not
 * yet sent. A step. */
void request_refuse_answer(struct request *r);
/* 503 with the limit of buffered bytes; what: a sentence. */
void request_refuse_bytes(struct request *r, const char *what);

/* ---- streams: answers that are written as their reader takes them -----------------------------
 *
 * A step of a stream posts an operation, or sleeps, or writes to r->out (empty at its begin) and
 * says how it goes on. It runs when all that the last one wrote was taken, so a stream holds no
 * more than one step's text however slow its reader is. A problem or failure breaks it off. */

/* Starts a 200 answer of unknown length and this content type; next writes its first bytes. */
void request_stream(struct request *r, const char *type, request_step *next);
/* Starts likewise a stream of events of the form that the client's Accept asks for, with the
 * headers that keep caches and proxies from collecting it; *out is that form. */
void request_stream_events(struct request *r, struct event_out *out, request_step *next);
/* *out: the Last-Event-ID of the request, at most max, or 0 when it has none. False: it is no
 * number, and that was answered. */
FUT_MUST_CHECK bool request_stream_last_event(struct request *r, uint64_t max, uint64_t *out);
/* The stream tells of ends: from here on the store keeps them for a moment (storage/ends.h), until
 * the request ends. Once. */
void request_stream_want_ends(struct request *r);
#define REQUEST_STREAM_BYTES 16384 /* are written before they are sent, where there are so many */
/* Sends what is in r->out, then runs next. */
void request_stream_more(struct request *r, request_step *next);
/* Sends what is in r->out, then ends the stream. */
void request_stream_end(struct request *r);
/* The connection closes, so that the reader sees that the end is missing. */
void request_stream_break(struct request *r);
/* Empties r->out for the next step, and gives a big buffer back. */
void request_forget_out(struct request *r);

/* ---- store operations -------------------------------------------------------------------------
 *
 * The caller lets go what r->op held (request_drop_op), fills the member of the verb, and posts. */

/* Posts r->op; next runs after its done, or the request is answered when the store does not take
 * it. drop: releases what r->op holds and no step has taken; NULL: nothing. */
void request_post(struct request *r, const struct store_verb *verb, void (*drop)(struct request *r),
                  request_step *next);
/* As request_try_post, of an operation that is not r->op: done hands the request on by
 * request_become_ready. */
FUT_MUST_CHECK int request_post_op(struct request *r, const struct store_verb *verb,
                                   struct store_op *op, store_done *done,
                                   void (*drop)(struct request *r), request_step *next);
/* Any thread: the request is its loop's from here on. Once for each post. */
void request_become_ready(struct request *r);
/* As request_post, but a refusal is returned and nothing is answered. */
FUT_MUST_CHECK int request_try_post(struct request *r, const struct store_verb *verb,
                                    void (*drop)(struct request *r), request_step *next);

/* Submits r->task, and r->callback behind it when that is not empty; session: that it joins, hi 0:
 * none. */
void request_submit(struct request *r, struct task_id session, request_step *next);
/* Applies a change to r->task, which is empty from here until request_take_task. */
void request_apply(struct request *r, const struct task_change *change, request_step *next);
/* As request_apply, for another life; is_fresh: without the checkpoint of the life before. */
void request_revive(struct request *r, const struct task_change *change, bool is_fresh,
                    request_step *next);
/* Reads a future into r->op.get. */
void request_get(struct request *r, struct task_id id, request_step *next);
/* As request_get, with the body of its checkpoint. */
void request_get_checkpoint(struct request *r, struct task_id id, request_step *next);
/* Reads r->op.members, filled by the caller; tasks that no step has set to zero are released with
 * the operation. */
void request_members(struct request *r, request_step *next);
/* Reads a batch into r->op.batch_get. */
void request_batch_get(struct request *r, struct task_id id, request_step *next);
/* As request_get, but a refusal is returned and nothing is answered. */
FUT_MUST_CHECK int request_try_get(struct request *r, struct task_id id, request_step *next);
/* As request_try_get, with the input. */
FUT_MUST_CHECK int request_try_get_whole(struct request *r, struct task_id id, request_step *next);
/* After a request_get that went well, a request_apply or a request_revive: its snapshot becomes
 * r->task. */
void request_take_task(struct request *r);

#endif
