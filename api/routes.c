#include "api/routes.h"

#include "api/resources/rows.h"
#include "core/mem.h"

#define SUBMITS (ROUTE_SUBMITS | ROUTE_HAS_BODY)

static const struct route rows[] = {
    {METHOD_GET, "/", admin_root, 0, "", AUTH_OPEN, NULL, "this list"},
    {METHOD_POST, "/v1/tasks", tasks_post, SUBMITS, " wait ", AUTH_SUBMIT, NULL,
     "submit a task given as JSON: {\"handler\": \"echo\", \"input\": \"hello\"}"},
    {METHOD_POST, "/v1/tasks/{handler}", tasks_post_handler, SUBMITS, " wait lane timeout retries ",
     AUTH_SUBMIT, NULL, "submit a task whose input is the body"},
    {METHOD_GET, "/v1/futures", listing_get, 0,
     " state lane handler code batch after before older_than limit cursor ", AUTH_READ, NULL,
     "list futures, newest first"},
    {METHOD_GET, "/v1/futures/{id}", futures_get, 0, " wait ", AUTH_READ, NULL,
     "state of a future, with its result or error once it is done; ?wait=30 waits for the end"},
    {METHOD_DELETE, "/v1/futures/{id}", futures_delete, 0, "", AUTH_ADMIN, NULL,
     "forget a future that is done"},
    {METHOD_GET, "/v1/futures/{id}/result", futures_result, 0, " wait ", AUTH_READ, NULL,
     "the bare bytes of the result"},
    {METHOD_GET, "/v1/futures/{id}/log", future_log_get, 0, " from wait ", AUTH_READ, NULL,
     "what the task writes to standard error"},
    {METHOD_POST, "/v1/futures/{id}/cancel", futures_cancel, 0, "", AUTH_SUBMIT, NULL,
     "cancel a future, also a running one"},
    {METHOD_POST, "/v1/futures/{id}/retry", futures_retry, ROUTE_SUBMITS, "", AUTH_SUBMIT, NULL,
     "queue a failed or cancelled future again"},
    {METHOD_POST, "/v1/batches", batches_post, SUBMITS, " fail_fast ", AUTH_SUBMIT, batches_open,
     "submit many tasks at once"},
    {METHOD_GET, "/v1/batches/{id}", batches_get, 0, "", AUTH_READ, NULL, "how far a batch is"},
    {METHOD_GET, "/v1/batches/{id}/results", batch_results_get, 0, " wait ", AUTH_READ, NULL,
     "the results of a batch in the order of submission, as lines of JSON"},
    {METHOD_GET, "/v1/batches/{id}/events", events_batch, 0, "", AUTH_READ, NULL,
     "the futures of a batch as they are done, as a stream of events"},
    {METHOD_POST, "/v1/batches/{id}/cancel", batches_cancel, 0, "", AUTH_SUBMIT, NULL,
     "cancel what is unfinished of a batch"},
    {METHOD_POST, "/v1/wait", wait_many_post, ROUTE_HAS_BODY, "", AUTH_READ, NULL,
     "wait for the first, all, or the first failure of many futures"},
    {METHOD_POST, "/v1/as_completed", events_as_completed, ROUTE_HAS_BODY, "", AUTH_READ, NULL,
     "many futures as they are done, as a stream of events"},
    {METHOD_GET, "/v1/handlers", handler_list_get, 0, "", AUTH_READ, NULL,
     "the handlers, which are the programs that tasks can name"},
    {METHOD_GET, "/v1/pools", pools_get, 0, "", AUTH_READ, NULL, "the slots of each lane"},
    {METHOD_PATCH, "/v1/pools/{lane}", pools_patch, ROUTE_HAS_BODY, "", AUTH_ADMIN, NULL,
     "change the number of slots of a lane, or pause it"},
    {METHOD_GET, "/v1/workers", pools_workers, 0, "", AUTH_READ, NULL, "the worker processes"},
    {METHOD_GET, "/v1/stats", admin_stats, 0, "", AUTH_READ, NULL,
     "counters of tasks, store, pools and HTTP"},
    {METHOD_GET, "/v1/openapi.json", admin_openapi, 0, "", AUTH_OPEN, NULL,
     "the description of all this for tools (OpenAPI 3.1)"},
    {METHOD_GET, "/healthz", admin_healthz, 0, "", AUTH_OPEN, NULL, "does the daemon live"},
    {METHOD_GET, "/readyz", admin_readyz, 0, "", AUTH_OPEN, NULL, "does the daemon take work"},
    {METHOD_GET, "/problems/{code}", admin_problem, 0, "", AUTH_OPEN, NULL,
     "what the code of an error means"},
};

const struct route_table routes_table = {rows, FUT_COUNT(rows)};
