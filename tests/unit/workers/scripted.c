#include "tests/unit/workers/scripted.h"

#include <fcntl.h>
#include <limits.h>

#include "tests/support/wait.h"
#include "workers/wire/tickets.h"

struct wire_stream scripted;

static uint64_t scripted_open[64]; /* ids of tasks that are not over */

static size_t scripted_n_open;
static uint64_t scripted_stuck[64]; /* of tasks that hear of no cancel */
static size_t scripted_n_stuck;

static void scripted_put(const struct wire_head *h, const void *payload)
{
    if (wire_stream_put(&scripted, h, payload) != 0 || wire_stream_flush(&scripted, 0) != 0)
        _exit(9);
}

static void scripted_done(uint64_t id, const void *bytes, size_t n)
{
    struct wire_head h = WIRE_HEAD(WIRE_DONE);
    h.id = id;
    h.bytes = n;
    h.type = "text/plain";
    scripted_put(&h, bytes);
}

static void scripted_fail(uint64_t id, const char *kind, int retry, const char *text)
{
    struct wire_head h = WIRE_HEAD(WIRE_FAIL);
    h.id = id;
    h.bytes = strlen(text);
    h.kind = kind;
    h.retry = retry;
    scripted_put(&h, text);
}

static void scripted_release_open(void)
{
    while (scripted_n_open)
        scripted_done(scripted_open[--scripted_n_open], "held", 4);
}

static pid_t scripted_helper; /* a child that burns CPU time; 0: none */

static void scripted_cancel(uint64_t id)
{
    for (size_t i = 0; i < scripted_n_open; i++) {
        if (scripted_open[i] != id)
            continue;
        scripted_open[i] = scripted_open[--scripted_n_open];
        if (scripted_helper)
            (void)kill(scripted_helper, SIGKILL);
        scripted_fail(id, "Cancelled", -1, "as you like");
        return;
    }
}

static void scripted_hold(uint64_t id, int arg)
{
    (void)arg;
    scripted_open[scripted_n_open++] = id;
}

/* Does not hear of a cancel, until the next `unstick`. */
static void scripted_stick(uint64_t id, int arg)
{
    (void)arg;
    scripted_stuck[scripted_n_stuck++] = id;
}

static void scripted_unstick(uint64_t id, int arg)
{
    (void)arg;
    while (scripted_n_stuck)
        scripted_done(scripted_stuck[--scripted_n_stuck], "stuck", 5);
    scripted_done(id, "", 0);
}

static void scripted_release(uint64_t id, int arg)
{
    (void)arg;
    scripted_release_open();
    scripted_done(id, "", 0);
}

static void scripted_error(uint64_t id, int arg)
{
    (void)arg;
    scripted_fail(id, "ValueError", 0, "first line\nsecond line\n");
}

/* With data behind its text. */
static void scripted_data(uint64_t id, int arg)
{
    (void)arg;
    struct wire_head h = WIRE_HEAD(WIRE_FAIL);
    h.id = id;
    h.text = 12;
    h.bytes = 12 + 6;
    h.kind = "ValueError";
    h.type = "application/x-pickle";
    scripted_put(&h, "first\nsecond\0\nda\xff");
}

static void scripted_again(uint64_t id, int arg)
{
    (void)arg;
    scripted_fail(id, NULL, 1, "not now");
}

static void scripted_report(uint64_t id, int arg)
{
    (void)arg;
    struct wire_head h = WIRE_HEAD(WIRE_PROGRESS);
    h.id = id;
    h.fraction = 0.5;
    h.bytes = 10;
    scripted_put(&h, "half\nrest ");
    h = (struct wire_head)WIRE_HEAD(WIRE_LOG);
    h.id = id;
    h.bytes = 5;
    scripted_put(&h, "said\n");
    scripted_done(id, "", 0);
}

static void scripted_print(uint64_t id, int arg)
{
    (void)arg;
    (void)fputs("RUN 1 0 stray\n", stdout);
    (void)fflush(stdout);
    (void)fputs("to stderr\n", stderr);
    scripted_done(id, "printed", 7);
}

/* n milliseconds, without using the CPU. */
static void scripted_pause(uint64_t id, int ms)
{
    wait_ms(ms);
    scripted_done(id, "", 0);
}

/* Without its channel, and alive. */
static void scripted_close(uint64_t id, int arg)
{
    (void)id;
    (void)arg;
    (void)close(3);
    for (;;)
        (void)pause();
}

/* One answer too many. */
static void scripted_twice(uint64_t id, int arg)
{
    (void)arg;
    scripted_done(id, "first", 5);
    scripted_done(id, "second", 6);
}

