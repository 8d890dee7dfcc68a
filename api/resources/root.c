#include "api/resources/root.h"

#include "api/http/request.h"
#include "api/http/shared.h"
#include "api/text/json_out.h"

static void write_route(struct buf *out, const struct route *row)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "method", route_method_name(row->method));
    json_out_str(out, "path", row->pattern);
    json_out_str(out, "summary", row->summary);
    buf_putc(out, '}');
}

void root_get(struct request *r)
{
    const struct route_table *t = r->api->routes;
    buf_putc(&r->out, '{');
    json_out_str(&r->out, "name", "futured");
    json_out_str(&r->out, "version", r->api->cfg.version);
    json_out_str(&r->out, "description", "/v1/openapi.json");
    json_out_key(&r->out, "routes");
    buf_putc(&r->out, '[');
    for (size_t i = 0; i < t->n; i++)
        write_route(&r->out, &t->rows[i]);
    buf_puts(&r->out, "]}");
    request_reply_json(r, 200);
}
