#include "tests/support/fetches.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/fail.h"
#include "tests/support/http.h"
#include "tests/support/program.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

struct fetches {
    struct program *program;
    char *url;
};

struct fetches *fetches_start(void)
{
    static const char key[] = "address=";
    struct fetches *f = xnew(struct fetches);
    char *path = daemon_built("tests/tools/fetch_server");
    const char *argv[] = {path, NULL};
    f->program = program_start(argv, NULL, NULL);
    char *line = program_wait_line(f->program, PROGRAM_OUT, key, WAIT_LONG_MS);
    if (!line)
        fail("%s did not say where it listens", path);
    f->url = text_printf("http://%s", strstr(line, key) + strlen(key));
    free(line);
    free(path);
    return f;
}

const char *fetches_url(const struct fetches *f)
{
    return f->url;
}

json_t *fetches_stats(const struct fetches *f)
{
    struct http_request req = {.method = "GET", .path = "/stats"};
    struct http_reply r = http_call(f->url, &req);
    if (!r.json)
        fail("the fetch server did not answer: %s", r.error ? r.error : r.body);
    json_t *stats = json_incref(r.json);
    http_reply_release(&r);
    return stats;
}

void fetches_stop(struct fetches **fp)
{
    struct fetches *f = *fp;
    *fp = NULL;
    program_free(&f->program);
    free(f->url);
    free(f);
}
