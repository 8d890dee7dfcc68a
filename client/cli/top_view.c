/* top_view: how `future top` looks. All text from elsewhere goes through put(), which lets nothing
 * reach the terminal that is no character. */
#include <curses.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "client/cli/cli.h"
#include "client/cli/top.h"
#include "core/mem.h"

#define LEAST_LINES 14
#define LEAST_COLUMNS 40
#define TEXT_MAX 1024

enum colour { COLOUR_BAD = 1, COLOUR_GOOD, COLOUR_PAUSED };

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static double number_of(const json_t *object, const char *member)
{
    return json_number_value(json_object_get(object, member));
}

/* Writes s in `width` columns from x on, padded with spaces; what is no printable character becomes
 * "?". */
static void put(int y, int x, int width, const char *s)
{
    wchar_t chars[TEXT_MAX];
    char *safe = cli_safe(s);
    size_t n = mbstowcs(chars, safe, TEXT_MAX), i;
    int used = 0;
    width = x + width > COLS ? COLS - x : width;
    if (n == (size_t)-1) {
        for (n = 0; n < TEXT_MAX && safe[n]; n++)
            chars[n] = safe[n] > ' ' && safe[n] < 0x7f ? (wchar_t)safe[n] : L'?';
    }
    for (i = 0; i < n; i++) {
        if (!iswprint((wint_t)chars[i]) || wcwidth(chars[i]) < 1)
            chars[i] = L'?';
        if (used + wcwidth(chars[i]) > width)
            break;
        used += wcwidth(chars[i]);
    }
    free(safe);
    if (width <= 0)
        return;
    mvaddnwstr(y, x, chars, (int)i);
    for (; used < width; used++)
        addch(' ');
}

