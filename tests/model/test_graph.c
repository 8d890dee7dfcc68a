/* A parent's end x the insertion of its child x crash, exhaustively: what storage/engine's submit,
 * edges, txn and cascades do with one parent and one child that needs its success. Each rule is a
 * transaction, so a crash comes between two of them. The mutants are what may not be taken apart;
 * each must be found. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/model/explore.h"

enum mutant {
    NO_MUTANT,
    LOOKS_BEFORE,   /* the parent's state is read before the transaction that inserts the child */
    IN_MEMORY,      /* what is to be done for the children is not on disk */
    IN_TWO_COMMITS, /* the edge is taken in one transaction, the child queued in the next */
    COUNTS_TWICE,   /* an edge that has counted stays pending */
    KEEPS_END,      /* another life of the parent leaves what was to follow from its end */
    KEEPS_NO_LIFE,  /* another life of the parent looks at no child */
};
static int mutant; /* enum mutant */

enum task { ABSENT, WAITS, QUEUED, FAILED, SUCCEEDED, CANCELLED };

struct state {
    uint8_t parent, child;     /* enum task */
    uint8_t has_looked, saw;   /* the child's submission, of the parent */
    uint8_t is_pending, unmet; /* the edge, the child's count */
    uint8_t end, life;         /* cascades */
    uint8_t taken;             /* a wake-up that only the memory knows of */
    uint8_t lives, fault;
};

static const char *const faults[] = {NULL, "an edge counts once", "a child needs the success"};

static bool is_final(uint8_t t)
{
    return t >= FAILED;
}

static void insert(struct state *s, uint8_t parent)
{
    if (parent == FAILED) /* refused */
        return;
    s->is_pending = s->unmet = parent != SUCCEEDED;
    s->child = parent == SUCCEEDED ? QUEUED : WAITS;
}

static bool look(void *p)
{
    struct state *s = p;
    if (mutant != LOOKS_BEFORE || s->child != ABSENT || s->has_looked)
        return false;
    s->has_looked = 1;
    s->saw = s->parent;
    return true;
}

static bool submit(void *p)
{
    struct state *s = p;
    if (s->child != ABSENT || (mutant == LOOKS_BEFORE && !s->has_looked))
        return false;
    insert(s, mutant == LOOKS_BEFORE ? s->saw : s->parent);
    s->has_looked = 0;
    return s->child != ABSENT;
}

static bool end_as(struct state *s, uint8_t how)
{
    if (s->parent != QUEUED)
        return false;
    s->parent = how;
    if (s->is_pending)
        s->end = how;
    return true;
}

static bool succeed(void *p)
{
    return end_as(p, SUCCEEDED);
}

static bool fail_parent(void *p)
{
    return end_as(p, FAILED);
}

static void meet(struct state *s)
{
    if (s->unmet == 0)
        s->fault = 1;
    else if (--s->unmet == 0)
        s->child = QUEUED;
}

/* One step of a cascade; with nothing pending, it is done. */
static bool follow_end(void *p)
{
    struct state *s = p;
    uint8_t how = s->end;
    if (!how)
        return false;
    s->end = mutant == COUNTS_TWICE ? (s->unmet ? how : 0) : 0;
    if (!s->is_pending)
        return true;
    s->is_pending = mutant == COUNTS_TWICE;
    if (s->child != WAITS && mutant != COUNTS_TWICE)
        return true;
    if (how == FAILED)
        s->child = CANCELLED;
    else if (mutant == IN_TWO_COMMITS)
        s->taken = 1;
    else if (mutant == COUNTS_TWICE) {
        meet(s);
        meet(s);
    } else
        meet(s);
    return true;
}

static bool queue_taken(void *p)
{
    struct state *s = p;
    if (!s->taken)
        return false;
    s->taken = 0;
    meet(s);
    return true;
}

static bool retry_parent(void *p)
{
    struct state *s = p;
    if (s->parent != FAILED || s->lives == 2)
        return false;
    s->lives++;
    s->parent = QUEUED;
    if (mutant != KEEPS_END)
        s->end = 0;
    s->life = s->child != ABSENT && mutant != KEEPS_NO_LIFE;
    return true;
}

static bool follow_life(void *p)
{
    struct state *s = p;
    if (!s->life)
        return false;
    s->life = 0;
    if (s->child != CANCELLED || s->parent == FAILED)
        return true;
    insert(s, s->parent);
    return true;
}

/* The child runs. */
static bool run(void *p)
{
    struct state *s = p;
    if (s->child != QUEUED)
        return false;
    if (s->parent != SUCCEEDED)
        s->fault = 2;
    s->child = SUCCEEDED;
    return true;
}

static bool crash(void *p)
{
    struct state *s = p;
    if (!s->taken && !s->has_looked && !(mutant == IN_MEMORY && (s->end || s->life)))
        return false; /* nothing is lost */
    s->taken = s->has_looked = 0;
    if (mutant == IN_MEMORY)
        s->end = s->life = 0;
    return true;
}

static const struct explore_rule rules[] = {
    {"look", look},
    {"submit", submit},
    {"succeed", succeed},
    {"fail", fail_parent},
    {"follow the end", follow_end},
    {"queue what was taken", queue_taken},
    {"retry the parent", retry_parent},
    {"follow the life", follow_life},
    {"run", run},
    {"crash", crash},
};

static void begin(void *p)
{
    struct state *s = p;
    s->parent = QUEUED;
}

static const char *broken(const void *p)
{
    const struct state *s = p;
    bool is_quiet = !s->end && !s->life && !s->taken;
    if (s->fault)
        return faults[s->fault];
    if (is_quiet && is_final(s->parent) && s->child == WAITS)
        return "no wake-up is lost";
    if (is_quiet && s->parent != FAILED && s->child == CANCELLED)
        return "a retry revives what was cancelled";
    return NULL;
}

static bool is_end(const void *p)
{
    const struct state *s = p;
    return s->parent == SUCCEEDED && s->child == SUCCEEDED ? true
                                                           : s->parent == FAILED && s->lives == 2;
}

static const struct explore_model model = {
    sizeof(struct state), rules, FUT_COUNT(rules), begin, broken, is_end,
};

static const struct explore_mutant mutants[] = {
    {LOOKS_BEFORE, "no wake-up is lost"},
    {IN_MEMORY, "no wake-up is lost"},
    {IN_TWO_COMMITS, "no wake-up is lost"},
    {COUNTS_TWICE, "an edge counts once"},
    {KEEPS_END, "a retry revives what was cancelled"},
    {KEEPS_NO_LIFE, "a retry revives what was cancelled"},
};

int main(void)
{
    return explore_suite("model: graph", &model, 20, &mutant, mutants, FUT_COUNT(mutants));
}
