#include "workers/exec/exec_end.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "core/end_codes.h"
#include "workers/base/json_check.h"

#define EXIT_TEMPORARY 75 /* EX_TEMPFAIL */

static int exit_code_of(const struct exec_end *e)
{
    return WIFEXITED(e->event->status) ? WEXITSTATUS(e->event->status) : -1;
}

static int signal_of(const struct exec_end *e)
{
    return WIFSIGNALED(e->event->status) ? WTERMSIG(e->event->status) : 0;
}

static enum run_class succeed(const struct exec_end *e, struct task_outcome *out)
{
    const char *type = e->command->content_type;
    if (task_type_is_json(type) && !json_check(e->result->data, e->result->len)) {
        out->code = end_code_text(END_RESULT_NOT_JSON);
        out->message = "the handler promises application/json, but the program's output is not "
                       "valid JSON";
        return RUN_FAILED;
    }
    out->type = type;
    out->body = (const unsigned char *)e->result->data;
    out->body_len = e->result->len;
    out->message = NULL;
    return RUN_SUCCESS;
}

static enum run_class exited(int code, struct task_outcome *out, char *message)
{
    (void)snprintf(message, EXEC_END_MESSAGE_SIZE, "the program exited with %d", code);
    out->code = end_code_text(END_EXIT);
    out->exit_code = code;
    return code == EXIT_TEMPORARY ? RUN_TEMPORARY : RUN_FAILED;
}

static enum run_class killed(const struct exec_end *e, struct task_outcome *out, char *message)
{
    int signal = signal_of(e);
    const char *name = sigabbrev_np(signal);
    (void)snprintf(message, EXEC_END_MESSAGE_SIZE, "the program was killed by signal %d (SIG%s)%s",
                   signal, name ? name : "?",
                   e->event->oom == TASK_OOM_YES ? ": the kernel had no memory left" : "");
    out->code = end_code_text(END_SIGNAL);
    out->signal = signal;
    return RUN_FAILED;
}

static enum run_class too_large(const struct exec_end *e, struct task_outcome *out, char *message)
{
    (void)snprintf(message, EXEC_END_MESSAGE_SIZE,
                   "the program wrote more than the %zu bytes that a result may have",
                   e->max_result_bytes);
    out->code = end_code_text(END_RESULT_TOO_LARGE);
    return RUN_FAILED;
}

static enum run_class limited(const struct exec_end *e, enum limit_kind kind,
                              struct task_outcome *out, char *message)
{
    limits_message(&e->command->limits, kind, message);
    out->code = limits_code(kind);
    out->exit_code = exit_code_of(e);
    out->signal = signal_of(e);
    return RUN_FAILED;
}

/* A program that gets no more descriptors decides for itself what follows. When it fails, and it
 * had them all, or says that it wanted more, then that is why. */
static bool failed_for_files(const struct exec_end *e)
{
    static const char says[] = "Too many open files";
    if (!e->command->limits.files || exit_code_of(e) == 0)
        return false;
    return e->event->met == LIMIT_FILES ||
           (e->log->len && memmem(e->log->data, e->log->len, says, sizeof(says) - 1));
}

/* The limit that it was ended for, or has failed for. */
static enum limit_kind limit_met(const struct exec_end *e)
{
    if (e->output_limit_met)
        return LIMIT_OUTPUT;
    if (e->event->met != LIMIT_NONE && e->event->met != LIMIT_FILES)
        return e->event->met;
    return failed_for_files(e) ? LIMIT_FILES : LIMIT_NONE;
}

enum run_class exec_end_judge(const struct exec_end *e, struct task_outcome *out,
                              char message[EXEC_END_MESSAGE_SIZE])
{
    enum limit_kind met = limit_met(e);
    *out = (struct task_outcome){.message = message,
                                 .exit_code = -1,
                                 .oom = e->event->oom,
                                 .max_rss_kib = e->event->max_rss_kib,
                                 .cpu_ms = e->event->cpu_ms};
    if (met != LIMIT_NONE)
        return limited(e, met, out, message);
    if (e->result_too_large)
        return too_large(e, out, message);
    if (exit_code_of(e) == 0)
        return succeed(e, out);
    return exit_code_of(e) > 0 ? exited(exit_code_of(e), out, message) : killed(e, out, message);
}
