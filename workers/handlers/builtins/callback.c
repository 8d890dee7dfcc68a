/* callback: tells {"url"} that a future or batch is done, as Standard Webhooks has it: a small JSON
 * body (what ended and how, not the result), the same webhook-id at each try, and a signature when
 * the daemon has a secret. Any answer but 2xx and 410, and no answer, is a temporary failure. The
 * daemon's own: the task is made together with the one that it tells of, and waits for it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/end_codes.h"
#include "core/hash.h"
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

/* How the future or batch ended. Since its end the input has it, behind the line that the client
 * gave. Of a future that ended before an upgrade only the future itself knows. */
static json_t *read_end(struct run *run)
{
    struct buf text = BUF_INIT;
    const char *input = (const char *)run->input;
    const char *line = input ? memchr(input, '\n', run->input_len) : NULL;
    if (line)
        buf_put(&text, line + 1, (size_t)(input + run->input_len - (line + 1)));
    else if (run->about.parent)
        task_write_end(&text, run->about.parent);
    json_t *end = json_loadb(text.len ? text.data : "", text.len, 0, NULL);
    buf_release(&text);
    if (!end)
        run_fail(run, end_code_text(END_INTERNAL), "the future that it should tell of is gone");
    if (line)
        run->input_len = (size_t)(line - input);
    return end;
}

/* Names, ids, states and times need no escape. A batch has no state: it is done. */
static void write_body(json_t *end, struct buf *out)
{
    char *data = json_dumps(end, JSON_COMPACT | JSON_PRESERVE_ORDER);
    const char *state = json_string_value(json_object_get(end, "state"));
    buf_printf(out, "{\"type\":\"%s%s\",\"timestamp\":\"%s\",\"data\":%s}",
               state ? "future." : "batch.", state ? state : "done",
               json_string_value(json_object_get(end, "finished_at")), data);
    free(data);
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
    const char *trace = about->traceparent;
    if (!trace && about->parent)
        trace = about->parent->spec->traceparent;
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

/* The head decides: whoever says 2xx has it, also when the rest of the answer is cut off. */
static void judge_status(struct run *run, CURL *easy, const char *url, long status)
{
    if (status >= 200 && status < 300) {
        json_input_succeed(run, json_pack("{s:I}", "status", (json_int_t)status));
    } else if (status == 410) {
        run_fail_for_good(run, "callback_gone", "POST %.200s: answered 410", url);
    } else {
        run_fail_for_now(run, end_code_text(END_CALLBACK_FAILED), "POST %.200s: answered %ld", url,
                         status);
        run->retry_after_ms = transfer_retry_after_ms(easy);
    }
}

static void judge(struct run *run, CURL *easy, CURLcode rc, const char *url, const char *error)
{
    long status = 0;
    const char *why = *error ? error : curl_easy_strerror(rc);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_OK || (status >= 200 && status < 300))
        judge_status(run, easy, url, status);
    else if (run_is_cancelled(run))
        run_fail_cancelled(run);
    else if (transfer_refusal())
        run_fail(run, end_code_text(END_NOT_ALLOWED), "POST %.200s: %s", url, transfer_refusal());
    else if (rc == CURLE_URL_MALFORMAT)
        run_fail(run, end_code_text(END_BAD_INPUT), "field \"url\" is not a URL: %s", why);
    else
        run_fail_for_now(run, end_code_text(END_CALLBACK_FAILED), "POST %.200s: %s", url, why);
}

static void deliver(struct run *run, const char *url, json_t *end)
{
    struct buf body = BUF_INIT;
    char error[CURL_ERROR_SIZE] = "";
    write_body(end, &body);
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

/* Its future has been given another life, which has a callback of its own. One that is gone by now
 * has not. */
static bool is_superseded(const struct run_about *about)
{
    return about->parent && (!task_state_is_final(about->parent->state) ||
                             !id_equal(about->parent->spec->callback, about->id));
}

static uint64_t hash_part(uint64_t hash, CURLU *u, CURLUPart part)
{
    char *text = NULL;
    if (curl_url_get(u, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return hash;
    for (const char *c = text; *c; c++)
        hash = hash_byte(hash, (unsigned char)tolower((unsigned char)*c));
    curl_free(text);
    return hash_byte(hash, 0);
}

uint64_t callback_receiver(const void *input, size_t n)
{
    /* How the future ended follows behind the line. */
    json_t *root = json_loadb(input ? input : "", n, JSON_DISABLE_EOF_CHECK, NULL);
    const char *url = json_string_value(json_object_get(root, "url"));
    uint64_t hash = HASH_START;
    CURLU *u = curl_url();
    FUT_ASSERT(u);
    if (url && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
        hash = hash_part(hash_part(hash, u, CURLUPART_HOST), u, CURLUPART_PORT);
    curl_url_cleanup(u);
    json_decref(root);
    return hash;
}

void callback_run(struct run *run)
{
    if (is_superseded(&run->about)) {
        run_fail(run, end_code_text(END_SUPERSEDED),
                 "the future that it should tell of was given another life");
        return;
    }
    json_t *end = read_end(run);
    json_t *root = end ? json_input_read(run, fields) : NULL;
    const char *url = root ? read_url(run, root) : NULL;
    if (url)
        deliver(run, url, end);
    json_decref(root);
    json_decref(end);
}
