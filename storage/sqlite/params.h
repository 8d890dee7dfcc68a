/* params: what the parameters of a statement hold, which they go on holding when it has run. Most
 * of a task's row is as in the row before, and what holds already is not bound again. Such a
 * statement is bound by these functions alone. The writer thread; nothing blocks; indexes begin
 * at 1. */
#ifndef FUT_STORAGE_SQLITE_PARAMS_H
#define FUT_STORAGE_SQLITE_PARAMS_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#define PARAMS_MAX 24

/* Zeroed but for st: nothing is known of them. */
struct params {
    sqlite3_stmt *st;
    uint32_t ints, nulls; /* bits of those that hold the number in values, or NULL */
    int64_t values[PARAMS_MAX];
};

/* It holds something else than a number or NULL, which holds for one run alone. */
static inline sqlite3_stmt *params_forget(struct params *p, int i)
{
    p->ints &= ~(1u << i);
    p->nulls &= ~(1u << i);
    return p->st;
}

/* A number. */
static inline void params_int(struct params *p, int i, int64_t v)
{
    uint32_t bit = 1u << i;
    if (p->ints & bit && p->values[i] == v)
        return;
    (void)sqlite3_bind_int64(params_forget(p, i), i, v); /* fails only for an index out of range */
    p->ints |= bit;
    p->values[i] = v;
}

/* NULL. */
static inline void params_null(struct params *p, int i)
{
    uint32_t bit = 1u << i;
    if (p->nulls & bit)
        return;
    (void)sqlite3_bind_null(params_forget(p, i), i);
    p->nulls |= bit;
}

/* A number; NULL in place of this one. */
static inline void params_int_or_null(struct params *p, int i, int64_t v, int64_t null)
{
    if (v == null)
        params_null(p, i);
    else
        params_int(p, i, v);
}

/* A text, which is borrowed until the statement is reset; NULL: NULL. */
static inline void params_text(struct params *p, int i, const char *s)
{
    if (s)
        (void)sqlite3_bind_text(params_forget(p, i), i, s, -1, SQLITE_STATIC);
    else
        params_null(p, i);
}

/* n bytes, borrowed likewise. */
static inline void params_blob(struct params *p, int i, const void *bytes, size_t n)
{
    (void)sqlite3_bind_blob64(params_forget(p, i), i, n ? bytes : "", n, SQLITE_STATIC);
}

#endif
