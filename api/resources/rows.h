/* rows: the first step of each route, one function per row of the table in api/routes.c. Each runs
 * on the thread of the request's event loop when the request is complete; none blocks. It answers
 * the request, or posts an operation or sleeps and names the step that follows. */
#ifndef FUT_API_RESOURCES_ROWS_H
#define FUT_API_RESOURCES_ROWS_H

#include <stdbool.h>

struct request;

/* tasks.c: submitting one. */
void tasks_post(struct request *r);         /* POST /v1/tasks: all of it in a JSON body */
void tasks_post_handler(struct request *r); /* POST /v1/tasks/{handler}: the body is the input */
void tasks_post_promise(struct request *r); /* POST /v1/promises */

/* futures.c, listing.c, future_log.c: reading and changing what was submitted. */
void futures_get(struct request *r);        /* GET /v1/futures/{id} */
void futures_result(struct request *r);     /* GET /v1/futures/{id}/result */
void futures_input(struct request *r);      /* GET /v1/futures/{id}/input */
void futures_error(struct request *r);      /* GET /v1/futures/{id}/error */
void futures_checkpoint(struct request *r); /* GET /v1/futures/{id}/checkpoint */
void futures_cancel(struct request *r);     /* POST /v1/futures/{id}/cancel */
void futures_retry(struct request *r);      /* POST /v1/futures/{id}/retry */
void promises_complete(struct request *r);  /* POST /v1/futures/{id}/complete */
void futures_delete(struct request *r);     /* DELETE /v1/futures/{id} */
void future_log_get(struct request *r);     /* GET /v1/futures/{id}/log */
void listing_get(struct request *r);        /* GET /v1/futures */

/* batches.c, batch_view.c, batch_results.c, batch_graph.c: tasks that were submitted together. */
void batches_open(struct request *r);   /* before the body of a POST: lines are read as they come */
void batches_post(struct request *r);   /* POST /v1/batches, /v1/sessions/{id}/tasks */
void batch_view_get(struct request *r); /* GET /v1/batches/{id} */
void batch_view_cancel(struct request *r); /* POST /v1/batches/{id}/cancel */
void batch_results_get(struct request *r); /* GET /v1/batches/{id}/results */
void batch_view_list(struct request *r);   /* GET /v1/batches */
void batch_graph_get(struct request *r);   /* GET /v1/batches/{id}/graph */

/* sessions.c: tasks of one program, which are added to while it runs. */
void sessions_post(struct request *r);      /* POST /v1/sessions */
void sessions_list(struct request *r);      /* GET /v1/sessions */
void sessions_get(struct request *r);       /* GET /v1/sessions/{id} */
void sessions_delete(struct request *r);    /* DELETE /v1/sessions/{id} */
void sessions_cancel(struct request *r);    /* POST /v1/sessions/{id}/cancel */
void session_events_get(struct request *r); /* GET /v1/sessions/{id}/events */

/* operations.c: one change of many futures. */
void operations_cancel_futures(struct request *r); /* POST /v1/futures/cancel */
void operations_retry_futures(struct request *r);  /* POST /v1/futures/retry */
void operations_delete_futures(struct request *r); /* POST /v1/futures/delete */
/* Cancels what waits in the queue; `is_dry` counts. */
void operations_purge_queue(struct request *r, const char *queue, bool is_dry);
void operations_list(struct request *r);     /* GET /v1/operations */
void operations_get(struct request *r);      /* GET /v1/operations/{id} */
void operations_cancel(struct request *r);   /* POST /v1/operations/{id}/cancel */
void operations_failures(struct request *r); /* GET /v1/failures */

/* schedules.c: tasks at times. */
void schedules_list(struct request *r);   /* GET /v1/schedules */
void schedules_get(struct request *r);    /* GET /v1/schedules/{name} */
void schedules_put(struct request *r);    /* PUT /v1/schedules/{name} */
void schedules_patch(struct request *r);  /* PATCH /v1/schedules/{name} */
void schedules_delete(struct request *r); /* DELETE /v1/schedules/{name} */
void schedules_run(struct request *r);    /* POST /v1/schedules/{name}/run */
/* queues.c: named queues. */
void queues_list(struct request *r);   /* GET /v1/queues */
void queues_get(struct request *r);    /* GET /v1/queues/{name} */
void queues_put(struct request *r);    /* PUT /v1/queues/{name} */
void queues_patch(struct request *r);  /* PATCH /v1/queues/{name} */
void queues_delete(struct request *r); /* DELETE /v1/queues/{name} */
void queues_purge(struct request *r);  /* POST /v1/queues/{name}/purge */

/* limits.c: how many tasks may run at once, or start in a time. */
void limits_list(struct request *r);   /* GET /v1/limits */
void limits_get(struct request *r);    /* GET /v1/limits/{name} */
void limits_put(struct request *r);    /* PUT /v1/limits/{name} */
void limits_patch(struct request *r);  /* PATCH /v1/limits/{name} */
void limits_delete(struct request *r); /* DELETE /v1/limits/{name} */
void limits_close(struct request *r);  /* POST /v1/limits/{name}/close */

/* activity.c: all that happens. */
void activity_get(struct request *r); /* GET /v1/events */

/* wait_many.c, events.c: many futures at once. */
void wait_many_post(struct request *r);      /* POST /v1/wait */
void events_batch(struct request *r);        /* GET /v1/batches/{id}/events */
void events_as_completed(struct request *r); /* POST /v1/as_completed */

/* handler_list.c, pools.c, stats.c, metrics.c, admin.c: what this daemon is and how it does. */
void handler_list_get(struct request *r);   /* GET /v1/handlers */
void handler_list_patch(struct request *r); /* PATCH /v1/handlers/{name} */
void pools_get(struct request *r);          /* GET /v1/pools */
void pools_patch(struct request *r);        /* PATCH /v1/pools/{lane} */
void pools_workers(struct request *r);      /* GET /v1/workers */
void nodes_list(struct request *r);         /* GET /v1/nodes */
void nodes_patch(struct request *r);        /* PATCH /v1/nodes/{name} */
void history_get(struct request *r);        /* GET /v1/history */
void admin_root(struct request *r);         /* GET / */
void stats_get(struct request *r);          /* GET /v1/stats */
void metrics_get(struct request *r);        /* GET /metrics */
void admin_openapi(struct request *r);      /* GET /v1/openapi.json */
void admin_healthz(struct request *r);      /* GET /healthz */
void admin_readyz(struct request *r);       /* GET /readyz */
void admin_problem(struct request *r);      /* GET /problems/{code} */
void admin_access(struct request *r);       /* GET /v1/access */

/* ui.c: the web page. */
void ui_page(struct request *r); /* GET /ui/ */
void ui_file(struct request *r); /* GET /ui/{file} */
void ui_lead(struct request *r); /* GET /ui, which browsers are led from */

#endif