static void scripted_pid(uint64_t id, int arg)
{
    (void)arg;
    char text[32];
    int n = snprintf(text, sizeof(text), "%d", (int)getpid());
    scripted_done(id, text, (size_t)n);
}

/* n MiB that stay. */
static void scripted_grow(uint64_t id, int n)
{
    size_t bytes = (size_t)n << 20;
    char *p = xmalloc(bytes);
    memset(p, 1, bytes);
    scripted_done(id, p, 1);
}

static void scripted_big(uint64_t id, int n)
{
    char *p = xcalloc(1, (size_t)n);
    scripted_done(id, p, (size_t)n);
    free(p);
}

/* n bytes of log, in messages; those that are held are released after that. */
static void scripted_logs(uint64_t id, int n)
{
    static const char line[1000];
    struct wire_head h = WIRE_HEAD(WIRE_LOG);
    h.id = id;
    for (; n > 0; n -= (int)sizeof(line)) {
        h.bytes = sizeof(line);
        scripted_put(&h, line);
    }
    scripted_release_open();
    scripted_done(id, "", 0);
}

/* n KiB on standard output. */
static void scripted_yes(uint64_t id, int n)
{
    static const char line[1024];
    for (; n > 0; n--)
        (void)fwrite(line, 1, sizeof(line), stdout);
    (void)fflush(stdout);
    scripted_done(id, "", 0);
}

static int64_t scripted_cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void scripted_burn(int ms)
{
    int64_t until_ms = scripted_cpu_ms() + ms;
    while (scripted_cpu_ms() < until_ms)
        ;
}

static void scripted_spin(uint64_t id, int ms)
{
    scripted_burn(ms);
    scripted_done(id, "", 0);
}

/* A child of the worker spins, the worker itself does not. */
static void scripted_help(uint64_t id, int ms)
{
    scripted_helper = fork();
    if (scripted_helper == 0) {
        scripted_burn(ms);
        _exit(0);
    }
    scripted_open[scripted_n_open++] = id;
}

