/* What the files of the PostgreSQL backend share: how tasks stand in rows, the writer and the
 * readers. */
#ifndef FUT_STORAGE_POSTGRES_INTERNAL_H
#define FUT_STORAGE_POSTGRES_INTERNAL_H

#include <stdatomic.h>

#include "storage/backend.h"
#include "storage/postgres/conn.h"

/* ---- rows.c: how a task stands in rows --------------------------------------------------------
 */

#define SPEC_COLUMNS                                                                               \
    "t.key, t.lo, t.lane, t.handler, t.created_ms, t.timeout_ms, t.retries, t.batch, t.batch_pos," \
    " t.after_key, t.after_lo, t.callback_key, t.callback_lo, t.traceparent,"                      \
    " (SELECT b.lo FROM batches b WHERE b.key = t.batch), o.unique_key, o.retry_on,"               \
    " o.retry_first_ms, o.retry_max_ms, o.retry_jitter, o.delay_ms, o.run_at_ms,"                  \
    " o.expires_in_ms, o.deadline_ms, o.schedule, o.queue, o.fair_key, o.priority,"                \
    " o.flags, o.limits, o.name, o.parent, o.parent_lo"
#define LIVE_COLUMNS                                                                               \
    ", l.state, l.attempt, l.daemon_deaths, l.due_ms, l.started_ms, l.earlier_attempts,"           \
    " l.suspended, l.unmet"
#define TASK_COLUMNS                                                                               \
    SPEC_COLUMNS LIVE_COLUMNS                                                                      \
        ", r.state, r.attempt, r.daemon_deaths, r.seq, r.started_ms, r.finished_ms, r.code,"       \
        " r.exit_code, r.signal, r.oom, r.max_rss_kib, r.cpu_ms, r.message, r.error_type"
#define BODY_COLUMNS ", r.type, r.log, r.body"
#define JOIN_OPTIONS " LEFT JOIN options o ON o.key = t.key"
#define JOIN_LIVE " LEFT JOIN live l ON l.key = t.key"
#define JOIN_RESULTS " LEFT JOIN results r ON r.key = t.key"

enum postgres_column {
    C_KEY,
    C_LO,
    C_LANE,
    C_HANDLER,
    C_CREATED,
    C_TIMEOUT,
    C_RETRIES,
    C_BATCH,
    C_BATCH_POS,
    C_AFTER,
    C_AFTER_LO,
    C_CALLBACK,
    C_CALLBACK_LO,
    C_TRACEPARENT,
    C_BATCH_LO,
    C_UNIQUE,
    C_RETRY_ON,
    C_RETRY_FIRST,
    C_RETRY_MAX,
    C_RETRY_JITTER,
    C_DELAY,
    C_RUN_AT,
    C_EXPIRES_IN,
    C_DEADLINE,
    C_SCHEDULE,
    C_QUEUE,
    C_FAIR_KEY,
    C_PRIORITY,
    C_FLAGS,
    C_LIMITS,
    C_NAME,
    C_PARENT,
    C_PARENT_LO,
    C_LIVE_STATE,
    C_LIVE_ATTEMPT,
    C_LIVE_DEATHS,
    C_DUE,
    C_LIVE_STARTED,
    C_EARLIER,
    C_SUSPENDED,
    C_UNMET,
    C_STATE,
    C_ATTEMPT,
    C_DEATHS,
    C_SEQ,
    C_STARTED,
    C_FINISHED,
    C_CODE,
    C_EXIT,
    C_SIGNAL,
    C_OOM,
    C_RSS,
    C_CPU,
    C_MESSAGE,
    C_ERROR_TYPE,
    C_TYPE,
    C_LOG,
    C_BODY,
    C_PROGRESS,
    C_REPORT_MESSAGE,
    C_LOG_END,
};
#define C_INPUT_TYPE C_LIVE_STATE /* of P_LOAD, the input behind it */

