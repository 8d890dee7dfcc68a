/* The operator's file of programs. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fd.h"
#include "core/mem.h"
#include "tests/fuzz/fuzz.h"
#include "workers/handlers/handlers_file.h"

static void check(const struct handler *h)
{
    FUT_ASSERT(task_handler_name_ok(h->info.name));
    FUT_ASSERT(h->exec && h->exec->argv && h->exec->argv[0] && h->exec->path);
    FUT_ASSERT(h->info.timeout_ms >= 1 && h->info.timeout_ms <= TASK_TIMEOUT_MAX_MS);
    FUT_ASSERT(h->info.retries <= TASK_RETRIES_MAX);
    FUT_ASSERT(exec_command_bytes(h->exec) <= EXEC_COMMAND_MAX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct handler *items = NULL;
    size_t count = 0;
    struct fut_errbuf err = {""};
    char path[64];
    int fd = memfd_create("handlers", MFD_CLOEXEC);
    FUT_MUST(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = handlers_file_load(path, &items, &count, &err);
    FUT_ASSERT(rc == 0 ? !err.text[0] : err.text[0] != '\0');
    for (size_t i = 0; i < count; i++) {
        check(&items[i]);
        handlers_file_release(&items[i]);
    }
    free(items);
    fd_close(&fd);
    return 0;
}
