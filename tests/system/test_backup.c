/* futured backup while clients submit, futured check, and the way back: copy the file, start. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/sync.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/fail.h"
#include "tests/support/ledger.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

/* Runs futured with words on the daemon's database; the exit status. */
static int run_futured(struct daemon *d, const char *word, const char *arg, char **out, char **err)
{
    char *path = daemon_built("futured");
    char *db = text_printf("FUTURED_DB=%s/futured.db", daemon_dir(d));
    const char *asan = getenv("ASAN_OPTIONS");
    char *options = text_printf("ASAN_OPTIONS=%s", asan ? asan : "");
    const char *argv[] = {path, word, arg, NULL}, *env[] = {db, options, NULL};
    int status = program_run(argv, env, WAIT_LONG_MS, out, err);
    free(options);
    free(db);
    free(path);
    return status;
}

struct submitter {
    struct daemon *d;
    struct ledger *ledger;
    atomic_bool stop;
};

static void *submit_on(void *arg)
{
    struct submitter *s = arg;
    for (uint64_t i = 0; !atomic_load(&s->stop); i++) {
        char id[ID_TEXT_SIZE];
        char *body = ledger_body(LEDGER_ECHO, i);
        api_submit(daemon_url(s->d), body, id);
        (void)ledger_add(s->ledger, LEDGER_ECHO, i, id);
        free(body);
    }
    return NULL;
}

struct goal {
    struct ledger *ledger;
    size_t n;
};

static bool has_enough(void *goal)
{
    const struct goal *g = goal;
    return ledger_count(g->ledger) >= g->n;
}

static void wait_count(struct ledger *l, size_t n)
{
    ck_assert(wait_until(has_enough, &(struct goal){l, n}, WAIT_LONG_MS));
}

static void put_back(struct daemon *d, const char *backup)
{
    char *db = daemon_path(d, "futured.db"), *wal = daemon_path(d, "futured.db-wal");
    (void)unlink(wal);
    ck_assert_int_eq(rename(backup, db), 0);
    free(wal);
    free(db);
}

/* So many bytes that the copy takes several steps. */
static void make_large(struct daemon *d)
{
    char *input = text_repeat('x', 900000);
    char *body = text_printf("{\"handler\":\"echo\",\"input\":\"%s\"}", input);
    for (int i = 0; i < 6; i++) {
        char id[ID_TEXT_SIZE];
        api_submit(daemon_url(d), body, id);
    }
    free(body);
    free(input);
}

START_TEST(test_backup_under_load_and_back)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    struct submitter s = {.d = d, .ledger = ledger_new()};
    char *backup = daemon_path(d, "copy.db"), *out = NULL;
    pthread_t thread;
    make_large(d);
    thread_start(&thread, "submitter", submit_on, &s);
    wait_count(s.ledger, 50);
    size_t before = ledger_count(s.ledger);
    ck_assert_int_eq(run_futured(d, "backup", backup, NULL, NULL), 0);
    wait_count(s.ledger, ledger_count(s.ledger) + 50); /* the daemon goes on */
    atomic_store(&s.stop, true);
    thread_join(thread);
    ck_assert_int_eq(run_futured(d, "check", NULL, &out, NULL), 0);
    ck_assert_ptr_nonnull(strstr(out, "is whole"));
    daemon_stop(d);
    put_back(d, backup);
    daemon_start(d);
    for (size_t i = 0; i < before; i++) {
        char id[ID_TEXT_SIZE];
        (void)ledger_entry(s.ledger, i, id);
        json_t *f = api_done(daemon_url(d), id);
        ledger_check(s.ledger, i, f, ledger_is_decided(s.ledger, i));
        json_decref(f);
    }
    ck_assert_uint_eq(ledger_totals(s.ledger).shown, before);
    ck_assert_uint_eq(ledger_totals(s.ledger).breaches, 0);
    free(out);
    free(backup);
    ledger_free(&s.ledger);
    daemon_free(&d);
}
END_TEST

START_TEST(test_backup_damaged_database_is_refused_with_what_to_do)
{
    struct daemon *d = daemon_start_with(NULL, 0);
    char *db = daemon_path(d, "futured.db"), *said = NULL, *out = NULL;
    json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":1}"));
    daemon_stop(d);
    ck_assert_int_eq(truncate(db, 2 * 4096), 0);
    ck_assert_int_eq(daemon_start_refused(d, &said), EX_DATAERR);
    ck_assert_msg(strstr(said, "is damaged") && strstr(said, "futured check"), "%s", said);
    ck_assert_int_eq(run_futured(d, "check", NULL, &out, NULL), EX_DATAERR);
    ck_assert_uint_gt(strlen(out), 0);
    free(said);
    free(out);
    free(db);
    daemon_free(&d);
}
END_TEST

START_TEST(test_backup_refuses_what_it_does_not_know)
{
    struct daemon *d = daemon_new();
    char *said = NULL;
    ck_assert_int_eq(run_futured(d, "restore", NULL, NULL, NULL), EX_USAGE);
    ck_assert_int_eq(run_futured(d, "backup", NULL, NULL, &said), EX_USAGE);
    ck_assert_str_eq(said, "usage: futured backup FILE\n");
    free(said);
    said = NULL;
    ck_assert_int_eq(run_futured(d, "backup", "/nonexistent/copy.db", NULL, &said), EXIT_FAILURE);
    ck_assert_ptr_nonnull(strstr(said, "futured.db")); /* there is none to copy */
    free(said);
    daemon_free(&d);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_backup_under_load_and_back,
        test_backup_damaged_database_is_refused_with_what_to_do,
        test_backup_refuses_what_it_does_not_know,
    };
    return suite_run("backup", tests, FUT_COUNT(tests));
}
