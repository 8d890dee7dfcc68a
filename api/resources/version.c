#include "api/resources/version.h"

#include <string.h>

#include "api/http/mhd.h"
#include "core/hash.h"

static uint64_t mix_task(uint64_t h, const struct task *t)
{
    h = hash_number(h, t->spec->id.hi);
    h = hash_number(h, (uint64_t)t->state);
    h = hash_number(h, t->attempt);
    h = hash_number(h, (uint64_t)t->due_wall_ms);
    return hash_number(h, (uint64_t)t->finished_wall_ms);
}

void version_etag(const struct task *t, const struct store_reported *reported,
                  const struct task *callback, char out[VERSION_ETAG_SIZE])
{
    uint64_t h = mix_task(HASH_START, t);
    if (reported && t->state != TASK_SUCCEEDED) {
        h = hash_number(h, (uint64_t)(int64_t)(reported->progress * 1e9));
        h = hash_text(h, reported->message ? reported->message : "");
    }
    if (callback && callback->spec && task_state_is_final(t->state)) /* before, it only waits */
        h = mix_task(h, callback);
    static const char weak[3] = {'W', '/', '"'};
    memcpy(out, weak, sizeof(weak));
    for (size_t i = 0; i < 16; i++, h <<= 4)
        out[3 + i] = "0123456789abcdef"[h >> 60];
    out[19] = '"';
    out[20] = '\0';
}

bool version_matches(const char *header, const char *etag)
{
    const char *bare = strchr(etag, '"');
    FUT_ASSERT(bare != NULL); /* version_etag made it */
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

const struct store_reported *version_reported(const struct request *r)
{
    return r->reported_is_known && r->task.state != TASK_SUCCEEDED ? &r->reported : NULL;
}

void version_make(struct request *r)
{
    version_etag(&r->task, version_reported(r), r->callback, r->etag);
}

bool version_is_known(struct request *r)
{
    const char *header = http_header(r, "If-None-Match");
    version_make(r);
    return !header || version_matches(header, r->etag);
}
