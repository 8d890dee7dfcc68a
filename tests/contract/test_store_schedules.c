/* The contract of schedule.h, on every backend: definitions, firings, overlaps, what is recorded.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "storage/schedule.h"
#include "tests/contract/fixture.h"

#define NEVER STORE_SCHEDULE_NEVER

static struct fixture k;

static void begin(int i)
{
    fixture_open(&k, fixture_backends[i]);
}

static void end(void)
{
    fixture_close(&k);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static struct store_schedule row(const char *name, const char *text, int64_t next_ms)
{
    struct store_schedule s = {.next_ms = next_ms, .due_ms = next_ms, .since_ms = 1};
    (void)snprintf(s.name, sizeof(s.name), "%s", name);
    s.text = xstrdup(text);
    return s;
}

static int put(const char *name, const char *text, int64_t next_ms)
{
    struct store_schedule s = row(name, text, next_ms);
    struct store_schedules_put o = {.items = &s, .n = 1};
    int rc = fixture_do(&k, &store_verb_schedules_put, &o.op);
    store_schedule_release(&s);
    return rc;
}

static struct store_schedule_get get(const char *name)
{
    static struct store_schedule_run runs[STORE_SCHEDULE_RUNS];
    struct store_schedule_get o = {.name = name, .runs = runs};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_get, &o.op), 0);
    store_schedule_release(&o.schedule);
    return o;
}

static struct task made_by(const char *schedule)
{
    struct task plain = fixture_task(LANE_IO, "echo", "x");
    struct task_spec spec = *plain.spec;
    spec.schedule = schedule;
    struct task t = {.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    task_release(&plain);
    return t;
}

/* Fires time `at`; the next one is a minute later. */
static int fire(const char *name, int64_t at, enum store_overlap overlap, struct task_id *out_id,
                enum store_run_kind *out_kind)
{
    struct store_schedule s = get(name).schedule;
    struct task t = made_by(name);
    bool is_waiting = s.is_ready && s.waiting_ms == at;
    struct store_schedule_fire o = {.kind = is_waiting ? STORE_FIRE_WAITING : STORE_FIRE_TIME,
                                    .name = name,
                                    .revision = s.revision,
                                    .time_ms = at,
                                    .at_ms = at,
                                    .overlap = overlap,
                                    .tasks = &t,
                                    .n = 1,
                                    .next_ms = at + 60000,
                                    .due_ms = at + 60000};
    int rc = fixture_do(&k, &store_verb_schedule_fire, &o.op);
    *out_id = t.spec->id;
    *out_kind = o.run.kind;
    task_release(&t);
    return rc;
}

static bool is_there(struct task_id id)
{
    struct task t = {0};
    int rc = fixture_get(&k, id, &t);
    bool is_made = rc == 0 && t.spec->schedule && strcmp(t.spec->schedule, "s") == 0;
    task_release(&t);
    return is_made;
}

static void finish_one(void)
{
    struct task t;
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_succeed(&k, &t, "r"), 0);
    task_release(&t);
}

/* ---- definitions ------------------------------------------------------------------------------
 */

START_TEST(test_store_schedule_is_kept)
{
    begin(_i);
    ck_assert_int_eq(put("s", "{a}", 1000), 0);
    struct store_schedule first = get("s").schedule;
    ck_assert(first.next_ms == 1000 && first.due_ms == 1000 && first.waiting_ms == NEVER);
    ck_assert(!first.is_paused && !first.is_from_file);
    ck_assert_int_eq(put("s", "{a}", 2000), 0); /* the same: as it was */
    struct store_schedule again = get("s").schedule;
    ck_assert(again.next_ms == 1000 && again.revision == first.revision);
    ck_assert_int_eq(put("s", "{b}", 2000), 0);
    again = get("s").schedule;
    ck_assert(again.next_ms == 2000 && again.revision != first.revision);
    struct store_schedule_remove o = {.name = "s"};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_remove, &o.op), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_remove, &o.op), FUT_ERR_NOT_FOUND);
    end();
}
END_TEST