/* Reads SPEC_COLUMNS; input_column (its type) is followed by the input, or -1 for a spec without
 * input. One reference, the caller's. */
struct task_spec *postgres_read_spec(const PGresult *r, int row, int input_column);
/* Reads SPEC_COLUMNS and LIVE_COLUMNS: an unfinished task without its input, the caller's. */
void postgres_read_live(const PGresult *r, int row, struct task *out);
/* Reads TASK_COLUMNS; whole: with BODY_COLUMNS. */
void postgres_read_task(const struct backend *b, const PGresult *r, int row, bool whole,
                        struct task *out);
/* All rows of a result of SPEC_COLUMNS and LIVE_COLUMNS (`max` at most), and frees it. */
void postgres_read_lives(PGresult *r, size_t max, struct task *tasks, size_t *out_n);
/* Reads what P_GET_CHECKPOINT gives; the body where there is one. */
struct task_checkpoint *postgres_read_checkpoint(const PGresult *r, int row);
/* Of a spec that has options (backend_has_options). */
FUT_MUST_CHECK int postgres_put_options(struct backend *b, const struct task_spec *spec);

/* Walks over futures by descending key, in steps, for lists and bulks. */
struct postgres_walk {
    enum postgres_stmt stmt;
    const struct task_filter *filter;
    bool is_whole;
    uint64_t before;
    size_t look, step; /* rows in all, and of one statement */
    size_t seen;       /* out */
    bool is_end;       /* out: no row is left */
    /* false: no more, please; the task is the caller's to release */
    bool (*fn)(void *ctx, struct task *t);
    void *ctx;
};
FUT_MUST_CHECK int postgres_scan(struct postgres_conn *c, const struct backend *b,
                                 struct postgres_walk *w);
/* The statement for a filter that names something that has an index; P_COUNT: it does not. */
enum postgres_stmt postgres_scan_by(const struct task_filter *f, bool is_whole);

/* ---- the writer -------------------------------------------------------------------------------
 */

/* What the writer knows without asking, as nobody else writes. A task whose state it knows is
 * changed without waiting for the answer, and the statement itself fails when the row does not
 * agree. */
struct postgres_known {
    uint64_t key; /* 0: nothing */
    enum task_state state;
    uint32_t attempt;
    uint32_t news; /* backend.news, as of which that is; what a task of this node does that runs,
                      is known also later */
};
#define POSTGRES_KNOWN 4096
#define POSTGRES_NEW_KEYS 256
#define POSTGRES_MARKS 64
#define POSTGRES_AHEAD 64

/* Before this place nothing waits in the line: dead rows of the index are not looked at. */
struct postgres_mark {
    int64_t line, place; /* line 0: none */
};

