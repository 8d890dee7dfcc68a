/* submission: what a client says of one task, whatever form it comes in: a JSON body, the query of
 * POST /v1/tasks/{handler}, a task of a batch, an input of a map. It is read by one table with a
 * row per field, checked against the handler that it names, and made into a task. A new field costs
 * a row there, a member of struct task_spec, a column of the store and its line in the documents.
 * Pure but for a look at the limits that are defined; any thread; nothing blocks. */
#ifndef FUT_API_RESOURCES_SUBMISSION_H
#define FUT_API_RESOURCES_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/text/problem.h"
#include "core/buf.h"
#include "core/catalog.h"
#include "core/task.h"
#include "core/task_limits.h"

struct json_t;
struct http_allow;
struct store;

/* Strings point into the text that was read, into root or decoded, or are literals. */
struct submission {
    const char *handler; /* NULL: not said */
    const char *input;   /* input_len bytes */
    size_t input_len;
    const char *input_type; /* content type; never NULL once read */
    bool is_base64;         /* the input came so */
    bool has_bytes;         /* the input comes behind a frame's line: n_bytes of it */
    size_t n_bytes;
    const char *said_type; /* of such an input; NULL: not said */
    bool has_lane;
    enum lane lane;
    int64_t timeout_ms; /* 0: not said */
    struct task_times times;
    const char *name;           /* of a task of a batch; 1..TASK_HANDLER_MAX bytes, or NULL */
    const struct json_t *after; /* an array: what it waits for (graph.h); NULL: nothing */
    bool has_refs;              /* the input may refer to results; graph_resolve knows */
    const char *then_on;        /* of a batch's "then": "success" or "done"; or NULL */
    bool is_promise;
    bool once;
    int64_t retries; /* -1: not said */
    struct retry_policy retry;
    const char *unique;   /* 1..TASK_KEY_MAX bytes, or NULL */
    const char *queue;    /* or NULL: the default one */
    const char *fair_key; /* 1..TASK_FAIR_KEY_MAX bytes, or NULL */
    int priority;
    const char *callback_url; /* or NULL */
    struct task_limits limits;
    const struct json_t *needs; /* labels of nodes: an array, or a list as text; NULL: none */
    struct task_id session;     /* hi 0: none */
    struct json_t *root;        /* owned; NULL none */
    struct buf decoded;         /* owned: an input that was written with escapes, or in base64 */
};

/* Value of the query parameter `name`, or NULL; lives as long as the submission. */
typedef const char *submission_arg(void *ctx, const char *name);

/* The readers return 0, or FUT_ERR_INVAL with *p set and nothing to release. */

/* A task as a JSON object: n bytes of text, borrowed until submission_release. */
FUT_MUST_CHECK int submission_read(const char *text, size_t n, struct submission *out,
                                   struct problem *p);
/* A task of a batch, likewise: it may have a name. */
FUT_MUST_CHECK int submission_read_member(const char *text, size_t n, struct submission *out,
                                          struct problem *p);
/* The line of a frame, likewise: a task of a batch whose input may come behind (has_bytes). */
FUT_MUST_CHECK int submission_read_frame(const char *text, size_t n, struct submission *out,
                                         struct problem *p);
/* The task that a batch has as "then", likewise; without an input, it refers to all results. */
FUT_MUST_CHECK int submission_read_then(const char *text, size_t n, struct submission *out,
                                        struct problem *p);
/* A promise as a JSON object, likewise; n 0: one that says nothing. */
FUT_MUST_CHECK int submission_read_promise(const char *text, size_t n, struct submission *out,
                                           struct problem *p);
/* The fields that a query may have; the rest is the caller's to set: handler, input, input_type. */
FUT_MUST_CHECK int submission_read_query(submission_arg *arg, void *ctx, struct submission *out,
                                         struct problem *p);
/* What the tasks of a map share: an object without inputs, borrowed until submission_release. */
FUT_MUST_CHECK int submission_read_shared(const struct json_t *members, struct submission *out,
                                          struct problem *p);
/* One input: a string is its text, any other value the n bytes that it came as. Borrows both. */
void submission_input_set(struct submission *s, const struct json_t *value, const char *text,
                          size_t n);
