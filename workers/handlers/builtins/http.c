/* http: one HTTP request: {"method", "url", "headers", "body", "timeout", "fail_on"} gives
 * {"status", "headers", "body"} (or "body_base64" when the body is not UTF-8). A status in
 * "fail_on" is a failure, any other a success. Only http and https, also after redirects. Where a
 * failed transfer or a 5xx surely did no harm (nothing sent yet, or an idempotent method) it is a
 * temporary failure; so are 429 and 503, whose Retry-After the scheduler gets. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base64.h"
#include "core/end_codes.h"
#include "core/mem.h"
#include "core/task_limits.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/builtins/json_input.h"
#include "workers/handlers/builtins/transfer.h"

#define MAX_REDIRECTS 5L
#define MAX_HEADER_BYTES ((size_t)256 << 10)
#define DEFAULT_TIMEOUT_MS 30000L
#define MAX_METHOD 32
#define MAX_STATUS 599
#define SHOWN_BYTES 2000 /* of the body of a failure, in the log */

static const char *const fields[] = {"method",  "url",     "headers", "body",
                                     "timeout", "fail_on", NULL};
static const char fail_on_allowed[] =
    "an array of classes like \"5xx\" and codes like \"429\", from 2xx to 5xx";
static const char token_chars[] =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

struct exchange {
    struct run *run;
    const char *method, *url; /* borrowed from the input's JSON */
    const char *body;         /* NULL: none */
    size_t body_len;
    long timeout_ms;
    bool fails[MAX_STATUS + 1]; /* by status */
    struct curl_slist *headers;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    json_t *got_headers;
    size_t got_header_bytes;
    struct buf got;
    bool too_large;
};

/* ---- reading the input ---- */

static bool is_token(const char *s)
{
    return *s && s[strspn(s, token_chars)] == '\0';
}

static bool read_url(struct exchange *x, json_t *root)
{
    json_t *url = json_object_get(root, "url");
    x->url = json_string_value(url);
    if (x->url &&
        (strncasecmp(x->url, "http://", 7) == 0 || strncasecmp(x->url, "https://", 8) == 0))
        return true;
    json_input_bad(x->run, "url", url, "a string that begins with http:// or https://");
    return false;
}

static bool read_method(struct exchange *x, json_t *root)
{
    json_t *method = json_object_get(root, "method");
    x->method = method ? json_string_value(method) : "GET";
    if (x->method && is_token(x->method) && strlen(x->method) <= MAX_METHOD)
        return true;
    json_input_bad(x->run, "method", method, "a method name like GET or POST");
    return false;
}

static bool read_body(struct exchange *x, json_t *root)
{
    json_t *body = json_object_get(root, "body");
    x->body = json_string_value(body);
    x->body_len = json_string_length(body);
    if (!body || x->body)
        return true;
    json_input_bad(x->run, "body", body, "a string");
    return false;
}

static bool read_timeout(struct exchange *x, json_t *root)
{
    json_t *timeout = json_object_get(root, "timeout");
    double ms = json_number_value(timeout) * 1000.0;
    x->timeout_ms =
        timeout ? (long)(ms >= 1 && ms <= TASK_TIMEOUT_MAX_MS ? ms : 0) : DEFAULT_TIMEOUT_MS;
    if (x->timeout_ms > 0)
        return true;
    json_input_bad(x->run, "timeout", timeout, "a number of seconds from 0.001 to 86400");
    return false;
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
    struct buf line = BUF_INIT;
    /* curl's way to send a header without a value is a semicolon. */
    buf_printf(&line, *value ? "%s: %s" : "%s;%s", name, value);
    struct curl_slist *longer = curl_slist_append(x->headers, line.data);
    FUT_ASSERT(longer);
    x->headers = longer;
    buf_release(&line);
}

static bool has_header(const struct exchange *x, const char *name)
{
    size_t n = strlen(name);
    for (const struct curl_slist *h = x->headers; h; h = h->next) {
        if (strncasecmp(h->data, name, n) == 0 && (h->data[n] == ':' || h->data[n] == ';'))
            return true;
    }
    return false;
}

static bool read_headers(struct exchange *x, json_t *root)
{
    static const char allowed[] = "an object of header names and one-line strings";
    json_t *headers = json_object_get(root, "headers"), *value;
    const char *name;
    if (headers && !json_is_object(headers)) {
        json_input_bad(x->run, "headers", headers, allowed);
        return false;
    }
    json_object_foreach (headers, name, value) {
        const char *text = json_string_value(value);
        if (!text || !is_token(name) || strlen(text) != json_string_length(value) ||
            strpbrk(text, "\r\n")) {
            json_input_bad(x->run, "headers", headers, allowed);
            return false;
        }
        add_header(x, name, text);
    }
    return true;
}

