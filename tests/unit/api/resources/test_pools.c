/* GET /v1/pools and PATCH /v1/pools/{lane}, over pools that only remember what was asked. */
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"
#include "tests/unit/api/fixture.h"

static struct fake {
    struct mutex mu;
    struct pool_stats stats; /* guarded by mu */
    unsigned changes;        /* guarded by mu */
} fake;

static void fake_read(void *ctx, struct pool_stats *out)
{
    struct fake *f = ctx;
    mutex_lock(&f->mu);
    *out = f->stats;
    mutex_unlock(&f->mu);
}

static void fake_change(void *ctx, enum lane lane, const struct pool_wish *wish)
{
    struct fake *f = ctx;
    struct pool_lane *p = &f->stats.lanes[lane];
    mutex_lock(&f->mu);
    if (wish->sets_capacity)
        p->capacity = wish->capacity ? wish->capacity : p->configured;
    if (wish->sets_pause)
        p->pause = wish->pause;
    f->changes++;
    mutex_unlock(&f->mu);
}

static struct pool_worker *fake_workers(void *ctx, size_t *out_n)
{
    static const struct pool_worker two[] = {
        {.program = "nlp", .state = POOL_WORKER_STARTING, .started_wall_ms = 1764000000123},
        {.program = "futured",
         .lane = LANE_CPU,
         .state = POOL_WORKER_BUSY,
         .tasks = 1,
         .task = {0x0193a1b27c007001, 0x9b3c4d5e6f708192},
         .tasks_done = 7,
         .started_wall_ms = 1764000000123},
    };
    struct pool_worker *out = xcalloc(2, sizeof(*out));
    (void)ctx;
    memcpy(out, two, sizeof(two));
    out[1].pid = getpid(); /* whose memory can be read */
    *out_n = 2;
    return out;
}

static struct fixture f;

static void setup_with(struct auth *auth)
{
    struct api_config cfg = fixture_config;
    fake = (struct fake){.stats.lanes = {[LANE_IO] = {.capacity = 20, .configured = 20},
                                         [LANE_CPU] = {.capacity = 2, .configured = 2}}};
    mutex_init(&fake.mu);
    cfg.pools = (struct pool_view){
        .ctx = &fake, .read = fake_read, .change = fake_change, .workers = fake_workers};
    cfg.auth = auth;
    fixture_start_with(&f, &cfg, 1000);
}

static void setup(void)
{
    setup_with(NULL);
}

static void teardown(void)
{
    fixture_stop(&f);
    mutex_destroy(&fake.mu);
}

START_TEST(test_pools_are_shown)
{
    expect(
        ask(&f, "GET /v1/pools", "", NULL), 200,
        "{\"pools\":[{\"lane\":\"io\",\"capacity\":20,\"configured\":20,\"max\":4096,\"busy\":0,"
        "\"lent\":0,\"queued\":0,\"started\":0,\"unsaved\":0,\"paused\":false},{\"lane\":\"cpu\","
        "\"capacity\":2,",
        "\"max\":1024", NULL);
}
END_TEST

START_TEST(test_workers_are_shown)
{
    expect(ask(&f, "GET /v1/workers", "", NULL), 200,
           "{\"workers\":[{\"program\":\"nlp\",\"lane\":\"io\",\"state\":\"starting\",\"tasks\":0,"
           "\"tasks_done\":0,\"started_at\":\"2025-11-24T16:00:00.123Z\"},{\"pid\":",
           "\"program\":\"futured\",\"lane\":\"cpu\",\"state\":\"busy\",\"tasks\":1,"
           "\"task\":\"0193a1b2-7c00-7001-9b3c-4d5e6f708192\",\"tasks_done\":7,",
           "\"rss_bytes\":");
}
END_TEST

static const struct text_case_of changes[] = {
    {"io", "{\"capacity\":7}", "\"lane\":\"io\",\"capacity\":7,\"configured\":20,"},
    {"cpu", "{\"capacity\":1024}", "\"lane\":\"cpu\",\"capacity\":1024,"},
    {"cpu", "{\"capacity\":null}", "\"lane\":\"cpu\",\"capacity\":2,"},
    {"io", "{\"paused\":true}", "\"paused\":true,\"paused_at\":\"2"},
    {"io", "{\"paused\":true,\"reason\":\"\xc3\xa4 \\\"b\\\"\"}",
     "\"paused_by\":\"client\",\"reason\":\"\xc3\xa4 \\\"b\\\"\"}"},
    {"io", "{\"capacity\":3,\"paused\":false}", "\"capacity\":3,\"configured\":20,\"max\":4096,"},
};

