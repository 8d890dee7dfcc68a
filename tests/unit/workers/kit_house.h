/* kit_house: a worker_set with a handlers file in which SELF is the test's own program
 * (kit_worker.h). For the tests of worker processes only. */
#ifndef FUT_TESTS_UNIT_WORKERS_KIT_HOUSE_H
#define FUT_TESTS_UNIT_WORKERS_KIT_HOUSE_H

#include <check.h>
#include <limits.h>
#include <unistd.h>

#include "tests/unit/workers/handlers_text.h"
#include "tests/unit/workers/kit_worker.h"
#include "tests/unit/workers/process/set_house.h"

static struct handlers *handlers;

/* The text of a handlers file, in which SELF is this program. */
static inline void build(uint32_t slots, const char *json)
{
    struct fut_errbuf err;
    struct buf text = BUF_INIT;
    char self[PATH_MAX] = "";
    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    for (const char *at = json, *next; *at; at = next) {
        const char *name = strstr(at, "SELF");
        next = name ? name + 4 : at + strlen(at);
        buf_put(&text, at, name ? (size_t)(name - at) : strlen(at));
        buf_puts(&text, name ? self : "");
    }
    ck_assert_msg(handlers_from_text(text.data, &handlers, &err) == 0, "%s", err.text);
    buf_release(&text);
    set_house_build_with(handlers, slots);
}

static inline void raze(void)
{
    set_house_raze();
    handlers_free(&handlers);
}

static inline void ask(struct job *j, const char *handler, const char *input)
{
    submit_to(j, handlers_find(handlers, handler), handler, input);
}

/* Its text, when it succeeded. */
static inline const char *answer(struct job *j, const char *handler, const char *input)
{
    ask(j, handler, input);
    wait_for(j);
    drop(j);
    ck_assert_msg(j->how == WORKER_ENDED_DONE, "%d %s", (int)j->how, j->text);
    return j->text;
}

static inline int pid_of(const char *handler)
{
    struct job j;
    return (int)strtol(answer(&j, handler, "pid"), NULL, 10);
}

#endif
