/* core/attempt_token: tokens that are good as long as their attempts run. */
#include <string.h>

#include "core/attempt_token.h"
#include "core/mem.h"
#include "core/pool_view.h"
#include "tests/support/suite.h"

static int find(struct attempt_tokens *t, const char *text, struct attempt_who *out)
{
    return attempt_token_find(t, text, strlen(text), out);
}

START_TEST(test_attempt_token_speaks_for_its_attempt)
{
    struct attempt_tokens *t = attempt_token_table_new();
    char a_text[ATTEMPT_TOKEN_SIZE], b_text[ATTEMPT_TOKEN_SIZE];
    struct task_id id = id_new();
    struct attempt_who who;
    ck_assert(!attempt_token_any(t));
    ck_assert_ptr_null(attempt_token_url(t));
    attempt_token_set_url(t, "http://127.0.0.1:1");
    ck_assert_str_eq(attempt_token_url(t), "http://127.0.0.1:1");
    struct attempt_token *a =
        attempt_token_begin(t, &(struct attempt_who){.task = id, .attempt = 1}, a_text);
    struct attempt_token *b =
        attempt_token_begin(t, &(struct attempt_who){.task = id, .attempt = 2}, b_text);
    ck_assert(attempt_token_any(t));
    ck_assert_uint_eq(strlen(a_text), ATTEMPT_TOKEN_SIZE - 1);
    ck_assert_str_ne(a_text + 24, b_text + 24); /* the secrets differ, not the numbers alone */
    ck_assert_int_eq(find(t, a_text, &who), 0);
    ck_assert(id_equal(who.task, id) && who.attempt == 1);
    ck_assert_int_eq(find(t, b_text, &who), 0);
    ck_assert_uint_eq(who.attempt, 2);
    attempt_token_end(t, &a);
    ck_assert_ptr_null(a);
    ck_assert_int_eq(find(t, a_text, &who), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(find(t, b_text, &who), 0);
    attempt_token_end(t, &b);
    attempt_token_end(t, &b);
    ck_assert_int_eq(find(t, b_text, &who), FUT_ERR_NOT_FOUND);
    attempt_token_table_free(&t);
}
END_TEST

/* Each wrong character, a part of it, more than it: nothing but the whole token is good. */
START_TEST(test_attempt_token_only_the_whole)
{
    struct attempt_tokens *t = attempt_token_table_new();
    char text[ATTEMPT_TOKEN_SIZE], wrong[ATTEMPT_TOKEN_SIZE + 1];
    struct attempt_who who;
    struct attempt_token *a = attempt_token_begin(t, &(struct attempt_who){.task = id_new()}, text);
    for (size_t i = 0; i < ATTEMPT_TOKEN_SIZE - 1; i++) {
        memcpy(wrong, text, sizeof(text));
        wrong[i] = text[i] == '0' ? '1' : '0';
        ck_assert_int_ne(find(t, wrong, &who), 0);
        memcpy(wrong, text, i);
        wrong[i] = '\0';
        ck_assert_int_ne(find(t, wrong, &who), 0);
    }
    memcpy(wrong, text, ATTEMPT_TOKEN_SIZE - 1);
    memcpy(wrong + ATTEMPT_TOKEN_SIZE - 1, "0", 2);
    ck_assert_int_eq(find(t, wrong, &who), FUT_ERR_NOT_FOUND);
    ck_assert_int_eq(find(t, "", &who), FUT_ERR_INVAL);
    ck_assert_int_eq(find(t, "admin-token-01234567", &who), FUT_ERR_INVAL);
    attempt_token_end(t, &a);
    attempt_token_table_free(&t);
}
END_TEST

/* More than one pool of random bytes: all secrets differ. */
START_TEST(test_attempt_token_many)
{
    enum { N = 300 };
    static char texts[N][ATTEMPT_TOKEN_SIZE];
    struct attempt_token *tokens[N];
    struct attempt_tokens *t = attempt_token_table_new();
    for (uint32_t i = 0; i < N; i++)
        tokens[i] =
            attempt_token_begin(t, &(struct attempt_who){.task = id_new(), .attempt = i}, texts[i]);
    for (uint32_t i = 0; i < N; i++) {
        struct attempt_who who;
        ck_assert_int_eq(find(t, texts[i], &who), 0);
        ck_assert_uint_eq(who.attempt, i);
        for (uint32_t j = 0; j < i; j++)
            ck_assert_str_ne(texts[i] + 24, texts[j] + 24);
    }
    for (uint32_t i = 0; i < N; i++)
        attempt_token_end(t, &tokens[i]);
    attempt_token_table_free(&t);
}
END_TEST

/* ---- waiting --------------------------------------------------------------------------------- */

struct party {
    struct attempt_who who;
    struct attempt_token *token;
    struct attempt_wait wait;
};

static struct party join(struct attempt_tokens *t, enum lane lane)
{
    char text[ATTEMPT_TOKEN_SIZE];
    struct party p = {.who = {.task = id_new(), .attempt = 1, .lane = lane}};
    p.token = attempt_token_begin(t, &p.who, text);
    ck_assert_int_eq(find(t, text, &p.who), 0);
    return p;
}

static int wait_for(struct attempt_tokens *t, struct party *p, const struct task_id *ids, size_t n,
                    bool is_any, struct attempt_circle *c)
{
    return attempt_token_wait(t, &p->wait, p->who.number, ids, n, is_any, c);
}

/* a waits for b, b for c; c may not wait for a, nor a task for itself. */
START_TEST(test_attempt_token_circle)
{
    struct attempt_tokens *t = attempt_token_table_new();
    struct attempt_circle c;
    struct party a = join(t, LANE_CPU), b = join(t, LANE_CPU), d = join(t, LANE_IO);
    const struct task_id other = id_new(), both[] = {other, a.who.task};
    ck_assert_int_eq(wait_for(t, &a, &a.who.task, 1, false, &c), FUT_ERR_CONFLICT);
    ck_assert_uint_eq(c.n, 1);
    ck_assert_int_eq(wait_for(t, &a, &b.who.task, 1, false, &c), 0);
    ck_assert_int_eq(wait_for(t, &b, &d.who.task, 1, false, &c), 0);
    ck_assert_int_eq(wait_for(t, &d, &a.who.task, 1, false, &c), FUT_ERR_CONFLICT);
    ck_assert_uint_eq(c.n, 3);
    ck_assert(id_equal(c.ids[0], d.who.task) && id_equal(c.ids[1], a.who.task) &&
              id_equal(c.ids[2], b.who.task));
    ck_assert_int_eq(wait_for(t, &d, both, 2, false, &c), FUT_ERR_CONFLICT); /* needs both */
    ck_assert_int_eq(wait_for(t, &d, both, 2, true, &c), 0); /* the other one may be the first */
    attempt_token_go_on(t, &d.wait);
    attempt_token_go_on(t, &a.wait);
    ck_assert_int_eq(wait_for(t, &d, &a.who.task, 1, false, &c), 0);
    attempt_token_end(t, &d.token); /* its wait ends with it */
    attempt_token_go_on(t, &d.wait);
    attempt_token_go_on(t, &b.wait);
    ck_assert_int_eq(wait_for(t, &d, &a.who.task, 1, false, &c), FUT_ERR_NOT_FOUND);
    attempt_token_end(t, &a.token);
    attempt_token_end(t, &b.token);
    attempt_token_table_free(&t);
}
END_TEST

/* Both of which a waits for the first lead back to c, through the same task. */
START_TEST(test_attempt_token_circle_of_alternatives)
{
    struct attempt_tokens *t = attempt_token_table_new();
    struct attempt_circle circle;
    struct party a = join(t, LANE_CPU), b = join(t, LANE_CPU), c = join(t, LANE_CPU);
    struct party d = join(t, LANE_CPU);
    const struct task_id any[] = {b.who.task, c.who.task};
    ck_assert_int_eq(wait_for(t, &b, &d.who.task, 1, false, &circle), 0);
    ck_assert_int_eq(wait_for(t, &c, &d.who.task, 1, false, &circle), 0);
    ck_assert_int_eq(wait_for(t, &a, any, 2, true, &circle), 0);
    ck_assert_int_eq(wait_for(t, &d, &a.who.task, 1, false, &circle), FUT_ERR_CONFLICT);
    attempt_token_go_on(t, &b.wait);
    ck_assert_int_eq(wait_for(t, &d, &a.who.task, 1, false, &circle), 0);
    attempt_token_end(t, &a.token);
    attempt_token_end(t, &b.token);
    attempt_token_end(t, &c.token);
    attempt_token_end(t, &d.token);
    attempt_token_table_free(&t);
}
END_TEST

/* So many in each lane, and no more; each change is told once. */
START_TEST(test_attempt_token_lends_within_bounds)
{
    static struct party p[POOL_LENT_MAX + 1];
    struct attempt_tokens *t = attempt_token_table_new();
    const struct task_id other = id_new();
    struct attempt_circle c;
    struct party elsewhere = join(t, LANE_IO);
    void *owner;
    bool waits;
    for (size_t i = 0; i <= POOL_LENT_MAX; i++) {
        p[i] = join(t, LANE_CPU);
        ck_assert_int_eq(wait_for(t, &p[i], &other, 1, false, &c),
                         i < POOL_LENT_MAX ? 0 : FUT_ERR_FULL);
    }
    ck_assert_int_eq(wait_for(t, &elsewhere, &other, 1, false, &c), 0);
    struct attempt_wait second = {0}; /* of an attempt that waits already: its slot is lent */
    ck_assert_int_eq(attempt_token_wait(t, &second, p[0].who.number, &other, 1, false, &c), 0);
    attempt_token_go_on(t, &second);
    size_t n = 0;
    for (; attempt_token_take_change(t, &owner, &waits); n++)
        ck_assert(waits);
    ck_assert_uint_eq(n, POOL_LENT_MAX + 1);
    attempt_token_go_on(t, &p[0].wait);
    ck_assert(attempt_token_take_change(t, &owner, &waits) && !waits);
    ck_assert(!attempt_token_take_change(t, &owner, &waits));
    ck_assert_int_eq(wait_for(t, &p[POOL_LENT_MAX], &other, 1, false, &c), 0);
    for (size_t i = 0; i <= POOL_LENT_MAX; i++)
        attempt_token_end(t, &p[i].token);
    attempt_token_end(t, &elsewhere.token);
    attempt_token_table_free(&t);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_attempt_token_speaks_for_its_attempt,
                            test_attempt_token_only_the_whole,
                            test_attempt_token_many,
                            test_attempt_token_circle,
                            test_attempt_token_circle_of_alternatives,
                            test_attempt_token_lends_within_bounds};
    return suite_run("core: attempt_token", tests, FUT_COUNT(tests));
}
