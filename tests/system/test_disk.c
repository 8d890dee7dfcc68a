/* A disk that fails, fills up, or comes to its senses: no false 202, reads go on, and what can heal
 * heals by itself. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/dir.h"
#include "tests/support/disk.h"
#include "tests/support/fail.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define MANY 1000000

static const char echo[] = "{\"handler\":\"echo\",\"input\":1}";
/* "hold" waits for DIR/go, then says 40,000 bytes. */
static const char handlers[] =
    "{\"hold\": {\"exec\": [\"sh\", \"-c\", \"echo > DIR/began; while [ ! -e DIR/go ]; do sleep "
    "0.05; done; head -c 40000 /dev/zero | tr '\\\\0' x\"], \"lane\": \"cpu\"}}";

struct site {
    struct daemon *d;
    struct disk_control *disk;
};

static struct site open_site(const char *reserve)
{
    struct site s = {.d = daemon_new()};
    s.disk = disk_attach(s.d);
    daemon_set(s.d, reserve);
    daemon_set(s.d, "MAX_WORKERS=1");
    daemon_set_handlers(s.d, handlers);
    daemon_start(s.d);
    return s;
}

static void close_site(struct site *s)
{
    daemon_free(&s->d);
    disk_detach(&s->disk);
}

static int status_of(struct http_reply r)
{
    int status = r.status;
    http_reply_release(&r);
    return status;
}

static int ready_status(const struct site *s)
{
    return status_of(api_get(daemon_url(s->d), "/readyz"));
}

static bool is_ready(void *site)
{
    return ready_status(site) == 200;
}

static bool is_not_ready(void *site)
{
    return ready_status(site) == 503;
}

/* The problem must be this one, with nothing accepted. */
static void expect_problem(struct http_reply r, int status, const char *code)
{
    ck_assert_msg(r.status == status && strcmp(api_str(r.json, "code"), code) == 0,
                  "%d %s where %d %s was expected", r.status, r.body, status, code);
    ck_assert_int_gt((int)api_int(r.json, "retry_after"), 0);
    http_reply_release(&r);
}

static void expect_ends_well(const struct site *s, const char *id)
{
    json_t *f = api_done(daemon_url(s->d), id);
    ck_assert_msg(strcmp(api_str(f, "state"), "succeeded") == 0, "state %s", api_str(f, "state"));
    json_decref(f);
}

static size_t count_futures(const struct site *s)
{
    struct http_reply r = api_get(daemon_url(s->d), "/v1/futures?limit=1000");
    ck_assert_int_eq(r.status, 200);
    size_t n = json_array_size(api_at(r.json, "futures"));
    http_reply_release(&r);
    return n;
}

/* ---- a failed fsync -------------------------------------------------------------------------- */

static void expect_read_only_until_restart(struct site *s, const char *id)
{
    ck_assert(wait_until(is_not_ready, s, WAIT_LONG_MS));
    disk_disarm(s->disk, 0); /* the disk works again, but what is on it is not known */
    expect_problem(api_post(daemon_url(s->d), "/v1/tasks", echo), 503, "read_only");
    ck_assert_int_eq(ready_status(s), 503);
    expect_ends_well(s, id); /* reads go on */
    daemon_kill(s->d);
    daemon_start(s->d);
    ck_assert_int_eq(ready_status(s), 200);
    expect_ends_well(s, id);
    json_decref(api_run(daemon_url(s->d), echo));
}

START_TEST(test_disk_failed_fsync_of_a_commit_is_for_good)
{
    struct site s = open_site("FUTURED_RESERVE=0");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(s.d), echo, id);
    expect_ends_well(&s, id);
    disk_arm(
        s.disk, 0,
        &(struct disk_order){.ops = DISK_OP_SYNC, .times = 1, .action = DISK_FAIL, .error = EIO});
    expect_problem(api_post(daemon_url(s.d), "/v1/tasks", echo), 503, "read_only");
    ck_assert_uint_eq(disk_given(s.disk, 0), 1);
    expect_read_only_until_restart(&s, id);
    close_site(&s);
}
END_TEST