/* The writer's: of its thread alone, but for the atomics. */
struct postgres_pending;
struct backend {
    struct postgres_conn c;
    struct postgres_pending *pending; /* pending.c */
    char *url;
    char *node;                   /* this node's name */
    int64_t schema;               /* its number, for advisory locks */
    int64_t boot;                 /* the number of this opening, which is the node's */
    int64_t group;                /* so many transactions of this boot are committed */
    bool is_told;                 /* this transaction tells the others something */
    int64_t joined_up_ms;         /* the uptime of the others when it joined */
    bool has_peers;               /* other nodes share the database */
    uint32_t news;                /* how often others have told some */
    atomic_llong seen;            /* the latest news that the writer has heard or told */
    atomic_bool has_abandoned;    /* a node may have gone, with tasks that ran there */
    struct postgres_node *member; /* node.c; NULL: not yet */
    int old_pid;                  /* of the server's process for the connection before */
    bool broken;      /* the other nodes have given this one up, or it is not the one that it was */
    bool is_away;     /* it could not be reached for some seconds */
    bool was_cut_off; /* the connection broke in the latest transaction, which has not happened */
    atomic_bool is_connecting; /* the writer tries to reach it again */
    int64_t away_mono_ms;      /* since when it cannot be reached, as the log was told; 0: it can */
    struct backend_time now;
    atomic_bool keeps_turn;     /* turn.c: it is alone, and its session has the lock */
    atomic_bool turn_is_wanted; /* by another session */
    bool asks_anyway;           /* whether it is to drain */
    bool is_draining;           /* as of the latest answer */
    int64_t keep_again_mono_ms; /* not before */
    atomic_llong turn_mono_ms;  /* since then the writer waits for its turn; 0: it does not */
    atomic_llong up_offset_ms;
    atomic_bool has_checkpoints; /* there may be some; else nobody looks */
    bool has_kept;               /* likewise: batches or futures with times of their own */
    struct backend_ends ends;
    int64_t cancel_key, cancel_pos;
    struct postgres_known known[POSTGRES_KNOWN];
    uint64_t new_keys[POSTGRES_NEW_KEYS]; /* the latest that were added, in a ring */
    size_t next_new_key;
    uint64_t floor; /* any key above it that is not in the ring was never added */
    struct postgres_mark marks[POSTGRES_MARKS];
    uint64_t taken[POSTGRES_AHEAD]; /* the latest take, in its order */
    size_t n_taken;
    struct task_spec *ahead[POSTGRES_AHEAD]; /* specs of it that were loaded together */
    uint64_t file_bytes;
    int64_t next_size_mono_us;
};

struct backend_reader {
    struct postgres_conn c;
    struct backend *b;
};

/* pending.c: rows that go to the server together, in this order */
enum postgres_table {
    IN_TASKS,
    IN_LIVE,
    IN_OPTIONS,
    IN_RESULTS,
    OUT_OF_LIVE, /* a row that must be there is removed */
    POSTGRES_TABLES
};
/* Adds a row (its values are copied) that is sent with the next other statement of the transaction
 * at the latest; always as many values of the kinds PG_INT, PG_TEXT and PG_BYTES for a table. 0, or
 * the error of this transaction. */
FUT_MUST_CHECK int postgres_add_row(struct backend *b, enum postgres_table table,
                                    const struct postgres_value *values, size_t n);
/* Forgets the rows that were not sent. */
void postgres_pending_clear(struct backend *b);
void postgres_pending_begin(struct backend *b);
void postgres_pending_end(struct backend *b);

/* known.c: see above */
/* Does the writer know that the task is in this state and attempt? */
bool postgres_knows(const struct backend *b, uint64_t key, enum task_state state, uint32_t attempt);
void postgres_know(struct backend *b, uint64_t key, enum task_state state, uint32_t attempt);
void postgres_forget(struct backend *b, uint64_t key);
/* After a part of a transaction was taken back. */
void postgres_forget_all(struct backend *b);
/* True when no task and no batch ever had this key. Then it has one now. */
bool postgres_is_new_key(struct backend *b, uint64_t key);
/* A task waits in the line at this place from now on (BACKEND_PLACE_KEPT: at some place); a line of
 * 0 stands for any. */
void postgres_mark_put(struct backend *b, int64_t line, int64_t place);
/* The first `next` places of the line are taken. */
void postgres_mark_set(struct backend *b, int64_t line, int64_t next);
int64_t postgres_mark_get(const struct backend *b, int64_t line);
/* Frees the specs that were loaded ahead. */
void postgres_ahead_clear(struct backend *b);

/* turn.c: the writer's. Asks for the turn of a transaction, the first thing in it. */
FUT_MUST_CHECK int postgres_turn_begin(struct backend *b);
/* Nobody else can have done anything since the transaction before. */
bool postgres_turn_is_kept(const struct backend *b);
/* In a transaction, which has asked who there is: a node that is alone keeps its turn. */
FUT_MUST_CHECK int postgres_turn_keep(struct backend *b);
/* Of a node that writes no more, between transactions. Always FUT_ERR_READ_ONLY. */
int postgres_turn_leave(struct backend *b);
/* The session has ended. */
void postgres_turn_gone(struct backend *b);
/* The thread of the node, on its connection. Ends a session for which the writer has waited for
 * long. */
