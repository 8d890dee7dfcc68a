/* The web page in a real browser: each page and each action (tests/browser/page.mjs). */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 240000
#define TOKENS "admin-0123456789abcdef admin\nreader-0123456789abcdef read\n"

/* What the pages show: programs that fail, that write, and one that does not start. */
static const char handlers[] =
    "{\"flaky\":{\"exec\":[\"/bin/sh\",\"-c\",\"echo 'ValueError: <b>no</b> such thing' >&2; "
    "exit 3\"],\"retries\":1,\"retry_on\":[\"exit\"],\"backoff\":{\"first\":0.1,\"max\":1,"
    "\"jitter\":0}},"
    "\"long_line\":{\"exec\":[\"/bin/sh\",\"-c\",\"head -c 1048576 /dev/zero | tr '\\\\0' x >&2; "
    "printf '\\\\033[31m\\\\001<script>document.title=1</script>\\\\n' >&2; exit 1\"],"
    "\"retries\":0},"
    "\"writes\":{\"exec\":[\"/bin/sh\",\"-c\",\"i=0; while :; do i=$((i+1)); echo step $i >&2; "
    "sleep 0.2; done\"]},"
    "\"broken\":{\"worker\":[\"/bin/sh\",\"-c\",\"echo cannot import nlp >&2; exit 1\"]}}";

static struct daemon *start_with_tokens(void)
{
    struct daemon *d = daemon_new();
    char *setting = text_printf("FUTURED_TOKENS=%s/tokens.txt", daemon_dir(d));
    dir_write(daemon_dir(d), "tokens.txt", TOKENS, sizeof(TOKENS) - 1);
    daemon_set(d, setting);
    daemon_start(d);
    free(setting);
    return d;
}

START_TEST(test_page_every_page_and_every_action)
{
    struct daemon *open = daemon_start_handlers(handlers, NULL, 0), *closed = start_with_tokens();
    char *script = daemon_built("../../tests/browser/page.mjs");
    char *tools = daemon_built("../openapi-tools");
    char *shots = daemon_built("../screenshots");
    char *path = text_printf("PATH=%s", getenv("PATH"));
    char *home = text_printf("HOME=%s", daemon_dir(open));
    char *out = NULL, *err = NULL;
    int status = program_run((const char *const[]){"/usr/bin/env", "node", script, daemon_url(open),
                                                   daemon_url(closed), tools, shots, NULL},
                             (const char *const[]){path, home, NULL}, TIMEOUT_MS, &out, &err);
    const char *failed = strstr(out, "FAIL ");
    ck_assert_msg(status == 0, "exit status %d: %.3000s\n%.1000s", status, failed ? failed : out,
                  err);
    free(out);
    free(err);
    free(home);
    free(path);
    free(shots);
    free(tools);
    free(script);
    daemon_stop(open);
    daemon_stop(closed);
    daemon_free(&open);
    daemon_free(&closed);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {{test_page_every_page_and_every_action, 0}};
    return suite_run_rows("page_in_browser", 250, NULL, NULL, rows, FUT_COUNT(rows));
}
