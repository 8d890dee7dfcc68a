/* set_house: a worker_set over a real fork server, and jobs whose end a test can wait for. For the
 * tests of worker processes only. */
#ifndef FUT_TESTS_UNIT_WORKERS_PROCESS_SET_HOUSE_H
#define FUT_TESTS_UNIT_WORKERS_PROCESS_SET_HOUSE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/process/worker_set.h"

static struct fork_server *fs;
static struct loop *loop;
static struct children *children;
static struct worker_set *set;
static size_t max_result = 1 << 20;
static const struct handler builtin = {.fn = (run_fn *)1};

struct job {
    struct worker_job job;
    struct sink sink;
    struct task task;
    bool done;
    enum worker_end_how how;
    int status;
    size_t bytes; /* of its result */
    double fraction;
    char kind[64], text[64], log[64];
    char end_log[64];         /* the log of its end */
    enum limit_kind exceeded; /* what it was told of */
};

static void on_broken(void *ctx)
{
    (void)ctx;
}

static inline void set_house_build_with(const struct handlers *handlers, uint32_t slots)
{
    ck_assert_int_eq(fork_server_start(&fs, NULL), 0);
    loop = loop_new();
    children = children_new(loop, fs, on_broken, NULL);
    set = worker_set_new(&(struct worker_set_config){.loop = loop,
                                                     .children = children,
                                                     .handlers = handlers,
                                                     .slots = slots,
                                                     .max_result_bytes = max_result});
    worker_set_start(set);
}

static inline void set_house_build(void)
{
    set_house_build_with(NULL, 2);
}

static inline void set_house_raze(void)
{
    worker_set_free(&set);
    children_free(&children);
    loop_free(&loop);
    fork_server_stop(&fs);
}

static void keep(char *out, size_t size, const void *bytes, size_t n)
{
    (void)snprintf(out, size, "%.*s", (int)n, bytes ? (const char *)bytes : "");
}

static void on_done(struct worker_job *job, const struct worker_end *end)
{
    struct job *j = FUT_CONTAINER(job, struct job, job);
    ck_assert(!j->done);
    j->done = true;
    j->how = end->how;
    j->status = end->known ? end->status : -1;
    if (end->head && end->head->kind)
        keep(j->kind, sizeof(j->kind), end->head->kind, 63);
    keep(j->end_log, sizeof(j->end_log), end->log, end->log_len);
    j->bytes = end->payload ? (size_t)end->head->bytes : 0;
    if (end->payload)
        keep(j->text, sizeof(j->text), end->payload, (size_t)end->head->bytes);
}

static void on_progress(struct sink *to, double fraction, const char *message)
{
    struct job *j = FUT_CONTAINER(to, struct job, sink);
    (void)message;
    ck_assert(!j->done);
    j->fraction = fraction;
}

static void on_log(struct sink *to, const char *bytes, size_t n)
{
    struct job *j = FUT_CONTAINER(to, struct job, sink);
    size_t len = strlen(j->log);
    ck_assert(!j->done);
    keep(j->log + len, sizeof(j->log) - len, bytes, n);
}

static void on_exceeded(struct worker_job *job, enum limit_kind limit, uint64_t cpu_ms)
{
    struct job *j = FUT_CONTAINER(job, struct job, job);
    (void)cpu_ms;
    ck_assert(!j->done);
    j->exceeded = limit;
}

static void submit_to(struct job *j, const struct handler *h, const char *handler,
                      const char *input)
{
    struct task_spec spec = {.id = id_new(),
                             .handler = handler,
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)input,
                             .input_len = strlen(input)};
    *j = (struct job){.task = {.spec = task_spec_new(&spec), .attempt = 1},
                      .sink = {on_progress, on_log}};
    j->job = (struct worker_job){
        .task = &j->task, .done = on_done, .sink = &j->sink, .exceeded = on_exceeded};
    worker_set_submit(set, h, &j->job);
}

static inline void submit(struct job *j, const char *handler, const char *input)
{
    submit_to(j, &builtin, handler, input);
}

static inline void drop(struct job *j)
{
    task_release(&j->task);
}

static inline void wait_for(const struct job *j)
{
    while (!j->done)
        loop_turn(loop, -1);
}

static inline void wait_alive(uint32_t n)
{
    while (worker_view_counts(worker_set_view(set)).ready != n)
        loop_turn(loop, -1);
}

#endif