/* A checkpoint that fails is not this commit's failure, but nothing more may be written. */
START_TEST(test_disk_failed_fsync_of_a_checkpoint_is_for_good)
{
    struct site s = open_site("FUTURED_RESERVE=0");
    char id[ID_TEXT_SIZE];
    char *big = text_repeat('x', 900000);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":\"%s\"}", big);
    api_submit(daemon_url(s.d), echo, id);
    expect_ends_well(&s, id);
    disk_arm(s.disk, 0,
             &(struct disk_order){.ops = DISK_OP_SYNC,
                                  .files = DISK_FILE_DB,
                                  .times = 1,
                                  .action = DISK_FAIL,
                                  .error = EIO});
    for (int i = 0; i < 50 && !disk_given(s.disk, 0); i++)
        ck_assert_int_ne(status_of(api_post(daemon_url(s.d), "/v1/tasks", body)), 0);
    ck_assert_uint_eq(disk_given(s.disk, 0), 1);
    expect_read_only_until_restart(&s, id);
    free(body);
    free(big);
    close_site(&s);
}
END_TEST

/* ---- each write ------------------------------------------------------------------------------ */

static const struct {
    int error, status;
    const char *code;
} write_errors[] = {
    {EIO, 503, "store_failed"},
    {ENOSPC, 507, "no_space"},
    {EDQUOT, 507, "no_space"},
};

/* The n-th write after this moment fails once. Returns whether it came to that. */
static bool fail_nth_write(struct site *s, unsigned n, size_t kind, size_t *accepted)
{
    disk_arm(s->disk, 0,
             &(struct disk_order){.ops = DISK_OP_WRITE,
                                  .after = n,
                                  .times = 1,
                                  .action = DISK_FAIL,
                                  .error = write_errors[kind].error});
    struct http_reply r = api_post(daemon_url(s->d), "/v1/tasks", echo);
    if (r.status == 202) {
        *accepted += 1;
        expect_ends_well(s, api_str(r.json, "id")); /* its result comes once writes work again */
        http_reply_release(&r);
    } else {
        expect_problem(r, write_errors[kind].status, write_errors[kind].code);
    }
    bool given = disk_given(s->disk, 0) > 0;
    disk_disarm(s->disk, 0);
    ck_assert(wait_until(is_ready, s, WAIT_LONG_MS)); /* by itself, nobody submits */
    return given;
}

START_TEST(test_disk_each_write_fails_once)
{
    struct site s = open_site("FUTURED_RESERVE=64K");
    unsigned n = 0;
    size_t accepted = 0;
    while (fail_nth_write(&s, n, (size_t)_i, &accepted))
        n++;
    ck_assert_uint_ge(n, 2); /* one for the commit that accepts it, one for that of its result */
    ck_assert_uint_eq(count_futures(&s), accepted);
    ck_assert_uint_gt(accepted, 0);
    close_site(&s);
}
END_TEST

START_TEST(test_disk_read_only_file_system_is_for_good)
{
    struct site s = open_site("FUTURED_RESERVE=64K");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(s.d), echo, id);
    expect_ends_well(&s, id);
    disk_arm(s.disk, 0,
             &(struct disk_order){
                 .ops = DISK_OP_WRITE, .times = MANY, .action = DISK_FAIL, .error = EROFS});
    expect_problem(api_post(daemon_url(s.d), "/v1/tasks", echo), 503, "read_only");
    expect_read_only_until_restart(&s, id);
    close_site(&s);
}
END_TEST

/* ---- full ------------------------------------------------------------------------------------ */

static void let_go(struct site *s)
{
    dir_write(daemon_dir(s->d), "go", "", 0);
}

/* Submits, behind the one that runs, until there is no more capacity; how many were accepted. */
static size_t fill_up(struct site *s)
{
    char *big = text_repeat('x', 20000);
    char *body = text_printf("{\"handler\":\"hold\",\"input\":\"%s\"}", big);
    size_t accepted = 0;
    struct http_reply r = api_post(daemon_url(s->d), "/v1/tasks", body);
    while (r.status == 202 && accepted < 1000) {
        accepted++;
        http_reply_release(&r);
        r = api_post(daemon_url(s->d), "/v1/tasks", body);
    }
    expect_problem(r, 507, "no_space");
    free(body);
    free(big);
    return accepted;
}

