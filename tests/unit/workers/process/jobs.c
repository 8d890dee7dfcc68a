#include "tests/unit/workers/process/jobs.h"

struct fork_server *jobs_fs;

struct loop *jobs_loop;

static struct children *jobs_children;

struct worker_set *jobs_set;

size_t jobs_max_result = 1 << 20;

const struct handler jobs_builtin = {.fn = (run_fn *)1};

static void on_broken(void *ctx)
{
    (void)ctx;
}

static void jobs_start_with(const struct handlers *handlers, uint32_t slots)
{
    ck_assert_int_eq(fork_server_start(&jobs_fs, NULL), 0);
    jobs_loop = loop_new();
    jobs_children = children_new(jobs_loop, jobs_fs, on_broken, NULL);
    jobs_set = worker_set_new(&(struct worker_set_config){.loop = jobs_loop,
                                                          .children = jobs_children,
                                                          .handlers = handlers,
                                                          .slots = slots,
                                                          .max_result_bytes = jobs_max_result});
    worker_set_start(jobs_set);
}

void jobs_start(void)
{
    jobs_start_with(NULL, 2);
}

void jobs_stop(void)
{
    worker_set_free(&jobs_set);
    children_free(&jobs_children);
    loop_free(&jobs_loop);
    fork_server_stop(&jobs_fs);
}

static void keep(char *out, size_t size, const void *bytes, size_t n)
{
    (void)snprintf(out, size, "%.*s", (int)n, bytes ? (const char *)bytes : "");
}

void jobs_on_done(struct worker_job *job, const struct worker_end *end)
{
    struct job *j = FUT_CONTAINER(job, struct job, job);
    ck_assert(!j->done);
    j->done = true;
    j->how = end->how;
    j->closed_channel = end->closed_channel;
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

void jobs_make(struct job *j, const char *handler, const char *input, struct task_id session)
{
    struct task_spec spec = {.id = id_new(),
                             .batch = session,
                             .handler = handler,
                             .input_type = CONTENT_JSON,
                             .input = (const unsigned char *)input,
                             .input_len = strlen(input)};
    *j = (struct job){.task = {.spec = task_spec_new(&spec), .attempt = 1},
                      .sink = {on_progress, on_log}};
    j->job = (struct worker_job){
        .task = &j->task, .done = jobs_on_done, .sink = &j->sink, .exceeded = on_exceeded};
}

static void jobs_submit_to(struct job *j, const struct handler *h, const char *handler,
                           const char *input)
{
    jobs_make(j, handler, input, (struct task_id){0});
    worker_set_submit(jobs_set, h, &j->job);
}

void jobs_submit(struct job *j, const char *handler, const char *input)
{
    jobs_submit_to(j, &jobs_builtin, handler, input);
}

void jobs_drop(struct job *j)
{
    task_release(&j->task);
}

void jobs_wait(const struct job *j)
{
    while (!j->done)
        loop_turn(jobs_loop, -1);
}

void jobs_wait_alive(uint32_t n)
{
    while (worker_view_counts(worker_set_view(jobs_set)).ready != n)
        loop_turn(jobs_loop, -1);
}

struct handlers *jobs_handlers;

void jobs_build(uint32_t slots, const char *json)
{
    struct fut_errbuf err;
    struct buf text = BUF_INIT;
    for (const char *at = json, *next; *at; at = next) {
        const char *name = strstr(at, "SELF");
        next = name ? name + 4 : at + strlen(at);
        buf_put(&text, at, name ? (size_t)(name - at) : strlen(at));
        buf_puts(&text, name ? scripted_self() : "");
    }
    ck_assert_msg(handlers_from_text(text.data, &jobs_handlers, &err) == 0, "%s", err.text);
    buf_release(&text);
    jobs_start_with(jobs_handlers, slots);
}

void jobs_raze(void)
{
    jobs_stop();
    handlers_free(&jobs_handlers);
}

void jobs_ask(struct job *j, const char *handler, const char *input)
{
    jobs_submit_to(j, handlers_find(jobs_handlers, handler), handler, input);
}

const char *jobs_answer(struct job *j, const char *handler, const char *input)
{
    jobs_ask(j, handler, input);
    jobs_wait(j);
    jobs_drop(j);
    ck_assert_msg(j->how == WORKER_ENDED_DONE, "%d %s", (int)j->how, j->text);
    return j->text;
}

int jobs_pid_of(const char *handler)
{
    struct job j;
    return (int)strtol(jobs_answer(&j, handler, "pid"), NULL, 10);
}
