/* The part of the fixture for what is said of many tasks: queues, handlers, limits, bulks. */
#include <sched.h>
#include <stdio.h>

#include "core/clock.h"
#include "tests/contract/fixture.h"

int fixture_bulk_start(struct fixture *k, enum store_bulk_kind kind, const char *filter,
                       struct store_bulk *out)
{
    struct store_bulk_start o = {.bulk = {.id = id_new(), .kind = kind, .by = "a test"}};
    ck_assert_int_eq(task_filter_read(filter, &o.bulk.filter), 0);
    o.bulk.is_dry = out->is_dry;
    int rc = fixture_do(k, &store_verb_bulk_start, &o.op);
    *out = o.bulk;
    return rc;
}

int fixture_bulk_stop(struct fixture *k, struct task_id id, struct store_bulk *out)
{
    struct store_bulk_stop o = {.id = id};
    int rc = fixture_do(k, &store_verb_bulk_stop, &o.op);
    *out = o.bulk;
    return rc;
}

int fixture_bulk_get(struct fixture *k, struct task_id id, struct store_bulk *out)
{
    struct store_bulk_get o = {.id = id};
    int rc = fixture_do(k, &store_verb_bulk_get, &o.op);
    *out = o.bulk;
    return rc;
}

int fixture_bulk_list(struct fixture *k, struct store_bulk_list *o)
{
    return fixture_do(k, &store_verb_bulk_list, &o->op);
}

int fixture_failures(struct fixture *k, const char *filter, struct store_failures *out)
{
    struct store_failures o = {0};
    ck_assert_int_eq(task_filter_read(filter, &o.filter), 0);
    int rc = fixture_do(k, &store_verb_failures, &o.op);
    *out = o;
    return rc;
}

int fixture_queue_set(struct fixture *k, const char *name, unsigned sets,
                      const struct store_queue *is)
{
    struct store_queue_set o = {.queue = *is, .sets = sets};
    (void)snprintf(o.queue.name, sizeof(o.queue.name), "%s", name);
    return fixture_do(k, &store_verb_queue_set, &o.op);
}

int fixture_queue_pause(struct fixture *k, const char *name, const struct pool_pause *pause)
{
    struct store_queue_set o = {.sets = STORE_QUEUE_PAUSE, .pause = *pause};
    (void)snprintf(o.queue.name, sizeof(o.queue.name), "%s", name);
    return fixture_do(k, &store_verb_queue_set, &o.op);
}

int fixture_handler_pause(struct fixture *k, const char *name, const struct pool_pause *pause,
                          uint64_t *out_running)
{
    struct store_handler_pause o = {.name = name, .pause = *pause};
    int rc = fixture_do(k, &store_verb_handler_pause, &o.op);
    *out_running = o.running;
    return rc;
}

int fixture_limit_put(struct fixture *k, const struct store_limit *limit)
{
    struct store_limit_put o = {.limit = *limit};
    return fixture_do(k, &store_verb_limit_put, &o.op);
}

int fixture_limit_drop(struct fixture *k, const char *name)
{
    struct store_limit_drop o = {.name = name};
    return fixture_do(k, &store_verb_limit_drop, &o.op);
}

int fixture_limit_close(struct fixture *k, const char *name, const char *key, int64_t for_ms)
{
    struct store_limit_close o = {.for_ms = for_ms};
    (void)snprintf(o.key.name, sizeof(o.key.name), "%s", name);
    (void)snprintf(o.key.key, sizeof(o.key.key), "%s", key);
    return fixture_do(k, &store_verb_limit_close, &o.op);
}

int fixture_limit_list(struct fixture *k, const char *name, struct store_limit_list *o)
{
    o->name = name;
    return fixture_do(k, &store_verb_limit_list, &o->op);
}

struct store_bulk fixture_wait_bulk(struct fixture *k, struct task_id id)
{
    struct store_bulk b;
    int64_t deadline = clock_mono_ms() + 5000;
    do
        ck_assert_int_eq(fixture_bulk_get(k, id, &b), 0);
    while (!b.finished_wall_ms && clock_mono_ms() < deadline);
    ck_assert_msg(b.finished_wall_ms != 0, "it did not end");
    return b;
}

struct store_bulk fixture_bulk(struct fixture *k, enum store_bulk_kind kind, const char *filter)
{
    struct store_bulk b = {0};
    ck_assert_int_eq(fixture_bulk_start(k, kind, filter, &b), 0);
    return fixture_wait_bulk(k, b.id);
}
