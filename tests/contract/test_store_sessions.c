/* The contract of session.h, on every backend. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/session.h"
#include "tests/contract/fixture.h"
#include "tests/contract/members.h"

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

static int close_session(struct task_id id)
{
    struct store_session_close o = {.id = id, .now_wall_ms = clock_wall_ms()};
    return fixture_do(&k, &store_verb_session_close, &o.op);
}

static int get_session(struct task_id id, struct store_session *out)
{
    struct store_session_get o = {.id = id};
    int rc = fixture_do(&k, &store_verb_session_get, &o.op);
    *out = o.session;
    return rc;
}

static struct store_session_ends ends_after(struct task_id id, uint64_t after, size_t limit,
                                            struct task *page)
{
    struct store_session_ends o = {
        .id = id, .after = after, .page = {.limit = limit, .tasks = page}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_ends, &o.op), 0);
    return o;
}

static void release_all(struct task *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        task_release(&tasks[i]);
}

static void succeed(size_t n)
{
    struct task claimed[MEMBERS_MAX];
    size_t got = 0;
    while (got < n)
        got += fixture_claim(&k, LANE_IO, n - got, claimed + got);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(fixture_succeed(&k, &claimed[i], "done"), 0);
    release_all(claimed, n);
}

START_TEST(test_store_sessions_are_added_to)
{
    begin(_i);
    struct task_id ids[5], session = members_session(&k, 0);
    struct store_session s;
    ck_assert_int_eq(members_join(&k, session, "echo", 3, ids), 0);
    ck_assert_int_eq(members_join(&k, session, "echo", 2, ids + 3), 0);
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_uint_eq(s.total, 5);
    ck_assert_uint_eq(s.unfinished, 5);
    ck_assert_str_eq(s.handler, "echo");
    struct task page[5];
    struct store_members o = {.id = session, .page = {.limit = 5, .tasks = page}};
    ck_assert_int_eq(fixture_members(&k, &o), 0);
    ck_assert_uint_eq(o.page.n, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert(id_equal(page[i].spec->id, ids[i]));
        ck_assert_uint_eq(page[i].spec->batch_pos, i);
        ck_assert(page[i].spec->in_session);
    }
    release_all(page, 5);
    end();
}
END_TEST

START_TEST(test_store_sessions_refuse_what_is_not_theirs)
{
    begin(_i);
    struct task_id id, session = members_session(&k, 0), wrong = {session.hi, session.lo ^ 1};
    struct store_session s;
    ck_assert_int_eq(members_join(&k, wrong, "echo", 1, &id), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(members_join(&k, session, "sleep", 1, &id), FUT_ERR_INVAL);
    ck_assert_int_eq(close_session(wrong), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(close_session(session), 0);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, &id), FUT_ERR_STATE);
    ck_assert_int_eq(get_session(wrong, &s), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_uint_eq(s.total, 0);
    ck_assert_int_gt(s.closed_wall_ms, 0);
    end();
}
END_TEST

START_TEST(test_store_sessions_tell_ends_in_order)
{
    begin(_i);
    struct task_id ids[4], session = members_session(&k, 0);
    struct task page[MEMBERS_MAX], claimed[4];
    ck_assert_int_eq(members_join(&k, session, "echo", 4, ids), 0);
    for (size_t n = 0; n < 4;)
        n += fixture_claim(&k, LANE_IO, 4 - n, claimed + n);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[2], "third"), 0);
    ck_assert_int_eq(fixture_apply(&k, &claimed[0], EVENT_FAIL, NULL), 0);
    struct store_session_ends o = ends_after(session, 0, 1, page);
    ck_assert_uint_eq(o.page.n, 1);
    ck_assert(id_equal(page[0].spec->id, claimed[2].spec->id) && !o.is_finished);
    ck_assert_mem_eq(page[0].outcome->body, "third", 5);
    uint64_t seq = page[0].seq;
    release_all(page, 1);
    o = ends_after(session, seq, MEMBERS_MAX, page);
    ck_assert_uint_eq(o.page.n, 1);
    ck_assert(id_equal(page[0].spec->id, claimed[0].spec->id) && page[0].seq > seq);
    seq = page[0].seq;
    release_all(page, 1);
    /* Another life ends again, and its first end is told no more. */
    ck_assert_int_eq(fixture_revive(&k, &claimed[0]), 0);
    ck_assert_uint_eq(ends_after(session, 0, MEMBERS_MAX, page).page.n, 1);
    release_all(page, 1);
    succeed(1);
    o = ends_after(session, seq, MEMBERS_MAX, page);
    ck_assert_uint_eq(o.page.n, 1);
    ck_assert(id_equal(page[0].spec->id, claimed[0].spec->id));
    release_all(page, 1);
    release_all(claimed, 4);
    end();
}
END_TEST

