/* top: `future top`, a full-screen view of the daemon. GET /v1/events says what has changed, so
 * that lists are read when there is something new, and GET /v1/stats has the numbers. */
#include "client/cli/top.h"

#include <curses.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "core/clock.h"
#include "core/mem.h"

#define EVENTS "/v1/events?types=started,progress,waiting,ended,pool,limit"
#define CALL_MS 3000 /* of one request: the view stands still meanwhile */
#define STATS_EVERY_MS 1000
#define LISTS_EVERY_MS 500 /* at most so often, however much happens */
#define LISTS_ANYWAY_MS 5000
#define LOG_MAX 65536
#define EMPTY_READS 100

struct view {
    struct top top; /* what is drawn */
    struct cli *cli;
    struct remote_stream *stream;
    struct buf line;     /* of the stream, unfinished */
    char last_event[24]; /* "": none yet */
    bool is_stale[TOP_PANES];
    int64_t stats_ms, lists_ms, log_ms; /* when they were read last */
    double counts[TOP_RATES];           /* as read last */
    void (*agreed)(struct view *v);     /* what y does */
    int64_t stream_ms;                  /* when it was opened last */
    unsigned empty_reads;               /* of the terminal, one behind the other */
    bool must_draw, is_ended;
};

/* ---- asking ---------------------------------------------------------------------------------- */

static void say(struct view *v, char *message)
{
    free(v->top.message);
    v->top.message = message;
}

/* The answer to q, or NULL: then the message says why. */
static json_t *ask(struct view *v, const struct remote_request *q)
{
    struct remote_answer a;
    struct remote_request timed = *q;
    timed.timeout_ms = CALL_MS;
    remote_call(v->cli->remote, &timed, &a);
    json_t *answer = a.status / 100 == 2 && a.body.len
                         ? json_loadb(a.body.data, a.body.len, JSON_DECODE_ANY, NULL)
                         : NULL;
    bool was_away = v->top.is_away;
    v->top.is_away = a.status == 0;
    if (a.status / 100 != 2)
        say(v, cli_refusal(v->cli, &a));
    else if (was_away)
        say(v, NULL);
    remote_answer_release(&a);
    return answer;
}

static json_t *get(struct view *v, const char *path)
{
    return ask(v, &(struct remote_request){.path = path});
}

static void read_stats(struct view *v)
{
    static const char *const members[TOP_RATES] = {"submitted", "claimed", "succeeded", "failed",
                                                   "cancelled"};
    json_t *stats = get(v, "/v1/stats"), *tasks = json_object_get(stats, "tasks");
    int64_t now = clock_mono_ms();
    double seconds = (double)(now - v->stats_ms) / 1000;
    bool is_first = !v->top.stats || v->stats_ms == 0;
    v->stats_ms = now;
    if (!stats)
        return;
    for (int i = 0; i < TOP_RATES; i++) {
        double count = json_number_value(json_object_get(tasks, members[i]));
        bool is_anew = is_first || count < v->counts[i]; /* another daemon counts from 0 */
        v->top.rates[i] = is_anew || seconds <= 0 ? 0 : (count - v->counts[i]) / seconds;
        v->counts[i] = count;
    }
    json_decref(v->top.stats);
    v->top.stats = stats;
}

/* The row that was selected stays so when it is still there. */
static void replace_rows(struct top *t, enum top_pane p, json_t *rows)
{
    const char *key = top_view_key(p, json_array_get(t->rows[p], t->selected[p]));
    size_t n = json_array_size(rows), at = t->selected[p];
    for (size_t i = 0; key && i < n; i++) {
        const char *other = top_view_key(p, json_array_get(rows, i));
        if (other && strcmp(key, other) == 0)
            at = i;
    }
    t->selected[p] = n == 0 ? 0 : at < n ? at : n - 1;
    json_decref(t->rows[p]);
    t->rows[p] = json_incref(rows);
}

static void read_lists(struct view *v)
{
    static const struct {
        const char *path, *member;
    } lists[TOP_PANES] = {
        [TOP_LANES] = {"/v1/pools", "pools"},
        [TOP_QUEUES] = {"/v1/queues?limit=200", "queues"},
        [TOP_RUNNING] = {"/v1/futures?state=running&limit=200", "futures"},
        [TOP_FAILURES] = {"/v1/failures?limit=100", "failures"},
    };
    for (int p = 0; p < TOP_PANES && !v->top.is_away; p++) {
        json_t *answer = v->is_stale[p] ? get(v, lists[p].path) : NULL;
        json_t *rows = json_object_get(answer, lists[p].member);
        if (rows) {
            replace_rows(&v->top, (enum top_pane)p, rows);
            v->is_stale[p] = false;
        }
        json_decref(answer);
    }
    v->lists_ms = clock_mono_ms();
}

