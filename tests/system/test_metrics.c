/* GET /metrics: what it counts, and that a real Prometheus understands it, the alerts of
 * systemd/prometheus and each query of its dashboard. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "tests/support/api.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

#define TIMEOUT_MS 60000

static const char handlers[] =
    "{\"bad\": {\"exec\": [\"/bin/sh\", \"-c\", \"exit 3\"], \"lane\": \"io\"}}";

static struct daemon *d;

static void start(void)
{
    char id[ID_TEXT_SIZE];
    d = daemon_start_handlers(handlers, NULL, 0);
    for (int i = 0; i < 3; i++)
        json_decref(api_run(daemon_url(d), "{\"handler\":\"echo\",\"input\":\"x\"}"));
    api_submit(daemon_url(d), "{\"handler\":\"bad\"}", id);
    json_decref(api_done(daemon_url(d), id));
}

static void stop(void)
{
    daemon_stop(d);
    daemon_free(&d);
}

static struct http_reply read_metrics(const char *accept)
{
    const char *const headers[] = {accept, NULL};
    struct http_reply r =
        http_call(daemon_url(d),
                  &(struct http_request){.method = "GET", .path = "/metrics", .headers = headers});
    ck_assert_int_eq(r.status, 200);
    return r;
}

static void expect_line(const char *text, const char *line)
{
    char *whole = text_printf("\n%s\n", line);
    ck_assert_msg(strstr(text, whole) != NULL, "no line %s in:\n%s", line, text);
    free(whole);
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Queues and limits have series of their own, at most 50 of each: those with most tasks. */
START_TEST(test_metrics_show_the_busiest_queues_and_limits)
{
    const char *const json[] = {"Content-Type: application/json", NULL};
    char id[ID_TEXT_SIZE];
    struct http_reply r =
        http_call(daemon_url(d), &(struct http_request){.method = "PUT",
                                                        .path = "/v1/limits/few",
                                                        .headers = json,
                                                        .body = "{\"max_running\":1}",
                                                        .body_len = 17});
    ck_assert_int_eq(r.status, 201);
    http_reply_release(&r);
    api_patch_pool(daemon_url(d), "io", "{\"paused\":true}");
    for (int i = 0; i < 60; i++) {
        char *body = text_printf("{\"handler\":\"echo\",\"queue\":\"q%02d\"}", i);
        api_submit(daemon_url(d), body, id);
        free(body);
    }
    for (int i = 0; i < 3; i++)
        api_submit(daemon_url(d), "{\"handler\":\"echo\",\"queue\":\"z\",\"limits\":[\"few\"]}",
                   id);
    r = read_metrics("Accept: text/plain");
    expect_line(r.body, "futured_queue_tasks{queue=\"z\",state=\"queued\"} 3");
    expect_line(r.body, "futured_queue_tasks{queue=\"z\",state=\"running\"} 0");
    expect_line(r.body, "futured_queue_paused{queue=\"z\"} 0");
    expect_line(r.body, "futured_limit_waiting{limit=\"few\"} 3");
    expect_line(r.body, "futured_limit_closed{limit=\"few\"} 0");
    size_t n = 0;
    for (const char *at = r.body; (at = strstr(at, "\nfutured_queue_paused{")); at++)
        n++;
    ck_assert_uint_eq(n, 50);
    http_reply_release(&r);
}
END_TEST

