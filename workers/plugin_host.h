/* plugin_host: the process that loads a plug-in (futured_plugin.h) and forks its workers: the
 * daemon's own program in another role, started by the fork server as the worker program of the
 * handler. It speaks the worker protocol by workers/sdk/futured_worker. Single-threaded. */
#ifndef FUT_WORKERS_PLUGIN_HOST_H
#define FUT_WORKERS_PLUGIN_HOST_H

/* Loads the shared object and serves until the stream ends; returns the exit status. Misfortune is
 * said on standard error. */
int plugin_host_main(const char *path);

#endif
