#include "tests/unit/workers/handlers/handlers_text.h"

int handlers_from_text(const char *text, struct handlers **out, struct fut_errbuf *err)
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