void postgres_turn_end_standing(struct backend *b, struct postgres_conn *c);
/* Somebody else is there: the next transaction gives up a turn that is kept. False: none is. */
bool postgres_turn_want(struct backend *b);
/* Likewise if another session waits for it, which is asked. */
bool postgres_turn_look(struct backend *b, struct postgres_conn *c);

/* node.c: the thread by which a node stays one, and calls the others */
struct postgres_node;
/* Every LEASE the node must have said that it lives; by then the others give it up. */
#define POSTGRES_LEASE_MS 10000
/* For so long a session may stand still in its turn. */
#define POSTGRES_STANDING_MS 3000
/* Becomes a node, before anything is loaded; what the others have told until now is in the rows. */
FUT_MUST_CHECK int postgres_node_begin(struct backend *b, const struct store_config *cfg,
                                       struct fut_errbuf *err);
/* The method join of backend.h. */
void postgres_join(struct backend *b, struct backend_self *self, void (*fn)(void *ctx), void *ctx);
/* Ends the thread, and leaves the others. */
void postgres_node_end(struct backend *b);
/* The thread calls the others, soon: there are news. */
void postgres_node_call_soon(struct backend *b);
/* Calls all nodes that listen, at once. */
FUT_MUST_CHECK int postgres_node_call(struct backend *b);

/* peers.c: the methods hear, has_peers, tell, forget, abandoned, nodes, queue_nodes and node_drain
 * of backend.h. */
int postgres_hear(struct backend *b, backend_news_fn *fn, void *ctx, bool *out_leads,
                  bool *out_is_draining);
bool postgres_has_peers(const struct backend *b);
int postgres_tell(struct backend *b, const void *bytes, size_t len);
void postgres_forget_of(struct backend *b, int64_t line, uint64_t key);
int postgres_abandoned(struct backend *b, size_t max, struct task *tasks, size_t *out_n);
int postgres_nodes(struct backend *b, struct store_node_list *o);
int postgres_queue_nodes(struct backend *b, backend_queue_node_fn *fn, void *ctx);
int postgres_node_drain(struct backend *b, const char *name, bool drains);
/* The transaction is committed: calls the others, if it has told them something. */
void postgres_peers_told(struct backend *b);
/* A transaction was taken back: what it may have done for nodes that are no more is done again. */
void postgres_peers_failed(struct backend *b);

/* owner.c: which daemons have the database */
/* Shares it with daemons of this version, and takes the turn to write until postgres_join.
 * FUT_ERR_BUSY: another program has it. */
FUT_MUST_CHECK int postgres_owner_share(struct backend *b, struct fut_errbuf *err);
/* Has it for itself. Waits for some seconds for a session that has ended. FUT_ERR_BUSY: a daemon,
 * or another such program, uses it. */
FUT_MUST_CHECK int postgres_owner_alone(struct backend *b, struct fut_errbuf *err);
/* A number for this daemon, which it alone has. FUT_ERR_BUSY: another one has its name. */
FUT_MUST_CHECK int postgres_owner_begin(struct backend *b, struct fut_errbuf *err);
/* Connects again and makes sure that this daemon still is a node. While the database is away: the
 * first time it waits for some seconds (a restart is over by then), later it does not. */
FUT_MUST_CHECK int postgres_owner_again(struct backend *b);
/* After a commit whose answer did not come: waits until it is known. 0: it happened. */
FUT_MUST_CHECK int postgres_owner_resolve(struct backend *b);
/* The method waits of backend.h. */
bool postgres_waits(const struct backend *b, bool *out_is_away);

/* schema.c */
extern const int postgres_schema_version;
/* Is it a server that futured may use? FUT_ERR_INVAL with the reason. */
FUT_MUST_CHECK int postgres_check_server(struct postgres_conn *c, struct fut_errbuf *err);
/* Makes the schema, or brings an older one up to date. FUT_ERR_INVAL: it is not ours, or newer. */
FUT_MUST_CHECK int postgres_migrate(struct postgres_conn *c, const struct store_config *cfg,
                                    struct fut_errbuf *err);

