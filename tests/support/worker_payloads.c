#include "tests/support/worker_payloads.h"

#include <stdlib.h>

#include "core/fd.h"
#include "core/task.h"
#include "tests/support/text.h"

#define MIB ((size_t)1 << 20)
#define BYTES "application/octet-stream"

static void echo_noise(struct worker *w, size_t n)
{
    char *bytes = worker_noise(n);
    worker_round_trip(w, 1, bytes, n, -1, BYTES);
    free(bytes);
    worker_expect_life(w, 2);
}

void worker_payloads_empty(struct worker *w)
{
    echo_noise(w, 0);
}

void worker_payloads_binary(struct worker *w)
{
    static const char bytes[] = "a\0b\n\r\n\nDONE 1 0\n\xff\xfe\0";
    worker_round_trip(w, 1, bytes, sizeof(bytes) - 1, -1, BYTES);
    worker_round_trip(w, 2, "\n", 1, -1, BYTES);
    worker_round_trip(w, 3, "\0", 1, -1, BYTES);
    echo_noise(w, 70000);
}

void worker_payloads_1_mib(struct worker *w)
{
    echo_noise(w, MIB);
}

void worker_payloads_16_mib(struct worker *w)
{
    echo_noise(w, 16 * MIB);
}

void worker_payloads_16_mib_by_memfd(struct worker *w)
{
    char *bytes = worker_noise(16 * MIB);
    int fd = worker_sealed_file(bytes, 16 * MIB);
    worker_round_trip(w, 1, bytes, 16 * MIB, fd, BYTES);
    fd_close(&fd);
    fd = worker_sealed_file(bytes, 300000);
    worker_round_trip(w, 2, bytes, 300000, fd, BYTES);
    fd_close(&fd);
    free(bytes);
    worker_expect_life(w, 3);
}

void worker_payloads_types(struct worker *w)
{
    char *bytes = worker_noise(10);
    char *longest = text_repeat('x', TASK_TYPE_MAX);
    worker_round_trip(w, 1, bytes, 10, -1, "text/plain; charset=utf-8; note=\"a b type=c\"");
    worker_round_trip(w, 2, bytes, 10, -1, longest);
    free(longest);
    free(bytes);
}
