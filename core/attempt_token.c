#include "core/attempt_token.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/map.h"
#include "core/mem.h"
#include "core/pool_view.h"
#include "core/sync.h"

#define SECRET_BYTES 16
#define POOL_BYTES 1024 /* of random bytes, so that not each token asks the kernel */
#define PREFIX_LEN (sizeof(ATTEMPT_TOKEN_PREFIX) - 1)
#define NUMBER_DIGITS 16

/* Guarded by the table's mu. */
struct attempt_token {
    struct map_node by_number, by_task;
    unsigned char secret[SECRET_BYTES];
    struct attempt_who who;
    struct list waits;                 /* struct attempt_wait */
    struct list_node changed, waiting; /* in the table's lists */
    uint64_t search;                   /* that has seen it last, */
    bool leads;                        /* and what it has found */
};

struct attempt_tokens {
    struct mutex mu; /* guards the rest but for url */
    struct map by_number, by_task;
    uint64_t latest, searches, waits;
    struct list changed, waiting; /* struct attempt_token, those that wait */
    uint32_t lent[LANE_COUNT];
    void (*on_change)(void *ctx);
    void *ctx;
    unsigned char pool[POOL_BYTES];
    size_t pool_rest;
    atomic_bool any;
    char url[ATTEMPT_URL_SIZE]; /* set before the threads that read it begin */
};

struct attempt_tokens *attempt_token_table_new(void)
{
    struct attempt_tokens *t = xnew(struct attempt_tokens);
    mutex_init(&t->mu);
    map_init(&t->by_number);
    map_init(&t->by_task);
    list_init(&t->changed);
    list_init(&t->waiting);
    return t;
}

void attempt_token_table_free(struct attempt_tokens **t)
{
    if (!*t)
        return;
    FUT_ASSERT((*t)->by_number.len == 0);
    map_release(&(*t)->by_number);
    map_release(&(*t)->by_task);
    mutex_destroy(&(*t)->mu);
    OPENSSL_cleanse((*t)->pool, sizeof((*t)->pool));
    free(*t);
    *t = NULL;
}

void attempt_token_set_url(struct attempt_tokens *t, const char *url)
{
    (void)snprintf(t->url, sizeof(t->url), "%s", url);
}

const char *attempt_token_url(const struct attempt_tokens *t)
{
    return *t->url ? t->url : NULL;
}

bool attempt_token_any(const struct attempt_tokens *t)
{
    return atomic_load_explicit(&t->any, memory_order_relaxed);
}

/* ---- giving out ------------------------------------------------------------------------------ */

static void fill_pool(struct attempt_tokens *t)
{
    for (size_t n = 0; n < POOL_BYTES;) {
        ssize_t got = getrandom(t->pool + n, POOL_BYTES - n, 0);
        if (got > 0)
            n += (size_t)got; /* else a signal came */
    }
    t->pool_rest = POOL_BYTES;
}

/* mu held. A byte of the pool serves once. */
static void take_secret(struct attempt_tokens *t, unsigned char out[SECRET_BYTES])
{
    if (t->pool_rest < SECRET_BYTES)
        fill_pool(t);
    t->pool_rest -= SECRET_BYTES;
    memcpy(out, t->pool + t->pool_rest, SECRET_BYTES);
    OPENSSL_cleanse(t->pool + t->pool_rest, SECRET_BYTES);
}

