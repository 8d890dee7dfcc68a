#include "tests/support/replay.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/fd.h"
#include "core/mem.h"
#include "tests/preload/disk.h"
#include "tests/support/chance.h"
#include "tests/support/dir.h"
#include "tests/support/fail.h"
#include "tests/support/text.h"

#define SECTOR 512

/* One file, by whatever name; bytes is what is on disk for certain. */
struct file {
    struct buf bytes;
    struct pending *first, **last;
    struct file *next_made; /* all files that ever were */
};

/* An operation that may or may not have reached the disk. */
struct pending {
    const struct disk_entry *entry;
    size_t place; /* in the record */
    struct pending *next;
};

enum name { NAME_DB, NAME_WAL, NAME_JOURNAL, NAMES };
static const struct {
    unsigned file;
    const char *end;
} names[NAMES] = {{DISK_FILE_DB, ""}, {DISK_FILE_WAL, "-wal"}, {DISK_FILE_JOURNAL, "-journal"}};

/* A name that was given to a file, or (NULL) taken away, since the directory was synced. */
struct naming {
    enum name name;
    struct file *file;
    size_t place;
};
#define NAMINGS_MAX 64

struct replay {
    char *record;
    size_t size, at;
    bool ended;
    struct file *made;
    struct file *now[NAMES], *on_disk[NAMES];
    struct naming namings[NAMINGS_MAX];
    size_t n_namings;
    size_t sync_began[NAMES + 1]; /* place; the last is the directory's */
    const char **marks;
    size_t n_marks, cap_marks;
};

/* ---- reading --------------------------------------------------------------------------------- */

struct replay *replay_open(const char *record)
{
    struct replay *r = xnew(struct replay);
    int fd = open(record, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    if (size < 0)
        fail("cannot read the record %s", record);
    r->size = (size_t)size;
    r->record = xmalloc(r->size + 1);
    if (pread(fd, r->record, r->size, 0) != size)
        fail("cannot read all of %s", record);
    fd_close(&fd);
    return r;
}

static void drop_pending(struct file *f)
{
    while (f->first) {
        struct pending *p = f->first;
        f->first = p->next;
        free(p);
    }
    f->last = &f->first;
}

void replay_close(struct replay **rp)
{
    struct replay *r = *rp;
    *rp = NULL;
    while (r->made) {
        struct file *f = r->made;
        r->made = f->next_made;
        drop_pending(f);
        buf_release(&f->bytes);
        free(f);
    }
    free((void *)(uintptr_t)r->marks);
    free(r->record);
    free(r);
}

static struct file *make_file(struct replay *r)
{
    struct file *f = xnew(struct file);
    f->last = &f->first;
    f->next_made = r->made;
    r->made = f;
    return f;
}

static int name_of(unsigned file)
{
    for (int i = 0; i < NAMES; i++) {
        if (names[i].file == file)
            return i;
    }
    return -1;
}

static const struct disk_entry *entry_at(const struct replay *r, size_t at)
{
    const struct disk_entry *e = (const struct disk_entry *)(const void *)(r->record + at);
    if (r->size - at < sizeof(*e) || e->check != DISK_ENTRY_CHECK ||
        r->size - at - sizeof(*e) < e->length)
        fail("the record makes no sense at byte %zu", at);
    return e;
}

/* Entries are of any length: what follows one is not aligned, so it is copied where it is kept. */
static size_t entry_size(const struct disk_entry *e)
{
    return (sizeof(*e) + e->length + 7) & ~(size_t)7;
}

/* ---- what is on disk ------------------------------------------------------------------------- */

static void write_at(struct buf *b, const char *bytes, size_t n, size_t at)
{
    while (b->len < at + n)
        buf_putc(b, '\0');
    memcpy(b->data + at, bytes, n);
}

static void cut_to(struct buf *b, size_t size)
{
    while (b->len < size)
        buf_putc(b, '\0');
    b->len = size;
}

static void apply(struct buf *b, const struct disk_entry *e)
{
    if (e->op == DISK_OP_TRUNCATE)
        cut_to(b, (size_t)e->offset);
    else
        write_at(b, (const char *)(e + 1), e->length, (size_t)e->offset);
}

static void add_pending(struct replay *r, int name, const struct disk_entry *e)
{
    struct pending *p = xnew(struct pending);
    if (!r->now[name])
        fail("the record writes to a file that was never made");
    p->entry = e;
    p->place = r->at;
    *r->now[name]->last = p;
    r->now[name]->last = &p->next;
}

static void sync_file(struct replay *r, int name)
{
    struct file *f = r->now[name];
    while (f && f->first && f->first->place < r->sync_began[name]) {
        struct pending *p = f->first;
        apply(&f->bytes, p->entry);
        f->first = p->next;
        if (!f->first)
            f->last = &f->first;
        free(p);
    }
}

static void sync_directory(struct replay *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_namings; i++) {
        struct naming g = r->namings[i];
        if (g.place < r->sync_began[NAMES])
            r->on_disk[g.name] = g.file;
        else
            r->namings[n++] = g;
    }
    r->n_namings = n;
}

static void give_name(struct replay *r, int name, struct file *f)
{
    if (r->n_namings == NAMINGS_MAX)
        fail("more than %d files without a sync of the directory", NAMINGS_MAX);
    r->now[name] = f;
    r->namings[r->n_namings++] = (struct naming){(enum name)name, f, r->at};
}