START_TEST(test_store_sessions_over_when_closed_and_done)
{
    begin(_i);
    struct task_id id, session = members_session(&k, 0);
    struct task page[MEMBERS_MAX];
    ck_assert(!ends_after(session, 0, MEMBERS_MAX, page).is_finished);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, &id), 0);
    ck_assert_int_eq(close_session(session), 0);
    ck_assert(!ends_after(session, 0, MEMBERS_MAX, page).is_finished);
    succeed(1);
    struct store_session_ends o = ends_after(session, 0, MEMBERS_MAX, page);
    ck_assert(o.is_finished && o.page.n == 1);
    release_all(page, 1);
    o = ends_after(session, 0, 1, page); /* a full page may not be the last */
    ck_assert(!o.is_finished && o.page.n == 1);
    release_all(page, 1);
    end();
}
END_TEST

START_TEST(test_store_sessions_limit_what_runs)
{
    begin(_i);
    char name[STORE_SESSION_LIMIT_SIZE];
    struct task_id ids[3], session = members_session(&k, 2);
    struct task claimed[3];
    store_session_limit(session, name);
    ck_assert_uint_eq(store_limit_max_running(k.store, name), 2);
    ck_assert_int_eq(members_join(&k, session, "echo", 3, ids), 0);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 3, claimed), 2);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, claimed + 2), 0);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[0], "r"), 0);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, claimed + 2), 1);
    ck_assert_int_eq(close_session(session), 0);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[1], "r"), 0);
    ck_assert_uint_eq(store_limit_max_running(k.store, name), 2);
    ck_assert_int_eq(fixture_succeed(&k, &claimed[2], "r"), 0);
    ck_assert_uint_eq(store_limit_max_running(k.store, name), 0); /* it went with the last one */
    release_all(claimed, 3);
    end();
}
END_TEST

START_TEST(test_store_sessions_last_over_a_restart)
{
    begin(_i);
    struct task_id ids[2], session = members_session(&k, 0);
    struct store_session s;
    struct task page[MEMBERS_MAX];
    if (strcmp(fixture_backends[_i], "memory") == 0) {
        end();
        return;
    }
    ck_assert_int_eq(members_join(&k, session, "echo", 2, ids), 0);
    succeed(1);
    fixture_stop(&k);
    fixture_reopen(&k);
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_uint_eq(s.total, 2);
    ck_assert_uint_eq(s.unfinished, 1);
    succeed(1);
    struct store_session_ends o = ends_after(session, 0, MEMBERS_MAX, page);
    ck_assert_uint_eq(o.page.n, 2);
    release_all(page, 2);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, ids), 0);
    end();
}
END_TEST

START_TEST(test_store_sessions_go_after_the_retention)
{
    begin(_i);
    char name[STORE_SESSION_LIMIT_SIZE];
    struct store_session s;
    struct task_id id, used, unused;
    fixture_stop(&k);
    k.cfg.retention_ms = 1;
    fixture_reopen(&k);
    unused = members_session(&k, 3);
    used = members_session(&k, 0);
    ck_assert_int_eq(members_join(&k, used, "echo", 1, &id), 0);
    fixture_wait_looks(&k);
    store_session_limit(unused, name);
    ck_assert_int_eq(get_session(unused, &s), FUT_ERR_NOT_FOUND);
    ck_assert_uint_eq(store_limit_max_running(k.store, name), 0);
    ck_assert_int_eq(get_session(used, &s), 0);
    succeed(1);
    fixture_wait_looks(&k);
    ck_assert_int_eq(get_session(used, &s), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

static struct task_id open_with_init(const char *text, uint32_t max_tasks)
{
    struct task_init *init = task_init_new(&(struct task_init){.type = "text/x",
                                                               .max_tasks = max_tasks,
                                                               .body = (const unsigned char *)text,
                                                               .len = strlen(text)});
    struct store_session_open o = {
        .session = {.id = id_new(), .handler = "echo", .created_wall_ms = clock_wall_ms()},
        .init = init};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_open, &o.op), 0);
    task_init_unref(init);
    return o.session.id;
}

