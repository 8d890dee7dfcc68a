#include "core/err.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void (*_Atomic last_words)(void);

static const char *const names[] = {
    "ok",        "inval",   "not_found", "stale", "full",   "closed", "io",       "no_space",
    "read_only", "too_big", "again",     "state", "exists", "busy",   "conflict", "damaged",
};

const char *fut_err_name(int rc)
{
    size_t i = (size_t)(rc < 0 ? -rc : rc);
    return rc <= 0 && i < sizeof(names) / sizeof(*names) ? names[i] : "unknown";
}

int fut_fail(struct fut_errbuf *err, int rc, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof(err->text), fmt, ap); /* truncation is fine */
        va_end(ap);
    }
    return rc;
}

void fut_on_bug(void (*fn)(void))
{
    atomic_store(&last_words, fn);
}

void fut_bug_at(const char *file, int line, const char *what)
{
    void (*last)(void) = atomic_load(&last_words);
    if (last)
        last();
    (void)fprintf(stderr, "futured: bug at %s:%d: %s\n", file, line, what);
    abort();
}
