#include "tests/model/explore.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "tests/support/suite.h"

#define NONE UINT32_MAX

struct edge {
    uint32_t from, to;
};

struct search {
    const struct explore_model *m;
    unsigned char *states; /* one behind the other */
    uint32_t n, cap;
    uint32_t *parents; /* the state before, */
    uint8_t *by;       /* and the rule that led from there */
    uint32_t *slots;   /* hash table of places in states; NONE: empty */
    size_t n_slots;
    struct edge *edges;
    size_t n_edges, edge_cap;
};

static const unsigned char *state_at(const struct search *s, uint32_t i)
{
    return s->states + (size_t)i * s->m->state_bytes;
}

static size_t hash(const struct search *s, const unsigned char *state)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s->m->state_bytes; i++)
        h = (h ^ state[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 29) & (s->n_slots - 1);
}

static uint32_t *slot_of(struct search *s, const unsigned char *state)
{
    size_t i = hash(s, state);
    while (s->slots[i] != NONE && memcmp(state_at(s, s->slots[i]), state, s->m->state_bytes) != 0)
        i = (i + 1) & (s->n_slots - 1);
    return &s->slots[i];
}

static void grow(struct search *s)
{
    s->cap = s->cap ? s->cap * 2 : 1024;
    s->states = xrealloc(s->states, (size_t)s->cap * s->m->state_bytes);
    s->parents = xrealloc(s->parents, s->cap * sizeof(*s->parents));
    s->by = xrealloc(s->by, s->cap);
    s->n_slots = (size_t)s->cap * 2;
    s->slots = xrealloc(s->slots, s->n_slots * sizeof(*s->slots));
    memset(s->slots, 0xFF, s->n_slots * sizeof(*s->slots));
    for (uint32_t i = 0; i < s->n; i++)
        *slot_of(s, state_at(s, i)) = i;
}

/* The place of a state, which is new when it is the last. */
static uint32_t put(struct search *s, const unsigned char *state, uint32_t parent, size_t rule)
{
    if (s->n == s->cap)
        grow(s);
    uint32_t *slot = slot_of(s, state);
    if (*slot != NONE)
        return *slot;
    memcpy(s->states + (size_t)s->n * s->m->state_bytes, state, s->m->state_bytes);
    s->parents[s->n] = parent;
    s->by[s->n] = (uint8_t)rule;
    return *slot = s->n++;
}

static void put_edge(struct search *s, uint32_t from, uint32_t to)
{
    if (s->n_edges == s->edge_cap) {
        s->edge_cap = s->edge_cap ? s->edge_cap * 2 : 4096;
        s->edges = xrealloc(s->edges, s->edge_cap * sizeof(*s->edges));
    }
    s->edges[s->n_edges++] = (struct edge){from, to};
}

static void tell(const struct search *s, uint32_t at, const char *why, struct explore_result *out)
{
    size_t place = sizeof(out->path) - 1;
    out->broken = why;
    for (; s->parents[at] != NONE; at = s->parents[at]) {
        const char *name = s->m->rules[s->by[at]].name;
        size_t n = strlen(name);
        if (n + 2 > place)
            break;
        place -= n + 2;
        memcpy(out->path + place, name, n);
        memcpy(out->path + place + n, "; ", 2);
    }
    memmove(out->path, out->path + place, sizeof(out->path) - place);
}

/* All states, or those up to the first broken one. */
static void search_all(struct search *s, struct explore_result *out)
{
    const struct explore_model *m = s->m;
    unsigned char state[EXPLORE_STATE_MAX] = {0};
    m->begin(state);
    (void)put(s, state, NONE, 0);
    for (uint32_t at = 0; at < s->n && !out->broken; at++) {
        memcpy(state, state_at(s, at), m->state_bytes);
        const char *why = m->broken(state);
        if (why)
            tell(s, at, why, out);
        for (size_t i = 0; i < m->n_rules && !why; i++) {
            memcpy(state, state_at(s, at), m->state_bytes);
            if (m->rules[i].apply(state))
                put_edge(s, at, put(s, state, at, i));
        }
    }
}