static int break_session(struct task_id id, const char *why)
{
    struct store_session_break o = {.id = id};
    (void)snprintf(o.why, sizeof(o.why), "%s", why);
    return fixture_do(&k, &store_verb_session_break, &o.op);
}

/* The next task is claimed with this init, of that session; broken NULL: it is not. */
static void claim_has(struct task_id session, const char *text, const char *broken)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &t), 1);
    ck_assert_ptr_nonnull(t.init);
    ck_assert(id_equal(t.init->session, session));
    ck_assert_uint_eq(t.init->max_tasks, 3);
    ck_assert_str_eq(t.init->type, "text/x");
    ck_assert_uint_eq(t.init->len, strlen(text));
    ck_assert_mem_eq(t.init->body, text, t.init->len);
    ck_assert_pstr_eq(t.init->broken, broken);
    task_release(&t);
}

START_TEST(test_store_sessions_claim_with_their_init)
{
    begin(_i);
    struct task_id ids[3], other[1], session = open_with_init("a\nb", 3),
                                     plain = members_session(&k, 0);
    struct store_session s;
    struct task t;
    ck_assert_int_eq(members_join(&k, plain, "echo", 1, other), 0);
    ck_assert_uint_eq(fixture_claim_now(&k, LANE_IO, 1, &t), 1);
    ck_assert_ptr_null(t.init);
    ck_assert_int_eq(fixture_succeed(&k, &t, "done"), 0);
    task_release(&t);
    ck_assert_int_eq(members_join(&k, session, "echo", 3, ids), 0);
    claim_has(session, "a\nb", NULL);
    if (strcmp(fixture_backends[_i], "memory") != 0) {
        fixture_stop(&k);
        fixture_reopen(&k);
    }
    claim_has(session, "a\nb", NULL);
    ck_assert_int_eq(break_session(session, "no good"), 0);
    ck_assert_int_eq(break_session(session, "worse"), 0);
    claim_has(session, "a\nb", "no good");
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_str_eq(s.broken, "no good");
    ck_assert(s.has_init);
    ck_assert_uint_eq(s.max_tasks, 3);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, other), FUT_ERR_CONFLICT);
    ck_assert_int_eq(break_session(id_new(), "x"), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_sessions_have_an_empty_init)
{
    begin(_i);
    struct task_id id, session = open_with_init("", 3);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, &id), 0);
    claim_has(session, "", NULL);
    end();
}
END_TEST

START_TEST(test_store_sessions_are_listed)
{
    begin(_i);
    struct task_id ids[3], member;
    struct store_session page[MEMBERS_MAX];
    for (int i = 0; i < 3; i++)
        ids[i] = members_session(&k, 0);
    ck_assert_int_eq(members_join(&k, ids[0], "echo", 1, &member), 0);
    ck_assert_int_eq(close_session(ids[0]), 0);
    struct store_session_list o = {.limit = 2, .sessions = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_list, &o.op), 0);
    ck_assert_uint_eq(o.n, 2);
    ck_assert(id_equal(page[0].id, ids[2]) && id_equal(page[1].id, ids[1]));
    ck_assert_uint_eq(o.next, ids[1].hi);
    o = (struct store_session_list){.before = o.next, .limit = 2, .sessions = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_list, &o.op), 0);
    ck_assert_uint_eq(o.n, 1);
    ck_assert_uint_eq(o.next, 0);
    ck_assert(id_equal(page[0].id, ids[0]));
    ck_assert_str_eq(page[0].handler, "echo");
    ck_assert_uint_eq(page[0].total, 1);
    ck_assert_uint_eq(page[0].unfinished, 1);
    ck_assert_int_gt(page[0].closed_wall_ms, 0);
    ck_assert_uint_lt(store_session_newest_seq(k.store), 1000000);
    struct store_batch_row rows[MEMBERS_MAX];
    struct store_batch_list batches = {.limit = MEMBERS_MAX, .rows = rows};
    ck_assert_int_eq(fixture_do(&k, &store_verb_batch_list, &batches.op), 0);
    ck_assert_uint_eq(batches.n, 0); /* they are no batches of that list */
    end();
}
END_TEST