/* As submission_input_set, from the n bytes of a value alone, which are known to be JSON. */
void submission_input_plain(struct submission *s, const char *value, size_t n);
/* An input in base64: n bytes of a string of JSON, which is known to be one. */
FUT_MUST_CHECK int submission_input_decode(struct submission *s, const char *quoted, size_t n,
                                           struct problem *p);
/* The n bytes that came behind the line of a frame; borrowed until submission_release. */
FUT_MUST_CHECK int submission_input_bytes(struct submission *s, const char *bytes, size_t n,
                                          struct problem *p);
/* When all has been read: one input at most, with its type; makes the decoded bytes it. */
FUT_MUST_CHECK int submission_input_check(struct submission *s, struct problem *p);
void submission_release(struct submission *s);

struct request;

/* What a submission is checked against. */
struct submission_rules {
    const struct catalog *catalog;
    bool (*allows_url)(const struct http_allow *allow, const char *url); /* NULL: any */
    const struct http_allow *allow;
    struct store *store; /* knows which limits are defined; NULL: none */
    bool no_code;        /* who submits may not send programs */
    bool no_input;       /* the input is not known yet */
    bool in_session;     /* the task gets the limit of its session, too */
};
/* The rules of this daemon, with the catalog of handlers that r borrows until its end. */
struct submission_rules submission_check_rules(struct request *r);
/* Finds the handler among those that clients may name, and checks what is said against it and
 * against the rules. 0, or FUT_ERR_INVAL with *p set. is_in_path: then an unknown name is a wrong
 * address (404) and no wrong member (422). */
FUT_MUST_CHECK int submission_check(const struct submission *s,
                                    const struct submission_rules *rules, bool is_in_path,
                                    const struct handler_info **out, struct problem *p);

/* For a task that waits for nobody, once it is read: its input refers to no result. 0, or
 * FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int submission_check_refs(struct submission *s, struct problem *p);

/* What the task names and what its handler names for it: the task's key counts for a limit that
 * both name, and a limit without keys is given none. 0; FUT_ERR_FULL: more than TASK_LIMITS_MAX;
 * FUT_ERR_INVAL: the handler's limit *out_refused counts by key, and nobody says which. *out is
 * undefined then. A limit that is not defined (yet) holds nothing. */
FUT_MUST_CHECK int submission_task_limits(const struct submission *s, const struct handler_info *h,
                                          struct store *store, struct task_limits *out,
                                          size_t *out_refused);
/* The labels that the task needs. 0; FUT_ERR_INVAL: that is none of them; FUT_ERR_FULL: they are
 * too many. *out is undefined then. */
FUT_MUST_CHECK int submission_task_needs(const struct json_t *needs, struct task_needs *out);
/* The member "callback" as tasks and batches have it: an object with "url". *out_url: points into
 * v; untouched on failure. */
FUT_MUST_CHECK int submission_read_callback(const struct json_t *v, const char **out_url,
                                            struct problem *p);
/* May this daemon call the URL? 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int submission_check_url(const struct submission_rules *rules, const char *url,
                                        struct problem *p);

/* Answers where the store has no place for one more queue. */
void submission_check_queue_refused(struct request *r);
/* Answers where the store has refused r->op.submit.refused_edge. */
void submission_check_graph_refused(struct request *r);

/* What does not come from the client's words. */
struct submission_frame {
    struct task_id id, batch; /* batch.hi 0: in none */
    struct task_id parent;    /* of which an attempt submits it; hi 0: none */
    uint32_t batch_pos;
    bool in_session;           /* batch is a session */
    const char *session_limit; /* the limit that this gives the task; or NULL */
    int64_t created_wall_ms;
    const char *schedule;    /* that makes it; or NULL */
    const char *traceparent; /* or NULL */
    struct store *store;     /* knows the limits of hosts; NULL: there are none */
};
/* Makes the task, and the task that tells its callback of the end: empty when it has none. Both are
 * the caller's to release; everything is copied. h: as submission_check gave it. */
void submission_task_make(const struct submission *s, const struct handler_info *h,
                          const struct submission_frame *frame, struct task *out,
                          struct task *out_callback);

#endif
