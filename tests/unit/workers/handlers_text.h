/* handlers_text: what a handlers file with a given text brings. */
#ifndef FUT_TESTS_UNIT_WORKERS_HANDLERS_TEXT_H
#define FUT_TESTS_UNIT_WORKERS_HANDLERS_TEXT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fd.h"
#include "workers/handlers/registry.h"

/* As handlers_load. */
static inline int handlers_from_text(const char *text, struct handlers **out,
                                     struct fut_errbuf *err)
{
    char path[] = "/tmp/test_handlers_XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
    close(fd);
    int rc = handlers_load(path, out, err);
    unlink(path);
    return rc;
}

#endif
