/* The kinds of events that the stream of a session tells on wish: attempts that begin, waits for
 * another one, and what futures write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/told.h"

/* `writes` waits in the middle of a character for a file. */
static const char handlers[] =
    "{\"flaky\": {\"exec\": [\"sh\", \"-c\", \"if [ -e DIR/again ]; then echo fine; else "
    "touch DIR/again; exit 1; fi\"]},"
    " \"writes\": {\"exec\": [\"sh\", \"-c\", \"printf 'caf\\\\303' >&2; while [ ! -e DIR/go ]; "
    "do sleep 0.02; done; printf '\\\\251\\\\n' >&2; echo fine\"]}}";

static struct daemon *d;
static char session[ID_TEXT_SIZE];

static void begin(const char *handler)
{
    d = daemon_start_handlers(handlers, NULL, 0);
    char *body = text_printf("{\"handler\":\"%s\"}", handler);
    struct http_reply r = api_post(daemon_url(d), "/v1/sessions", body);
    ck_assert_msg(r.status == 201, "%s", r.body);
    (void)snprintf(session, sizeof(session), "%s", api_str(r.json, "id"));
    http_reply_release(&r);
    free(body);
}

static void end(void)
{
    daemon_end(&d);
}

/* Server-sent events, whose stream begins with a line of its own: it is open then. */
static struct program *follow(const char *events, const char *header)
{
    char *url = text_printf("%s/v1/sessions/%s/events?%s", daemon_url(d), session, events);
    const char *const argv[] = {"/usr/bin/curl", "-sN", "-H", header, url, NULL};
    struct program *p = program_start(argv, NULL, NULL);
    told_expect(p, "retry:");
    free(url);
    return p;
}

static void submit(const char *handler, const char *options, char id[ID_TEXT_SIZE])
{
    char *body =
        text_printf("{\"handler\":\"%s\",\"session\":\"%s\"%s}", handler, session, options);
    api_submit(daemon_url(d), body, id);
    free(body);
}

static void close_session(void)
{
    struct http_reply r = api_delete(daemon_url(d), "/v1/sessions/%s", session);
    ck_assert_int_eq(r.status, 200);
    http_reply_release(&r);
}

START_TEST(test_session_events_tell_attempts)
{
    char id[ID_TEXT_SIZE];
    begin("flaky");
    struct program *all = follow("events=started,waiting,done", "X-No: 1");
    struct program *begun = follow("events=started", "X-No: 1");
    struct program *ends = follow("fields=state", "X-No: 1");
    submit("flaky", ",\"retries\":1,\"retry_on\":[\"exit\"],\"backoff\":{\"first\":0.01}", id);
    told_expect(all, "\"result\"");
    close_session();
    char *text = told_all(&all);
    char *began =
        text_printf("event: started\ndata: {\"id\":\"%s\",\"attempt\":1,\"started_at\":\"", id);
    char *waits = text_printf(
        "event: waiting\ndata: {\"id\":\"%s\",\"attempt\":1,\"state\":\"scheduled\"}", id);
    char *again = text_printf("event: started\ndata: {\"id\":\"%s\",\"attempt\":2,", id);
    told_in_order(text, NULL,
                  (const char *const[]){began, waits, again, "event: done",
                                        "event: end\ndata: {\"sent\":1}", NULL});
    free(text);
    text = told_all(&begun);
    told_in_order(text, NULL,
                  (const char *const[]){began, again, "event: end\ndata: {\"sent\":0}", NULL});
    ck_assert_ptr_null(strstr(text, "event: waiting"));
    ck_assert_ptr_null(strstr(text, "event: done"));
    free(text);
    text = told_all(&ends);
    ck_assert_ptr_null(strstr(text, "event: started"));
    told_in_order(text, NULL, (const char *const[]){"event: done", "event: end", NULL});
    free(text);
    free(began);
    free(waits);
    free(again);
    end();
}
END_TEST