static char *put_hex(char *at, const unsigned char *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

static void write_text(const struct attempt_token *token, char out[ATTEMPT_TOKEN_SIZE])
{
    unsigned char number[8];
    for (int i = 0; i < 8; i++)
        number[i] = (unsigned char)(token->who.number >> (56 - 8 * i));
    memcpy(out, ATTEMPT_TOKEN_PREFIX, PREFIX_LEN);
    char *at = put_hex(out + PREFIX_LEN, number, sizeof(number));
    *at++ = '-';
    at = put_hex(at, token->secret, SECRET_BYTES);
    *at = '\0';
}

struct attempt_token *attempt_token_begin(struct attempt_tokens *t, const struct attempt_who *who,
                                          char text[ATTEMPT_TOKEN_SIZE])
{
    struct attempt_token *token = xnew(struct attempt_token);
    token->who = *who;
    list_init(&token->waits);
    mutex_lock(&t->mu);
    token->who.number = ++t->latest;
    take_secret(t, token->secret);
    map_put(&t->by_number, &token->by_number, token->who.number);
    map_put(&t->by_task, &token->by_task, who->task.hi);
    mutex_unlock(&t->mu);
    atomic_store_explicit(&t->any, true, memory_order_relaxed);
    write_text(token, text);
    return token;
}

/* mu held. */
static void record_change(struct attempt_tokens *t, struct attempt_token *token)
{
    if (!list_is_linked(&token->changed))
        list_push_back(&t->changed, &token->changed);
}

/* mu held. True: it was the token's last wait. */
static bool end_wait(struct attempt_tokens *t, struct attempt_wait *w)
{
    struct attempt_token *token = w->token;
    list_remove(&token->waits, &w->link);
    w->token = NULL;
    free(w->ids);
    w->ids = NULL;
    if (!list_is_empty(&token->waits))
        return false;
    t->lent[token->who.lane]--;
    list_remove(&t->waiting, &token->waiting);
    record_change(t, token);
    return true;
}

void attempt_token_end(struct attempt_tokens *t, struct attempt_token **token)
{
    struct attempt_token *me = *token;
    if (!me)
        return;
    mutex_lock(&t->mu);
    for (struct list_node *n; (n = list_first(&me->waits)) != NULL;)
        (void)end_wait(t, FUT_CONTAINER(n, struct attempt_wait, link));
    if (list_is_linked(&me->changed))
        list_remove(&t->changed, &me->changed);
    map_remove(&t->by_number, &me->by_number);
    map_remove(&t->by_task, &me->by_task);
    mutex_unlock(&t->mu);
    OPENSSL_cleanse(me->secret, sizeof(me->secret));
    free(me);
    *token = NULL;
}

/* ---- looking up ------------------------------------------------------------------------------ */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static uint64_t number_of(const unsigned char bytes[8])
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n = n << 8 | bytes[i];
    return n;
}

