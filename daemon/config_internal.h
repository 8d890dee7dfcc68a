/* config_internal: the table of knobs, for config.c (reading) and config_print.c (showing). */
#ifndef FUT_DAEMON_CONFIG_INTERNAL_H
#define FUT_DAEMON_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

enum config_kind {
    KIND_NUMBER,
    KIND_DURATION,
    KIND_SIZE,
    KIND_TEXT,
    KIND_LEVEL,
    KIND_STORE,
    KIND_FILE,   /* a file that must be readable; none when empty */
    KIND_SECRET, /* never printed */
    KIND_LANES,
    KIND_PREFIXES,
    KIND_NETWORKS,
    KIND_USER,
    KIND_HOSTS,
    KIND_ORIGINS,
    KIND_COLLECTOR,
    KIND_LABELS,
};

struct config_row {
    const char *name;
    enum config_kind kind;
    size_t offset;      /* of the field in struct config */
    const char *preset; /* default as a user would write it; NULL: computed */
    int64_t min, max;
    const char *help;
};

extern const struct config_row config_rows[];
extern const size_t config_n_rows;
/* May a running daemon follow a new value? */
bool config_is_live(const struct config_row *r);

static inline int64_t *config_number_at(struct config *c, const struct config_row *r)
{
    return (int64_t *)(void *)((char *)c + r->offset);
}

static inline const char **config_text_at(struct config *c, const struct config_row *r)
{
    return (const char **)(void *)((char *)c + r->offset);
}

static inline bool config_is_text(enum config_kind kind)
{
    return kind == KIND_TEXT || kind == KIND_STORE || kind == KIND_FILE || kind == KIND_SECRET ||
           kind >= KIND_PREFIXES;
}

/* Writes a number as a user would: the largest unit that divides it. */
void config_format_units(enum config_kind kind, int64_t value, char *out, size_t cap);

#endif
