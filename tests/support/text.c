#include "tests/support/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/fail.h"

char *text_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        fail("vsnprintf of %s", fmt);
    char *text = xmalloc((size_t)n + 1);
    (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

char *text_repeat(char c, size_t n)
{
    char *text = xmalloc(n + 1);
    memset(text, c, n);
    text[n] = '\0';
    return text;
}

size_t text_count(const char *text, const char *needle)
{
    size_t n = 0;
    for (; (text = strstr(text, needle)) != NULL; text += strlen(needle))
        n++;
    return n;
}
