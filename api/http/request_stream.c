/* request_stream: answers that are written as their reader takes them. */
#include "api/http/mhd.h"
#include "api/http/request.h"
#include "api/http/shared.h"
#include "core/number.h"
#include "storage/ends.h"

void request_stream(struct request *r, const char *type, request_step *next)
{
    request_add_header(r, "Content-Type", type);
    r->status = 200;
    r->is_stream = true;
    request_stream_more(r, next);
}

void request_stream_more(struct request *r, request_step *next)
{
    r->next = next;
    request_move(r, REQUEST_STREAMING);
}

void request_stream_end(struct request *r)
{
    request_move(r, REQUEST_STREAM_ENDED);
}

void request_stream_events(struct request *r, struct event_out *out, request_step *next)
{
    event_out_choose(out, http_header(r, "Accept"));
    request_add_header(r, "Cache-Control", "no-cache");
    request_add_header(r, "X-Accel-Buffering", "no"); /* proxies: do not collect */
    request_stream(r, event_out_type(out), next);
    event_out_begin(&r->out, out);
}

bool request_stream_last_event(struct request *r, uint64_t max, uint64_t *out)
{
    const char *text = http_header(r, "Last-Event-ID");
    struct problem p;
    if (!text || !*text)
        *out = 0;
    if (!text || !*text || number_parse_uint(text, max, out))
        return true;
    problem_set(&p, PROBLEM_INVALID_HEADER,
                "Last-Event-ID must be the id of an event of such a stream, a number.");
    problem_set_parameter(&p, "Last-Event-ID");
    request_problem(r, &p);
    return false;
}

void request_stream_break(struct request *r)
{
    request_move(r, REQUEST_STREAM_BROKEN);
}

void request_stream_want_ends(struct request *r)
{
    r->wants_ends = true;
    store_want_ends(r->api->cfg.store, true);
}