static void put_line(int y, const char *fmt, ...) FUT_PRINTF(2, 3);
static void put_line(int y, const char *fmt, ...)
{
    char line[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    put(y, 0, COLS, line);
}

static void colour(const struct top *t, enum colour c, bool on)
{
    int attributes = t->has_colour ? COLOR_PAIR(c) : c == COLOUR_BAD ? A_BOLD : 0;
    if (on)
        attron(attributes);
    else
        attroff(attributes);
}

/* "850 ms" is nothing that anybody reads here: seconds, minutes, hours, days. */
static void format_span(char out[16], double s)
{
    if (s < 0)
        out[0] = '\0';
    else if (s < 120)
        (void)snprintf(out, 16, "%.0f s", s);
    else if (s < 7200)
        (void)snprintf(out, 16, "%.0f min", s / 60);
    else if (s < 172800)
        (void)snprintf(out, 16, "%.0f h", s / 3600);
    else
        (void)snprintf(out, 16, "%.0f d", s / 86400);
}

static void format_since(char out[16], const char *rfc3339)
{
    struct timespec now;
    double then = cli_time(rfc3339);
    clock_gettime(CLOCK_REALTIME, &now);
    format_span(out, then < 0 ? -1 : fmax(0, (double)now.tv_sec - then));
}

static void format_bar(char *out, int width, double share)
{
    int n = (int)lround(share * width);
    for (int i = 0; i < width; i++)
        out[i] = i < n ? '#' : '.';
    out[width] = '\0';
}

/* ---- the panes ------------------------------------------------------------------------------- */

struct column {
    const char *head;
    int width; /* 0: the rest of the line */
};
#define CELLS 7
#define CELL_MAX 512

static void write_lane(const json_t *row, char cells[CELLS][CELL_MAX])
{
    double slots = number_of(row, "capacity"), busy = number_of(row, "busy");
    (void)snprintf(cells[0], CELL_MAX, "%s", text_of(row, "lane"));
    (void)snprintf(cells[1], CELL_MAX, "%.0f/%.0f", busy, slots);
    format_bar(cells[2], 18, slots > 0 ? fmin(1, busy / slots) : 0);
    (void)snprintf(cells[3], CELL_MAX, "%.0f", number_of(row, "queued"));
    (void)snprintf(cells[4], CELL_MAX, "%.0f", number_of(row, "lent"));
    if (json_is_true(json_object_get(row, "paused")))
        (void)snprintf(cells[5], CELL_MAX, "paused %s", text_of(row, "reason"));
}

static void write_queue(const json_t *row, char cells[CELLS][CELL_MAX])
{
    (void)snprintf(cells[0], CELL_MAX, "%s", text_of(row, "name"));
    (void)snprintf(cells[1], CELL_MAX, "%.0f", number_of(row, "queued"));
    (void)snprintf(cells[2], CELL_MAX, "%.0f", number_of(row, "running"));
    (void)snprintf(cells[3], CELL_MAX, "%.1f", number_of(row, "started_per_s"));
    format_since(cells[4], text_of(row, "oldest_queued_at"));
    if (json_is_true(json_object_get(row, "paused")))
        (void)snprintf(cells[5], CELL_MAX, "paused %s", text_of(row, "reason"));
    else if (json_is_true(json_object_get(row, "closed")))
        (void)snprintf(cells[5], CELL_MAX, "closed");
}

static void write_task(const json_t *row, char cells[CELLS][CELL_MAX])
{
    const json_t *progress = json_object_get(row, "progress");
    double share = number_of(progress, "fraction");
    (void)snprintf(cells[0], CELL_MAX, "%s", text_of(row, "id"));
    (void)snprintf(cells[1], CELL_MAX, "%s", text_of(row, "handler"));
    (void)snprintf(cells[2], CELL_MAX, "%s", text_of(row, "lane"));
    format_since(cells[3], text_of(row, "started_at"));
    (void)snprintf(cells[4], CELL_MAX, "%.0f", number_of(row, "attempt"));
    if (json_is_number(json_object_get(progress, "fraction")))
        (void)snprintf(cells[5], CELL_MAX, "%3.0f %% %s", 100 * share,
                       text_of(progress, "message"));
    else
        (void)snprintf(cells[5], CELL_MAX, "%s", text_of(progress, "message"));
}

static void write_failures(const json_t *row, char cells[CELLS][CELL_MAX])
{
    (void)snprintf(cells[0], CELL_MAX, "%s", text_of(row, "handler"));
    (void)snprintf(cells[1], CELL_MAX, "%s", text_of(row, "code"));
    (void)snprintf(cells[2], CELL_MAX, "%.0f", number_of(row, "count"));
    format_since(cells[3], text_of(row, "last_at"));
    (void)snprintf(cells[4], CELL_MAX, "%s", text_of(row, "message"));
}

static const struct pane {
    const char *name;
    struct column columns[CELLS];
    void (*write)(const json_t *row, char cells[CELLS][CELL_MAX]);
} panes[TOP_PANES] = {
    [TOP_LANES] = {"LANE",
                   {{"LANE", 16}, {"BUSY", 9}, {"", 19}, {"QUEUED", 9}, {"LENT", 5}, {"", 0}},
                   write_lane},
    [TOP_QUEUES] =
        {"QUEUE",
         {{"QUEUE", 26}, {"QUEUED", 9}, {"RUNNING", 9}, {"PER S", 9}, {"OLDEST", 9}, {"", 0}},
         write_queue},
    [TOP_RUNNING] =
        {"RUNNING",
         {{"RUNNING", 37}, {"HANDLER", 14}, {"LANE", 5}, {"FOR", 7}, {"TRY", 4}, {"PROGRESS", 0}},
         write_task},
    [TOP_FAILURES] = {"FAILURES",
                      {{"FAILURES", 16}, {"CODE", 14}, {"COUNT", 8}, {"LAST", 9}, {"MESSAGE", 0}},
                      write_failures},
};

const char *top_view_key(enum top_pane pane, const json_t *row)
{
    static const char *const members[TOP_PANES] = {"lane", "name", "id", "example"};
    return json_string_value(json_object_get(row, members[pane]));
}

/* A cell is followed by a space at least. */
static void put_cells(int y, const struct column *columns, char cells[CELLS][CELL_MAX])
{
    put(y, 0, COLS, "");
    for (int i = 0, x = 0; i < CELLS && columns[i].head && x < COLS; i++) {
        int width = columns[i].width ? columns[i].width : COLS - x;
        put(y, x, columns[i].width ? width - 1 : width, cells[i]);
        x += width;
    }
}

/* A head and `lines` rows, those around the selected one; returns the line behind it. */
static int draw_pane(const struct top *t, enum top_pane which, int y, int lines)
{
    const struct pane *p = &panes[which];
    size_t n = json_array_size(t->rows[which]), selected = t->selected[which];
    size_t first = lines > 0 && selected >= (size_t)lines ? selected - (size_t)lines + 1 : 0;
    char cells[CELLS][CELL_MAX] = {{0}};
    for (int i = 0; i < CELLS && p->columns[i].head; i++)
        (void)snprintf(cells[i], CELL_MAX, "%s", p->columns[i].head);
    attron(which == t->pane ? A_BOLD | A_UNDERLINE : A_UNDERLINE);
    put_cells(y++, p->columns, cells);
    attroff(A_BOLD | A_UNDERLINE);
    for (size_t i = first; i < first + (size_t)lines; i++, y++) {
        const json_t *row = i < n ? json_array_get(t->rows[which], i) : NULL;
        bool is_selected = row && which == t->pane && i == selected;
        memset(cells, 0, sizeof(cells));
        if (row)
            p->write(row, cells);
        if (is_selected)
            attron(A_REVERSE);
        put_cells(y, p->columns, cells);
        attroff(A_REVERSE);
    }
    return y;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void draw_title(const struct top *t)
{
    char up[16];
    format_span(up, number_of(t->stats, "uptime"));
    attron(A_REVERSE);
    put_line(0, " futured %s  %s  up %s", text_of(t->stats, "version"), t->url, up);
    attroff(A_REVERSE);
    if (t->is_away) {
        colour(t, COLOUR_BAD, true);
        put(0, COLS - 11, 11, " NO ANSWER ");
        colour(t, COLOUR_BAD, false);
    }
}

static void draw_numbers(const struct top *t)
{
    const json_t *tasks = json_object_get(t->stats, "tasks"),
                 *store = json_object_get(t->stats, "store"),
                 *pools = json_object_get(t->stats, "pools");
    double states[3] = {0};
    static const char *const names[] = {"scheduled", "queued", "running"}, *const lanes[] = {"io",
                                                                                             "cpu"};
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        for (size_t l = 0; l < FUT_COUNT(lanes); l++)
            states[i] += number_of(json_object_get(tasks, lanes[l]), names[i]);
    }
    put_line(1, "per second: in %.1f  started %.1f  succeeded %.1f  failed %.1f  cancelled %.1f",
             t->rates[TOP_IN], t->rates[TOP_STARTED], t->rates[TOP_SUCCEEDED], t->rates[TOP_FAILED],
             t->rates[TOP_CANCELLED]);
    put_line(
        2, "scheduled %.0f  queued %.0f  running %.0f  workers %.0f (%.0f died)  store %s %.1f MB",
        states[0], states[1], states[2], number_of(pools, "workers_alive"),
        number_of(pools, "workers_died"), text_of(store, "health"),
        (number_of(store, "file_bytes") + number_of(store, "log_bytes")) / 1e6);
}

static void draw_foot(const struct top *t, const char *keys)
{
    const char *text = t->question ? t->question : t->message ? t->message : keys;
    bool is_loud = t->question || (t->message && t->is_away);
    attron(is_loud ? A_BOLD : A_REVERSE);
    put(LINES - 1, 0, COLS, text);
    attroff(A_BOLD | A_REVERSE);
}

/* Lines for the rows of each pane, of those that are there. */
static void share_lines(const struct top *t, int lines, int out[TOP_PANES])
{
    int queues = (int)json_array_size(t->rows[TOP_QUEUES]),
        failures = (int)json_array_size(t->rows[TOP_FAILURES]);
    out[TOP_LANES] = 2;
    lines -= out[TOP_LANES];
    out[TOP_QUEUES] = queues < lines / 4 ? queues : lines / 4;
    out[TOP_FAILURES] = failures < lines / 3 ? failures : lines / 3;
    out[TOP_RUNNING] = lines - out[TOP_QUEUES] - out[TOP_FAILURES];
}

/* The last lines of the text, `up` of them hidden below. */
static void draw_log(const struct top *t)
{
    const char *text = t->log.text.data ? t->log.text.data : "", *end = text + t->log.text.len;
    size_t up = t->log.up;
    attron(A_REVERSE);
    put_line(0, " log of %s", t->log.id);
    attroff(A_REVERSE);
    for (int y = LINES - 2; y >= 1; y--)
        put(y, 0, COLS, "");
    if (end > text && end[-1] == '\n')
        end--;
    for (int y = LINES - 2; y >= 1 && end >= text;) {
        const char *begin = memrchr(text, '\n', (size_t)(end - text));
        begin = begin ? begin + 1 : text;
        char *line = xstrndup(begin, (size_t)(end - begin));
        if (up > 0)
            up--;
        else
            put(y--, 0, COLS, line);
        free(line);
        end = begin - 1;
    }
    draw_foot(t, "q back  up/down scroll");
}

void top_view_draw(const struct top *t)
{
    int lines[TOP_PANES], y = 3;
    erase();
    if (LINES < LEAST_LINES || COLS < LEAST_COLUMNS) {
        put(0, 0, COLS, "This terminal is too small.");
    } else if (t->log.id) {
        draw_log(t);
    } else {
        draw_title(t);
        draw_numbers(t);
        share_lines(t, LINES - 3 - TOP_PANES - 1, lines);
        for (int p = 0; p < TOP_PANES; p++)
            y = draw_pane(t, (enum top_pane)p, y, lines[p]);
        draw_foot(t, "q quit  Tab pane  up/down select  p pause/resume  c cancel  r retry  l log");
    }
    refresh();
}
