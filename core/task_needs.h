/* task_needs: which labels of nodes a task needs, sorted, and as one line before the text of its
 * limits (task_limits): "@big,gpu". Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_TASK_NEEDS_H
#define FUT_CORE_TASK_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define TASK_NEEDS_MAX 8  /* labels that one task needs, or one node has */
#define TASK_LABEL_MAX 64 /* bytes */
#define TASK_NEEDS_SIZE (TASK_NEEDS_MAX * (TASK_LABEL_MAX + 1) + 2)

struct task_needs {
    char items[TASK_NEEDS_MAX][TASK_LABEL_MAX + 1]; /* sorted */
    size_t n;
};

/* 1..TASK_LABEL_MAX of a-z A-Z 0-9 . _ - */
bool task_needs_label_ok(const char *label);
/* Adds one where it belongs. 0; FUT_ERR_FULL: there are TASK_NEEDS_MAX; FUT_ERR_EXISTS: it is there
 * already. The label is ok. */
FUT_MUST_CHECK int task_needs_add(struct task_needs *l, const char *label);
/* A list such as "gpu,big", "" for none; one that is there twice counts once. 0; FUT_ERR_INVAL: a
 * label is not ok; FUT_ERR_FULL: more than TASK_NEEDS_MAX. */
FUT_MUST_CHECK int task_needs_parse(const char *list, struct task_needs *out);
/* Those in a text of task_limits, which may be NULL. */
void task_needs_read(const char *text, struct task_needs *out);
/* Does the text name any? NULL: no. */
bool task_needs_any(const char *text);
bool task_needs_has(const struct task_needs *l, const char *label);
/* Writes the line with its newline, at most TASK_NEEDS_SIZE bytes with its NUL; "" for none.
 * Returns its length. */
size_t task_needs_write(const struct task_needs *l, char out[TASK_NEEDS_SIZE]);

#endif
