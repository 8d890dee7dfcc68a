/* See disk.h. Stands before libc and libsqlite3; what is not a file of the database goes through
 * untouched. Calls of any thread. */
#include "tests/preload/disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct sqlite3_stmt;
const char *sqlite3_sql(struct sqlite3_stmt *st);
int sqlite3_stmt_readonly(struct sqlite3_stmt *st);
/* What is interposed: the names that libsqlite3 and the daemon import. */
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at);
int ftruncate(int fd, off_t size);
int ftruncate64(int fd, off64_t size);
int fdatasync(int fd);
int fsync(int fd);
int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int unlink(const char *path);
int posix_fallocate(int fd, off_t at, off_t n);
int sqlite3_step(struct sqlite3_stmt *st);

static struct {
    ssize_t (*pwrite64)(int, const void *, size_t, off64_t);
    int (*ftruncate64)(int, off64_t);
    int (*fdatasync)(int);
    int (*fsync)(int);
    int (*open64)(const char *, int, ...);
    int (*unlink)(const char *);
    int (*posix_fallocate)(int, off_t, off_t);
    int (*sqlite3_step)(struct sqlite3_stmt *);
} next;

static struct disk_control *control; /* NULL: go through */
static pid_t self;                   /* the daemon; its children go through */
static int record_fd = -1;
static pthread_mutex_t record_mu = PTHREAD_MUTEX_INITIALIZER;

static void find(const char *name, void *out)
{
    void *at = dlsym(RTLD_NEXT, name);
    memcpy(out, &at, sizeof(at));
}

