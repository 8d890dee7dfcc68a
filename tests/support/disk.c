#include "tests/support/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/err.h"
#include "core/fd.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"

static void set(struct daemon *d, const char *name, const char *value)
{
    char *setting = text_printf("%s=%s", name, value);
    daemon_set(d, setting);
    free(setting);
}

static struct disk_control *map_control(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct disk_control)) != 0)
        fail("cannot make %s", path);
    void *map = mmap(NULL, sizeof(struct disk_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail("cannot map %s", path);
    fd_close(&fd);
    return map;
}

struct disk_control *disk_attach(struct daemon *d)
{
    char *path = daemon_path(d, "disk.control");
    char *library = daemon_built("tests/preload/disk.so");
    const char *asan = getenv("ASAN_OPTIONS");
    char *options = text_printf("%s%sverify_asan_link_order=0", asan ? asan : "", asan ? ":" : "");
    struct disk_control *c = map_control(path);
    (void)snprintf(c->database, sizeof(c->database), "%s/futured.db", daemon_dir(d));
    set(d, "LD_PRELOAD", library);
    set(d, DISK_CONTROL_ENV, path);
    set(d, "ASAN_OPTIONS", options);
    free(options);
    free(library);
    free(path);
    return c;
}

void disk_detach(struct disk_control **c)
{
    if (*c)
        (void)munmap(*c, sizeof(**c));
    *c = NULL;
}

void disk_arm(struct disk_control *c, int rule, const struct disk_order *o)
{
    struct disk_rule *r = &c->rules[rule];
    atomic_store(&r->action, DISK_NOTHING); /* none while it changes */
    (void)snprintf(r->statement, sizeof(r->statement), "%s", o->statement ? o->statement : "");
    atomic_store(&r->ops, o->ops);
    atomic_store(&r->files, o->files ? o->files : DISK_FILES_ALL);
    atomic_store(&r->after, o->after);
    atomic_store(&r->times, o->times);
    atomic_store(&r->seen, 0);
    atomic_store(&r->given, 0);
    atomic_store(&r->error, o->error);
    atomic_store(&r->action, o->action);
}

void disk_disarm(struct disk_control *c, int rule)
{
    atomic_store(&c->rules[rule].action, DISK_NOTHING);
}

unsigned disk_given(const struct disk_control *c, int rule)
{
    return atomic_load(&c->rules[rule].given);
}
