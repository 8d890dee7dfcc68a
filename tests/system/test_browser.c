/* What web pages can do to a daemon, with a real browser (tests/browser). */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/support/daemon.h"
#include "tests/support/dir.h"
#include "tests/support/program.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define TIMEOUT_MS 85000
#define TOKEN "0123456789abcdef0"

static struct daemon *start_with_token(void)
{
    static const char tokens[] = TOKEN " admin\n";
    struct daemon *d = daemon_new();
    char *setting = text_printf("FUTURED_TOKENS=%s/tokens.txt", daemon_dir(d));
    dir_write(daemon_dir(d), "tokens.txt", tokens, sizeof(tokens) - 1);
    daemon_set(d, setting);
    daemon_set(d, "FUTURED_ORIGINS=http://app.example");
    daemon_start(d);
    free(setting);
    return d;
}

START_TEST(test_browser_pages_elsewhere_can_do_nothing)
{
    struct daemon *open = daemon_start_with(NULL, 0), *closed = start_with_token();
    char *script = daemon_built("../../tests/browser/check.mjs");
    char *path = text_printf("PATH=%s", getenv("PATH"));
    char *home = text_printf("HOME=%s", daemon_dir(open));
    char *out = NULL, *err = NULL;
    int status = program_run((const char *const[]){"/usr/bin/env", "node", script, daemon_url(open),
                                                   daemon_url(closed), TOKEN, NULL},
                             (const char *const[]){path, home, NULL}, TIMEOUT_MS, &out, &err);
    const char *failed = strstr(out, "FAIL ");
    ck_assert_msg(status == 0, "exit status %d: %s\n%s%s", status, failed ? failed : "", out, err);
    free(out);
    free(err);
    free(home);
    free(path);
    free(script);
    daemon_stop(open);
    daemon_stop(closed);
    daemon_free(&open);
    daemon_free(&closed);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_browser_pages_elsewhere_can_do_nothing};
    return suite_run("browser", tests, FUT_COUNT(tests));
}