static void find_all(void)
{
    find("pwrite64", &next.pwrite64);
    find("ftruncate64", &next.ftruncate64);
    find("fdatasync", &next.fdatasync);
    find("fsync", &next.fsync);
    find("open64", &next.open64);
    find("unlink", &next.unlink);
    find("posix_fallocate", &next.posix_fallocate);
    find("sqlite3_step", &next.sqlite3_step);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(DISK_CONTROL_ENV);
    find_all();
    int fd = path ? next.open64(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (map == MAP_FAILED)
        abort();
    control = map;
    self = getpid();
    if (*control->record)
        record_fd = next.open64(control->record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* ---- which file ------------------------------------------------------------------------------ */

static unsigned file_of_path(const char *path)
{
    static const struct {
        const char *end;
        unsigned file;
    } ends[] = {{"", DISK_FILE_DB},
                {"-wal", DISK_FILE_WAL},
                {"-journal", DISK_FILE_JOURNAL},
                {".reserve", DISK_FILE_RESERVE}};
    if (!control || getpid() != self)
        return 0;
    size_t n = strlen(control->database);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        if (strncmp(path, control->database, n) == 0 && strcmp(path + n, ends[i].end) == 0)
            return ends[i].file;
    }
    const char *slash = strrchr(control->database, '/');
    size_t len = slash ? (size_t)(slash - control->database) : 0;
    return len && strlen(path) == len && strncmp(path, control->database, len) == 0
               ? DISK_FILE_DIRECTORY
               : 0;
}

/* No table of descriptors that could be out of date: the kernel knows. */
static unsigned file_of_fd(int fd)
{
    char link[64], path[1024];
    if (!control)
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return file_of_path(path);
}

/* ---- the record ------------------------------------------------------------------------------ */

static void record(unsigned op, unsigned file, int64_t offset, const void *bytes, size_t n)
{
    static const char zeros[8];
    struct disk_entry e = {op, file, offset, (uint32_t)n, DISK_ENTRY_CHECK};
    size_t pad = -n & 7;
    struct iovec parts[3] = {
        {&e, sizeof(e)}, {(void *)(uintptr_t)bytes, n}, {(void *)(uintptr_t)zeros, pad}};
    if (record_fd < 0)
        return;
    (void)pthread_mutex_lock(&record_mu);
    if (writev(record_fd, parts, 3) != (ssize_t)(sizeof(e) + n + pad))
        abort(); /* a record with a hole would prove nothing */
    (void)pthread_mutex_unlock(&record_mu);
}

/* ---- rules ----------------------------------------------------------------------------------- */

struct verdict {
    int action, error;
};

static void kill_self(void)
{
    (void)kill(self, SIGKILL);
    for (;;)
        (void)pause();
}

static void wait_us(unsigned us)
{
    struct timespec t = {us / 1000000, (long)(us % 1000000) * 1000};
    if (us)
        (void)ppoll(NULL, 0, &t, NULL);
}

static bool rule_wants(const struct disk_rule *r, unsigned op, unsigned file, const char *text)
{
    if (!(atomic_load(&r->ops) & op) || (file && !(atomic_load(&r->files) & file)))
        return false;
    return !text || strncmp(text, r->statement, strlen(r->statement)) == 0;
}

static struct verdict judge(unsigned op, unsigned file, const char *text)
{
    struct verdict v = {DISK_NOTHING, 0};
    for (int i = 0; i < DISK_RULES; i++) {
        struct disk_rule *r = &control->rules[i];
        if (atomic_load(&r->action) == DISK_NOTHING || !rule_wants(r, op, file, text))
            continue;
        unsigned nth = atomic_fetch_add(&r->seen, 1), after = atomic_load(&r->after);
        if (nth < after || nth - after >= atomic_load(&r->times))
            continue;
        (void)atomic_fetch_add(&r->given, 1);
        v = (struct verdict){atomic_load(&r->action), atomic_load(&r->error)};
    }
    if (v.action == DISK_KILL_BEFORE) {
        wait_us(atomic_load(&control->kill_delay_us));
        kill_self();
    }
    return v;
}

static int64_t size_of(const char *end)
{
    char path[600];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s%s", control->database, end);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* Would these files outgrow the disk if one of them became that long? */
static bool is_full(int fd, int64_t becomes)
{
    struct stat st;
    long long capacity = atomic_load(&control->capacity);
    if (!capacity || fstat(fd, &st) != 0 || becomes <= st.st_size)
        return false;
    int64_t all = size_of("") + size_of("-wal") + size_of("-journal") + size_of(".reserve");
    return all + becomes - st.st_size > capacity;
}

static void end_of(struct verdict v)
{
    if (v.action == DISK_KILL_AFTER)
        kill_self();
}

/* ---- the calls ------------------------------------------------------------------------------- */

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    unsigned file = file_of_fd(fd);
    if (!file)
        return next.pwrite64(fd, bytes, n, at);
    struct verdict v = judge(DISK_OP_WRITE, file, NULL);
    if (v.action == DISK_FAIL || is_full(fd, at + (int64_t)n)) {
        errno = v.action == DISK_FAIL ? v.error : ENOSPC;
        return -1;
    }
    if (v.action == DISK_LIE)
        return (ssize_t)n;
    record(DISK_OP_WRITE, file, at, bytes, n);
    ssize_t done = next.pwrite64(fd, bytes, n, at);
    end_of(v);
    return done;
}

int ftruncate64(int fd, off64_t size)
{
    unsigned file = file_of_fd(fd);
    if (!file)
        return next.ftruncate64(fd, size);
    struct verdict v = judge(DISK_OP_TRUNCATE, file, NULL);
    if (v.action == DISK_FAIL) {
        errno = v.error;
        return -1;
    }
    record(DISK_OP_TRUNCATE, file, size, NULL, 0);
    int rc = next.ftruncate64(fd, size);
    end_of(v);
    return rc;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

/* On disk is what was written before the call began, once it has ended well. */
static int sync_with(int (*call)(int), int fd)
{
    unsigned file = file_of_fd(fd);
    if (!file)
        return call(fd);
    struct verdict v = judge(DISK_OP_SYNC, file, NULL);
    if (v.action == DISK_FAIL) {
        errno = v.error;
        return -1;
    }
    record(DISK_OP_SYNC_BEGIN, file, 0, NULL, 0);
    wait_us(atomic_load(&control->sync_delay_us));
    int rc = v.action == DISK_LIE ? 0 : call(fd);
    if (rc == 0 && v.action != DISK_LIE)
        record(DISK_OP_SYNC, file, 0, NULL, 0);
    end_of(v);
    return rc;
}

int fdatasync(int fd)
{
    return sync_with(next.fdatasync, fd);
}

int fsync(int fd)
{
    return sync_with(next.fsync, fd);
}

static int open_with(const char *path, int flags, mode_t mode)
{
    unsigned file = flags & O_CREAT ? file_of_path(path) : 0;
    if (!file || access(path, F_OK) == 0)
        return next.open64(path, flags, mode);
    struct verdict v = judge(DISK_OP_CREATE, file, NULL);
    if (v.action == DISK_FAIL) {
        errno = v.error;
        return -1;
    }
    record(DISK_OP_CREATE, file, 0, NULL, 0);
    int fd = next.open64(path, flags, mode);
    end_of(v);
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_with(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_with(path, flags, mode);
}

int unlink(const char *path)
{
    unsigned file = file_of_path(path);
    if (!file)
        return next.unlink(path);
    struct verdict v = judge(DISK_OP_UNLINK, file, NULL);
    if (v.action == DISK_FAIL) {
        errno = v.error;
        return -1;
    }
    record(DISK_OP_UNLINK, file, 0, NULL, 0);
    int rc = next.unlink(path);
    end_of(v);
    return rc;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    unsigned file = file_of_fd(fd);
    if (!file)
        return next.posix_fallocate(fd, at, n);
    struct verdict v = judge(DISK_OP_ALLOCATE, file, NULL);
    if (v.action == DISK_FAIL)
        return v.error;
    if (is_full(fd, at + n))
        return ENOSPC;
    return next.posix_fallocate(fd, at, n);
}

int sqlite3_step(struct sqlite3_stmt *st)
{
    const char *text = control && getpid() == self ? sqlite3_sql(st) : NULL;
    if (!text || (sqlite3_stmt_readonly(st) && strncmp(text, "BEGIN IMM", 9) != 0 &&
                  strncmp(text, "COMMIT", 6) != 0))
        return next.sqlite3_step(st);
    struct verdict v = judge(DISK_OP_STEP, 0, text);
    int rc = next.sqlite3_step(st);
    end_of(v);
    return rc;
}