static struct http_reply post_with_key(const struct site *s, const char *key, const char *body)
{
    const char *const headers[] = {key, "Content-Type: application/json", NULL};
    return http_call(daemon_url(s->d), &(struct http_request){.method = "POST",
                                                              .path = "/v1/tasks",
                                                              .body = body,
                                                              .body_len = strlen(body),
                                                              .headers = headers});
}

#define KEY "Idempotency-Key: known"
static const char hold[] = "{\"handler\":\"hold\"}";

static void submit_with_key(const struct site *s, char out_id[ID_TEXT_SIZE])
{
    struct http_reply r = post_with_key(s, KEY, hold);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    (void)snprintf(out_id, ID_TEXT_SIZE, "%s", api_str(r.json, "id"));
    http_reply_release(&r);
}

/* A repeat under a known key writes nothing, so it is answered; one under another is refused. */
static void expect_replay(const struct site *s, const char *id)
{
    char replayed[8];
    struct http_reply r = post_with_key(s, KEY, hold);
    ck_assert_msg(r.status == 202, "%d %s", r.status, r.body);
    ck_assert_str_eq(api_str(r.json, "id"), id);
    ck_assert_ptr_nonnull(http_header(&r, "Idempotency-Replayed", replayed, sizeof(replayed)));
    http_reply_release(&r);
    expect_problem(post_with_key(s, "Idempotency-Key: other", hold), 507, "no_space");
}

/* Counted a few times a second. */
static bool shows_its_size(void *site)
{
    const struct site *s = site;
    struct http_reply r = api_get(daemon_url(s->d), "/v1/stats");
    json_int_t n = api_int(r.json, "store.file_bytes") + api_int(r.json, "store.log_bytes");
    http_reply_release(&r);
    return n > 300000 && n < MANY; /* of 700,000 with the reserve */
}

START_TEST(test_disk_full_keeps_a_reserve_for_results_and_heals)
{
    struct site s = open_site("FUTURED_RESERVE=256K");
    char id[ID_TEXT_SIZE];
    submit_with_key(&s, id);
    free(daemon_wait_file(s.d, "began"));
    atomic_store(&s.disk->capacity, 700000);
    size_t accepted = fill_up(&s);
    ck_assert_int_eq(ready_status(&s), 503);
    expect_problem(api_post(daemon_url(s.d), "/v1/tasks", echo), 507, "no_space");
    expect_replay(&s, id);
    let_go(&s);
    expect_ends_well(&s, id); /* 40,000 bytes that found space where 20,000 did not */
    ck_assert_int_eq(ready_status(&s), 503);
    atomic_store(&s.disk->capacity, 0);
    ck_assert(wait_until(is_ready, &s, WAIT_LONG_MS)); /* by itself */
    json_decref(api_run(daemon_url(s.d), echo));
    ck_assert(wait_until(shows_its_size, &s, WAIT_LONG_MS));
    ck_assert_uint_eq(count_futures(&s), accepted + 2);
    close_site(&s);
}
END_TEST

/* It has ended, and its result keeps the only slot: those behind it say so. */
START_TEST(test_disk_full_is_why_others_wait)
{
    struct site s = open_site("FUTURED_RESERVE=0");
    char holding[ID_TEXT_SIZE], waits[ID_TEXT_SIZE];
    api_submit(daemon_url(s.d), "{\"handler\":\"hold\"}", holding);
    free(daemon_wait_file(s.d, "began"));
    api_submit(daemon_url(s.d), "{\"handler\":\"hold\"}", waits);
    atomic_store(&s.disk->capacity, 700000);
    (void)fill_up(&s);
    let_go(&s);
    json_t *f = api_wait_text(daemon_url(s.d), waits, "waiting_for.code", "results_unsaved");
    ck_assert_int_eq(api_int(f, "waiting_for.unsaved"), 1);
    ck_assert_str_eq(api_str(f, "waiting_for.unsaved_error"), "no_space");
    ck_assert_int_eq(api_pool_int(daemon_url(s.d), "cpu", "unsaved"), 1);
    ck_assert_int_eq(api_pool_int(daemon_url(s.d), "io", "unsaved"), 0);
    json_decref(f);
    atomic_store(&s.disk->capacity, 0);
    expect_ends_well(&s, holding);
    expect_ends_well(&s, waits);
    ck_assert_int_eq(api_pool_int(daemon_url(s.d), "cpu", "unsaved"), 0);
    close_site(&s);
}
END_TEST