/* "5xx" or "429". */
static bool read_statuses(const char *text, bool fails[MAX_STATUS + 1])
{
    if (!text || strlen(text) != 3 || *text < '2' || *text > '5')
        return false;
    bool is_class = strcmp(text + 1, "xx") == 0;
    if (!is_class && strspn(text, "0123456789") != 3)
        return false;
    int first = (*text - '0') * 100;
    if (!is_class)
        first += (text[1] - '0') * 10 + text[2] - '0';
    for (int i = 0; i < (is_class ? 100 : 1); i++)
        fails[first + i] = true;
    return true;
}

static bool parse_fail_on(const json_t *value, bool fails[MAX_STATUS + 1])
{
    const json_t *item;
    size_t i;
    if (!value)
        return read_statuses("5xx", fails) && read_statuses("429", fails);
    if (!json_is_array(value))
        return false;
    json_array_foreach (value, i, item) {
        if (!read_statuses(json_string_value(item), fails))
            return false;
    }
    return true;
}

static bool read_fail_on(struct exchange *x, json_t *root)
{
    json_t *fail_on = json_object_get(root, "fail_on");
    if (parse_fail_on(fail_on, x->fails))
        return true;
    json_input_bad(x->run, "fail_on", fail_on, fail_on_allowed);
    return false;
}

int http_check_input(const void *input, size_t n, const char **out_field, const char **out_allowed)
{
    bool fails[MAX_STATUS + 1];
    if (!n || !memmem(input, n, "fail_on", strlen("fail_on")))
        return 0;
    json_t *root = json_loadb(input, n, 0, NULL);
    bool ok = parse_fail_on(json_object_get(root, "fail_on"), fails);
    json_decref(root);
    if (ok)
        return 0;
    *out_field = "fail_on";
    *out_allowed = fail_on_allowed;
    return FUT_ERR_INVAL;
}

/* ---- receiving ---- */

/* Several headers of one name become one value, as RFC 9110 allows. */
static void keep_header(json_t *headers, const char *name, const char *value)
{
    const char *before = json_string_value(json_object_get(headers, name));
    if (before)
        (void)json_object_set_new(headers, name, json_sprintf("%s, %s", before, value));
    else
        (void)json_object_set_new(headers, name, json_string(value));
}

static void parse_header(struct exchange *x, char *line, size_t n)
{
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
        n--;
    line[n] = '\0';
    char *value = strchr(line, ':');
    if (!value)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    for (char *c = line; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    keep_header(x->got_headers, line, value); /* what is not UTF-8 is left out */
}

static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    n *= size;
    if (n >= 5 && strncmp(bytes, "HTTP/", 5) == 0) { /* a new response: after a redirect or 100 */
        (void)json_object_clear(x->got_headers);
        x->got_header_bytes = 0;
        x->got.len = 0;
    }
    x->got_header_bytes += n;
    if (x->got_header_bytes > MAX_HEADER_BYTES) {
        x->too_large = true;
        return 0;
    }
    char *line = xstrndup(bytes, n);
    parse_header(x, line, strlen(line));
    free(line);
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    n *= size;
    if (n > x->run->max_result_bytes - x->got.len) {
        x->too_large = true;
        return 0;
    }
    buf_put(&x->got, bytes, n);
    return n;
}

/* ---- the transfer ---- */

#define SET(option, value) TRANSFER_SET(x->easy, (option), (value))

static void set_method(struct exchange *x)
{
    bool post = strcmp(x->method, "POST") == 0;
    if (x->body || post) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_len);
        SET(CURLOPT_POSTFIELDS, x->body ? x->body : "");
    }
    if (strcmp(x->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else if (!post && (x->body || strcmp(x->method, "GET") != 0))
        SET(CURLOPT_CUSTOMREQUEST, x->method);
}

static void set_headers(struct exchange *x)
{
    /* curl would call any body a form and ask for 100-continue. */
    static const char *const removed[] = {"Content-Type", "Expect"};
    for (size_t i = 0; i < FUT_COUNT(removed); i++) {
        if (has_header(x, removed[i]))
            continue;
        struct buf line = BUF_INIT;
        buf_printf(&line, "%s:", removed[i]);
        x->headers = curl_slist_append(x->headers, line.data);
        buf_release(&line);
    }
    if (x->run->about.traceparent && !has_header(x, "traceparent"))
        add_header(x, "traceparent", x->run->about.traceparent);
    SET(CURLOPT_HTTPHEADER, x->headers);
}

/* False when the URL is not one that curl can read, or the allow-list does not allow it. */
static bool prepare(struct exchange *x)
{
    SET(CURLOPT_ERRORBUFFER, x->error);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    SET(CURLOPT_TIMEOUT_MS, x->timeout_ms);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)x);
    set_method(x);
    set_headers(x);
    return transfer_set_url(x->run, x->easy, x->url) == CURLE_OK;
}