static void make_stale(struct view *v)
{
    for (int p = 0; p < TOP_PANES; p++)
        v->is_stale[p] = true;
}

static bool is_any_stale(const struct view *v)
{
    for (int p = 0; p < TOP_PANES; p++) {
        if (v->is_stale[p])
            return true;
    }
    return false;
}

/* ---- the log of a task ----------------------------------------------------------------------- */

static void close_log(struct view *v)
{
    free(v->top.log.id);
    buf_release(&v->top.log.text);
    v->top.log = (struct top_log){0};
}

static void read_log(struct view *v)
{
    struct top_log *log = &v->top.log;
    struct remote_answer a;
    char after[48];
    (void)snprintf(after, sizeof(after), "/log?from=%lld", log->from);
    char *path = cli_path(v->cli, "/v1/futures/", log->id, after);
    remote_call(v->cli->remote, &(struct remote_request){.path = path, .timeout_ms = CALL_MS}, &a);
    if (a.status == 200) {
        buf_put(&log->text, a.body.data ? a.body.data : "", a.body.len);
        log->from = a.log_next >= 0 ? a.log_next : log->from;
        if (log->text.len > LOG_MAX)
            buf_consume(&log->text, log->text.len - LOG_MAX);
    } else {
        say(v, cli_refusal(v->cli, &a));
    }
    v->log_ms = clock_mono_ms();
    remote_answer_release(&a);
    free(path);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void take_event(struct view *v, const char *line, size_t len)
{
    json_t *event = json_loadb(line, len, 0, NULL), *id = json_object_get(event, "id");
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *state = json_string_value(json_object_get(json_object_get(event, "data"), "state"));
    if (json_is_integer(id))
        (void)snprintf(v->last_event, sizeof(v->last_event), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(id));
    else if (json_is_string(id))
        (void)snprintf(v->last_event, sizeof(v->last_event), "%s", json_string_value(id));
    if (name && (strcmp(name, "open") == 0 || strcmp(name, "missed") == 0)) {
        make_stale(v);
    } else if (name && strcmp(name, "keep-alive") != 0) {
        v->is_stale[TOP_LANES] = v->is_stale[TOP_QUEUES] = v->is_stale[TOP_RUNNING] = true;
        /* A life that begins again is no failure any more. */
        if (strcmp(name, "waiting") == 0 || (state && strcmp(state, "failed") == 0))
            v->is_stale[TOP_FAILURES] = true;
    }
    json_decref(event);
}

static bool on_bytes(void *ctx, const char *bytes, size_t n)
{
    struct view *v = ctx;
    const char *end;
    buf_put(&v->line, bytes, n);
    while ((end = memchr(v->line.data, '\n', v->line.len))) {
        size_t len = (size_t)(end - v->line.data);
        take_event(v, v->line.data, len);
        buf_consume(&v->line, len + 1);
    }
    return true;
}

static void open_stream(struct view *v)
{
    v->line.len = 0;
    v->stream = remote_stream_open(
        v->cli->remote,
        &(struct remote_request){.path = EVENTS,
                                 .accept = "application/x-ndjson",
                                 .last_event = v->last_event[0] ? v->last_event : NULL,
                                 .on_bytes = on_bytes,
                                 .ctx = v});
}

/* ---- keys ------------------------------------------------------------------------------------ */

static const json_t *selected(const struct view *v)
{
    return json_array_get(v->top.rows[v->top.pane], v->top.selected[v->top.pane]);
}

static const char *member(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text ? text : "";
}

static void question(struct view *v, void (*agreed)(struct view *v), char *text)
{
    say(v, NULL);
    free(v->top.question);
    v->top.question = text;
    v->agreed = agreed;
}

static void refuse_key(struct view *v, const char *why)
{
    say(v, xstrdup(why));
}

/* Sends it, and says `done` when the daemon has done it; the next key finds what holds then. Takes
 * body, path and done. */
static void act(struct view *v, const char *method, char *path, json_t *body, char *done)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *answer = ask(
        v, &(struct remote_request){
               .method = method, .path = path, .body = text, .body_len = text ? strlen(text) : 0});
    if (answer)
        say(v, done);
    else
        free(done);
    make_stale(v);
    read_lists(v);
    json_decref(answer);
    json_decref(body);
    free(text);
    free(path);
}