START_TEST(test_store_schedules_of_the_file)
{
    begin(_i);
    struct store_schedule items[] = {row("a", "{}", 1), row("b", "{}", 1), row("c", "{}", 1)};
    struct store_schedules_put o = {.items = items, .n = 3, .is_file = true};
    ck_assert_int_eq(put("b", "{}", 1), 0);
    ck_assert_int_eq(put("own", "{}", 1), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedules_put, &o.op), 0);
    ck_assert_uint_eq(o.added, 2);
    ck_assert_uint_eq(o.changed, 1); /* it is the file's by now */
    ck_assert_int_eq(put("b", "{other}", 1), FUT_ERR_STATE);
    struct store_schedule_remove gone = {.name = "b"};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_remove, &gone.op), FUT_ERR_STATE);
    free(items[1].text);
    items[1].text = xstrdup("{new}");
    o.items = items + 1;
    o.n = 2;
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedules_put, &o.op), 0);
    ck_assert(o.added == 0 && o.changed == 1 && o.removed == 1);
    struct store_schedule page[2];
    struct store_schedule_list list = {.after = "", .limit = 2, .items = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_list, &list.op), 0);
    ck_assert(list.n == 2 && list.is_more);
    ck_assert_str_eq(page[0].name, "b");
    ck_assert_str_eq(page[0].text, "{new}");
    store_schedule_release(&page[0]);
    store_schedule_release(&page[1]);
    list.after = "c";
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_list, &list.op), 0);
    ck_assert(list.n == 1 && !list.is_more);
    ck_assert_str_eq(page[0].name, "own");
    store_schedule_release(&page[0]);
    for (int i = 0; i < 3; i++)
        store_schedule_release(&items[i]);
    end();
}
END_TEST

START_TEST(test_store_schedules_have_a_limit)
{
    begin(_i);
    size_t n = STORE_SCHEDULES_MAX;
    struct store_schedule *items = xcalloc(n, sizeof(*items));
    for (size_t i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "s%05zu", i);
        items[i] = row(name, "{}", 1);
    }
    struct store_schedules_put o = {.items = items, .n = n, .is_file = true};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedules_put, &o.op), 0);
    ck_assert_int_eq(put("more", "{}", 1), FUT_ERR_FULL);
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedules_put, &o.op), 0);
    ck_assert(o.added == 0 && o.changed == 0 && o.removed == 0);
    for (size_t i = 0; i < n; i++)
        store_schedule_release(&items[i]);
    free(items);
    end();
}
END_TEST

START_TEST(test_store_schedules_due_in_order)
{
    begin(_i);
    struct store_schedule page[2];
    ck_assert_int_eq(put("late", "{}", 3000), 0);
    ck_assert_int_eq(put("first", "{}", 1000), 0);
    ck_assert_int_eq(put("second", "{}", 2000), 0);
    ck_assert_int_eq(put("over", "{}", NEVER), 0);
    struct store_schedule_due o = {.now_ms = 2500, .limit = 2, .items = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_due, &o.op), 0);
    ck_assert_uint_eq(o.n, 2);
    ck_assert_int_eq(o.next_ms, 3000);
    ck_assert_str_eq(page[0].name, "first");
    ck_assert_str_eq(page[1].name, "second");
    struct store_schedule_pause pause = {
        .name = "first", .revision = page[0].revision, .is_paused = true};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_pause, &pause.op), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_pause, &pause.op), FUT_ERR_STALE);
    store_schedule_release(&page[0]);
    store_schedule_release(&page[1]);
    o.limit = 1;
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_due, &o.op), 0);
    ck_assert_uint_eq(o.n, 1);
    ck_assert_str_eq(page[0].name, "second");
    store_schedule_release(&page[0]);
    end();
}
END_TEST

