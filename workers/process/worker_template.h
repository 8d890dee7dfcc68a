/* worker_template: workers that are forked by a process of their own program, which said fork=1 in
 * its greeting (a template): it has loaded what they need, and they share that memory. The daemon
 * asks it for one by FORK, with the worker's descriptors; the answer names the worker's pid, and
 * the fork server adopts it, so that it is a child like any other before it gets its first task. An
 * inner room of worker_process; the scheduler's loop only. */
#ifndef FUT_WORKERS_PROCESS_WORKER_TEMPLATE_H
#define FUT_WORKERS_PROCESS_WORKER_TEMPLATE_H

#include "workers/process/worker_process.h"

/* Asks template for w, who waits for the answer. fds: its channel, standard output and error; held:
 * our end of the channel, which is not looked at until w is adopted. All are taken. */
void worker_template_fork(struct worker_process *template, struct worker_process *w,
                          const int fds[3], int held);
/* FORKED, or FAIL. False: it breaks the rules. */
bool worker_template_forked(struct worker_process *template, const struct wire_message *m);
bool worker_template_failed(struct worker_process *template, const struct wire_message *m);
/* The template is no more: neither are the workers that wait for it. */
void worker_template_ended(struct worker_process *template);

/* The same, but nobody is told. */
void worker_template_dismiss(struct worker_process *template);

/* w waits for its template. */
bool worker_template_is_awaited(const struct worker_process *w);
/* w waits no more, whatever comes. */
void worker_template_forget(struct worker_process *w);

#endif