static void press_pause(struct view *v)
{
    const json_t *row = selected(v);
    bool is_paused = json_is_true(json_object_get(row, "paused"));
    const char *name = row ? top_view_key(v->top.pane, row) : NULL;
    char *done;
    if (v->top.pane > TOP_QUEUES || !name) {
        refuse_key(v, "p pauses and resumes the selected lane or queue.");
        return;
    }
    if (asprintf(&done, "%s %s", name, is_paused ? "goes on." : "is paused.") < 0)
        abort();
    act(v, "PATCH",
        cli_path(v->cli, v->top.pane == TOP_LANES ? "/v1/pools/" : "/v1/queues/", name, ""),
        json_pack("{s:b}", "paused", !is_paused), done);
}

static void cancel_selected(struct view *v)
{
    char *done;
    const char *id = member(selected(v), "id");
    if (asprintf(&done, "%s is being cancelled.", id) < 0)
        abort();
    act(v, "POST", cli_path(v->cli, "/v1/futures/", id, "/cancel"), NULL, done);
}

static void press_cancel(struct view *v)
{
    char *text;
    if (v->top.pane != TOP_RUNNING || !selected(v)) {
        refuse_key(v, "c cancels the selected running task.");
        return;
    }
    if (asprintf(&text, "Cancel %s (%s)? y/n", member(selected(v), "id"),
                 member(selected(v), "handler")) < 0)
        abort();
    question(v, cancel_selected, text);
}

static void retry_selected(struct view *v)
{
    const json_t *row = selected(v);
    char *done;
    if (asprintf(&done, "The failures of %s (%s) are queued again.", member(row, "handler"),
                 member(row, "code")) < 0)
        abort();
    act(v, "POST", xstrdup("/v1/futures/retry"),
        json_pack("{s:s, s:s, s:s}", "handler", member(row, "handler"), "code", member(row, "code"),
                  "state", "failed"),
        done);
}

static void press_retry(struct view *v)
{
    char *text;
    if (v->top.pane != TOP_FAILURES || !selected(v)) {
        refuse_key(v, "r retries the selected group of failures.");
        return;
    }
    if (asprintf(&text, "Retry the %lld failures of %s (%s)? y/n",
                 (long long)json_integer_value(json_object_get(selected(v), "count")),
                 member(selected(v), "handler"), member(selected(v), "code")) < 0)
        abort();
    question(v, retry_selected, text);
}

static void press_log(struct view *v)
{
    const char *id = member(selected(v), v->top.pane == TOP_RUNNING ? "id" : "example");
    if (!*id) {
        refuse_key(v,
                   "l shows the log of a running task, or of the latest of a group of failures.");
        return;
    }
    say(v, NULL);
    v->top.log = (struct top_log){.id = xstrdup(id)};
    read_log(v);
}

static void press_quit(struct view *v)
{
    if (v->top.log.id)
        close_log(v);
    else
        v->is_ended = true;
}

static void press_move(struct view *v, long by)
{
    size_t n = json_array_size(v->top.rows[v->top.pane]), *at = &v->top.selected[v->top.pane];
    long to = (long)*at + by;
    if (v->top.log.id) {
        long up = (long)v->top.log.up - by;
        v->top.log.up = up < 0 ? 0 : (size_t)up;
        return;
    }
    *at = to < 0 || n == 0 ? 0 : (size_t)to < n ? (size_t)to : n - 1;
}

static void press_pane(struct view *v, int by)
{
    v->top.pane = (enum top_pane)(((int)v->top.pane + by + TOP_PANES) % TOP_PANES);
}