/* ---- the methods of backend.h, file by file ----------------------------------------------------
 */

/* write.c */
int postgres_begin(struct backend *b, struct backend_time now);
int postgres_commit(struct backend *b);
void postgres_rollback(struct backend *b);
bool postgres_was_cut_off(const struct backend *b);
int postgres_mark(struct backend *b);
int postgres_unmark(struct backend *b);
int postgres_back(struct backend *b);
int postgres_insert(struct backend *b, const struct task *t, int64_t line, int64_t place);
int postgres_change(struct backend *b, const struct task_change *c, const struct task *after,
                    int64_t line, int64_t place);
int postgres_save(struct backend *b, const struct backend_counters *c);
int postgres_touch(struct backend *b);
int postgres_add_attempt(struct backend *b, uint64_t key, const struct store_attempt *a);
int postgres_set_callback(struct backend *b, uint64_t key, struct task_id callback);
int postgres_put_checkpoint(struct backend *b, const struct store_checkpoint *o);
int postgres_drop_checkpoint(struct backend *b, uint64_t key);
int postgres_load_checkpoint(struct backend *b, uint64_t key, struct task_checkpoint **out);
int postgres_report(struct backend *b, const struct store_report *o);

/* prune.c */
int postgres_remove(struct backend *b, struct task_id id);
int postgres_prune(struct backend *b, struct backend_prune *p);

/* kept.c */
/* The done task, which is no member of a batch, is kept for its keep_ms. */
int postgres_keep(struct backend *b, const struct task *t);
/* The task or batch is unfinished again. */
int postgres_drop_kept(struct backend *b, uint64_t key);

/* queue.c */
int postgres_add_line(struct backend *b, const struct backend_line *line);
int postgres_drop_line(struct backend *b, int64_t number);
int postgres_take(struct backend *b, int64_t line, const struct task_move *move, size_t max,
                  struct backend_row *rows, size_t *out_n, int64_t *out_next);
int postgres_first(struct backend *b, int64_t line, int64_t *out_place);
int postgres_load(struct backend *b, uint64_t key, struct task_spec **out);
int postgres_due(struct backend *b, size_t max, struct backend_moved *rows, size_t *out_n);
int postgres_after(struct backend *b, uint64_t key, const struct buf *end, size_t max,
                   struct backend_moved *rows, size_t *out_n);
int postgres_queue(struct backend *b, uint64_t key, enum task_state to, int64_t place);
int postgres_in_state(struct backend *b, enum task_state state, size_t max, struct task *tasks,
                      size_t *out_n);
int postgres_totals(struct backend *b, int64_t now_wall_ms, struct backend_totals *out);
int postgres_lines(struct backend *b, backend_line_fn *fn, void *ctx);
int postgres_next_times(struct backend *b, struct backend_next *out);
/* Keeps the timers of a new life of the task; is_first: also the time that it waits for. */
int postgres_put_timers(struct backend *b, const struct task *t, bool is_first);
/* What a change of the task means for its timers. */
int postgres_change_timers(struct backend *b, const struct task *after);
int postgres_set_due(struct backend *b, const struct task *t);
int postgres_timed_out(struct backend *b, enum backend_timer which, size_t max, struct task *tasks,
                       size_t *out_n);
int postgres_drop_expiry(struct backend *b, uint64_t key);

/* graph.c */
int postgres_find_state(struct backend *b, struct task_id id, enum task_state *out);
int postgres_drop_wakes(struct backend *b, uint64_t child);
int postgres_put_edge(struct backend *b, const struct backend_edge *e);
int postgres_pending_edges(struct backend *b, uint64_t parent, size_t max,
                           struct backend_edge *edges, size_t *out_n);
