#include "core/mem.h"
#include "workers/process/worker_internal.h"

#define SESSIONS_MAX 64u /* that a process is known to be ready for */

/* ---- which there are ---- */

static struct worker_session *find(const struct worker_process *w, struct task_id id)
{
    for (uint32_t i = 0; i < w->n_sessions; i++) {
        if (id_equal(w->sessions[i].id, id))
            return &w->sessions[i];
    }
    return NULL;
}

static void forget(struct worker_process *w, uint32_t i)
{
    memmove(&w->sessions[i], &w->sessions[i + 1], (--w->n_sessions - i) * sizeof(*w->sessions));
}

/* Makes space; one whose INIT is not answered stays. */
static void forget_oldest(struct worker_process *w)
{
    uint32_t i = 0;
    while (i < w->n_sessions && w->sessions[i].init_id)
        i++;
    if (w->n_sessions >= SESSIONS_MAX && i < w->n_sessions)
        forget(w, i);
}

static struct worker_session *add(struct worker_process *w, struct task_id id)
{
    forget_oldest(w);
    w->sessions = xrealloc(w->sessions, (w->n_sessions + 1) * sizeof(*w->sessions));
    w->sessions[w->n_sessions] = (struct worker_session){.id = id, .init_id = w->last_id};
    return &w->sessions[w->n_sessions++];
}

static struct worker_session *awaited(const struct worker_process *w, uint64_t id)
{
    for (uint32_t i = 0; i < w->n_sessions; i++) {
        if (w->sessions[i].init_id == id)
            return &w->sessions[i];
    }
    return NULL;
}

bool worker_session_awaits(const struct worker_process *w, uint64_t id)
{
    return id && awaited(w, id);
}

static void close_session(struct worker_process *w, const struct worker_session *s)
{
    struct task_id id = s->id;
    forget(w, (uint32_t)(s - w->sessions));
    if (w->takes_closes)
        worker_channel_close_session(w, id);
}

void worker_session_close(struct worker_process *w, struct task_id session)
{
    struct worker_session *s = find(w, session);
    if (!s || w->state != WORKER_READY)
        return;
    if (s->init_id)
        s->is_closed = true;
    else
        close_session(w, s);
}

/* The RUN of a task that waits for the answer to an INIT is sent behind that: what was given ahead
 * before would begin first. */
static bool awaits_any(const struct worker_process *w)
{
    uint32_t i = 0;
    while (i < w->n_sessions && !w->sessions[i].init_id)
        i++;
    return i < w->n_sessions;
}

/* One of which a process runs a certain number is not counted ahead. */
bool worker_session_is_ready(const struct worker_process *w, const struct task_init *init)
{
    const struct worker_session *s = init ? find(w, init->session) : NULL;
    return !awaits_any(w) && (!init || (s && !init->max_tasks));
}

/* ---- giving ---- */

/* A process that has had its share of the session gets nothing more, and leaves. */
static int run_ready(struct worker_process *w, struct worker_session *s, struct worker_job *job)
{
    uint32_t max = job->task->init->max_tasks;
    int rc = worker_channel_run(w, job, false);
    if (rc == 0 && ++s->n_started >= max && max)
        w->retiring = true;
    return rc;
}

int worker_session_run(struct worker_process *w, struct worker_job *job)
{
    const struct task_init *init = job->task->init;
    int rc = 0;
    if (!init)
        return worker_channel_run(w, job, false);
    if (!w->takes_sessions)
        return FUT_ERR_STATE;
    struct worker_session *s = find(w, init->session);
    if (s && !s->init_id)
        return run_ready(w, s, job);
    if (!s)
        rc = worker_channel_init(w, init);
    if (rc != 0)
        return rc;
    job->id = s ? s->init_id : add(w, init->session)->init_id;
    job->worker = w;
    return 0;
}

/* ---- the answer ---- */

static struct worker_job *job_at(struct list_node *n)
{
    return FUT_CONTAINER(n, struct worker_job, link);
}

/* With max_tasks more may wait than one process runs: their slots are theirs, so they run here. One
 * that was stopped meanwhile has run nothing. */
static void run_waiting(struct worker_process *w, struct worker_session *s, uint64_t init_id)
{
    struct list_node *next;
    for (struct list_node *n = list_first(&w->jobs); n; n = next) {
        struct worker_job *job = job_at(n);
        next = list_next(&w->jobs, n);
        if (job->id != init_id)
            continue;
        if (job->is_stopped)
            worker_end_job(w, job, &(struct worker_end){.how = WORKER_ENDED_RETURNED, .log = ""});
        else if (run_ready(w, s, job) == 0)
            worker_channel_count_cpu(w, job->id);
        else
            worker_end_job(w, job, &(struct worker_end){.how = WORKER_ENDED_REFUSED, .log = ""});
    }
}

static void fail_waiting(struct worker_process *w, const struct wire_message *m)
{
    struct worker_end end = {
        .how = WORKER_ENDED_SESSION, .head = &m->head, .payload = m->payload, .log = ""};
    struct list_node *next;
    for (struct list_node *n = list_first(&w->jobs); n; n = next) {
        struct worker_job *job = job_at(n);
        next = list_next(&w->jobs, n);
        if (job->id == m->head.id)
            worker_end_job(w, job, &end);
    }
}

bool worker_session_answer(struct worker_process *w, const struct wire_message *m)
{
    struct worker_session *s = awaited(w, m->head.id);
    FUT_ASSERT(s);
    while (worker_end_take_abandoned(w, m->head.id))
        ;
    s->init_id = 0;
    if (m->head.verb == WIRE_DONE) {
        bool is_closed = s->is_closed;
        struct task_id id = s->id;
        run_waiting(w, s, m->head.id);
        if (is_closed)
            worker_session_close(w, id);
        return true;
    }
    forget(w, (uint32_t)(s - w->sessions));
    fail_waiting(w, m);
    return m->head.verb == WIRE_FAIL;
}