START_TEST(test_metrics_counts_what_happened)
{
    static const char *const lines[] = {
        "# TYPE futured_tasks_submitted_total counter",
        "futured_tasks_submitted_total 4",
        "futured_tasks_finished_total{state=\"succeeded\"} 3",
        "futured_tasks_finished_total{state=\"failed\"} 1",
        "futured_tasks{lane=\"cpu\",state=\"queued\"} 0",
        "futured_attempts_failed_total{code=\"exit\"} 1",
        "futured_task_wait_seconds_count{lane=\"io\"} 4",
        "futured_task_run_seconds_count{lane=\"io\"} 4",
        "futured_task_run_seconds_bucket{lane=\"io\",le=\"+Inf\"} 4",
        "futured_store_healthy 1",
        "futured_http_answers_total{method=\"POST\",route=\"/v1/tasks\",status=\"2xx\"} 4",
        "futured_http_request_seconds_count{method=\"POST\",route=\"/v1/tasks\"} 4",
    };
    struct http_reply r = read_metrics("Accept: */*");
    char type[80];
    ck_assert_str_eq(http_header(&r, "Content-Type", type, sizeof(type)),
                     "text/plain; version=0.0.4; charset=utf-8");
    for (size_t i = 0; i < FUT_COUNT(lines); i++)
        expect_line(r.body, lines[i]);
    ck_assert_ptr_null(strstr(r.body, "\nfutured_store_fsync_seconds_count 0\n"));
    /* PostgreSQL's are its own affair, and memory has none. */
    ck_assert_int_eq(strstr(r.body, "\nfutured_store_fsync_seconds_count ") != NULL,
                     !daemon_is_on_postgres() && !daemon_is_in_memory());
    http_reply_release(&r);
}
END_TEST

START_TEST(test_metrics_are_open_metrics_where_that_is_asked_for)
{
    struct http_reply r = read_metrics("Accept: application/openmetrics-text;version=1.0.0,*/*");
    char type[80];
    ck_assert_str_eq(http_header(&r, "Content-Type", type, sizeof(type)),
                     "application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect_line(r.body, "# TYPE futured_tasks_submitted counter");
    expect_line(r.body, "# UNIT futured_task_wait_seconds seconds");
    expect_line(r.body, "futured_tasks_submitted_total 4");
    ck_assert_str_eq(strrchr(r.body, '#'), "# EOF\n");
    http_reply_release(&r);
}
END_TEST

/* ---- Prometheus ------------------------------------------------------------------------------ */

/* Of the system, or unpacked in build/prometheus by tests/deps.sh. */
static char *tool(const char *name)
{
    char *unpacked = text_printf("../prometheus/usr/bin/%s", name), *path = daemon_built(unpacked);
    free(unpacked);
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return text_printf("/usr/bin/%s", name);
}

START_TEST(test_metrics_please_promtool)
{
    struct http_reply r = read_metrics("Accept: text/plain");
    char *promtool = tool("promtool"), *path = daemon_path(d, "metrics.txt"), *out, *err;
    dir_write(daemon_dir(d), "metrics.txt", r.body, r.body_len);
    int status = program_run((const char *const[]){"/bin/sh", "-c", "\"$0\" check metrics <\"$1\"",
                                                   promtool, path, NULL},
                             NULL, TIMEOUT_MS, &out, &err);
    ck_assert_msg(status == 0 && !*out && !*err, "%d %s %s", status, out, err);
    free(out);
    free(err);
    free(path);
    free(promtool);
    http_reply_release(&r);
}
END_TEST

static char *prometheus_url; /* "http://127.0.0.1:PORT" */

static struct program *start_prometheus(void)
{
    char *program = tool("prometheus"),
         *rules = daemon_built("../../systemd/prometheus/alerts.yml");
    char *config = text_printf("global: {scrape_interval: 200ms, evaluation_interval: 200ms}\n"
                               "scrape_configs: [{job_name: futured, static_configs: [{targets: "
                               "[\"%s\"]}]}]\nrule_files: [\"%s\"]\n",
                               daemon_address(d), rules);
    char *path = daemon_path(d, "prometheus.yml");
    char *option = text_printf("--config.file=%s", path);
    dir_write(daemon_dir(d), "prometheus.yml", config, strlen(config));
    struct program *p =
        program_start((const char *const[]){program, option, "--storage.tsdb.path=tsdb",
                                            "--web.listen-address=127.0.0.1:0", NULL},
                      NULL, daemon_dir(d));
    char *line = program_wait_line(p, PROGRAM_ERR, "msg=\"Listening on\"", TIMEOUT_MS);
    ck_assert_ptr_nonnull(line);
    prometheus_url = text_printf("http://%s", strstr(line, "address=") + strlen("address="));
    free(line);
    free(option);
    free(path);
    free(config);
    free(rules);
    free(program);
    return p;
}

/* What Prometheus answers a query with; json_decref() it. */
static json_t *ask(const char *path, const char *query)
{
    struct buf whole = BUF_INIT;
    buf_puts(&whole, path);
    for (const char *c = query; *c; c++)
        buf_printf(&whole, "%%%02X", (unsigned char)*c);
    struct http_reply r = api_get(prometheus_url, "%s", whole.data);
    json_t *answer = json_incref(r.json);
    http_reply_release(&r);
    buf_release(&whole);
    return answer;
}

static bool has_scraped(void)
{
    json_t *answer = ask("/api/v1/query?query=", "futured_tasks_submitted_total");
    const json_t *result = api_at(answer, "data.result");
    bool has = json_array_size(result) == 1;
    if (has) {
        const json_t *value =
            json_array_get(json_object_get(json_array_get(result, 0), "value"), 1);
        ck_assert_str_eq(json_string_value(value), "4");
    }
    json_decref(answer);
    return has;
}

static bool has_judged(void)
{
    json_t *answer = ask("/api/v1/rules", "");
    const json_t *rules =
        json_object_get(json_array_get(api_at(answer, "data.groups"), 0), "rules");
    size_t n = json_array_size(rules), ok = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *rule = json_array_get(rules, i);
        ck_assert_str_ne(api_str(rule, "health"), "err");
        ck_assert_str_ne(api_str(rule, "state"), "firing");
        ok += strcmp(api_str(rule, "health"), "ok") == 0;
    }
    json_decref(answer);
    return n > 5 && ok == n;
}

