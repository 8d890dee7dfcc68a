#include "tests/unit/storage/postgres/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "storage/node.h"
#include "tests/unit/storage/postgres/ask.h"

struct fixture nodes[2];

/* What a node's listener hears. */
static struct heard {
    struct mutex mu;
    struct task_id ended;
    struct task_id stopped;
    uint32_t stopped_attempt;
} heard[2] = {{.mu = {PTHREAD_MUTEX_INITIALIZER}}, {.mu = {PTHREAD_MUTEX_INITIALIZER}}};

static void on_change(void *ctx, const struct store_change *changes, size_t n)
{
    struct heard *h = ctx;
    mutex_lock(&h->mu);
    for (size_t i = 0; i < n; i++) {
        if (task_state_is_final(changes[i].state))
            h->ended = changes[i].id;
        if (changes[i].stopped_attempt) {
            h->stopped = changes[i].id;
            h->stopped_attempt = changes[i].stopped_attempt;
        }
    }
    mutex_unlock(&h->mu);
}

bool has_ended(int node, struct task_id id)
{
    mutex_lock(&heard[node].mu);
    bool has = id_equal(heard[node].ended, id);
    mutex_unlock(&heard[node].mu);
    return has;
}

bool is_stopped(int node, struct task_id id, uint32_t attempt)
{
    mutex_lock(&heard[node].mu);
    bool is = id_equal(heard[node].stopped, id) && heard[node].stopped_attempt == attempt;
    mutex_unlock(&heard[node].mu);
    return is;
}

void open_node(int i, const char *name)
{
    struct fut_errbuf err = {""};
    nodes[i].cfg.node = name;
    nodes[i].cfg.path = nodes[i].url;
    ck_assert_msg(store_open(&nodes[i].cfg, &nodes[i].store, &err) == 0, "%s", err.text);
    store_listen(nodes[i].store, on_change, &heard[i]);
    store_start(nodes[i].store);
}

void begin_with(const char *more)
{
    fixture_open(&nodes[0], "postgres");
    fixture_stop(&nodes[0]);
    size_t n = strlen(nodes[0].url);
    (void)snprintf(nodes[0].url + n, sizeof(nodes[0].url) - n, "%s", more);
    nodes[1] = nodes[0];
    open_node(0, "first");
    open_node(1, "second");
}

void begin(void)
{
    begin_with("");
}

void end(void)
{
    fixture_stop(&nodes[1]);
    fixture_close(&nodes[0]);
}

char *run_sql(const char *sql)
{
    return ask_value(nodes[0].url, sql);
}

bool is_so(const char *sql)
{
    return ask_is_so(nodes[0].url, sql);
}

struct task make_task(const char *queue, const char *limits, int priority)
{
    struct task t = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *t.spec;
    spec.queue = queue;
    spec.limits = limits;
    spec.priority = priority;
    fixture_respec(&t, &spec);
    return t;
}

struct task_id submit_first(int node, int priority)
{
    struct task t = make_task(NULL, NULL, priority);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&nodes[node], &t, 1), 0);
    task_release(&t);
    return id;
}

struct task_id submit(int node, const char *queue, const char *limits)
{
    struct task t = make_task(queue, limits, 0);
    struct task_id id = t.spec->id;
    ck_assert_int_eq(fixture_submit_n(&nodes[node], &t, 1), 0);
    task_release(&t);
    return id;
}

void finish(int node, struct task *t)
{
    ck_assert_int_eq(fixture_succeed(&nodes[node], t, "\"done\""), 0);
    task_release(t);
}
