/* callback: tells {"url"} that a future is done, as Standard Webhooks has it: a small JSON body
 * (what ended and how, not the result), the same webhook-id at each try, and a signature when the
 * daemon has a secret. Any answer but 2xx, and no answer, is a temporary failure. The daemon's own:
 * the task is made together with the one that it tells of, and waits for it. */
#include <stdio.h>
#include <strings.h>

#include "core/clock.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/builtins/json_input.h"
#include "workers/handlers/builtins/transfer.h"
#include "workers/handlers/webhook.h"

/* Below the timeout of the task (30 s), so that a slow receiver is tried again. */
#define TIMEOUT_MS 20000L

static const char *const fields[] = {"url", NULL};

static const char *read_url(struct run *run, json_t *root)
{
    json_t *url = json_object_get(root, "url");
    const char *text = json_string_value(url);
    if (text && (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0))
        return text;
    json_input_bad(run, "url", url, "a string that begins with http:// or https://");
    return NULL;
}

/* Names, ids, states and times need no escape. */
static void write_body(const struct task *t, struct buf *out)
{
    char id[ID_TEXT_SIZE], at[CLOCK_RFC3339_SIZE];
    const char *state = task_state_name(t->state);
    id_format(t->spec->id, id);
    clock_rfc3339(t->finished_wall_ms, at);
    buf_printf(out,
               "{\"type\":\"future.%s\",\"timestamp\":\"%s\",\"data\":{\"id\":\"%s\","
               "\"handler\":\"%s\",\"state\":\"%s\",\"attempt\":%u,\"finished_at\":\"%s\","
               "\"href\":\"/v1/futures/%s\"}}",
               state, at, id, t->spec->handler, state, t->attempt, at, id);
}

static struct curl_slist *add(struct curl_slist *list, const char *name, const char *value)
{
    struct buf line = BUF_INIT;
    buf_printf(&line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(list, line.data);
    FUT_ASSERT(longer);
    buf_release(&line);
    return longer;
}

static struct curl_slist *make_headers(const struct run_about *about, const struct buf *body)
{
    char id[ID_TEXT_SIZE], signature[WEBHOOK_SIGNATURE_SIZE], at[24];
    int64_t now_s = clock_wall_ms() / 1000;
    struct curl_slist *list = NULL;
    id_format(about->id, id);
    (void)snprintf(at, sizeof(at), "%lld", (long long)now_s);
    list = add(list, "Content-Type", CONTENT_JSON);
    list = add(list, "webhook-id", id);
    list = add(list, "webhook-timestamp", at);
    if (about->callback_secret) {
        webhook_sign(about->callback_secret, id, now_s, body->data, body->len, signature);
        list = add(list, "webhook-signature", signature);
    }
    const char *trace = about->traceparent ? about->traceparent : about->parent->spec->traceparent;
    if (trace)
        list = add(list, "traceparent", trace);
    return list;
}

static size_t drop(char *bytes, size_t size, size_t n, void *ctx)
{
    (void)bytes;
    (void)ctx;
    return size * n;
}

static void judge(struct run *run, CURL *easy, CURLcode rc, const char *url, const char *error)
{
    long status = 0;
    const char *why = *error ? error : curl_easy_strerror(rc);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK && status >= 200 && status < 300)
        json_input_succeed(run, json_pack("{s:I}", "status", (json_int_t)status));
    else if (rc == CURLE_OK)
        run_fail_for_now(run, "callback_failed", "POST %.200s: answered %ld", url, status);
    else if (run_is_cancelled(run))
        run_fail_cancelled(run);
    else if (transfer_refusal())
        run_fail(run, "not_allowed", "POST %.200s: %s", url, transfer_refusal());
    else if (rc == CURLE_URL_MALFORMAT)
        run_fail(run, "bad_input", "field \"url\" is not a URL: %s", why);
    else
        run_fail_for_now(run, "callback_failed", "POST %.200s: %s", url, why);
}

static void deliver(struct run *run, const char *url)
{
    struct buf body = BUF_INIT;
    char error[CURL_ERROR_SIZE] = "";
    write_body(run->about.parent, &body);
    struct curl_slist *headers = make_headers(&run->about, &body);
    CURL *easy = transfer_begin(run);
    TRANSFER_SET(easy, CURLOPT_ERRORBUFFER, error);
    TRANSFER_SET(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    TRANSFER_SET(easy, CURLOPT_HTTPHEADER, headers);
    TRANSFER_SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    TRANSFER_SET(easy, CURLOPT_POSTFIELDS, body.data);
    TRANSFER_SET(easy, CURLOPT_WRITEFUNCTION, drop);
    CURLcode rc = transfer_set_url(run, easy, url);
    if (rc == CURLE_OK)
        rc = transfer_run(run, easy);
    judge(run, easy, rc, url, error);
    transfer_end(easy);
    curl_slist_free_all(headers);
    buf_release(&body);
}

/* Its future has been given another life, which has a callback of its own. */
static bool is_superseded(const struct run_about *about)
{
    return !task_state_is_final(about->parent->state) ||
           !id_equal(about->parent->spec->callback, about->id);
}

void callback_run(struct run *run)
{
    if (!run->about.parent) {
        run_fail(run, "internal", "the future that it should tell of is gone");
        return;
    }
    if (is_superseded(&run->about)) {
        run_fail(run, "superseded", "the future that it should tell of was given another life");
        return;
    }
    json_t *root = json_input_read(run, fields);
    const char *url = root ? read_url(run, root) : NULL;
    if (url)
        deliver(run, url);
    json_decref(root);
}