START_TEST(test_session_events_tell_what_is_written)
{
    char id[ID_TEXT_SIZE];
    begin("writes");
    struct program *p = follow("events=log,done", "X-No: 1");
    submit("writes", "", id);
    char *first = text_printf("{\"id\":\"%s\",\"from\":0,\"next\":3,\"text\":\"caf\"}", id);
    char *rest = text_printf("{\"id\":\"%s\",\"from\":3,\"next\":6,\"text\":\"é\\n\"}", id);
    char *whole = text_printf("{\"id\":\"%s\",\"from\":0,\"next\":6,\"text\":\"café\\n\"}", id);
    told_expect(p, first);
    struct program *late = follow("events=log,done", "Last-Event-ID: 0");
    struct program *logs = follow("events=log", "X-No: 1");
    dir_write(daemon_dir(d), "go", "", 0);
    told_expect(p, "event: done");
    close_session();
    char *text = told_all(&p);
    told_in_order(text, NULL,
                  (const char *const[]){"event: log", first, "event: log", rest, "event: done",
                                        "event: end", NULL});
    free(text);
    text = told_all(&late); /* it knew nothing of what came before */
    told_in_order(text, NULL, (const char *const[]){whole, "event: done", "event: end", NULL});
    free(text);
    text = told_all(&logs);
    told_in_order(text, NULL, (const char *const[]){whole, "event: end\ndata: {\"sent\":0}", NULL});
    free(text);
    free(first);
    free(rest);
    free(whole);
    end();
}
END_TEST

/* Of those that wrote nothing nothing is told, and ends are told as without it. */
START_TEST(test_session_events_of_the_silent_are_ends)
{
    char id[ID_TEXT_SIZE];
    begin("echo");
    struct program *p = follow("events=started,waiting,log,done", "X-No: 1");
    for (int i = 0; i < 20; i++)
        submit("echo", "", id);
    json_decref(api_done(daemon_url(d), id));
    close_session();
    char *text = told_all(&p);
    size_t begun = 0, ended = 0;
    for (const char *at = text; (at = strstr(at, "event: started")); at++)
        begun++;
    for (const char *at = text; (at = strstr(at, "event: done")); at++)
        ended++;
    ck_assert_uint_eq(begun, 20);
    ck_assert_uint_eq(ended, 20);
    ck_assert_ptr_null(strstr(text, "event: log"));
    ck_assert_ptr_nonnull(strstr(text, "event: end\ndata: {\"sent\":20}"));
    free(text);
    p = follow("events=started,done", "Last-Event-ID: 1"); /* what began is not told again */
    text = told_all(&p);
    ck_assert_ptr_null(strstr(text, "event: started"));
    ck_assert_ptr_nonnull(strstr(text, "event: done"));
    ck_assert_ptr_null(strstr(text, "keep-alive")); /* it had nothing to wait for */
    free(text);
    end();
}
END_TEST

START_TEST(test_session_events_refuse_other_kinds)
{
    static const char *const kinds[] = {"ended",      "",   "done,",   ",done",
                                        "done,ended", "do", "progress"};
    begin("echo");
    for (size_t i = 0; i < FUT_COUNT(kinds); i++) {
        struct http_reply r =
            api_get(daemon_url(d), "/v1/sessions/%s/events?events=%s", session, kinds[i]);
        ck_assert_msg(r.status == 400, "%s: %d", kinds[i], r.status);
        ck_assert_str_eq(api_str(r.json, "code"), "invalid_parameter");
        ck_assert_str_eq(api_str(r.json, "parameter"), "events");
        http_reply_release(&r);
    }
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_session_events_tell_attempts,
        test_session_events_tell_what_is_written,
        test_session_events_of_the_silent_are_ends,
        test_session_events_refuse_other_kinds,
    };
    return suite_run("session events", tests, FUT_COUNT(tests));
}
