#include "workers/process/worker_faults.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "core/backoff.h"
#include "core/clock.h"
#include "core/log.h"
#include "workers/process/worker_set_internal.h"

#define RETRY_FIRST_MS 2000
#define RETRY_LAST_MS 60000

/* Not worth a pause: a kill from outside of what had started well. */
bool worker_faults_is_one(const struct worker_process *w, const struct worker_end *end)
{
    bool was_killed = end->known && WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL;
    return !w->by_us && w->last_id == 0 && !(w->said_hello && was_killed);
}

static void describe(const struct worker_end *end, char *out, size_t size)
{
    if (!end->known)
        (void)snprintf(out, size, "it could not be started");
    else if (WIFSIGNALED(end->status))
        (void)snprintf(out, size, "it was killed by signal %d", WTERMSIG(end->status));
    else
        (void)snprintf(out, size, "it exited with %d", WEXITSTATUS(end->status));
}

/* How it ended and the end of what it printed, without the blanks around that. */
static void keep_last_words(struct worker_program *p, const struct worker_end *end)
{
    char how[64];
    size_t from = 0, to = end->log_len;
    describe(end, how, sizeof(how));
    while (to > 0 && (unsigned char)end->log[to - 1] <= ' ')
        to--;
    if (to > WORKER_WORDS_MAX - sizeof(how))
        from = to - (WORKER_WORDS_MAX - sizeof(how));
    while (from < to && ((unsigned char)end->log[from] <= ' ' || (end->log[from] & 0xc0) == 0x80))
        from++;
    (void)snprintf(p->last_words, sizeof(p->last_words), "%s%s%.*s", how, from < to ? ": " : "",
                   (int)(to - from), from < to ? end->log + from : "");
}

/* Its tasks are kept: those that wait here go back to the queue, unharmed. */
static void set_broken(struct worker_program *p)
{
    if (!p->handler || p->is_leaving || worker_program_ready(p))
        return;
    if (!p->broken_wall_ms)
        p->broken_wall_ms = clock_wall_ms();
    worker_book_broken(worker_set_book(p->set), p);
    worker_program_give_back(p);
}

void worker_faults_note(struct worker_program *p, const struct worker_end *end)
{
    keep_last_words(p, end);
    if (!heap_is_linked(&p->retry.node)) {
        p->retry_ms = backoff_ms(++p->failed_starts, RETRY_FIRST_MS, RETRY_LAST_MS);
        loop_timer_set(worker_set_loop(p->set), &p->retry, clock_mono_ms() + p->retry_ms);
        log_warn("worker_start_failed", LOG_STR("program", worker_program_name(p)),
                 LOG_STR("words", p->last_words), LOG_INT("again_ms", p->retry_ms));
    }
    set_broken(p);
    worker_set_changed(p->set);
}

/* Other threads read the book, which is locked for a change: not at every greeting. */
void worker_faults_forget(struct worker_program *p)
{
    if (p->broken_wall_ms)
        worker_book_mended(worker_set_book(p->set), p);
    p->broken_wall_ms = 0;
    loop_timer_clear(worker_set_loop(p->set), &p->retry);
}

void worker_faults_mend(struct worker_program *p)
{
    if (p->failed_starts)
        log_info("worker_start_recovered", LOG_STR("program", worker_program_name(p)),
                 LOG_INT("failed_starts", p->failed_starts));
    p->failed_starts = 0;
    worker_faults_forget(p);
}
