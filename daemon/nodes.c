#include "daemon/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "api/text/json_out.h"
#include "core/clock.h"
#include "core/mem.h"

struct nodes {
    struct nodes_config cfg;
    int64_t started_wall_ms;
};

/* ---- its load: a thread of the store's ------------------------------------------------------- */

static void write_lane(struct buf *out, enum lane lane, const struct pool_lane *p)
{
    json_out_key(out, lane_name(lane));
    buf_putc(out, '{');
    json_out_uint(out, "slots", p->capacity);
    json_out_uint(out, "running", p->busy);
    json_out_bool(out, "paused", p->pause.since_wall_ms != 0);
    buf_putc(out, '}');
}

static void write_load(void *nodes, struct buf *out)
{
    const struct nodes *n = nodes;
    struct pool_stats pools;
    double load[1];
    n->cfg.pools.read(n->cfg.pools.ctx, &pools);
    buf_putc(out, '{');
    json_out_key(out, "lanes");
    buf_putc(out, '{');
    for_each_lane (lane)
        write_lane(out, lane, &pools.lanes[lane]);
    buf_putc(out, '}');
    if (getloadavg(load, 1) == 1) {
        json_out_key(out, "load_average");
        buf_printf(out, "%.2f", load[0]);
    }
    buf_putc(out, '}');
}

/* ---- what it is ------------------------------------------------------------------------------ */

static void write_handler(struct buf *out, const struct handler_info *h)
{
    json_out_comma(out);
    buf_putc(out, '{');
    json_out_str(out, "name", h->name);
    buf_putc(out, '}');
}

void nodes_set_catalog(struct nodes *n, const struct catalog *c)
{
    struct buf out = BUF_INIT;
    buf_putc(&out, '{');
    json_out_str(&out, "version", n->cfg.version);
    json_out_time(&out, "started_at", n->started_wall_ms);
    json_out_key(&out, "handlers");
    buf_putc(&out, '[');
    for (size_t i = 0; i < c->n; i++) {
        if (!c->items[i].is_internal)
            write_handler(&out, &c->items[i]);
    }
    buf_puts(&out, "]}");
    store_publish(n->cfg.store, out.data);
    buf_release(&out);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct nodes *nodes_new(const struct nodes_config *cfg)
{
    struct nodes *n = xnew(struct nodes);
    n->cfg = *cfg;
    n->started_wall_ms = clock_wall_ms();
    nodes_set_catalog(n, cfg->catalog);
    store_watch_load(cfg->store, write_load, n);
    return n;
}

void nodes_free(struct nodes **n)
{
    if (!*n)
        return;
    store_watch_load((*n)->cfg.store, NULL, NULL);
    free(*n);
    *n = NULL;
}
