/* GET /v1/nodes and PATCH /v1/nodes/{name} of a daemon alone. */
#include "storage/node.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"
#include "tests/unit/api/fixture.h"

static struct fixture f;
static char path[320];

static void setup(void)
{
    char host[256] = "";
    fixture_start(&f);
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(path, sizeof(path), "PATCH /v1/nodes/%s", host);
}

static void teardown(void)
{
    fixture_stop(&f);
}

START_TEST(test_nodes_alone_there_is_one)
{
    expect(ask(&f, "GET /v1/nodes", "", NULL), 200, "{\"nodes\":[{\"name\":\"",
           "\",\"number\":0,\"self\":true,\"state\":\"running\",\"seen_at\":\"2",
           "\"lease_until\":null,\"lanes\":{\"io\":{\"slots\":0,\"running\":0,\"paused\":false},");
}
END_TEST

/* Members that are not known are skipped, and what is said otherwise than it should be. */
START_TEST(test_nodes_of_other_versions_are_shown)
{
    store_publish(f.store, "{\"version\":\"9.9\",\"started_at\":7,\"moons\":[1],"
                           "\"handlers\":[{\"name\":\"x\",\"colour\":\"red\"},7,{\"name\":8},"
                           "{\"name\":\"y\"}],\"labels\":{}}");
    expect(ask(&f, "GET /v1/nodes", "", NULL), 200, "\"version\":\"9.9\",\"seen_at\"",
           "\"handlers\":[\"x\",\"y\"]", NULL);
    store_publish(f.store, "{");
    expect(ask(&f, "GET /v1/nodes", "", NULL), 200, "\"handlers\":[]", NULL, NULL);
}
END_TEST

START_TEST(test_nodes_are_drained)
{
    expect(ask(&f, "GET /readyz", "", NULL), 200, "{\"status\":\"ready\"}", NULL, NULL);
    expect(ask(&f, path, "", "{\"draining\":true}"), 200, "\"state\":\"drained\"", NULL, NULL);
    expect(ask(&f, "GET /readyz", "", NULL), 200, "{\"status\":\"ready\",\"draining\":true}", NULL,
           NULL);
    expect(ask(&f, "POST /v1/tasks", "", "{\"handler\":\"echo\",\"input\":1}"), 202,
           "\"waiting_for\":{\"code\":\"node_draining\"", NULL, NULL);
    expect(ask(&f, path, "", "{\"draining\":false}"), 200, "\"state\":\"running\"", NULL, NULL);
}
END_TEST

static const struct {
    const char *line, *body;
    int status;
    const char *code;
} refused[] = {
    {"PATCH /v1/nodes/nobody", "{\"draining\":true}", 404, "unknown_node"},
    {"PATCH /v1/nodes/nobody", "{}", 422, "missing_field"},
    {"PATCH /v1/nodes/nobody", "{\"draining\":1}", 422, "wrong_type"},
    {"PATCH /v1/nodes/nobody", "{\"draining\":true,\"x\":1}", 422, "unknown_field"},
    {"PATCH /v1/nodes/nobody", "", 400, "bad_json"},
    {"GET /v1/nodes?x=1", NULL, 400, "unknown_parameter"},
};

START_TEST(test_nodes_refuse)
{
    expect(ask(&f, refused[_i].line, "", refused[_i].body), refused[_i].status, refused[_i].code,
           NULL, NULL);
}
END_TEST

int main(void)
{
    TCase *t = suite_case("nodes", SUITE_TIMEOUT_S, setup, teardown);
    tcase_add_test(t, test_nodes_alone_there_is_one);
    tcase_add_test(t, test_nodes_of_other_versions_are_shown);
    tcase_add_test(t, test_nodes_are_drained);
    tcase_add_loop_test(t, test_nodes_refuse, 0, FUT_COUNT(refused));
    return suite_run_cases("nodes api", t, NULL);
}
