#include "workers/exec/progress_lines.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/number.h"

static const char checkpoint_word[] = "checkpoint ";

/* "0.5" or "0.5 message". False when it is neither. */
static bool parse_progress(struct progress_lines *p, const char *text)
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

/* A number of seconds, up to TASK_SUSPEND_MAX_MS. */
static bool parse_suspend(struct progress_lines *p, const char *text)
{
    double seconds;
    if (!number_parse(text, &seconds) || !(seconds >= 0 && seconds * 1000 <= TASK_SUSPEND_MAX_MS))
        return false;
    p->suspend_ms = (int64_t)(seconds * 1000);
    return true;
}

static enum progress_word refuse(struct progress_lines *p)
{
    if (*p->refused)
        return PROGRESS_NOTHING;
    (void)snprintf(p->refused, sizeof(p->refused), "%.63s", p->line);
    for (char *c = p->refused; *c; c++)
        *c = *c >= ' ' && *c < 127 ? *c : '?';
    return PROGRESS_NOTHING;
}

static enum progress_word add_until(struct progress_lines *p, const char *ids)
{
    if (!ids[strspn(ids, " ")])
        return refuse(p);
    if (p->until.len + strlen(ids) < PROGRESS_UNTIL_MAX + PROGRESS_LINE_MAX)
        buf_printf(&p->until, "%s ", ids);
    return PROGRESS_UNTIL;
}

/* What follows the word, if the line begins with it: "" when that is all. */
static const char *after(const char *line, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || (line[n] && line[n] != ' '))
        return NULL;
    return line + n + (line[n] == ' ');
}

static enum progress_word parse(struct progress_lines *p)
{
    const char *text = after(p->line, "progress");
    if (text)
        return parse_progress(p, text) ? PROGRESS_REPORT : PROGRESS_NOTHING;
    if (!p->takes_checkpoints)
        return PROGRESS_NOTHING;
    text = after(p->line, "until");
    if (text)
        return add_until(p, text);
    text = after(p->line, "suspend");
    if (!text)
        return PROGRESS_NOTHING;
    return parse_suspend(p, *text ? text : "0") ? PROGRESS_SUSPEND : refuse(p);
}

/* Of a line that is too long only that matters which must not be lost: what a task waits for. */
static enum progress_word parse_cut(struct progress_lines *p)
{
    bool suspends = after(p->line, "until") || after(p->line, "suspend");
    return p->takes_checkpoints && suspends ? refuse(p) : PROGRESS_NOTHING;
}

static enum progress_word end_line(struct progress_lines *p)
{
    size_t n = p->len;
    bool empty = p->len == 0 && !p->too_long, is_checkpoint = p->in_checkpoint;
    if (n > 0 && p->line[n - 1] == '\r')
        n--;
    p->line[n] = '\0';
    enum progress_word said = is_checkpoint          ? PROGRESS_CHECKPOINT
                              : p->too_long          ? parse_cut(p)
                              : strlen(p->line) != n ? PROGRESS_NOTHING
                                                     : parse(p);
    p->len = 0;
    p->too_long = p->in_checkpoint = false;
    p->bad += said == PROGRESS_NOTHING && !empty;
    return said;
}

static void add(struct progress_lines *p, char c)
{
    if (p->in_checkpoint) {
        if (c != '\r' && p->checkpoint_len++ < PROGRESS_CHECKPOINT_MAX)
            buf_putc(&p->checkpoint, c);
        return;
    }
    if (p->len == PROGRESS_LINE_MAX) {
        p->too_long = true;
        return;
    }
    p->line[p->len++] = c;
    size_t n = sizeof(checkpoint_word) - 1;
    if (p->takes_checkpoints && p->len == n && memcmp(p->line, checkpoint_word, n) == 0) {
        p->in_checkpoint = true;
        p->checkpoint.len = p->checkpoint_len = 0;
    }
}

enum progress_word progress_lines_next(struct progress_lines *p, const char **bytes, size_t *n)
{
    while (*n > 0) {
        char c = *(*bytes)++;
        (*n)--;
        enum progress_word said = PROGRESS_NOTHING;
        if (c == '\n')
            said = end_line(p);
        else
            add(p, c);
        if (said != PROGRESS_NOTHING)
            return said;
    }
    return PROGRESS_NOTHING;
}

enum progress_word progress_lines_end(struct progress_lines *p)
{
    return p->len || p->too_long ? end_line(p) : PROGRESS_NOTHING;
}

void progress_lines_release(struct progress_lines *p)
{
    buf_release(&p->checkpoint);
    buf_release(&p->until);
}
