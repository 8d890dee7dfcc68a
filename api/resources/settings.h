/* settings: what several resources may be told: how many may run and start, and whether they are
 * paused. Pure but for the client's name; nothing blocks. */
#ifndef FUT_API_RESOURCES_SETTINGS_H
#define FUT_API_RESOURCES_SETTINGS_H

#include "api/http/request.h"
#include "api/text/json_in.h"
#include "core/pool_view.h"

/* "max_running" and "rate", each null for none. The first member of what a body is read to. */
struct settings_limit {
    struct store_limit is;
    bool has_max, has_rate; /* the body says it */
};
#define SETTINGS_MAX_RUNNING "a whole number from 1 to 1000000, or null for any number"
#define SETTINGS_RATE "an object of \"tasks\", \"per\" and \"burst\", or null"
/* Functions of struct json_in_field. */
int settings_set_max(void *to, const struct json_in_field *f, const struct json_t *v,
                     struct problem *p);
int settings_set_rate(void *to, const struct json_in_field *f, const struct json_t *v,
                      struct problem *p);
/* Append the two members. */
void settings_write_limit(struct buf *out, const struct store_limit *l);

/* "paused" and its "reason". */
struct settings_pause {
    struct pool_pause is; /* the reason alone, until settings_finish_pause */
    bool is_said, is_paused, has_reason;
};
/* The values of these members. 0, or FUT_ERR_INVAL with *p set. */
FUT_MUST_CHECK int settings_read_reason(struct settings_pause *to, const struct json_in_field *f,
                                        const struct json_t *v, struct problem *p);
void settings_read_paused(struct settings_pause *to, const struct json_t *v);
/* When all is read: a reason goes with a pause. Fills in when and by whom. 0, or FUT_ERR_INVAL with
 * *p set. */
FUT_MUST_CHECK int settings_finish_pause(const struct request *r, struct settings_pause *pause,
                                         struct problem *p);
/* Appends "paused", and who, when and why. */
void settings_write_pause(struct buf *out, const struct pool_pause *p);

#endif