void scripted_die(int sig)
{
    (void)fputs("last words\n", stderr);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void scripted_kill(uint64_t id, int sig)
{
    (void)id;
    scripted_die(sig);
}

static void scripted_exit(uint64_t id, int status)
{
    (void)id;
    _exit(status);
}

static void scripted_garbage(uint64_t id, int arg)
{
    (void)id;
    (void)arg;
    (void)!write(3, "what is this\n", 13);
}

/* Reads the answer to its CHECKPOINT and ends with that: "SAVED", or "REFUSED WHY". */
static void scripted_end_with_answer(uint64_t id)
{
    struct wire_message m;
    char text[256];
    while (wire_stream_next(&scripted, &m) == FUT_ERR_AGAIN) {
        if (wire_stream_read(&scripted, 0) != 0)
            exit(0);
    }
    int n = snprintf(text, sizeof(text), "%s%s%.*s", wire_verb_name(m.head.verb),
                     m.head.bytes ? " " : "", (int)m.head.bytes,
                     m.head.bytes ? (const char *)m.payload : "");
    scripted_done(id, text, (size_t)n);
}

/* Sent with what follows. */
static void scripted_checkpoint(uint64_t id, int n)
{
    char *p = xcalloc(1, (size_t)n + 1);
    struct wire_head h = WIRE_HEAD(WIRE_CHECKPOINT);
    h.id = id;
    h.bytes = (uint64_t)n;
    if (wire_stream_put(&scripted, &h, p) != 0)
        _exit(9);
    free(p);
}

static void scripted_save(uint64_t id, int n)
{
    scripted_checkpoint(id, n);
    if (wire_stream_flush(&scripted, 0) != 0)
        _exit(9);
    scripted_end_with_answer(id);
}

/* The second one before the first was answered: that is refused at once. */
static void scripted_hasty(uint64_t id, int n)
{
    scripted_checkpoint(id, n);
    scripted_save(id, n);
}

/* n seconds. */
static void scripted_suspend(uint64_t id, int n)
{
    struct wire_head h = WIRE_HEAD(WIRE_SUSPEND);
    h.id = id;
    h.for_ms = (uint64_t)n * 1000;
    scripted_put(&h, NULL);
}

/* The first word of an input, and what follows from it; any other input is the result. */
static const struct {
    const char *word;
    void (*run)(uint64_t id, int arg);
} scripted_words[] = {
    {"hold", scripted_hold},       {"release", scripted_release}, {"fail", scripted_error},
    {"again", scripted_again},     {"report", scripted_report},   {"print", scripted_print},
    {"pid", scripted_pid},         {"grow", scripted_grow},       {"big", scripted_big},
    {"kill", scripted_kill},       {"exit", scripted_exit},       {"garbage", scripted_garbage},
    {"logs", scripted_logs},       {"yes", scripted_yes},         {"spin", scripted_spin},
    {"help", scripted_help},       {"twice", scripted_twice},     {"pause", scripted_pause},
    {"close", scripted_close},     {"save", scripted_save},       {"hasty", scripted_hasty},
    {"suspend", scripted_suspend}, {"stick", scripted_stick},     {"unstick", scripted_unstick},
    {"data", scripted_data},
};

static void scripted_run(const struct wire_message *m)
{
    char text[256] = "";
    size_t n = m->head.bytes < 255 ? (size_t)m->head.bytes : 255;
    memcpy(text, m->payload, n);
    char *space = strchr(text, ' ');
    int arg = space ? (int)strtol(space, NULL, 10) : 0;
    if (space)
        *space = '\0';
    for (size_t i = 0; i < FUT_COUNT(scripted_words); i++) {
        if (strcmp(text, scripted_words[i].word) == 0) {
            scripted_words[i].run(m->head.id, arg);
            return;
        }
    }
    scripted_done(m->head.id, m->payload, (size_t)m->head.bytes);
}

static int scripted_page;
static struct tickets *scripted_tickets;

static void scripted_offer(struct wire_head *hello)
{
    scripted_tickets = tickets_new(&scripted_page);
    int theirs = dup(scripted_page);
    hello->ahead = 8;
    if (!scripted_tickets || wire_stream_put_fds(&scripted, hello, &theirs, 1) != 0 ||
        wire_stream_flush(&scripted, 0) != 0)
        _exit(9);
}

static bool scripted_lock(short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(scripted_page, F_SETLKW, &whole) == 0;
}

static bool scripted_takes(uint64_t id)
{
    if (!scripted_lock(F_WRLCK))
        _exit(9);
    bool is_ours = tickets_take(scripted_tickets, id);
    if (!scripted_lock(F_UNLCK))
        _exit(9);
    return is_ours;
}

static void scripted_greet(int argc, char **argv)
{
    struct wire_head h = WIRE_HEAD(WIRE_HELLO);
    h.id = WIRE_VERSION;
    for (int i = 2; i < argc; i++) {
        bool missing = strncmp(argv[i], "once=", 5) == 0 && access(argv[i] + 5, F_OK) != 0;
        if (missing || strcmp(argv[i], "die") == 0)
            (void)fputs("no model here\n", stderr), _exit(3);
        if (strncmp(argv[i], "concurrency=", 12) == 0)
            h.concurrency = (uint64_t)strtoul(argv[i] + 12, NULL, 10);
        if (strcmp(argv[i], "cancel=1") == 0)
            h.cancel = WIRE_CANCEL_HARD;
        if (strcmp(argv[i], "cancel=soft") == 0)
            h.cancel = WIRE_CANCEL_SOFT;
        h.checkpoint = h.checkpoint || strcmp(argv[i], "checkpoint=1") == 0;
        h.memfd = h.memfd || strcmp(argv[i], "memfd=1") == 0;
        if (strcmp(argv[i], "deaf") == 0)
            (void)signal(SIGTERM, SIG_IGN);
        if (strcmp(argv[i], "mute") == 0)
            return;
        if (strcmp(argv[i], "ahead") == 0) {
            scripted_offer(&h);
            return;
        }
    }
    scripted.peer_takes_fds = h.memfd;
    scripted_put(&h, NULL);
}

const char *scripted_self(void)
{
    static char self[PATH_MAX];
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        abort();
    return self;
}

void scripted_main(int argc, char **argv)
{
    struct wire_message m;
    int rc;
    if (argc < 2 || strcmp(argv[1], "worker") != 0)
        return;
    wire_stream_init(&scripted, 3, WIRE_PAYLOAD_MAX);
    scripted_greet(argc, argv);
    for (;;) {
        while ((rc = wire_stream_next(&scripted, &m)) == FUT_ERR_AGAIN) {
            if (wire_stream_read(&scripted, 0) != 0)
                exit(0); /* the daemon has closed the channel */
        }
        if (rc != 0)
            exit(8);
        if (m.head.verb == WIRE_RUN && m.head.ahead && !scripted_takes(m.head.id))
            continue;
        if (m.head.verb == WIRE_RUN)
            scripted_run(&m);
        else if (m.head.verb == WIRE_CANCEL)
            scripted_cancel(m.head.id);
    }
}