/* ---- the result ---- */

static json_t *body_in_base64(const struct buf *body)
{
    struct buf text = BUF_INIT;
    base64_put(&text, body->data, body->len);
    json_t *value = json_stringn(text.data, text.len);
    buf_release(&text);
    return value;
}

static void succeed(struct exchange *x, long status)
{
    json_t *root = json_pack("{s:I, s:O}", "status", (json_int_t)status, "headers", x->got_headers);
    json_t *text = json_stringn(x->got.data ? x->got.data : "", x->got.len);
    if (text)
        (void)json_object_set_new(root, "body", text);
    else
        (void)json_object_set_new(root, "body_base64", body_in_base64(&x->got));
    json_input_succeed(x->run, root);
}

static bool is_idempotent(const char *method)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < FUT_COUNT(names); i++) {
        if (strcmp(method, names[i]) == 0)
            return true;
    }
    return false;
}

static bool may_repeat(const struct exchange *x, CURLcode rc)
{
    bool before;
    return transfer_may_pass(rc, &before) && (before || is_idempotent(x->method));
}

/* The host's limit is named after the URL of the task, wherever redirects have led. */
static void heed_retry_after(struct exchange *x)
{
    char limit[TASK_LIMIT_NAME_MAX + 1];
    x->run->retry_after_ms = transfer_retry_after_ms(x->easy);
    if (x->run->retry_after_ms && task_limit_of_url(x->url, limit))
        x->run->asked_by = xstrdup(limit);
}

static void judge_status(struct exchange *x)
{
    long status = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    heed_retry_after(x);
    if (status < 0 || status > MAX_STATUS || !x->fails[status]) {
        succeed(x, status);
        return;
    }
    if (x->got.len)
        run_log(x->run, "%.*s\n",
                (int)run_whole_characters(x->got.data,
                                          x->got.len < SHOWN_BYTES ? x->got.len : SHOWN_BYTES),
                x->got.data);
    bool is_temporary =
        status == 429 || status == 503 || (status >= 500 && is_idempotent(x->method));
    (is_temporary ? run_fail_for_now : run_fail)(x->run, end_code_text(END_HTTP_STATUS),
                                                 "%s %.200s: answered %ld", x->method, x->url,
                                                 status);
}

static void report(struct exchange *x, CURLcode rc)
{
    const char *why = x->error[0] ? x->error : curl_easy_strerror(rc);
    if (rc == CURLE_OK)
        judge_status(x);
    else if (run_is_cancelled(x->run))
        run_fail_cancelled(x->run);
    else if (transfer_refusal())
        run_fail(x->run, end_code_text(END_NOT_ALLOWED), "%s %.200s: %s", x->method, x->url,
                 transfer_refusal());
    else if (x->too_large)
        run_fail(x->run, end_code_text(END_RESULT_TOO_LARGE),
                 "the response is too large; allowed: up to %zu bytes", x->run->max_result_bytes);
    else if (rc == CURLE_URL_MALFORMAT)
        run_fail(x->run, end_code_text(END_BAD_INPUT), "field \"url\" is not a URL: %s", why);
    else if (may_repeat(x, rc))
        run_fail_for_now(x->run, end_code_text(END_HTTP_FAILED), "%s %.200s: %s", x->method, x->url,
                         why);
    else
        run_fail(x->run, end_code_text(END_HTTP_FAILED), "%s %.200s: %s", x->method, x->url, why);
}

static void perform(struct exchange *x)
{
    x->easy = transfer_begin(x->run);
    x->got_headers = json_object();
    FUT_ASSERT(x->got_headers);
    report(x, prepare(x) ? transfer_run(x->run, x->easy) : CURLE_URL_MALFORMAT);
    transfer_end(x->easy);
    json_decref(x->got_headers);
    buf_release(&x->got);
}

void http_run(struct run *run)
{
    struct exchange *x = xnew(struct exchange);
    x->run = run;
    json_t *root = json_input_read(run, fields);
    if (root && read_url(x, root) && read_method(x, root) && read_body(x, root) &&
        read_timeout(x, root) && read_fail_on(x, root) && read_headers(x, root))
        perform(x);
    curl_slist_free_all(x->headers);
    json_decref(root);
    free(x);
}
