/* The store contract: which nodes there are, and one that is drained, which claims nothing. */
#include <stdlib.h>

#include "core/mem.h"
#include "storage/node.h"
#include "tests/contract/fixture.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static int drain(const char *name, bool drains)
{
    struct store_node_drain o = {.name = name, .drains = drains};
    return fixture_do(&k, &store_verb_node_drain, &o.op);
}

static void list(struct store_node_list *o)
{
    *o = (struct store_node_list){.n = 0};
    ck_assert_int_eq(fixture_do(&k, &store_verb_node_list, &o->op), 0);
    ck_assert_uint_eq(o->n, 1);
    ck_assert(o->nodes[0].is_self);
    ck_assert(o->nodes[0].is_live);
}

static void write_load(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_puts(out, "{\"a\":1}");
}

START_TEST(test_store_node_says_what_it_is)
{
    struct store_node_list o;
    begin(_i);
    store_watch_load(k.store, write_load, NULL);
    store_publish(k.store, "{\"b\":2}");
    do {
        list(&o);
        bool is_said = o.nodes[0].info && o.nodes[0].load;
        if (is_said) {
            ck_assert_str_eq(o.nodes[0].info, "{\"b\":2}");
            ck_assert_str_eq(o.nodes[0].load, "{\"a\":1}");
        }
        ck_assert(!o.nodes[0].is_draining);
        ck_assert_str_ne(o.nodes[0].name, "");
        store_node_list_release(&o);
        if (is_said)
            break;
    } while (true); /* with the next sign of life; the suite's time is the limit */
    store_watch_load(k.store, NULL, NULL);
    fixture_close(&k);
}
END_TEST

START_TEST(test_store_node_drains)
{
    struct store_node_list o;
    struct task t, none;
    begin(_i);
    list(&o);
    const char *name = o.nodes[0].name;
    fixture_submit(&k, LANE_IO, "x");
    fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(drain("nobody", true), FUT_ERR_NOT_FOUND);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &none), 1);
    ck_assert_int_eq(fixture_succeed(&k, &none, "1"), 0);
    task_release(&none);
    ck_assert_int_eq(drain(name, true), 0);
    ck_assert_int_eq(drain(name, true), 0);
    fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &none), 0);
    ck_assert(store_is_draining(k.store));
    struct store_node_list now;
    list(&now);
    ck_assert(now.nodes[0].is_draining);
    ck_assert(now.nodes[0].is_busy);
    store_node_list_release(&now);
    ck_assert_int_eq(fixture_succeed(&k, &t, "1"), 0); /* what it has claimed goes on */
    task_release(&t);
    list(&now);
    ck_assert(now.nodes[0].is_draining);
    ck_assert(!now.nodes[0].is_busy);
    store_node_list_release(&now);
    ck_assert_int_eq(drain(name, false), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    task_release(&t);
    ck_assert(!store_is_draining(k.store));
    store_node_list_release(&o);
    fixture_close(&k);
}
END_TEST

/* The claim that waits is served by the commit that ends the drain. */
START_TEST(test_store_node_goes_on_with_parked_claims)
{
    struct store_node_list o;
    struct task t;
    begin(_i);
    list(&o);
    ck_assert_int_eq(drain(o.nodes[0].name, true), 0);
    struct fixture_parked p = {.o = {.lane = LANE_IO, .max = 1, .tasks = &t}};
    fixture_park(&k, &p);
    fixture_submit(&k, LANE_IO, "x");
    ck_assert_int_eq(drain(o.nodes[0].name, false), 0);
    fixture_join(&p);
    ck_assert_uint_eq(p.o.n, 1);
    task_release(&t);
    store_node_list_release(&o);
    fixture_close(&k);
}
END_TEST

/* It ends with the opening: a node that starts takes tasks. */
START_TEST(test_store_node_claims_after_a_start)
{
    struct store_node_list o;
    struct task t;
    begin(_i);
    list(&o);
    ck_assert_int_eq(drain(o.nodes[0].name, true), 0);
    store_node_list_release(&o);
    fixture_reopen(&k);
    list(&o);
    ck_assert(!o.nodes[0].is_draining);
    store_node_list_release(&o);
    fixture_submit(&k, LANE_IO, "x");
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    task_release(&t);
    fixture_close(&k);
}
END_TEST

static void set_here(const char *a, const char *b)
{
    struct store_node_handlers o = {.names = xcalloc(3, sizeof(char *))};
    o.names[o.n++] = xstrdup(a);
    if (b)
        o.names[o.n++] = xstrdup(b);
    ck_assert_int_eq(fixture_do(&k, &store_verb_node_handlers, &o.op), 0);
}

static void submit_to(const char *handler)
{
    struct task t = fixture_task(LANE_IO, handler, "x");
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
}