/* A slot is free, but no attempt can be counted. */
START_TEST(test_disk_without_space_is_why_nothing_starts)
{
    struct site s = open_site("FUTURED_RESERVE=0");
    char id[ID_TEXT_SIZE];
    api_patch_pool(daemon_url(s.d), "cpu", "{\"paused\":true}");
    free(
        daemon_wait_log(s.d, "pool_paused")); /* else it may be claimed, and cannot be given back */
    api_submit(daemon_url(s.d), "{\"handler\":\"hold\"}", id);
    let_go(&s);
    disk_arm(s.disk, 0,
             &(struct disk_order){
                 .ops = DISK_OP_WRITE, .times = MANY, .action = DISK_FAIL, .error = ENOSPC});
    api_patch_pool(daemon_url(s.d), "cpu", "{\"paused\":false}");
    json_t *f = api_wait_text(daemon_url(s.d), id, "waiting_for.code", "store_refuses");
    ck_assert_str_eq(api_str(f, "waiting_for.store_error"), "no_space");
    ck_assert_int_eq(api_int(f, "waiting_for.busy"), 0);
    json_decref(f);
    disk_disarm(s.disk, 0);
    expect_ends_well(&s, id);
    close_site(&s);
}
END_TEST

/* Killed while the disk was full: it starts, reads, gives running tasks back, and heals later. */
START_TEST(test_disk_full_at_start)
{
    struct site s = open_site("FUTURED_RESERVE=256K");
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(s.d), "{\"handler\":\"hold\"}", id);
    free(daemon_wait_file(s.d, "began"));
    atomic_store(&s.disk->capacity, 700000);
    size_t accepted = fill_up(&s);
    daemon_kill(s.d);
    atomic_store(&s.disk->capacity, 500000); /* less than the files take */
    daemon_start(s.d);
    ck_assert_int_eq(ready_status(&s), 503);
    expect_problem(api_post(daemon_url(s.d), "/v1/tasks", echo), 507, "no_space");
    ck_assert_uint_eq(count_futures(&s), accepted + 1);
    let_go(&s);
    atomic_store(&s.disk->capacity, 0);
    ck_assert(wait_until(is_ready, &s, WAIT_LONG_MS));
    expect_ends_well(&s, id);
    close_site(&s);
}
END_TEST

/* The real thing instead of a pretended errno: the kernel's limit for one file. */
START_TEST(test_disk_file_size_limit_is_no_space)
{
    struct site s = open_site("FUTURED_RESERVE=0");
    struct rlimit limit;
    char id[ID_TEXT_SIZE];
    api_submit(daemon_url(s.d), "{\"handler\":\"hold\"}", id);
    free(daemon_wait_file(s.d, "began"));
    ck_assert_int_eq(prlimit(daemon_pid(s.d), RLIMIT_FSIZE, NULL, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 300000;
    ck_assert_int_eq(prlimit(daemon_pid(s.d), RLIMIT_FSIZE, &limit, NULL), 0);
    size_t accepted = fill_up(&s);
    limit.rlim_cur = before;
    ck_assert_int_eq(prlimit(daemon_pid(s.d), RLIMIT_FSIZE, &limit, NULL), 0);
    ck_assert(wait_until(is_ready, &s, WAIT_LONG_MS));
    json_decref(api_run(daemon_url(s.d), echo));
    ck_assert_uint_eq(count_futures(&s), accepted + 2);
    close_site(&s);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_disk_failed_fsync_of_a_commit_is_for_good,
        test_disk_failed_fsync_of_a_checkpoint_is_for_good,
        test_disk_read_only_file_system_is_for_good,
        test_disk_full_keeps_a_reserve_for_results_and_heals,
        test_disk_full_is_why_others_wait,
        test_disk_without_space_is_why_nothing_starts,
        test_disk_full_at_start,
        test_disk_file_size_limit_is_no_space,
    };
    TCase *tcase = suite_case("disk", SUITE_TIMEOUT_S, NULL, NULL);
    for (size_t i = 0; i < FUT_COUNT(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, test_disk_each_write_fails_once, 0, (int)FUT_COUNT(write_errors));
    return suite_run_cases("disk", tcase, NULL);
}