/* ---- firing -----------------------------------------------------------------------------------
 */

START_TEST(test_store_schedule_fires_a_time_once)
{
    begin(_i);
    struct task_id id, other;
    enum store_run_kind kind;
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_ALLOW, &id, &kind), 0);
    ck_assert(kind == STORE_RUN_FIRED && is_there(id));
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_ALLOW, &other, &kind), FUT_ERR_STALE);
    ck_assert(!is_there(other));
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_ALLOW, &other, &kind), 0);
    struct store_schedule_get o = get("s");
    ck_assert_uint_eq(o.n_runs, 2);
    ck_assert(o.runs[0].at_ms == 120000 && id_equal(o.runs[0].id, other));
    ck_assert(o.runs[1].at_ms == 60000 && o.runs[1].has_future);
    ck_assert(o.runs[1].state == TASK_QUEUED && o.schedule.next_ms == 180000);
    end();
}
END_TEST

/* What was read before the definition changed fires nothing. */
START_TEST(test_store_schedule_of_another_revision_fires_nothing)
{
    begin(_i);
    struct task t = made_by("s");
    ck_assert_int_eq(put("s", "{a}", 60000), 0);
    struct store_schedule_fire o = {.kind = STORE_FIRE_TIME,
                                    .name = "s",
                                    .revision = get("s").schedule.revision,
                                    .time_ms = 60000,
                                    .at_ms = 60000,
                                    .tasks = &t,
                                    .n = 1};
    ck_assert_int_eq(put("s", "{b}", 60000), 0);
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_fire, &o.op), FUT_ERR_STALE);
    ck_assert(!is_there(t.spec->id));
    o.kind = STORE_FIRE_NOW; /* by hand */
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_fire, &o.op), 0);
    ck_assert(is_there(t.spec->id) && get("s").schedule.next_ms == 60000);
    ck_assert(get("s").runs[0].is_manual);
    o.name = "other";
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_fire, &o.op), FUT_ERR_NOT_FOUND);
    task_release(&t);
    end();
}
END_TEST

START_TEST(test_store_schedule_skips_while_one_runs)
{
    begin(_i);
    struct task_id id;
    enum store_run_kind kind;
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_SKIP, &id, &kind), 0);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_SKIP, &id, &kind), 0);
    ck_assert(kind == STORE_RUN_OVERLAP && !is_there(id));
    finish_one();
    ck_assert_int_eq(fire("s", 180000, STORE_OVERLAP_SKIP, &id, &kind), 0);
    ck_assert(kind == STORE_RUN_FIRED && is_there(id));
    end();
}
END_TEST

START_TEST(test_store_schedule_queues_one)
{
    begin(_i);
    struct task_id id;
    enum store_run_kind kind;
    struct store_schedule page[1];
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    ck_assert(kind == STORE_RUN_WAITING && !is_there(id));
    ck_assert_int_eq(fire("s", 180000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    ck_assert_int_eq(kind, STORE_RUN_OVERLAP);
    struct store_schedule_due due = {.now_ms = 1, .limit = 1, .items = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_due, &due.op), 0);
    ck_assert_uint_eq(due.n, 0);
    finish_one();
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_due, &due.op), 0);
    ck_assert(due.n == 1 && page[0].is_ready && page[0].waiting_ms == 120000);
    store_schedule_release(&page[0]);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    ck_assert(kind == STORE_RUN_FIRED && is_there(id));
    struct store_schedule_get o = get("s");
    ck_assert(o.schedule.waiting_ms == NEVER && !o.schedule.is_ready);
    ck_assert(o.schedule.next_ms == 240000);
    for (size_t i = 0; i < o.n_runs; i++)
        ck_assert_int_ne(o.runs[i].kind, STORE_RUN_WAITING);
    end();
}
END_TEST

