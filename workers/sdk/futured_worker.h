/* SPDX-License-Identifier: Apache-2.0 */
/* futured_worker: write a worker handler of futured in C (C11, Linux, libc only).
 *
 *     static void run(const struct futured_host *host, struct futured_task *task) { … }
 *     const struct futured_plugin futured_plugin = {
 *         FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), init, NULL, run};
 *     int main(void) { return futured_worker_main(&futured_plugin, 0); }
 *
 * Without main, the same source is a plug-in: cc -shared -fPIC. */
#ifndef FUTURED_WORKER_H
#define FUTURED_WORKER_H

#include "futured_plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FUTURED_WORKER_FORK 1 /* serve as a template: fork each worker from this process */

/* Calls init, greets, serves until the daemon ends the stream; returns the exit status for main.
 * What goes wrong is said on standard error. */
int futured_worker_main(const struct futured_plugin *plugin, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