START_TEST(test_pools_are_changed)
{
    char line[64];
    expect(ask(&f, line_of(line, sizeof(line), "PATCH /v1/pools/%s", changes[_i].subject), "",
               changes[_i].given),
           200, changes[_i].expected, NULL, NULL);
    expect(ask(&f, "GET /v1/pools", "", NULL), 200, changes[_i].expected, NULL, NULL);
}
END_TEST

START_TEST(test_pools_pause_ends)
{
    expect(ask(&f, "PATCH /v1/pools/io", "", "{\"paused\":true,\"reason\":\"x\"}"), 200,
           "\"paused\":true", NULL, NULL);
    expect(ask(&f, "PATCH /v1/pools/io", "", "{\"paused\":false}"), 200, "\"paused\":false}", NULL,
           NULL);
}
END_TEST

static const struct {
    const char *lane, *body;
    int status;
    const char *code, *field;
} refused[] = {
    {"gpu", "{\"capacity\":1}", 404, "unknown_pool", "GET /v1/pools"},
    {"io", "{\"capacity\":0}", 422, "invalid_value", "\"field\":\"capacity\",\"limit\":4096"},
    {"io", "{\"capacity\":4097}", 422, "invalid_value", "\"limit\":4096"},
    {"cpu", "{\"capacity\":1025}", 422, "invalid_value", "\"limit\":1024"},
    {"cpu", "{\"capacity\":1.5}", 422, "invalid_value", "capacity"},
    {"cpu", "{\"capacity\":-1}", 422, "invalid_value", "capacity"},
    {"cpu", "{\"capacity\":1e300}", 422, "invalid_value", "capacity"},
    {"cpu", "{\"capacity\":\"2\"}", 422, "wrong_type", "\"field\":\"capacity\""},
    {"cpu", "{\"paused\":1}", 422, "wrong_type", "\"field\":\"paused\""},
    {"cpu", "{\"paused\":true,\"reason\":1}", 422, "wrong_type", "\"field\":\"reason\""},
    {"cpu", "{\"paused\":true,\"reason\":\"a\\u0000b\"}", 422, "invalid_value", "reason"},
    {"cpu", "{\"reason\":\"x\"}", 422, "invalid_value", "reason"},
    {"cpu", "{\"capacity\":1,\"reason\":\"x\"}", 422, "invalid_value", "reason"},
    {"cpu", "{}", 422, "missing_field", "capacity"},
    {"cpu", "{\"capacity\":1,\"size\":2}", 422, "unknown_field", "\"field\":\"size\""},
    {"cpu", "[]", 422, "wrong_type", "object"},
    {"cpu", "", 400, "bad_json", NULL},
    {"cpu", "{\"capacity\":", 400, "bad_json", NULL},
};

START_TEST(test_pools_refuse)
{
    char line[64];
    expect(ask(&f, line_of(line, sizeof(line), "PATCH /v1/pools/%s", refused[_i].lane), "",
               refused[_i].body),
           refused[_i].status, refused[_i].code, refused[_i].field, NULL);
    ck_assert_uint_eq(fake.changes, 0); /* nothing half-done */
}
END_TEST

START_TEST(test_pools_reason_has_a_limit)
{
    struct buf body = BUF_INIT;
    for (int n = POOL_REASON_SIZE - 1; n <= POOL_REASON_SIZE; n++) {
        body.len = 0;
        buf_printf(&body, "{\"paused\":true,\"reason\":\"%0*d\"}", n, 0);
        expect(ask(&f, "PATCH /v1/pools/io", "", body.data), n < POOL_REASON_SIZE ? 200 : 422,
               n < POOL_REASON_SIZE ? "\"reason\"" : "\"limit\":200", NULL, NULL);
    }
    buf_release(&body);
}
END_TEST

START_TEST(test_pools_methods)
{
    expect(ask(&f, "OPTIONS /v1/pools/io", "", NULL), 204, "Allow: PATCH, OPTIONS", NULL, NULL);
    expect(ask(&f, "GET /v1/pools/io", "", NULL), 405, "Allow: PATCH, OPTIONS", NULL, NULL);
}
END_TEST

#define READER "Authorization: Bearer rrrrrrrrrrrrrrrr\r\n"
#define ADMIN "Authorization: Bearer aaaaaaaaaaaaaaaa\r\n"

