#include "tests/support/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"
#include "tests/support/wait.h"

char *dir_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = dir_path(tmp && *tmp ? tmp : "/tmp", "futured-test-XXXXXX");
    if (!mkdtemp(dir))
        fail("mkdtemp %s: errno %d", dir, errno);
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void dir_free(char **dir)
{
    if (!*dir)
        return;
    (void)nftw(*dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*dir);
    *dir = NULL;
}

char *dir_path(const char *dir, const char *name)
{
    return text_printf("%s/%s", dir, name);
}

void dir_write(const char *dir, const char *name, const void *bytes, size_t n)
{
    char *path = dir_path(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || fd_write_all(fd, bytes, n) != 0)
        fail("cannot write %s: errno %d", path, errno);
    fd_close(&fd);
    free(path);
}

char *dir_read(const char *dir, const char *name)
{
    char *path = dir_path(dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return NULL;
    struct buf text = BUF_INIT;
    ssize_t n;
    do {
        buf_reserve(&text, 65536);
        n = read(fd, text.data + text.len, 65536);
        text.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    buf_put(&text, "", 0);
    fd_close(&fd);
    return text.data;
}

struct awaited {
    const char *dir, *name;
    char *text;
};

static bool has_line(void *ctx)
{
    struct awaited *a = ctx;
    free(a->text);
    a->text = dir_read(a->dir, a->name);
    size_t len = a->text ? strlen(a->text) : 0;
    return len > 0 && a->text[len - 1] == '\n';
}

char *dir_wait_line(const char *dir, const char *name)
{
    struct awaited a = {.dir = dir, .name = name};
    if (!wait_until(has_line, &a, WAIT_LONG_MS))
        fail("%s/%s did not get a line within a minute", dir, name);
    return a.text;
}