/* The number is no secret: only what follows it is compared, in constant time. */
int attempt_token_find(struct attempt_tokens *t, const char *text, size_t n,
                       struct attempt_who *out)
{
    unsigned char number[8], secret[SECRET_BYTES];
    const char *at = text + PREFIX_LEN;
    int rc = FUT_ERR_NOT_FOUND;
    if (n < PREFIX_LEN || memcmp(text, ATTEMPT_TOKEN_PREFIX, PREFIX_LEN) != 0)
        return FUT_ERR_INVAL;
    if (n != ATTEMPT_TOKEN_SIZE - 1 || at[NUMBER_DIGITS] != '-' ||
        !read_hex(at, number, sizeof(number)) ||
        !read_hex(at + NUMBER_DIGITS + 1, secret, SECRET_BYTES))
        return FUT_ERR_NOT_FOUND;
    mutex_lock(&t->mu);
    struct map_node *found = map_get(&t->by_number, number_of(number));
    const struct attempt_token *token =
        found ? FUT_CONTAINER(found, struct attempt_token, by_number) : NULL;
    if (token && CRYPTO_memcmp(token->secret, secret, SECRET_BYTES) == 0) {
        *out = token->who;
        rc = 0;
    }
    mutex_unlock(&t->mu);
    return rc;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void attempt_token_watch(struct attempt_tokens *t, void (*on_change)(void *ctx), void *ctx)
{
    t->on_change = on_change;
    t->ctx = ctx;
}

bool attempt_token_take_change(struct attempt_tokens *t, void **out_owner, bool *out_waits)
{
    mutex_lock(&t->mu);
    struct list_node *n = list_pop_front(&t->changed);
    if (n) {
        struct attempt_token *token = FUT_CONTAINER(n, struct attempt_token, changed);
        *out_owner = token->who.owner;
        *out_waits = !list_is_empty(&token->waits);
    }
    mutex_unlock(&t->mu);
    return n != NULL;
}

static struct attempt_token *token_of_task(const struct attempt_tokens *t, struct task_id id)
{
    for (struct map_node *n = map_get(&t->by_task, id.hi); n; n = map_next_same(n)) {
        struct attempt_token *token = FUT_CONTAINER(n, struct attempt_token, by_task);
        if (id_equal(token->who.task, id))
            return token;
    }
    return NULL;
}

static bool wait_leads(struct attempt_tokens *t, const struct attempt_wait *w, struct task_id to,
                       struct attempt_circle *c);

/* Does the task end only after `to` has? It does when one of its waits leads there. A task that is
 * being looked at, further up, counts as one that does not: no wait is refused for too little. The
 * search goes as deep as there are attempts that wait: POOL_LENT_MAX in each lane. */
static bool task_leads(struct attempt_tokens *t, struct task_id id, struct task_id to,
                       struct attempt_circle *c)
{
    struct attempt_token *token = token_of_task(t, id);
    if (id_equal(id, to))
        return true;
    if (!token || token->search == t->searches)
        return token && token->leads;
    token->search = t->searches;
    token->leads = false;
    size_t at = c->n++;
    if (at < ATTEMPT_CIRCLE_MAX)
        c->ids[at] = id;
    for (struct list_node *i = list_first(&token->waits); i && !token->leads;
         i = list_next(&token->waits, i))
        token->leads = wait_leads(t, FUT_CONTAINER(i, struct attempt_wait, link), to, c);
    if (!token->leads)
        c->n = at;
    return token->leads;
}

/* Of several of which the first is enough, all must lead there; the last of them is named. */
static bool wait_leads(struct attempt_tokens *t, const struct attempt_wait *w, struct task_id to,
                       struct attempt_circle *c)
{
    size_t at = c->n;
    for (size_t i = 0; i < w->n; i++) {
        bool leads = task_leads(t, w->ids[i], to, c);
        if (leads != w->is_any)
            return leads;
        if (i + 1 < w->n)
            c->n = at;
    }
    return w->is_any && w->n > 0;
}

/* mu held. */
static int begin_wait(struct attempt_tokens *t, struct attempt_wait *w, uint64_t number,
                      struct attempt_circle *circle)
{
    struct map_node *n = map_get(&t->by_number, number);
    struct attempt_token *token = n ? FUT_CONTAINER(n, struct attempt_token, by_number) : NULL;
    if (!token)
        return FUT_ERR_NOT_FOUND;
    t->searches++;
    *circle = (struct attempt_circle){.ids = {token->who.task}, .n = 1};
    if (wait_leads(t, w, token->who.task, circle))
        return FUT_ERR_CONFLICT;
    bool is_first = list_is_empty(&token->waits);
    if (is_first && t->lent[token->who.lane] >= POOL_LENT_MAX)
        return FUT_ERR_FULL;
    t->lent[token->who.lane] += is_first;
    if (is_first)
        list_push_back(&t->waiting, &token->waiting);
    w->token = token;
    w->number = ++t->waits;
    list_push_back(&token->waits, &w->link);
    record_change(t, token);
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    const struct task_id *x = a, *y = b;
    return (x->hi > y->hi) - (x->hi < y->hi);
}

int attempt_token_wait(struct attempt_tokens *t, struct attempt_wait *w, uint64_t number,
                       const struct task_id *ids, size_t n, bool is_any,
                       struct attempt_circle *circle)
{
    FUT_ASSERT(!w->ids);
    w->ids = xmalloc(n * sizeof(*ids));
    memcpy(w->ids, ids, n * sizeof(*ids));
    qsort(w->ids, n, sizeof(*ids), compare_ids);
    w->n = n;
    w->is_any = is_any && n > 1;
    mutex_lock(&t->mu);
    int rc = begin_wait(t, w, number, circle);
    mutex_unlock(&t->mu);
    if (rc != 0) {
        free(w->ids);
        w->ids = NULL;
    } else if (t->on_change) {
        t->on_change(t->ctx);
    }
    return rc;
}

size_t attempt_token_waiting(struct attempt_tokens *t, struct task_id id,
                             struct attempt_waiting *out, size_t max)
{
    size_t n = 0;
    mutex_lock(&t->mu);
    for (struct list_node *i = list_first(&t->waiting); i; i = list_next(&t->waiting, i)) {
        struct attempt_token *token = FUT_CONTAINER(i, struct attempt_token, waiting);
        for (struct list_node *k = list_first(&token->waits); k && n < max;
             k = list_next(&token->waits, k)) {
            struct attempt_wait *w = FUT_CONTAINER(k, struct attempt_wait, link);
            if (bsearch(&id, w->ids, w->n, sizeof(id), compare_ids))
                out[n++] = (struct attempt_waiting){
                    .task = token->who.task, .wait = w->number, .need = w->is_any ? w->n : 1};
        }
    }
    mutex_unlock(&t->mu);
    return n;
}

void attempt_token_go_on(struct attempt_tokens *t, struct attempt_wait *w)
{
    bool is_last = false;
    mutex_lock(&t->mu);
    if (w->token)
        is_last = end_wait(t, w);
    mutex_unlock(&t->mu);
    if (is_last && t->on_change)
        t->on_change(t->ctx);
}
