#include "daemon/schedules_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/json_text.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/json_walk.h"
#include "core/mem.h"

#define FILE_MAX_BYTES ((size_t)64 << 20)

/* What is read, and where. */
struct reading {
    const char *path;
    const char *text;
    size_t n;
    const struct submission_rules *rules;
    int64_t now_ms;
};

static int refuse(const struct reading *d, size_t at, const char *name, const char *what,
                  const struct problem *p, struct fut_errbuf *err)
{
    int line = 1;
    for (size_t i = 0; i < at; i++)
        line += d->text[i] == '\n';
    bool has_field = p && *p->field;
    return fut_fail(err, FUT_ERR_INVAL, "%.150s, line %d: schedule \"%.64s\"%s%.72s: %.200s",
                    d->path, line, name, has_field ? ", " : "", has_field ? p->field : "",
                    p ? p->detail : what);
}

/* One member: its name, and the n bytes of its value at `at`. */
static int read_item(const struct reading *d, const char *name, size_t at, size_t n,
                     struct store_schedule *out, struct fut_errbuf *err)
{
    struct schedule_in def;
    struct problem p;
    struct store_schedule s = {.since_ms = d->now_ms};
    if (!schedule_in_name_ok(name))
        return refuse(d, at, name, "a name is 1 to 64 of a-z A-Z 0-9 . _ -", NULL, err);
    if (n > STORE_SCHEDULE_TEXT_MAX)
        return refuse(d, at, name, "a definition has up to 65536 bytes", NULL, err);
    if (schedule_in_read(d->text + at, n, d->now_ms, &def, &p) != 0)
        return refuse(d, at, name, NULL, &p, err);
    int rc = schedule_in_check(&def, d->rules, d->now_ms, &p);
    schedule_in_next(&def, name, d->now_ms, &s.next_ms, &s.due_ms);
    schedule_in_release(&def);
    if (rc != 0)
        return refuse(d, at, name, NULL, &p, err);
    s.text = xstrndup(d->text + at, n);
    (void)snprintf(s.name, sizeof(s.name), "%s", name);
    *out = s;
    return 0;
}

/* The members in their order, beside the text that they came as. */
static int read_items(const struct reading *d, const json_t *root, struct schedules_file *f,
                      struct fut_errbuf *err)
{
    size_t at = json_walk_skip_space(d->text, d->n, json_walk_mark(d->text, d->n)) + 1;
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)root, name, value) {
        size_t name_end =
            json_walk_skip_value(d->text, d->n, json_walk_skip_space(d->text, d->n, at));
        size_t colon = json_walk_skip_space(d->text, d->n, name_end);
        size_t begin = json_walk_skip_space(d->text, d->n, colon + 1);
        size_t end = json_walk_skip_value(d->text, d->n, begin);
        int rc = read_item(d, name, begin, end - begin, &f->items[f->n], err);
        if (rc != 0)
            return rc;
        f->n++;
        at = json_walk_skip_space(d->text, d->n, end) + 1;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_schedule *)a)->name,
                  ((const struct store_schedule *)b)->name);
}

static int read_text(const struct reading *d, struct schedules_file *f, struct fut_errbuf *err)
{
    struct problem p;
    json_t *root = json_text_parse(d->text, d->n, &p);
    if (!root)
        return fut_fail(err, FUT_ERR_INVAL, "%.150s, line %d: %.200s", d->path, p.line, p.detail);
    int rc = 0;
    if (!json_is_object(root))
        rc = fut_fail(err, FUT_ERR_INVAL,
                      "%.150s: it must be an object with a member for each schedule", d->path);
    else if (json_object_size(root) > STORE_SCHEDULES_MAX)
        rc = fut_fail(err, FUT_ERR_INVAL, "%.150s has more than %d schedules", d->path,
                      STORE_SCHEDULES_MAX);
    if (rc == 0) {
        f->items = xcalloc(json_object_size(root) + 1, sizeof(*f->items));
        rc = read_items(d, root, f, err);
    }
    json_decref(root);
    if (rc == 0)
        qsort(f->items, f->n, sizeof(*f->items), by_name);
    return rc;
}

int schedules_file_read(const char *path, const struct submission_rules *rules,
                        struct schedules_file *out, struct fut_errbuf *err)
{
    struct buf text = BUF_INIT;
    struct schedules_file f = {0};
    int rc = file_read(path, FILE_MAX_BYTES, &text, err);
    if (rc == 0)
        rc = read_text(
            &(struct reading){path, text.len ? text.data : "", text.len, rules, clock_wall_ms()},
            &f, err);
    buf_release(&text);
    if (rc != 0) {
        schedules_file_release(&f);
        return rc == FUT_ERR_IO ? rc : FUT_ERR_INVAL;
    }
    *out = f;
    return 0;
}

void schedules_file_release(struct schedules_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        store_schedule_release(&f->items[i]);
    free(f->items);
    *f = (struct schedules_file){0};
}
