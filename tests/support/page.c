#include "tests/support/page.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/program.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 140000
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
    "\"broken\":{\"worker\":[\"/bin/sh\",\"-c\",\"echo cannot import nlp >&2; exit 1\"]},"
    "\"totals\":{\"exec\":[\"/bin/sh\",\"-c\",\"echo rates.txt: no such file >&2; exit 1\"],"
    "\"retries\":0}}";

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

void page_check(const char *parts)
{
    struct daemon *open = daemon_start_handlers(handlers, NULL, 0), *closed = start_with_tokens();
    char *command = text_printf("exec node ../../tests/browser/page.mjs %s %s ../openapi-tools "
                                "../screenshots %s",
                                daemon_url(open), daemon_url(closed), parts);
    char *build = daemon_built("."), *path = text_printf("PATH=%s", getenv("PATH"));
    char *home = text_printf("HOME=%s", daemon_dir(open)); /* has handlers.json */
    char *pid = text_printf("DAEMON_PID=%d", (int)daemon_pid(open)), *out = NULL, *err = NULL;
    const char *const argv[] = {"/usr/bin/env", "-C", build, "/bin/sh", "-c", command, NULL};
    int status =
        program_run(argv, (const char *const[]){path, home, pid, NULL}, TIMEOUT_MS, &out, &err);
    const char *failed = strstr(out, "FAIL ");
    if (status != 0)
        fail("exit status %d: %.3000s\n%.1000s", status, failed ? failed : out, err);
    free(out);
    free(err);
    free(pid);
    free(home);
    free(path);
    free(build);
    free(command);
    daemon_stop(open);
    daemon_stop(closed);
    daemon_free(&open);
    daemon_free(&closed);
}