static void add_mark(struct replay *r, const struct disk_entry *e)
{
    if (r->n_marks == r->cap_marks) {
        r->cap_marks = r->cap_marks ? 2 * r->cap_marks : 256;
        r->marks = xrealloc((void *)(uintptr_t)r->marks, r->cap_marks * sizeof(*r->marks));
    }
    r->marks[r->n_marks++] = (const char *)(e + 1); /* with its NUL */
}

static void take(struct replay *r, const struct disk_entry *e)
{
    bool directory = e->file == DISK_FILE_DIRECTORY;
    int name = directory ? NAMES : name_of(e->file);
    if (e->op == DISK_OP_MARK)
        add_mark(r, e);
    else if (name < 0)
        return; /* the reserve holds nothing */
    else if (e->op == DISK_OP_SYNC_BEGIN)
        r->sync_began[name] = r->at;
    else if (e->op == DISK_OP_SYNC && directory)
        sync_directory(r);
    else if (e->op == DISK_OP_SYNC)
        sync_file(r, name);
    else if (e->op == DISK_OP_CREATE)
        give_name(r, name, make_file(r));
    else if (e->op == DISK_OP_UNLINK)
        give_name(r, name, NULL);
    else
        add_pending(r, name, e);
}

bool replay_next(struct replay *r)
{
    bool moved = false;
    while (r->at < r->size) {
        const struct disk_entry *e = entry_at(r, r->at);
        if (e->op == DISK_OP_SYNC && moved)
            return true;
        take(r, e);
        moved = true;
        r->at += entry_size(e);
    }
    bool more = !r->ended;
    r->ended = true;
    return more;
}

size_t replay_pending(const struct replay *r)
{
    size_t n = r->n_namings;
    for (int i = 0; i < NAMES; i++) {
        for (const struct pending *p = r->now[i] ? r->now[i]->first : NULL; p; p = p->next)
            n++;
    }
    return n;
}

size_t replay_marks(const struct replay *r)
{
    return r->n_marks;
}

const char *replay_mark(const struct replay *r, size_t i)
{
    return r->marks[i];
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void apply_sectors(struct buf *b, const struct disk_entry *e, uint64_t *random)
{
    const char *bytes = (const char *)(e + 1);
    for (size_t at = 0; at < e->length; at += SECTOR) {
        size_t n = e->length - at < SECTOR ? e->length - at : SECTOR;
        if (chance_of(random, 2) == 0)
            write_at(b, bytes + at, n, (size_t)e->offset + at);
    }
}

static void leave_some(struct buf *b, const struct file *f, enum replay_loss loss, uint64_t *random)
{
    size_t n = 0;
    for (const struct pending *p = f->first; p; p = p->next)
        n++;
    size_t kept = loss == REPLAY_NONE_LOST   ? n
                  : loss == REPLAY_BEGINNING ? chance_of(random, n + 1)
                                             : 0;
    size_t i = 0;
    for (const struct pending *p = f->first; p; p = p->next, i++) {
        bool by_chance = loss == REPLAY_SOME || loss == REPLAY_TORN;
        if (loss == REPLAY_TORN && p->entry->op == DISK_OP_WRITE)
            apply_sectors(b, p->entry, random);
        else if (i < kept || (by_chance && chance_of(random, 2) == 0))
            apply(b, p->entry);
    }
}

static void leave_file(const struct file *f, enum replay_loss loss, uint64_t *random,
                       const char *dir, const char *name)
{
    struct buf b = BUF_INIT;
    buf_put(&b, f->bytes.data ? f->bytes.data : "", f->bytes.len);
    leave_some(&b, f, loss, random);
    dir_write(dir, name, b.data ? b.data : "", b.len);
    buf_release(&b);
}

/* Names reach the disk in their order: file systems keep a journal of them. */
static size_t namings_kept(const struct replay *r, enum replay_loss loss, uint64_t *random)
{
    if (loss == REPLAY_ALL_LOST)
        return 0;
    return loss == REPLAY_NONE_LOST ? r->n_namings : chance_of(random, r->n_namings + 1);
}

static void remove_file(const char *dir, const char *end)
{
    char *path = text_printf("%s/futured.db%s", dir, end);
    (void)unlink(path);
    free(path);
}

void replay_leave(const struct replay *r, enum replay_loss loss, uint64_t *random, const char *dir)
{
    struct file *files[NAMES];
    memcpy(files, r->on_disk, sizeof(files));
    size_t kept = namings_kept(r, loss, random);
    for (size_t i = 0; i < kept; i++)
        files[r->namings[i].name] = r->namings[i].file;
    remove_file(dir, "-shm"); /* memory, not disk */
    remove_file(dir, ".reserve");
    for (int i = 0; i < NAMES; i++) {
        char *name = text_printf("futured.db%s", names[i].end);
        remove_file(dir, names[i].end);
        if (files[i])
            leave_file(files[i], loss, random, dir, name);
        free(name);
    }
}

void replay_put_mark(const char *record, const char *text)
{
    struct disk_entry e = {
        .op = DISK_OP_MARK, .length = (uint32_t)strlen(text) + 1, .check = DISK_ENTRY_CHECK};
    static const char zeros[8];
    size_t pad = entry_size(&e) - sizeof(e) - e.length;
    struct iovec parts[] = {
        {&e, sizeof(e)}, {(void *)(uintptr_t)text, e.length}, {(void *)(uintptr_t)zeros, pad}};
    int fd = open(record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || writev(fd, parts, 3) != (ssize_t)entry_size(&e))
        fail("cannot write to the record %s", record);
    fd_close(&fd);
}