/* ---- clients that go --------------------------------------------------------------------------
 */

static struct task_id open_leased(enum store_on_disconnect what, int64_t grace_ms)
{
    struct store_session_open o = {.session = {.id = id_new(),
                                               .handler = "echo",
                                               .created_wall_ms = clock_wall_ms(),
                                               .on_disconnect = what,
                                               .grace_ms = grace_ms}};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_open, &o.op), 0);
    return o.session.id;
}

static void renew(struct task_id id)
{
    struct store_session_renew o = {.id = id};
    ck_assert_int_eq(fixture_do(&k, &store_verb_session_renew, &o.op), 0);
}

/* Waits (10 s at most) until its client is found to have gone. */
static struct store_session wait_gone(struct task_id id)
{
    struct store_session s;
    int64_t until = clock_mono_ms() + 10000;
    do {
        ck_assert_int_eq(get_session(id, &s), 0);
    } while (!s.disconnected_wall_ms && clock_mono_ms() < until);
    ck_assert_int_gt(s.disconnected_wall_ms, 0);
    ck_assert_int_eq(s.lease_up_ms, STORE_NO_LEASE);
    return s;
}

static void expect_state(struct task_id id, enum task_state state)
{
    struct task t = fixture_wait_state(&k, id, state);
    task_release(&t);
}

START_TEST(test_store_sessions_without_their_client_are_cancelled)
{
    begin(_i);
    struct task_id ids[3], session = open_leased(STORE_CANCEL, 1500);
    struct store_session s;
    struct task running, page[MEMBERS_MAX];
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert(s.on_disconnect == STORE_CANCEL && s.grace_ms == 1500 && !s.disconnected_wall_ms);
    ck_assert(s.lease_up_ms >= 2000 && s.lease_up_ms < STORE_NO_LEASE);
    ck_assert_int_eq(members_join(&k, session, "echo", 3, ids), 0);
    running = fixture_claim_one(&k);
    s = wait_gone(session);
    ck_assert_int_gt(s.closed_wall_ms, 0);
    for (size_t i = 0; i < 3; i++)
        expect_state(ids[i], TASK_CANCELLED);
    ck_assert_int_eq(fixture_succeed(&k, &running, "late"), FUT_ERR_STALE);
    ck_assert_int_eq(members_join(&k, session, "echo", 1, ids), FUT_ERR_STATE);
    struct store_session_ends o = ends_after(session, 0, MEMBERS_MAX, page);
    ck_assert(o.is_finished && o.page.n == 3);
    release_all(page, 3);
    task_release(&running);
    end();
}
END_TEST

START_TEST(test_store_sessions_without_their_client_end_what_runs)
{
    begin(_i);
    struct task_id ids[3], session = open_leased(STORE_CANCEL_QUEUED, 1500);
    struct store_session s;
    ck_assert_int_eq(members_join(&k, session, "echo", 3, ids), 0);
    struct task running = fixture_claim_one(&k);
    ck_assert_int_gt(wait_gone(session).closed_wall_ms, 0);
    for (size_t i = 0; i < 3; i++) {
        if (!id_equal(ids[i], running.spec->id))
            expect_state(ids[i], TASK_CANCELLED);
    }
    ck_assert_int_eq(fixture_succeed(&k, &running, "in time"), 0);
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_uint_eq(s.unfinished, 0);
    task_release(&running);
    end();
}
END_TEST