START_TEST(test_store_schedule_pause_ends_what_waits)
{
    begin(_i);
    struct task_id id;
    enum store_run_kind kind;
    struct store_schedule page[1];
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_QUEUE_ONE, &id, &kind), 0);
    struct store_schedule_pause pause = {
        .name = "s", .revision = get("s").schedule.revision, .is_paused = true};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_pause, &pause.op), 0);
    finish_one();
    struct store_schedule_due due = {.now_ms = 1000000, .limit = 1, .items = page};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_due, &due.op), 0);
    ck_assert_uint_eq(due.n, 0);
    ck_assert_int_eq(get("s").runs[0].kind, STORE_RUN_PAUSED);
    pause = (struct store_schedule_pause){
        .name = "s", .revision = get("s").schedule.revision, .next_ms = 500000, .due_ms = 500001};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_pause, &pause.op), 0);
    ck_assert(get("s").schedule.next_ms == 500000 && get("s").schedule.due_ms == 500001);
    end();
}
END_TEST

START_TEST(test_store_schedule_cancels_the_running_one)
{
    begin(_i);
    struct task_id first, second;
    struct task claimed;
    enum store_run_kind kind;
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_CANCEL, &first, &kind), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &claimed), 1);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_CANCEL, &second, &kind), 0);
    ck_assert(kind == STORE_RUN_FIRED && is_there(second));
    ck_assert_int_eq(fixture_succeed(&k, &claimed, "late"), FUT_ERR_STALE);
    struct task t = fixture_wait_state(&k, first, TASK_CANCELLED);
    ck_assert_int_eq(get("s").runs[1].state, TASK_CANCELLED);
    task_release(&t);
    t = fixture_wait_state(&k, second, TASK_QUEUED);
    task_release(&t);
    task_release(&claimed);
    end();
}
END_TEST

/* Another life of a task counts as one that is unfinished. */
START_TEST(test_store_schedule_knows_revived_tasks)
{
    begin(_i);
    struct task_id id;
    struct task t;
    enum store_run_kind kind;
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_SKIP, &id, &kind), 0);
    ck_assert_uint_eq(fixture_claim(&k, LANE_IO, 1, &t), 1);
    ck_assert_int_eq(fixture_apply(&k, &t, EVENT_FAIL, NULL), 0);
    task_release(&t);
    ck_assert_int_eq(fixture_get(&k, id, &t), 0);
    ck_assert_int_eq(fixture_revive(&k, &t), 0);
    task_release(&t);
    ck_assert_int_eq(fire("s", 120000, STORE_OVERLAP_SKIP, &id, &kind), 0);
    ck_assert_int_eq(kind, STORE_RUN_OVERLAP);
    end();
}
END_TEST

START_TEST(test_store_schedule_records_what_was_missed)
{
    begin(_i);
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    struct store_schedule_fire o = {.kind = STORE_FIRE_TIME,
                                    .name = "s",
                                    .revision = get("s").schedule.revision,
                                    .time_ms = 60000,
                                    .missed_from_ms = 60000,
                                    .missed_to_ms = 180000,
                                    .next_ms = 240000,
                                    .due_ms = 240000};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_fire, &o.op), 0);
    struct store_schedule_get got = get("s");
    ck_assert_uint_eq(got.n_runs, 1);
    ck_assert_int_eq(got.runs[0].kind, STORE_RUN_MISSED);
    ck_assert(got.runs[0].at_ms == 60000 && got.runs[0].to_ms == 180000);
    ck_assert_int_eq(got.schedule.next_ms, 240000);
    struct task_id id;
    enum store_run_kind kind;
    for (int i = 0; i < STORE_SCHEDULE_RUNS + 5; i++)
        ck_assert_int_eq(fire("s", 240000 + i * 60000, STORE_OVERLAP_ALLOW, &id, &kind), 0);
    got = get("s");
    ck_assert_uint_eq(got.n_runs, STORE_SCHEDULE_RUNS);
    ck_assert_int_eq(got.runs[0].at_ms, 240000 + (STORE_SCHEDULE_RUNS + 4) * 60000);
    end();
}
END_TEST