static int by_target(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return x->to != y->to ? (x->to < y->to ? -1 : 1) : 0;
}

/* Marks all from where an end can be reached, walking the edges backwards. */
static void mark_hopeful(struct search *s, bool *hopeful, uint32_t *queue, const size_t *first)
{
    size_t head = 0, tail = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->m->is_end(state_at(s, i))) {
            hopeful[i] = true;
            queue[tail++] = i;
        }
    }
    while (head < tail) {
        uint32_t to = queue[head++];
        for (size_t e = first[to]; e < s->n_edges && s->edges[e].to == to; e++) {
            uint32_t from = s->edges[e].from;
            if (!hopeful[from]) {
                hopeful[from] = true;
                queue[tail++] = from;
            }
        }
    }
}

static void check_ends(struct search *s, struct explore_result *out)
{
    bool *hopeful = xcalloc(s->n, sizeof(*hopeful));
    uint32_t *queue = xcalloc(s->n, sizeof(*queue));
    size_t *first = xcalloc(s->n, sizeof(*first));
    qsort(s->edges, s->n_edges, sizeof(*s->edges), by_target);
    for (uint32_t i = 0; i < s->n; i++)
        first[i] = s->n_edges;
    for (size_t e = s->n_edges; e-- > 0;)
        first[s->edges[e].to] = e;
    mark_hopeful(s, hopeful, queue, first);
    for (uint32_t i = 0; i < s->n && !out->broken; i++) {
        if (!hopeful[i])
            tell(s, i, "no way to an end", out);
    }
    free(hopeful);
    free(queue);
    free(first);
}

void explore(const struct explore_model *m, struct explore_result *out)
{
    struct search s = {.m = m};
    FUT_ASSERT(m->state_bytes <= EXPLORE_STATE_MAX && m->n_rules < UINT8_MAX);
    memset(out, 0, sizeof(*out));
    search_all(&s, out);
    if (!out->broken)
        check_ends(&s, out);
    out->states = s.n;
    out->steps = s.n_edges;
    free(s.states);
    free(s.parents);
    free(s.by);
    free(s.slots);
    free(s.edges);
}

/* ---- a program ------------------------------------------------------------------------------- */

static struct {
    const struct explore_model *model;
    size_t at_least;
    int *mutant;
    const struct explore_mutant *mutants;
} suite;

START_TEST(test_model_holds_in_every_state)
{
    struct explore_result r;
    explore(suite.model, &r);
    ck_assert_msg(!r.broken, "%s, after: %s", r.broken, r.path);
    ck_assert_uint_gt(r.states, suite.at_least); /* it did look around */
}
END_TEST

START_TEST(test_model_finds_the_mutant)
{
    struct explore_result r;
    const struct explore_mutant *m = &suite.mutants[_i];
    *suite.mutant = m->mutant;
    explore(suite.model, &r);
    ck_assert_msg(r.broken != NULL, "nothing is broken in %zu states", r.states);
    ck_assert_msg(strcmp(r.broken, m->broken) == 0, "%s, after: %s; expected: %s", r.broken, r.path,
                  m->broken);
}
END_TEST

int explore_suite(const char *name, const struct explore_model *m, size_t at_least, int *mutant,
                  const struct explore_mutant *mutants, size_t n)
{
    suite.model = m;
    suite.at_least = at_least;
    suite.mutant = mutant;
    suite.mutants = mutants;
    TCase *tc = suite_case("all", 120, NULL, NULL);
    tcase_add_test(tc, test_model_holds_in_every_state);
    tcase_add_loop_test(tc, test_model_finds_the_mutant, 0, (int)n);
    return suite_run_cases(name, tc, NULL);
}