int postgres_children(struct backend *b, uint64_t parent, uint64_t after, size_t max,
                      struct backend_edge *edges, size_t *out_n);
int postgres_parents(struct backend *b, uint64_t child, size_t max, struct backend_edge *edges,
                     size_t *out_n);
int postgres_place(struct backend *b, uint64_t key, int64_t *out);
int postgres_submitted(struct backend *b, uint64_t key, uint64_t after, size_t max, uint64_t *keys,
                       size_t *out_n);
int postgres_set_unmet(struct backend *b, uint64_t child, uint32_t unmet);
int postgres_find_live(struct backend *b, uint64_t key, struct task *out);
int postgres_find_done(struct backend *b, uint64_t key, struct task *out);
int postgres_put_cascade(struct backend *b, const struct backend_cascade *c);
int postgres_next_cascade(struct backend *b, struct backend_cascade *out);
int postgres_drop_cascade(struct backend *b, const struct backend_cascade *c);
int postgres_edges(struct backend_reader *r, struct store_edges *o);

/* batch.c */
int postgres_batch_put(struct backend *b, const struct store_batch *batch);
int postgres_batch_failed(struct backend *b, uint64_t key, bool *out_cancel);
int postgres_batch_cancel(struct backend *b, struct task_id id, bool spares_running);
int postgres_batch_unfinished(struct backend *b, size_t max, struct task *tasks, size_t *out_n,
                              bool *out_more);
int postgres_batch_ends(struct backend *b, uint64_t key, struct store_batch *out,
                        uint64_t *out_unfinished);
int postgres_batch_set_callback(struct backend *b, uint64_t key, struct task_id callback);
/* A member of a batch has ended: counted when the transaction is committed, or by
 * postgres_flush_ends. */
int postgres_end_member(struct backend *b, const struct task *t);
int postgres_flush_ends(struct backend *b);
/* A member of the batch that had ended in this state is unfinished again. */
int postgres_return_member(struct backend *b, struct task_id batch, enum task_state state);
int postgres_find_unique(struct backend *b, const char *unique, struct task_id *out);
int postgres_find_key(struct backend *b, const char *key, struct backend_key *out);
int postgres_put_key(struct backend *b, const struct store_key *key, struct task_id id);
int postgres_batch_get(struct backend_reader *r, struct store_batch_get *o);
int postgres_batch_list(struct backend_reader *r, struct store_batch_list *o);
int postgres_members(struct backend_reader *r, struct store_members *o);

/* sessions.c */
int postgres_session_put(struct backend *b, const struct store_session *s,
                         const struct task_init *init);
int postgres_session_init(struct backend *b, uint64_t key, struct task_init **out);
int postgres_session_break(struct backend *b, uint64_t key, const char *why);
int postgres_session_find(struct backend *b, uint64_t key, struct store_session *out);
int postgres_session_add(struct backend *b, uint64_t key, uint32_t n);
int postgres_session_close(struct backend *b, uint64_t key, int64_t now_wall_ms);
int postgres_session_renew(struct backend *b, uint64_t key);
int postgres_session_renew_all(struct backend *b);
int postgres_session_leases(struct backend *b, size_t max, struct store_session *out,
                            size_t *out_n);
int postgres_session_end_lease(struct backend *b, uint64_t key, int64_t wall_ms);
int postgres_session_get(struct backend_reader *r, struct store_session_get *o);
int postgres_session_list(struct backend_reader *r, struct store_session_list *o);
int postgres_session_ends(struct backend_reader *r, struct store_session_ends *o);

/* bulk.c */
int postgres_bulk_put(struct backend *b, const struct store_bulk *bulk);
int postgres_bulk_next(struct backend *b, uint64_t after, struct store_bulk *out, size_t *out_n);
int postgres_bulk_find(struct backend *b, struct task_id id, struct store_bulk *out);
int postgres_bulk_scan(struct backend *b, struct backend_scan *scan);
int postgres_failures(struct backend_reader *r, struct store_failures *o);
int postgres_bulk_get(struct backend_reader *r, struct store_bulk_get *o);
int postgres_bulk_list(struct backend_reader *r, struct store_bulk_list *o);