static void expect_claim(const char *handler)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &t), handler ? 1 : 0);
    if (!handler)
        return;
    ck_assert_str_eq(t.spec->handler, handler);
    ck_assert_int_eq(fixture_succeed(&k, &t, "1"), 0);
    task_release(&t);
}

/* They stay in their places, and keep nobody behind them waiting. */
START_TEST(test_store_node_leaves_what_others_have)
{
    begin(_i);
    set_here("b", "c");
    submit_to("a");
    submit_to("a");
    submit_to("b");
    expect_claim("b");
    expect_claim(NULL);
    submit_to("d");
    submit_to("c");
    expect_claim("c");
    expect_claim(NULL);
    set_here("a", "b");
    expect_claim("a");
    submit_to("c"); /* which it had before */
    expect_claim("a");
    expect_claim(NULL);
    set_here("c", NULL);
    expect_claim("c");
    expect_claim(NULL);
    fixture_close(&k);
}
END_TEST

/* A pause is another matter: the end of one is not that of the other. */
START_TEST(test_store_node_pauses_what_it_has_not)
{
    const struct pool_pause pause = {.since_wall_ms = 1}, goes_on = {.since_wall_ms = 0};
    uint64_t running;
    begin(_i);
    submit_to("a");
    ck_assert_int_eq(fixture_handler_pause(&k, "a", &pause, &running), 0);
    set_here("b", NULL);
    ck_assert_int_eq(fixture_handler_pause(&k, "a", &goes_on, &running), 0);
    expect_claim(NULL);
    ck_assert_int_eq(fixture_handler_pause(&k, "a", &pause, &running), 0);
    set_here("a", NULL);
    expect_claim(NULL);
    ck_assert_int_eq(fixture_handler_pause(&k, "a", &goes_on, &running), 0);
    expect_claim("a");
    fixture_close(&k);
}
END_TEST

static void submit_needing(const char *handler, const char *limits)
{
    struct task t = fixture_task(LANE_IO, handler, "x");
    struct task_spec spec = *t.spec;
    spec.limits = limits;
    fixture_respec(&t, &spec);
    ck_assert_int_eq(fixture_submit_n(&k, &t, 1), 0);
    task_release(&t);
}

/* What needs labels that it has not stays, in whatever queue position, and keeps nobody waiting. */
START_TEST(test_store_node_leaves_what_needs_other_labels)
{
    begin(_i);
    k.cfg.labels = "big,gpu";
    fixture_reopen(&k);
    submit_needing("a", "@tpu\n");
    submit_needing("b", "@gpu,tpu\n");
    submit_needing("c", "@gpu\n");
    submit_needing("d", "@big,gpu\n");
    submit_needing("a", NULL);
    expect_claim("c");
    expect_claim("d");
    expect_claim("a");
    expect_claim(NULL);
    submit_needing("a", "@gpu\n"); /* beside the one that stays */
    expect_claim("a");
    expect_claim(NULL);
    fixture_close(&k);
}
END_TEST

/* Labels are no limits: nothing lists them, and limits hold beside them. */
START_TEST(test_store_node_counts_limits_beside_labels)
{
    struct task t[2];
    struct store_limit few = {
        .name = "few", .max_running = 1, .rate_per_ms = 1000, .rate_burst = 1};
    struct store_limit_list all = {.name = NULL};
    begin(_i);
    k.cfg.labels = "gpu";
    fixture_reopen(&k);
    ck_assert_int_eq(fixture_limit_put(&k, &few), 0);
    submit_needing("a", "@tpu\nfew");
    submit_needing("a", "@gpu\nfew");
    submit_needing("a", "@gpu\nfew");
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 2, t), 1);
    ck_assert_str_eq(t[0].spec->limits, "@gpu\nfew");
    expect_claim(NULL);
    ck_assert_int_eq(fixture_do(&k, &store_verb_limit_list, &all.op), 0);
    ck_assert_uint_eq(all.n, 1);
    ck_assert_uint_eq(all.limits[0].use.running, 1);
    free(all.limits);
    ck_assert_int_eq(fixture_succeed(&k, &t[0], "1"), 0);
    task_release(&t[0]);
    expect_claim("a");
    expect_claim(NULL);
    fixture_close(&k);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_store_node_says_what_it_is,
                                  test_store_node_drains,
                                  test_store_node_goes_on_with_parked_claims,
                                  test_store_node_claims_after_a_start,
                                  test_store_node_leaves_what_others_have,
                                  test_store_node_pauses_what_it_has_not,
                                  test_store_node_leaves_what_needs_other_labels,
                                  test_store_node_counts_limits_beside_labels};
    return fixture_run_on_all("store contract: nodes", tests, FUT_COUNT(tests));
}
