/* explore: looks at every state that a small model can reach, breadth first, so that the way to
 * what is broken is the shortest there is. A state is a struct of bytes, without padding, zeroed
 * where it is not used: two states are the same when their bytes are. Single-threaded. */
#ifndef FUT_TESTS_MODEL_EXPLORE_H
#define FUT_TESTS_MODEL_EXPLORE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#define EXPLORE_STATE_MAX 64 /* bytes */

struct explore_rule {
    const char *name;
    /* What happens, to s in place. False: it cannot happen in s (then s may be spoilt). */
    bool (*apply)(void *s);
};

struct explore_model {
    size_t state_bytes;
    const struct explore_rule *rules;
    size_t n_rules;
    void (*begin)(void *s); /* s is zeroed */
    /* Why this state must not be; NULL: it may. */
    const char *(*broken)(const void *s);
    /* From each state one of these can be reached. */
    bool (*is_end)(const void *s);
};

struct explore_result {
    size_t states, steps;
    const char *broken; /* NULL: nothing; else what `broken` said, or "no way to an end" */
    char path[1024];    /* the rules that lead there, cut at the front when they are many */
};

/* Walks every reachable state and tells in *out what it found. */
void explore(const struct explore_model *m, struct explore_result *out);

struct explore_mutant {
    int mutant;
    const char *broken; /* by what it must be found */
};

/* A program's main: the model itself, in more than at_least states, and each of its mutants.
 * *mutant is what the model asks: 0 in the first. */
int explore_suite(const char *name, const struct explore_model *m, size_t at_least, int *mutant,
                  const struct explore_mutant *mutants, size_t n);

#endif