/* An unfinished task has the unique key: the time is over, and that is recorded. */
START_TEST(test_store_schedule_records_a_refusal)
{
    begin(_i);
    struct task t = made_by("s"), other = made_by("s");
    struct task_spec spec = *t.spec;
    spec.unique = "key";
    struct task unique = {.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    spec.id = other.spec->id;
    struct task twin = {.spec = task_spec_new(&spec), .state = TASK_QUEUED};
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    ck_assert_int_eq(fixture_submit_n(&k, &unique, 1), 0);
    struct store_schedule_fire o = {.kind = STORE_FIRE_TIME,
                                    .name = "s",
                                    .revision = get("s").schedule.revision,
                                    .time_ms = 60000,
                                    .at_ms = 60000,
                                    .tasks = &twin,
                                    .n = 1,
                                    .next_ms = 120000,
                                    .due_ms = 120000};
    ck_assert_int_eq(fixture_do(&k, &store_verb_schedule_fire, &o.op), 0);
    ck_assert_int_eq(o.run.kind, STORE_RUN_REFUSED);
    ck_assert(!is_there(twin.spec->id) && get("s").schedule.next_ms == 120000);
    task_release(&t);
    task_release(&other);
    task_release(&unique);
    task_release(&twin);
    end();
}
END_TEST

/* Nothing is lost by a queue that is full: the time stays. */
START_TEST(test_store_schedule_waits_for_a_full_queue)
{
    begin(_i);
    struct task_id id;
    enum store_run_kind kind;
    fixture_stop(&k);
    k.cfg.max_queued = 1;
    fixture_reopen(&k);
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    (void)fixture_submit(&k, LANE_IO, "x");
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_ALLOW, &id, &kind), FUT_ERR_FULL);
    ck_assert(!is_there(id) && get("s").schedule.next_ms == 60000 && get("s").n_runs == 0);
    finish_one();
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_ALLOW, &id, &kind), 0);
    ck_assert(is_there(id));
    end();
}
END_TEST

static atomic_int told;

static void on_schedules(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&told, 1);
}

START_TEST(test_store_schedule_watcher_hears_of_changes_and_ends)
{
    begin(_i);
    struct task_id id;
    enum store_run_kind kind;
    fixture_stop(&k);
    fixture_reopen(&k);
    store_watch_schedules(k.store, on_schedules, NULL); /* nothing has been posted yet */
    ck_assert_int_eq(put("s", "{}", 60000), 0);
    int before = atomic_load(&told);
    ck_assert_int_ge(before, 1);
    ck_assert_int_eq(fire("s", 60000, STORE_OVERLAP_ALLOW, &id, &kind), 0);
    ck_assert_int_gt(atomic_load(&told), before);
    before = atomic_load(&told);
    (void)fixture_submit(&k, LANE_CPU, "not of a schedule");
    ck_assert_int_eq(atomic_load(&told), before);
    finish_one();
    ck_assert_int_gt(atomic_load(&told), before);
    end();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_store_schedule_is_kept,
        test_store_schedules_of_the_file,
        test_store_schedules_have_a_limit,
        test_store_schedules_due_in_order,
        test_store_schedule_fires_a_time_once,
        test_store_schedule_of_another_revision_fires_nothing,
        test_store_schedule_skips_while_one_runs,
        test_store_schedule_queues_one,
        test_store_schedule_pause_ends_what_waits,
        test_store_schedule_cancels_the_running_one,
        test_store_schedule_knows_revived_tasks,
        test_store_schedule_records_what_was_missed,
        test_store_schedule_records_a_refusal,
        test_store_schedule_waits_for_a_full_queue,
        test_store_schedule_watcher_hears_of_changes_and_ends,
    };
    return fixture_run_on_all("store contract: schedules", tests, FUT_COUNT(tests));
}
