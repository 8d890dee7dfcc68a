#include "core/err.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Whoever reads standard error may not read any more: that must not keep us alive. */
void fut_complain(const char *text, size_t n)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && write(STDERR_FILENO, text, n) < 0)
        return;
}

void fut_bug_at(const char *file, int line, const char *what)
{
    char text[512];
    void (*last)(void) = atomic_load(&last_words);
    if (last)
        last();
    int n = snprintf(text, sizeof(text), "futured: bug at %s:%d: %s\n", file, line, what);
    if (n > 0)
        fut_complain(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    abort();
}
