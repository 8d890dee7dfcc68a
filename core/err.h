/* err: the error codes of the whole program, and the two ways to end it.
 *
 * Every fallible function returns 0 or a negative enum fut_err and is FUT_MUST_CHECK. errno never
 * crosses a module. Human text travels in a struct fut_errbuf, only while configuring and opening.
 * FUT_BUG is for our own mistakes (aborts with a core); the environment's are returned.
 * Any thread; nothing here blocks. */
#ifndef FUT_CORE_ERR_H
#define FUT_CORE_ERR_H

#include <stddef.h>

#define FUT_MUST_CHECK __attribute__((warn_unused_result))
#define FUT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define FUT_NORETURN __attribute__((noreturn))

enum fut_err {
    FUT_OK = 0,
    FUT_ERR_INVAL = -1,     /* an argument or input is not acceptable */
    FUT_ERR_NOT_FOUND = -2, /* no such task, handler or file */
    FUT_ERR_STALE = -3,     /* compare-and-set lost: the task moved on */
    FUT_ERR_FULL = -4,      /* a bounded queue is full */
    FUT_ERR_CLOSED = -5,    /* its owner is shutting down */
    FUT_ERR_IO = -6,        /* the store or a descriptor failed */
    FUT_ERR_NO_SPACE = -7,  /* the disk is full */
    FUT_ERR_READ_ONLY = -8, /* an fsync failed earlier: the store takes no more writes */
    FUT_ERR_TOO_BIG = -9,   /* over a stated limit */
    FUT_ERR_AGAIN = -10,    /* nothing there yet; try after the next event */
    FUT_ERR_STATE = -11,    /* the task's state does not allow this event */
    FUT_ERR_EXISTS = -12,   /* the id is already there */
    FUT_ERR_BUSY = -13,     /* another process holds the resource */
    FUT_ERR_CONFLICT = -14, /* the same key stands for something else */
    FUT_ERR_DAMAGED = -15,  /* a file of ours is not what was written */
};

/* Space for one sentence, shown to the operator. */
struct fut_errbuf {
    char text[512];
};

/* Stable lower-case name of a code ("stale"), for logs. Never NULL. */
const char *fut_err_name(int rc);

/* Formats into err (truncating; err may be NULL) and returns rc, so callers can `return
 * fut_fail(…)`. */
int fut_fail(struct fut_errbuf *err, int rc, const char *fmt, ...) FUT_PRINTF(3, 4);

/* fn runs on the thread that found a bug, before the abort: to say what led there. One for all. */
void fut_on_bug(void (*fn)(void));
/* Writes the text to standard error if that takes it at once. Never blocks; signal handlers may
 * call it. */
void fut_complain(const char *text, size_t n);
/* Prints where and what, and aborts: FUT_BUG. */
void fut_bug_at(const char *file, int line, const char *what) FUT_NORETURN;
/* A state that only a mistake in this program can reach: print where and abort. */
#define FUT_BUG(what) fut_bug_at(__FILE__, __LINE__, (what))
#define FUT_ASSERT(cond)                                                                           \
    do {                                                                                           \
        if (!(cond))                                                                               \
            FUT_BUG(#cond);                                                                        \
    } while (0)
/* Does the work in cond, which cannot fail but by a mistake of ours: aborts when it is false. */
#define FUT_MUST(cond) FUT_ASSERT(cond)

#endif
