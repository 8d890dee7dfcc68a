/* jobs: a worker_set over a real fork server, and jobs whose end a test can wait for; with a
 * handlers file in which SELF is the test's own program (scripted.h). For the tests of worker
 * processes only. */
#ifndef FUT_TESTS_UNIT_WORKERS_PROCESS_JOBS_H
#define FUT_TESTS_UNIT_WORKERS_PROCESS_JOBS_H

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/workers/handlers/handlers_text.h"
#include "tests/unit/workers/scripted.h"
#include "workers/process/worker_set.h"

extern struct fork_server *jobs_fs;
extern struct loop *jobs_loop;
extern struct worker_set *jobs_set;
extern size_t jobs_max_result;
extern const struct handler jobs_builtin;

struct job {
    struct worker_job job;
    struct sink sink;
    struct task task;
    bool done;
    bool closed_channel;
    enum worker_end_how how;
    int status;
    size_t bytes; /* of its result */
    double fraction;
    char kind[64], text[64], log[64];
    char end_log[64];         /* the log of its end */
    enum limit_kind exceeded; /* what it was told of */
};

/* A set with two slots and the built-in handlers alone. */
void jobs_start(void);

/* Ends what jobs_start began. */
void jobs_stop(void);

/* The done of a job: keeps how it ended in its struct job. */
void jobs_on_done(struct worker_job *job, const struct worker_end *end);

/* Submits a job of a built-in handler. */
void jobs_submit(struct job *j, const char *handler, const char *input);

/* A job of a task of this session (hi 0: of none), which nobody has yet. */
void jobs_make(struct job *j, const char *handler, const char *input, struct task_id session);

/* Frees what a job that has ended, or that nobody has, holds. */
void jobs_drop(struct job *j);

/* Turns the loop until the job has ended. */
void jobs_wait(const struct job *j);

/* Turns the loop until so many workers are ready. */
void jobs_wait_alive(uint32_t n);

extern struct handlers *jobs_handlers;

/* A set with the handlers of this text, in which SELF is this program. */
void jobs_build(uint32_t slots, const char *json);

/* Ends what jobs_build began. */
void jobs_raze(void);

/* Submits a job of one of its handlers. */
void jobs_ask(struct job *j, const char *handler, const char *input);

/* Runs a job to its end; the text of its result. A job that did not succeed aborts the test. */
const char *jobs_answer(struct job *j, const char *handler, const char *input);

/* The pid of a worker of this handler. */
int jobs_pid_of(const char *handler);

#endif
