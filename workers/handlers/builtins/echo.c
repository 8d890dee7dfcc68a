/* echo: the input is the result. For trying out clients and for measuring the path alone. */
#include "workers/handlers/builtins/builtins.h"

void echo_run(struct run *run)
{
    struct buf body = BUF_INIT;
    buf_put(&body, run->input, run->input_len);
    run_succeed(run, run->input_type, &body);
    buf_release(&body);
}
