#include "core/task_limits.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

bool task_limit_name_ok(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    size_t n = strlen(name);
    return n >= 1 && n <= TASK_LIMIT_NAME_MAX && strspn(name, allowed) == n;
}

bool task_limit_key_ok(const char *key)
{
    size_t n = 0;
    for (; key[n]; n++) {
        if ((unsigned char)key[n] < 0x20 || key[n] == 0x7F || n >= TASK_LIMIT_KEY_MAX)
            return false;
    }
    return n > 0;
}

bool task_limit_of_url(const char *url, char out[TASK_LIMIT_NAME_MAX + 1])
{
    static const char prefix[] = TASK_LIMIT_HOST;
    char *to = out + sizeof(prefix) - 1;
    const char *at = strstr(url, "://"), *user;
    if (!at)
        return false;
    at += 3;
    user = memchr(at, '@', strcspn(at, "/?#"));
    at = user ? user + 1 : at;
    size_t n = strcspn(at, ":/?#");
    if (n == 0 || n > TASK_LIMIT_NAME_MAX - (sizeof(prefix) - 1))
        return false;
    memcpy(out, prefix, sizeof(prefix) - 1);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)tolower((unsigned char)at[i]);
    to[n] = '\0';
    return task_limit_name_ok(out);
}

static bool goes_before(const struct task_limit *a, const struct task_limit *b)
{
    if (!*a->key != !*b->key)
        return !*a->key;
    return strcmp(a->name, b->name) < 0;
}

int task_limits_add(struct task_limits *l, const char *name, const char *key)
{
    struct task_limit fresh = {{0}, {0}};
    size_t at = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->items[i].name, name) == 0)
            return FUT_ERR_EXISTS;
    }
    if (l->n == TASK_LIMITS_MAX)
        return FUT_ERR_FULL;
    (void)snprintf(fresh.name, sizeof(fresh.name), "%s", name);
    (void)snprintf(fresh.key, sizeof(fresh.key), "%s", key);
    while (at < l->n && goes_before(&l->items[at], &fresh))
        at++;
    memmove(&l->items[at + 1], &l->items[at], (l->n - at) * sizeof(fresh));
    l->items[at] = fresh;
    l->n++;
    return 0;
}

void task_limits_write(const struct task_limits *l, char out[TASK_LIMITS_SIZE])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < l->n; i++) {
        const struct task_limit *t = &l->items[i];
        int n = snprintf(out + len, TASK_LIMITS_SIZE - len, "%s%s%s%s", i ? "\n" : "", t->name,
                         *t->key ? "=" : "", t->key);
        len += (size_t)n;
    }
}

/* Copies what comes before `end` or the end of the text. */
static bool take(const char **at, const char *ends, char *out, size_t size)
{
    size_t n = strcspn(*at, ends);
    if (n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    return true;
}

int task_limits_read(const char *text, struct task_limits *out)
{
    out->n = 0;
    if (task_needs_any(text)) {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    while (*text) {
        struct task_limit t = {{0}, {0}};
        if (!take(&text, "=\n", t.name, sizeof(t.name)) || !task_limit_name_ok(t.name))
            return FUT_ERR_INVAL;
        if (*text == '=') {
            text++;
            if (!take(&text, "\n", t.key, sizeof(t.key)) || !task_limit_key_ok(t.key))
                return FUT_ERR_INVAL;
        }
        if (task_limits_add(out, t.name, t.key) != 0)
            return FUT_ERR_INVAL;
        text += *text == '\n';
    }
    return 0;
}