/* settings.c: queues and limits */
int postgres_queue_put(struct backend *b, const struct store_queue *queue);
int postgres_queue_drop(struct backend *b, const char *name);
int postgres_fair_put(struct backend *b, const char *queue, const struct store_fair_weight *weight);
int postgres_pause_put(struct backend *b, enum store_pausable kind, const char *name,
                       const struct pool_pause *pause);
int postgres_queues(struct backend *b, backend_queue_fn *queue_fn, backend_fair_fn *fair_fn,
                    backend_pause_fn *pause_fn, void *ctx);
int postgres_queue_oldest(struct backend_reader *r, struct store_queue_oldest *o);
int postgres_limit_put(struct backend *b, const struct store_limit *limit);
int postgres_limit_drop(struct backend *b, const char *name);
int postgres_limit_key_put(struct backend *b, const struct backend_limit_key *key);
int postgres_limit_key_drop(struct backend *b, const char *name, const char *key);
int postgres_limits(struct backend *b, backend_limit_fn *limit_fn, backend_limit_key_fn *key_fn,
                    void *ctx);

/* schedules.c */
int postgres_schedule_find(struct backend *b, const char *name, struct store_schedule *out);
int postgres_schedule_put(struct backend *b, const struct store_schedule *s);
int postgres_schedule_remove(struct backend *b, const char *name);
int postgres_schedule_count(struct backend *b, size_t *out_all, size_t *out_of_file);
int postgres_schedule_of_file(struct backend *b, char (**out)[STORE_SCHEDULE_NAME_MAX + 1],
                              size_t *out_n);
int postgres_schedule_add_run(struct backend *b, struct store_schedule *s,
                              const struct store_schedule_run *run);
int postgres_schedule_end_waiting(struct backend *b, const char *name);
int postgres_schedule_unfinished(struct backend *b, const char *name, size_t max,
                                 struct task *tasks, size_t *out_n);
/* A task of a schedule is unfinished from now on, or is not any more. */
int postgres_schedule_add_task(struct backend *b, const struct task_spec *spec);
int postgres_schedule_end_task(struct backend *b, const struct task_spec *spec);
int postgres_schedule_get(struct backend_reader *r, struct store_schedule_get *o);
int postgres_schedule_list(struct backend_reader *r, struct store_schedule_list *o);
int postgres_schedule_due(struct backend_reader *r, struct store_schedule_due *o);

/* read.c */
int postgres_reader_open(struct backend *b, struct backend_reader **out);
void postgres_reader_close(struct backend_reader *r);
/* postgres_ask of a reader: connects when it must, and asks once more on a new connection when the
 * old one turns out to be broken. */
int postgres_read(struct backend_reader *r, enum postgres_stmt stmt,
                  const struct postgres_value *values, size_t n, PGresult **out);
/* How many tasks the next statement for this page is to ask for; 0 when it is full. */
int64_t postgres_page_step(const struct store_page *p, bool with_bodies);
/* postgres_read of so many tasks, which are added to the page. *out_is_last: no more are there. */
FUT_MUST_CHECK int postgres_read_page(struct backend_reader *r, enum postgres_stmt stmt,
                                      const struct postgres_value *values, size_t n,
                                      struct store_page *p, bool with_bodies, bool *out_is_last);
/* postgres_scan of a reader, likewise. */
int postgres_read_walk(struct backend_reader *r, struct postgres_walk *w);
int postgres_get(struct backend_reader *r, struct store_get *o);
int postgres_list(struct backend_reader *r, struct store_list *o);
int postgres_get_many(struct backend_reader *r, struct store_get_many *o);
int postgres_log(struct backend_reader *r, struct store_log *o);
int postgres_attempts(struct backend_reader *r, struct store_attempts *o);

#endif
