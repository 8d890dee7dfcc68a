#include "workers/handlers/registry.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/handlers_file.h"

struct handlers {
    struct handler *items; /* sorted by name */
    struct handler_info *infos;
    size_t n;
    struct catalog catalog;
    struct catalog_life life; /* of all this */
};

static int by_name(const void *a, const void *b)
{
    const struct handler *x = a, *y = b;
    return strcmp(x->info.name, y->info.name);
}

static void add_builtins(struct handlers *h, size_t n_before)
{
    size_t n;
    const struct builtin *table = builtins_all(&n);
    h->items = xrealloc(h->items, (n_before + n) * sizeof(*h->items));
    for (size_t i = 0; i < n; i++)
        h->items[n_before + i] = (struct handler){
            .info = table[i].info, .fn = table[i].fn, .needs_parent = table[i].needs_parent};
    h->n = n_before + n;
}

static void index_all(struct handlers *h)
{
    qsort(h->items, h->n, sizeof(*h->items), by_name);
    h->infos = xcalloc(h->n, sizeof(*h->infos));
    for (size_t i = 0; i < h->n; i++)
        h->infos[i] = h->items[i].info;
    h->catalog = (struct catalog){h->infos, h->n, &h->life};
}

static void end(struct catalog_life *life)
{
    struct handlers *h = FUT_CONTAINER(life, struct handlers, life);
    for (size_t i = 0; i < h->n; i++) {
        if (h->items[i].exec)
            handlers_file_release(&h->items[i]);
    }
    free(h->items);
    free(h->infos);
    free(h);
}

int handlers_load(const char *path, struct handlers **out, struct fut_errbuf *err)
{
    struct handler *items = NULL;
    size_t n = 0;
    int rc = path ? handlers_file_load(path, &items, &n, err) : 0;
    if (rc != 0)
        return rc;
    struct handlers *h = xnew(struct handlers);
    h->items = items;
    atomic_init(&h->life.refs, 1);
    h->life.end = end;
    add_builtins(h, n);
    index_all(h);
    *out = h;
    return 0;
}

void handlers_free(struct handlers **h)
{
    handlers_unref(*h);
    *h = NULL;
}

const struct handlers *handlers_ref(const struct handlers *h)
{
    (void)catalog_ref(&h->catalog);
    return h;
}

void handlers_unref(const struct handlers *h)
{
    const struct catalog *c = h ? &h->catalog : NULL;
    catalog_unref(&c);
}

const struct catalog *handlers_catalog(const struct handlers *h)
{
    return &h->catalog;
}

const struct handler *handlers_find(const struct handlers *h, const char *name)
{
    struct handler key = {.info = {.name = name}};
    return bsearch(&key, h->items, h->n, sizeof(*h->items), by_name);
}
