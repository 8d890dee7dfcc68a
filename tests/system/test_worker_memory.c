/* Workers that are forked from one process share what it has loaded: a table, read by four workers,
 * is in memory about once. FUT_TABLE_MIB says how large it is (64). */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "core/sanitizers.h"
#include "tests/support/daemon.h"
#include "tests/support/peer.h"
#include "tests/support/suite.h"
#include "tests/support/text.h"

#define WORKERS 4

static unsigned long table_mib(void)
{
    const char *text = getenv("FUT_TABLE_MIB");
    return text ? strtoul(text, NULL, 10) : 64;
}

/* The share of memory that is this process's: what n processes share counts 1/n for each. */
static unsigned long pss_kib(pid_t pid)
{
    char *path = text_printf("/proc/%d/smaps_rollup", (int)pid);
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen(path, "re");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    while (kib == 0 && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Pss:", 4) == 0)
            kib = strtoul(line + 4, NULL, 10);
    }
    (void)fclose(f);
    free(path);
    return kib;
}

/* One task, which reads the whole table. */
static void read_table(struct peer *w)
{
    struct peer_message m;
    json_error_t error;
    peer_send(w, "RUN 1 0 task=t attempt=1 timeout_ms=60000 handler=table type=text/plain", NULL, 0,
              -1);
    peer_next(w, &m);
    ck_assert_msg(peer_message_is(&m, "DONE"), "%s %s", m.line, m.payload);
    json_t *result = json_loads(m.payload, 0, &error);
    ck_assert_ptr_nonnull(result);
    ck_assert_int_eq(json_integer_value(json_object_get(result, "pid")), peer_pid(w));
    ck_assert_uint_eq((unsigned long)json_integer_value(json_object_get(result, "mib")),
                      table_mib());
    json_decref(result);
    peer_message_release(&m);
}

/* All of them together, in MiB, while all are alive and have read it all. */
static unsigned long total_mib(const char *command)
{
    struct peer *template = peer_start(command), *workers[WORKERS];
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ck_assert_msg(peer_hello(template).fork, "%s is no template", command);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = peer_fork(template, i + 1);
        (void)peer_hello(workers[i]);
        read_table(workers[i]);
    }
    unsigned long kib = pss_kib(peer_pid(template));
    for (int i = 0; i < WORKERS; i++)
        kib += pss_kib(peer_pid(workers[i]));
    for (int i = 0; i < WORKERS; i++)
        peer_free(&workers[i]);
    peer_free(&template);
    return kib / 1024;
}

static void must_share(const char *before, const char *path)
{
    char *whole = daemon_built(path);
    char *command = text_printf("env TABLE_MIB=%lu %s %s", table_mib(), before, whole);
    unsigned long mib = total_mib(command);
    (void)printf("%lu MiB for a table of %lu MiB and %d workers: %s\n", mib, table_mib(), WORKERS,
                 path);
    /* One copy, and what five processes need for themselves. */
    ck_assert_uint_ge(mib, table_mib());
    ck_assert_uint_lt(mib, table_mib() * 5 / 4 + 100);
    free(command);
    free(whole);
}

START_TEST(test_plugin_table_is_in_memory_once)
{
#if FUT_TSAN
    (void)printf("NOTE: ThreadSanitizer writes down each read, so that nothing stays shared\n");
#else
    char *host = daemon_built("futured");
    char *before = text_printf("%s --role=plugin-host", host);
    must_share(before, "workers/sdk/examples/table.so");
    free(before);
    free(host);
#endif
}
END_TEST

START_TEST(test_python_table_is_in_memory_once)
{
    must_share("python3", "../../workers/sdk/examples/table.py");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {test_plugin_table_is_in_memory_once,
                            test_python_table_is_in_memory_once};
    return suite_run("worker_memory", tests, sizeof(tests) / sizeof(*tests));
}