START_TEST(test_store_sessions_with_their_client_go_on)
{
    begin(_i);
    struct task_id id, kept = open_leased(STORE_CANCEL, 3000), gone = open_leased(STORE_CANCEL, 60);
    struct task_id plain = members_session(&k, 0);
    struct store_session before, s;
    int64_t began = clock_mono_ms();
    ck_assert_int_eq(members_join(&k, kept, "echo", 1, &id), 0);
    ck_assert_int_eq(get_session(kept, &before), 0);
    do { /* past what it was opened with */
        renew(kept);
        renew(plain);
        ck_assert_int_eq(get_session(kept, &s), 0);
    } while (clock_mono_ms() < began + 4100);
    ck_assert_int_ge(s.lease_up_ms, before.lease_up_ms + 4000);
    ck_assert(!s.closed_wall_ms && !s.disconnected_wall_ms);
    expect_state(id, TASK_QUEUED);
    (void)wait_gone(gone);
    renew(gone); /* too late */
    ck_assert_int_gt(wait_gone(gone).closed_wall_ms, 0);
    ck_assert_int_eq(get_session(plain, &s), 0);
    ck_assert(s.lease_up_ms == STORE_NO_LEASE && !s.closed_wall_ms && !s.grace_ms);
    end();
}
END_TEST

START_TEST(test_store_sessions_that_are_closed_have_clients_too)
{
    begin(_i);
    struct task_id id, session = open_leased(STORE_CANCEL, 2500),
                       finished = open_leased(STORE_CANCEL, 2000);
    struct store_session s;
    ck_assert_int_eq(members_join(&k, session, "echo", 1, &id), 0);
    ck_assert_int_eq(close_session(session), 0);
    ck_assert_int_eq(close_session(finished), 0);
    ck_assert_int_eq(get_session(session, &s), 0);
    int64_t closed = s.closed_wall_ms;
    ck_assert_int_eq(wait_gone(session).closed_wall_ms, closed);
    expect_state(id, TASK_CANCELLED);
    ck_assert_int_eq(get_session(finished, &s), 0); /* nothing was left to be ended */
    ck_assert(s.lease_up_ms == STORE_NO_LEASE && !s.disconnected_wall_ms);
    end();
}
END_TEST

#define MANY 21 /* more than are ended in one step */

START_TEST(test_store_sessions_without_their_clients_all_end)
{
    begin(_i);
    struct task_id ids[MANY], sessions[MANY];
    for (size_t i = 0; i < MANY; i++) {
        sessions[i] = open_leased(STORE_CANCEL_QUEUED, 1500 - (int64_t)i);
        ck_assert_int_eq(members_join(&k, sessions[i], "echo", 1, &ids[i]), 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        (void)wait_gone(sessions[i]);
        expect_state(ids[i], TASK_CANCELLED);
    }
    end();
}
END_TEST

START_TEST(test_store_sessions_wait_anew_after_a_restart)
{
    begin(_i);
    struct task_id id, session = open_leased(STORE_CANCEL, 600);
    struct store_session before, s;
    int64_t began = clock_mono_ms();
    if (strcmp(fixture_backends[_i], "memory") == 0) {
        end();
        return;
    }
    ck_assert_int_eq(members_join(&k, session, "echo", 1, &id), 0);
    ck_assert_int_eq(get_session(session, &before), 0);
    while (clock_mono_ms() < began + 100)
        renew(id_new()); /* of nobody */
    fixture_stop(&k);
    fixture_reopen(&k);
    ck_assert_int_eq(close_session(id_new()), FUT_ERR_NOT_FOUND); /* behind its first look */
    ck_assert_int_eq(get_session(session, &s), 0);
    ck_assert_int_ge(s.lease_up_ms, before.lease_up_ms + 100);
    ck_assert_int_gt(wait_gone(session).closed_wall_ms, 0);
    expect_state(id, TASK_CANCELLED);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_sessions_are_added_to,
        test_store_sessions_refuse_what_is_not_theirs,
        test_store_sessions_tell_ends_in_order,
        test_store_sessions_over_when_closed_and_done,
        test_store_sessions_limit_what_runs,
        test_store_sessions_last_over_a_restart,
        test_store_sessions_go_after_the_retention,
        test_store_sessions_are_listed,
        test_store_sessions_claim_with_their_init,
        test_store_sessions_have_an_empty_init,
        test_store_sessions_without_their_client_are_cancelled,
        test_store_sessions_without_their_client_end_what_runs,
        test_store_sessions_with_their_client_go_on,
        test_store_sessions_that_are_closed_have_clients_too,
        test_store_sessions_without_their_clients_all_end,
        test_store_sessions_wait_anew_after_a_restart,
    };
    return fixture_run_on_all("store sessions", tests, FUT_COUNT(tests));
}