static void press(struct view *v, int key)
{
    if (v->top.question) {
        free(v->top.question);
        v->top.question = NULL;
        if (key == 'y' || key == 'Y')
            v->agreed(v);
        return;
    }
    if (!v->top.is_away)
        say(v, NULL);
    switch (key) {
    case 'q':
    case 27: press_quit(v); break;
    case KEY_UP:
    case 'k': press_move(v, -1); break;
    case KEY_DOWN:
    case 'j': press_move(v, 1); break;
    case KEY_PPAGE: press_move(v, -10); break;
    case KEY_NPAGE: press_move(v, 10); break;
    default:
        if (v->top.log.id)
            break;
        if (key == '\t' || key == KEY_RIGHT)
            press_pane(v, 1);
        else if (key == KEY_BTAB || key == KEY_LEFT)
            press_pane(v, -1);
        else if (key == 'p')
            press_pause(v);
        else if (key == 'c')
            press_cancel(v);
        else if (key == 'r')
            press_retry(v);
        else if (key == 'l' || key == '\n' || key == KEY_ENTER)
            press_log(v);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Reads what is due, and says whether anything was. A daemon that is away is asked once a second,
 * until it is there again. */
static bool refresh_all(struct view *v)
{
    int64_t now = clock_mono_ms();
    bool was_away = v->top.is_away, has_news = false;
    if (now - v->stats_ms >= STATS_EVERY_MS) {
        has_news = true;
        read_stats(v);
    }
    if (v->top.is_away)
        return has_news;
    if (was_away || now - v->lists_ms >= LISTS_ANYWAY_MS)
        make_stale(v);
    if (!v->stream && now - v->stream_ms >= STATS_EVERY_MS) {
        v->stream_ms = now;
        open_stream(v);
    }
    if (now - v->lists_ms >= LISTS_EVERY_MS && is_any_stale(v)) {
        has_news = true;
        read_lists(v);
    }
    if (v->top.log.id && now - v->log_ms >= STATS_EVERY_MS) {
        has_news = true;
        read_log(v);
    }
    return has_news;
}

static int until_next(const struct view *v)
{
    int64_t next = v->stats_ms + STATS_EVERY_MS;
    if (is_any_stale(v) && !v->top.is_away && v->lists_ms + LISTS_EVERY_MS < next)
        next = v->lists_ms + LISTS_EVERY_MS;
    int64_t ms = next - clock_mono_ms();
    return ms < 0 ? 0 : (int)ms;
}

static void wait_for_news(struct view *v)
{
    if (remote_stream_wait(v->stream, STDIN_FILENO, until_next(v)))
        return;
    remote_stream_close(v->stream);
    v->stream = NULL;
}

/* A terminal that is gone is readable for ever, and has nothing to read. */
static bool is_gone(const struct view *v)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR) || v->empty_reads > EMPTY_READS);
}

static void loop(struct view *v)
{
    while (!v->is_ended && !is_gone(v)) {
        int key;
        bool has_news = refresh_all(v);
        if (has_news || v->must_draw)
            top_view_draw(&v->top);
        v->must_draw = false;
        wait_for_news(v);
        v->empty_reads++;
        while (!v->is_ended && (key = getch()) != ERR) {
            v->empty_reads = 0;
            v->must_draw = true;
            press(v, key);
        }
    }
}

static void begin_colours(struct view *v)
{
    v->top.has_colour = !getenv("NO_COLOR") && has_colors();
    if (!v->top.has_colour)
        return;
    start_color();
    use_default_colors();
    init_pair(1, COLOR_RED, -1);
    init_pair(2, COLOR_GREEN, -1);
    init_pair(3, COLOR_YELLOW, -1);
}

static int run_top(struct cli *c, int argc, char **argv)
{
    struct view v = {.cli = c, .top = {.url = remote_url(c->remote)}};
    int code = CLI_OK;
    (void)argc, (void)argv;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cli_fail(CLI_USAGE, "`top` needs a terminal; `future stats` prints numbers.");
    v.top.stats = cli_get(c, "/v1/stats", &code);
    if (!v.top.stats)
        return code;
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        json_decref(v.top.stats);
        return cli_fail(CLI_USAGE, "This terminal (TERM=%s) is not known.",
                        getenv("TERM") ? getenv("TERM") : "");
    }
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    begin_colours(&v);
    make_stale(&v);
    loop(&v);
    endwin();
    delscreen(screen);
    remote_stream_close(v.stream);
    close_log(&v);
    for (int p = 0; p < TOP_PANES; p++)
        json_decref(v.top.rows[p]);
    json_decref(v.top.stats);
    buf_release(&v.line);
    free(v.top.question);
    free(v.top.message);
    return code;
}

const struct cli_command cli_top_commands[] = {
    {"top", "", "follow lanes, queues, running tasks and failures on the whole screen", NULL, 0, 0,
     run_top},
    {0},
};
