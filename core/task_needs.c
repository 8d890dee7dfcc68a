#include "core/task_needs.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"

bool task_needs_label_ok(const char *label)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(label);
    return n >= 1 && n <= TASK_LABEL_MAX && strspn(label, allowed) == n;
}

bool task_needs_has(const struct task_needs *l, const char *label)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->items[i], label) == 0)
            return true;
    }
    return false;
}

int task_needs_add(struct task_needs *l, const char *label)
{
    size_t at = 0;
    if (task_needs_has(l, label))
        return FUT_ERR_EXISTS;
    if (l->n == TASK_NEEDS_MAX)
        return FUT_ERR_FULL;
    while (at < l->n && strcmp(l->items[at], label) < 0)
        at++;
    memmove(l->items[at + 1], l->items[at], (l->n - at) * sizeof(l->items[0]));
    (void)snprintf(l->items[at], sizeof(l->items[at]), "%s", label);
    l->n++;
    return 0;
}

int task_needs_parse(const char *list, struct task_needs *out)
{
    out->n = 0;
    while (*list) {
        char label[TASK_LABEL_MAX + 1];
        size_t n = strcspn(list, ",\n");
        if (n > TASK_LABEL_MAX)
            return FUT_ERR_INVAL;
        memcpy(label, list, n);
        label[n] = '\0';
        list += n;
        if (!task_needs_label_ok(label))
            return FUT_ERR_INVAL;
        if (task_needs_add(out, label) == FUT_ERR_FULL)
            return FUT_ERR_FULL;
        if (*list == ',' && !*++list)
            return FUT_ERR_INVAL;
        if (*list == '\n')
            return 0;
    }
    return 0;
}

bool task_needs_any(const char *text)
{
    return text && *text == '@';
}

void task_needs_read(const char *text, struct task_needs *out)
{
    out->n = 0;
    if (task_needs_any(text) && task_needs_parse(text + 1, out) != 0)
        out->n = 0;
}

size_t task_needs_write(const struct task_needs *l, char out[TASK_NEEDS_SIZE])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < l->n; i++)
        len +=
            (size_t)snprintf(out + len, TASK_NEEDS_SIZE - len, "%s%s", i ? "," : "@", l->items[i]);
    if (l->n)
        len += (size_t)snprintf(out + len, TASK_NEEDS_SIZE - len, "\n");
    return len;
}