/* As the dashboard would, with its variables set. */
static void expect_query(const char *expression)
{
    static const char *const variables[][2] = {{"$instance", ".*"}, {"$__rate_interval", "1m"}};
    char *query = text_printf("%s", expression);
    for (size_t i = 0; i < FUT_COUNT(variables); i++) {
        char *at;
        while ((at = strstr(query, variables[i][0]))) {
            char *next = text_printf("%.*s%s%s", (int)(at - query), query, variables[i][1],
                                     at + strlen(variables[i][0]));
            free(query);
            query = next;
        }
    }
    json_t *answer = ask("/api/v1/query?query=", query);
    ck_assert_msg(strcmp(api_str(answer, "status"), "success") == 0, "%s", query);
    json_decref(answer);
    free(query);
}

static void expect_dashboard(void)
{
    char *path = daemon_built("../../systemd/prometheus/grafana.json");
    json_t *dashboard = json_load_file(path, 0, NULL);
    size_t i, j;
    const json_t *panel, *target;
    ck_assert_ptr_nonnull(dashboard);
    json_array_foreach (json_object_get(dashboard, "panels"), i, panel)
        json_array_foreach (json_object_get(panel, "targets"), j, target)
            expect_query(api_str(target, "expr"));
    ck_assert_uint_gt(i, 5);
    json_decref(dashboard);
    free(path);
}

START_TEST(test_metrics_are_collected_by_prometheus)
{
    struct program *p = start_prometheus();
    wait_for(has_scraped());
    wait_for(has_judged());
    expect_dashboard();
    program_free(&p);
    free(prometheus_url);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_metrics_counts_what_happened, 0},
        {test_metrics_show_the_busiest_queues_and_limits, 0},
        {test_metrics_are_open_metrics_where_that_is_asked_for, 0},
        {test_metrics_please_promtool, 0},
        {test_metrics_are_collected_by_prometheus, 0},
    };
    return suite_run_rows("metrics", SUITE_TIMEOUT_S, start, stop, rows, FUT_COUNT(rows));
}