START_TEST(test_pools_change_is_for_admins)
{
    static const char tokens[] = "rrrrrrrrrrrrrrrr read,submit\naaaaaaaaaaaaaaaa admin\n";
    struct auth *auth = NULL;
    ck_assert_int_eq(auth_parse(tokens, sizeof(tokens) - 1, "tokens", &auth, NULL), 0);
    setup_with(auth);
    expect(ask(&f, "PATCH /v1/pools/io", READER, "{\"paused\":true}"), 403, "forbidden", NULL,
           NULL);
    expect(ask(&f, "GET /v1/pools", READER, NULL), 200, "\"paused\":false", NULL, NULL);
    expect(ask(&f, "PATCH /v1/pools/io", ADMIN, "{\"paused\":true}"), 200, "\"paused_by\":\"token ",
           NULL, NULL);
    teardown();
    auth_free(&auth);
}
END_TEST

START_TEST(test_pools_where_there_are_none)
{
    struct api_config cfg = fixture_config;
    fixture_start_with(&f, &cfg, 1000);
    expect(ask(&f, "GET /v1/pools", "", NULL), 200, "{\"pools\":[]}", NULL, NULL);
    expect(ask(&f, "GET /v1/workers", "", NULL), 200, "{\"workers\":[]}", NULL, NULL);
    expect(ask(&f, "PATCH /v1/pools/io", "", "{\"paused\":true}"), 404, "unknown_pool", NULL, NULL);
    fixture_stop(&f);
}
END_TEST

/* ---- another catalog ---- */

struct lent {
    struct catalog_life life;
    struct handler_info info;
    struct catalog catalog;
    atomic_bool is_returned;
};

static void end_lent(struct catalog_life *life)
{
    struct lent *l = FUT_CONTAINER(life, struct lent, life);
    l->info.name = "gone"; /* whoever still reads it is seen */
    atomic_store(&l->is_returned, true);
}

static void lend(struct lent *l, const char *name)
{
    *l = (struct lent){.life.end = end_lent,
                       .info = {.name = name, .kind = "builtin", .description = ""}};
    atomic_init(&l->life.refs, 1);
    l->catalog = (struct catalog){&l->info, 1, &l->life};
    api_set_catalog(f.api, &l->catalog);
    const struct catalog *mine = &l->catalog;
    catalog_unref(&mine);
}

START_TEST(test_catalog_is_exchanged_while_it_is_read)
{
    static struct lent lent[100];
    int fd = client_connect(&f);
    for (size_t i = 0; i < FUT_COUNT(lent); i++) {
        client_ask(fd, "GET /v1/handlers", "", NULL); /* read at some moment of the next lines */
        lend(&lent[i], i % 2 ? "odd" : "even");
        if (i)
            ck_assert(!atomic_load(&lent[i].is_returned));
        struct reply r = client_read(fd);
        ck_assert_msg(r.status == 200 && !reply_has(&r, "gone"), "%s", r.body);
        free(r.body);
    }
    expect(client_do(fd, "GET /v1/handlers", "", NULL), 200, "\"odd\"", NULL, NULL);
    expect(client_do(fd, "POST /v1/tasks", "", "{\"handler\":\"even\"}"), 422, "known are odd",
           NULL, NULL);
    expect(client_do(fd, "POST /v1/tasks", "", "{\"handler\":\"odd\"}"), 202, NULL, NULL, NULL);
    ck_assert_int_eq(close(fd), 0);
    wait_for(atomic_load(&lent[FUT_COUNT(lent) - 2].is_returned));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("with pools"), *own = tcase_create("of their own");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_set_timeout(own, 30);
    tcase_add_test(tc, test_pools_are_shown);
    tcase_add_test(tc, test_workers_are_shown);
    tcase_add_loop_test(tc, test_pools_are_changed, 0, (int)FUT_COUNT(changes));
    tcase_add_test(tc, test_pools_pause_ends);
    tcase_add_loop_test(tc, test_pools_refuse, 0, (int)FUT_COUNT(refused));
    tcase_add_test(tc, test_pools_reason_has_a_limit);
    tcase_add_test(tc, test_pools_methods);
    tcase_add_test(tc, test_catalog_is_exchanged_while_it_is_read);
    tcase_add_test(own, test_pools_change_is_for_admins);
    tcase_add_test(own, test_pools_where_there_are_none);
    return suite_run_cases("pools", tc, own, NULL);
}
