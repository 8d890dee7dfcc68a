#include "api/resources/listing.h"

#include "api/http/request.h"
#include "api/http/request_large.h"
#include "api/resources/future_json.h"
#include "api/resources/rows.h"
#include "api/resources/show.h"
#include "api/text/cursor.h"
#include "api/text/json_out.h"
#include "api/text/params.h"
#include "core/number.h"

#define DEFAULT_LIMIT 100

static bool refuse_cursor(struct request *r)
{
    struct problem p;
    problem_set(&p, PROBLEM_INVALID_CURSOR,
                "\"cursor\" must be a next_cursor as a page of this listing gave it.");
    problem_set_parameter(&p, "cursor");
    request_problem(r, &p);
    return false;
}

bool listing_read_page(struct request *r, uint64_t *out_before, size_t *out_limit)
{
    const char *limit_text = request_arg(r, "limit"), *cursor = request_arg(r, "cursor");
    uint64_t limit = DEFAULT_LIMIT;
    if (limit_text && (!number_parse_uint(limit_text, STORE_LIST_MAX, &limit) || limit < 1))
        return request_refuse_arg(r, "limit", "a whole number from 1 to 1000");
    if (cursor && !cursor_parse(cursor, out_before))
        return refuse_cursor(r);
    *out_limit = (size_t)limit;
    return true;
}

/* Link: the same query with the next cursor. */
static void add_link(struct request *r, const char *path, const char *cursor)
{
    struct buf link = BUF_INIT;
    buf_printf(&link, "<%s?", path);
    for (const struct request_pair *a = r->args; a; a = a->next) {
        if (strcmp(a->name, "cursor") == 0)
            continue;
        buf_printf(&link, "%s=", a->name);
        params_encode(&link, a->value);
        buf_putc(&link, '&');
    }
    buf_printf(&link, "cursor=%s>; rel=\"next\"", cursor);
    request_add_header(r, "Link", arena_strndup(&r->arena, link.data, link.len));
    buf_release(&link);
}

void listing_end_page(struct request *r, const char *path, uint64_t next)
{
    char cursor[CURSOR_TEXT_SIZE];
    if (next) {
        cursor_format(next, cursor);
        add_link(r, path, cursor);
    }
    json_out_str(&r->out, "next_cursor", next ? cursor : NULL);
    buf_putc(&r->out, '}');
    request_reply_json(r, 200);
}

static void listed(struct request *r)
{
    struct store_list *o = &r->large->list;
    struct waiting_scene scene;
    if (o->op.rc != 0) {
        request_fail(r, o->op.rc);
        return;
    }
    show_look(r, &scene);
    buf_puts(&r->out, "{\"futures\":[");
    for (size_t i = 0; i < o->n; i++) {
        json_out_comma(&r->out);
        future_json_write_summary(&r->out, &o->tasks[i], &scene);
    }
    buf_putc(&r->out, ']');
    listing_end_page(r, "/v1/futures", o->next);
}

static void drop_list(struct request *r)
{
    for (size_t i = 0; i < r->large->list.n; i++)
        task_release(&r->large->list.tasks[i]);
}

void listing_get(struct request *r)
{
    struct store_list o = {0};
    if (!request_read_filter(r, &o.filter) || !listing_read_page(r, &o.before, &o.limit))
        return;
    o.tasks = arena_alloc(&r->arena, o.limit * sizeof(*o.tasks));
    request_large(r)->list = o;
    request_large_post(r, &store_verb_list, drop_list, listed);
}
