/* task_limits: which limits a task names, as one text: an entry a line, "github" or "tenant=42",
 * those without a key first, each kind by name; before them the line of task_needs, if any. Two
 * tasks that name the same have the same text. Pure; any thread; nothing blocks. */
#ifndef FUT_CORE_TASK_LIMITS_H
#define FUT_CORE_TASK_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/task_needs.h"

#define TASK_LIMITS_MAX 4       /* that one task names */
#define TASK_LIMIT_NAME_MAX 64  /* bytes */
#define TASK_LIMIT_KEY_MAX 64   /* bytes */
#define TASK_LIMIT_HOST "host:" /* begins the names that `http` tasks take by themselves */
#define TASK_LIMITS_SIZE (TASK_LIMITS_MAX * (TASK_LIMIT_NAME_MAX + TASK_LIMIT_KEY_MAX + 2) + 1)
#define TASK_LIMITS_TEXT_SIZE (TASK_NEEDS_SIZE + TASK_LIMITS_SIZE) /* with the line of needs */

struct task_limit {
    char name[TASK_LIMIT_NAME_MAX + 1];
    char key[TASK_LIMIT_KEY_MAX + 1]; /* "": none */
};

struct task_limits {
    struct task_limit items[TASK_LIMITS_MAX]; /* in the order of the text */
    size_t n;
};

/* 1..TASK_LIMIT_NAME_MAX of a-z A-Z 0-9 . _ : - */
bool task_limit_name_ok(const char *name);
/* 1..TASK_LIMIT_KEY_MAX printable bytes; any but control characters, also UTF-8. */
bool task_limit_key_ok(const char *key);

/* The limit of the host that a URL names: TASK_LIMIT_HOST and the host in small letters. False: the
 * URL names none that a limit can have; out is undefined then. */
bool task_limit_of_url(const char *url, char out[TASK_LIMIT_NAME_MAX + 1]);

/* Adds one where it belongs; key "": none. 0; FUT_ERR_FULL: there are TASK_LIMITS_MAX;
 * FUT_ERR_EXISTS: the name is there already. Both texts are ok. */
FUT_MUST_CHECK int task_limits_add(struct task_limits *l, const char *name, const char *key);
/* Writes the limits of the text, at most TASK_LIMITS_SIZE bytes with its NUL; "" when there are
 * none. */
void task_limits_write(const struct task_limits *l, char out[TASK_LIMITS_SIZE]);
/* The limits alone. 0, or FUT_ERR_INVAL when the text is none that task_limits_write made, behind
 * task_needs_write's; *out undefined. */
FUT_MUST_CHECK int task_limits_read(const char *text, struct task_limits *out);

#endif
