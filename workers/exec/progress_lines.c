#include "workers/exec/progress_lines.h"

#include <string.h>

#include "core/number.h"

static const char word[] = "progress ";

/* "0.5" or "0.5 message". False when it is neither. */
static bool parse(struct progress_lines *p, const char *text)
{
    const char *end;
    double fraction;
    if (!number_scan(text, &end, &fraction))
        return false;
    size_t len = *end == ' ' ? strlen(end + 1) : 0;
    if ((*end && *end != ' ') || !(fraction >= 0 && fraction <= 1) || len > RUN_MESSAGE_MAX)
        return false;
    p->fraction = fraction;
    memcpy(p->message, len ? end + 1 : "", len + 1);
    return true;
}

static bool end_line(struct progress_lines *p)
{
    size_t n = p->len;
    if (n > 0 && p->line[n - 1] == '\r')
        n--;
    p->line[n] = '\0';
    bool empty = p->len == 0 && !p->too_long;
    bool good = !p->too_long && strlen(p->line) == n &&
                strncmp(p->line, word, sizeof(word) - 1) == 0 &&
                parse(p, p->line + sizeof(word) - 1);
    p->len = 0;
    p->too_long = false;
    p->bad += !good && !empty;
    return good;
}

bool progress_lines_feed(struct progress_lines *p, const char *bytes, size_t n)
{
    bool good = false;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n')
            good = end_line(p) || good;
        else if (p->len < PROGRESS_LINE_MAX)
            p->line[p->len++] = bytes[i];
        else
            p->too_long = true;
    }
    return good;
}

bool progress_lines_end(struct progress_lines *p)
{
    return (p->len || p->too_long) && end_line(p);
}
