#include "tests/support/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fflush(stdout);
    (void)fputs("support: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    (void)fflush(stderr);
    /* _exit: other threads may be at work, and nothing here is worth tearing down. */
    _exit(1);
}
