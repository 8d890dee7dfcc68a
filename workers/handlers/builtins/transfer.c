#include "workers/handlers/builtins/transfer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/mem.h"
#include "workers/base/http_allow.h"

#define KEPT_CONNECTIONS 8L /* per thread, idle */

struct own {
    CURLM *multi;
    CURL *easy;
    const struct http_allow *allow; /* of the exchange; NULL: none */
    char refusal[160];              /* "": the allow-list stopped nothing */
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
    FUT_MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    FUT_MUST(pthread_key_create(&key, own_free) == 0);
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
    FUT_MUST(own->multi && own->easy && pthread_setspecific(key, own) == 0);
    (void)curl_multi_setopt(own->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    return own;
}

/* ---- the allow-list
 * ------------------------------------------------------------------------------- */

static bool check_address(struct own *own, const struct sockaddr *address)
{
    char text[HTTP_ALLOW_ADDRESS_SIZE];
    if (http_allow_address(own->allow, address))
        return true;
    http_allow_write_address(address, text);
    (void)snprintf(own->refusal, sizeof(own->refusal),
                   "the address %s is not public and not in FUTURED_HTTP_NETWORKS", text);
    return false;
}

/* The name has been looked up: what is checked here is what will be connected to. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)purpose;
    if (!check_address(ctx, &a->addr))
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool check_kept_address(struct own *own, const char *ip)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
        return check_address(own, (const struct sockaddr *)(const void *)&v4);
    return inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1 &&
           check_address(own, (const struct sockaddr *)(const void *)&v6);
}

static bool check_url(struct own *own, const char *url)
{
    if (url && http_allow_url(own->allow, url))
        return true;
    (void)snprintf(own->refusal, sizeof(own->refusal),
                   "the URL is below no prefix of FUTURED_HTTP_PREFIXES");
    return false;
}

/* Before each request, also after redirects and on connections that were kept. */
static int before_request(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct own *own = ctx;
    char *url = NULL;
    (void)local_ip;
    (void)port;
    (void)local_port;
    (void)curl_easy_getinfo(own->easy, CURLINFO_EFFECTIVE_URL, &url);
    return check_url(own, url) && check_kept_address(own, ip) ? CURL_PREREQFUNC_OK
                                                              : CURL_PREREQFUNC_ABORT;
}

/* A proxy would make the connections in our place, and see no allow-list. */
static void set_http_allow(struct own *own, const struct http_allow *allow)
{
    own->allow = allow;
    own->refusal[0] = '\0';
    TRANSFER_SET(own->easy, CURLOPT_PROXY, "");
    if (!allow)
        return;
    TRANSFER_SET(own->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    TRANSFER_SET(own->easy, CURLOPT_OPENSOCKETDATA, (void *)own);
    TRANSFER_SET(own->easy, CURLOPT_PREREQFUNCTION, before_request);
    TRANSFER_SET(own->easy, CURLOPT_PREREQDATA, (void *)own);
}

const char *transfer_refusal(void)
{
    const struct own *own = own_get();
    return own->refusal[0] ? own->refusal : NULL;
}

/* ---- an exchange ----------------------------------------------------------------------------- */

CURL *transfer_begin(struct run *run)
{
    CURL *easy = own_get()->easy;
    set_http_allow(own_get(), run->about.allow);
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

CURLcode transfer_set_url(struct run *run, CURL *easy, const char *url)
{
    if (run->about.allow && !check_url(own_get(), url))
        return CURLE_ABORTED_BY_CALLBACK;
    return curl_easy_setopt(easy, CURLOPT_URL, url);
}

CURLcode transfer_run(struct run *run, CURL *easy)
{
    CURLM *multi = own_get()->multi;
    int running = 1, n_queued;
    FUT_MUST(curl_multi_add_handle(multi, easy) == CURLM_OK);
    run_on_cancel(run, wake, multi);
    while (!run_is_cancelled(run)) {
        if (curl_multi_perform(multi, &running) != CURLM_OK || !running)
            break;
        if (curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
            break;
    }
    run_on_cancel(run, NULL, NULL);
    CURLMsg *msg = curl_multi_info_read(multi, &n_queued);
    CURLcode rc = msg ? msg->data.result : CURLE_ABORTED_BY_CALLBACK;
    /* Do not wait for a name that is still being looked up. */
    TRANSFER_SET(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_multi_remove_handle(multi, easy);
    return rc;
}

int64_t transfer_retry_after_ms(CURL *easy)
{
    long status = 0;
    curl_off_t seconds = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
    if ((status != 429 && status != 503) || seconds <= 0)
        return 0;
    return seconds < RETRY_MAX_MS / 1000 ? (int64_t)seconds * 1000 : RETRY_MAX_MS;
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
