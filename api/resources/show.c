#include "api/resources/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/http/mhd.h"
#include "api/http/shared.h"
#include "api/resources/future_json.h"
#include "api/resources/wait.h"
#include "core/hash.h"

void show_look(const struct request *r, struct waiting_scene *out)
{
    waiting_for_look(out, r->api->cfg.store, &r->api->cfg.pools, atomic_load(&r->api->is_quiesced));
}

/* ---- what else is read ----------------------------------------------------------------------- */

static void go_on(struct request *r)
{
    request_step *after = r->after_gather;
    r->after_gather = NULL;
    after(r);
}

/* Whether a read that gave rc, done or refused, ends the request. What is deleted is not missing.
 */
static bool gives_up(struct request *r, int rc)
{
    if (!r->gathers_all || rc == 0 || rc == FUT_ERR_NOT_FOUND)
        return false;
    r->after_gather = NULL;
    request_not_posted(r, rc);
    return true;
}

static void got_attempts(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0)
        request_take_attempts(r);
    go_on(r);
}

/* Are there ends of attempts beside the end in hand? Those of running, succeeded or failed first
 * attempts there are not. */
static bool may_have_attempts(const struct task *t)
{
    bool between = t->state == TASK_SCHEDULED || t->state == TASK_QUEUED;
    return t->attempt > 1 || (t->attempt == 1 && (between || t->state == TASK_CANCELLED));
}

static void gather_attempts(struct request *r)
{
    bool needed = may_have_attempts(&r->task);
    int rc = needed ? request_try_attempts(r, r->task.spec->id, got_attempts) : 0;
    if (!gives_up(r, rc) && (!needed || rc != 0))
        go_on(r);
}

static void got_callback(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0) {
        task_release(&r->callback);
        r->callback = r->op.get.task;
        r->op.get.task = (struct task){0};
    }
    gather_attempts(r);
}

static void gather_callback(struct request *r)
{
    struct task_id id = r->task.spec->callback;
    int rc = id.hi ? request_try_get_whole(r, id, got_callback) : 0;
    if (!gives_up(r, rc) && (!id.hi || rc != 0))
        gather_attempts(r);
}

static void got_note(struct request *r)
{
    if (gives_up(r, r->op.base.rc))
        return;
    if (r->op.base.rc == 0)
        request_take_task(r);
    gather_callback(r);
}

/* The snapshot that wakes a waiter says nothing of reports. How far a task came that did not
 * succeed is worth another read. */
static void gather(struct request *r, request_step *after)
{
    bool needed = !r->note_is_known && r->task.state != TASK_SUCCEEDED && r->task.attempt;
    r->after_gather = after;
    int rc = needed ? request_try_get(r, r->task.spec->id, got_note) : 0;
    if (!gives_up(r, rc) && (!needed || rc != 0))
        gather_callback(r);
}

void show_gather(struct request *r, request_step *after)
{
    r->gathers_all = false;
    gather(r, after);
}

void show_gather_all(struct request *r, request_step *after)
{
    r->gathers_all = true;
    gather(r, after);
}

/* ---- versions -------------------------------------------------------------------------------- */

static uint64_t mix_task(uint64_t h, const struct task *t)
{
    h = hash_number(h, t->spec->id.hi);
    h = hash_number(h, (uint64_t)t->state);
    h = hash_number(h, t->attempt);
    h = hash_number(h, (uint64_t)t->due_wall_ms);
    return hash_number(h, (uint64_t)t->finished_wall_ms);
}

void show_etag(const struct task *t, const struct store_note *note, const struct task *callback,
               char out[SHOW_ETAG_SIZE])
{
    uint64_t h = mix_task(HASH_START, t);
    if (note && t->state != TASK_SUCCEEDED) {
        h = hash_number(h, (uint64_t)(int64_t)(note->progress * 1e9));
        h = hash_text(h, note->message ? note->message : "");
    }
    if (callback && callback->spec && task_state_is_final(t->state)) /* before, it only waits */
        h = mix_task(h, callback);
    (void)snprintf(out, SHOW_ETAG_SIZE, "W/\"%016" PRIx64 "\"", h);
}

bool show_etag_matches(const char *header, const char *etag)
{
    const char *bare = strchr(etag, '"');
    FUT_ASSERT(bare != NULL); /* show_etag made it */
    size_t n = strlen(bare);
    while (*(header += strspn(header, " \t,"))) {
        if (*header == '*')
            return true;
        if (strncmp(header, "W/", 2) == 0)
            header += 2;
        if (strncmp(header, bare, n) == 0)
            return true;
        header += strcspn(header, ",");
    }
    return false;
}

static const struct store_note *note_of(const struct request *r)
{
    return r->note_is_known && r->task.state != TASK_SUCCEEDED ? &r->note : NULL;
}

static void make_etag(struct request *r)
{
    show_etag(&r->task, note_of(r), &r->callback, r->etag);
}

bool show_is_known(struct request *r)
{
    const char *header = http_header(r, "If-None-Match");
    make_etag(r);
    return !header || show_etag_matches(header, r->etag);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_headers(struct request *r)
{
    request_add_header(r, "ETag", r->etag);
    request_add_header(r, "Cache-Control", "no-cache");
    if (r->route->params[0]) /* knows wait, so Prefer too */
        request_add_header(r, "Vary", "Prefer");
    wait_add_headers(r);
}

void show_reply(struct request *r, unsigned status)
{
    struct waiting_scene scene;
    const struct waiting_scene *seen = NULL;
    make_etag(r);
    add_headers(r);
    if (!task_state_is_final(r->task.state)) {
        show_look(r, &scene);
        scene.place = r->note_is_known ? r->note.place : 0;
        seen = &scene;
    }
    future_json_write_view(&r->out, &(struct future_view){.task = &r->task,
                                                          .note = note_of(r),
                                                          .callback = &r->callback,
                                                          .attempts = r->attempts,
                                                          .n_attempts = r->n_attempts,
                                                          .scene = seen});
    request_reply_json(r, status);
}

void show_reply_or_unchanged(struct request *r)
{
    if (!http_header(r, "If-None-Match") || !show_is_known(r)) {
        show_reply(r, 200);
        return;
    }
    add_headers(r);
    request_reply_empty(r, 304);
}
