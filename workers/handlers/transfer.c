#include "workers/handlers/transfer.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"

#define KEPT_CONNECTIONS 8L /* per thread, idle */

struct own {
    CURLM *multi;
    CURL *easy;
};

static pthread_key_t key;

static void own_free(void *p)
{
    struct own *own = p;
    curl_easy_cleanup(own->easy);
    (void)curl_multi_cleanup(own->multi);
    free(own);
}

/* Not in main: the fork server must be older than it. */
static void init_once(void)
{
    FUT_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    FUT_ASSERT(pthread_key_create(&key, own_free) == 0);
}

static struct own *own_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_once);
    struct own *own = pthread_getspecific(key);
    if (own)
        return own;
    own = xnew(struct own);
    own->multi = curl_multi_init();
    own->easy = curl_easy_init();
    FUT_ASSERT(own->multi && own->easy && pthread_setspecific(key, own) == 0);
    (void)curl_multi_setopt(own->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return own;
}

CURL *transfer_begin(void)
{
    CURL *easy = own_get()->easy;
    TRANSFER_SET(easy, CURLOPT_NOSIGNAL, 1L);
    TRANSFER_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    TRANSFER_SET(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    TRANSFER_SET(easy, CURLOPT_USERAGENT, "futured/" FUT_VERSION);
    return easy;
}

static void wake(void *multi)
{
    (void)curl_multi_wakeup(multi);
}

CURLcode transfer_run(struct run *run, CURL *easy)
{
    CURLM *multi = own_get()->multi;
    int running = 1, left;
    FUT_ASSERT(curl_multi_add_handle(multi, easy) == CURLM_OK);
    run_on_cancel(run, wake, multi);
    while (!run_is_cancelled(run)) {
        if (curl_multi_perform(multi, &running) != CURLM_OK || !running)
            break;
        if (curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
            break;
    }
    run_on_cancel(run, NULL, NULL);
    CURLMsg *msg = curl_multi_info_read(multi, &left);
    CURLcode rc = msg ? msg->data.result : CURLE_ABORTED_BY_CALLBACK;
    /* Do not wait for a name that is still being looked up. */
    TRANSFER_SET(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_multi_remove_handle(multi, easy);
    return rc;
}

void transfer_end(CURL *easy)
{
    curl_easy_reset(easy); /* keeps connections and TLS sessions */
}

/* What may go away by itself, and whether it happens before the first byte of the request. */
static const struct {
    CURLcode rc;
    bool before_request;
} transient[] = {
    {CURLE_COULDNT_RESOLVE_PROXY, true}, {CURLE_COULDNT_RESOLVE_HOST, true},
    {CURLE_COULDNT_CONNECT, true},       {CURLE_SSL_CONNECT_ERROR, true},
    {CURLE_OPERATION_TIMEDOUT, false},   {CURLE_GOT_NOTHING, false},
    {CURLE_SEND_ERROR, false},           {CURLE_RECV_ERROR, false},
    {CURLE_PARTIAL_FILE, false},         {CURLE_HTTP2, false},
    {CURLE_HTTP2_STREAM, false},
};

bool transfer_may_pass(CURLcode rc, bool *out_before)
{
    for (size_t i = 0; i < FUT_COUNT(transient); i++) {
        if (transient[i].rc != rc)
            continue;
        *out_before = transient[i].before_request;
        return true;
    }
    return false;
}
