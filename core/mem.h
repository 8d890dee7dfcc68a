/* mem: allocation for small, fixed-size things. Running out there aborts (the state is on disk).
 * What a user sizes is checked against a limit first and allocated with plain malloc. Any thread.
 */
#ifndef FUT_CORE_MEM_H
#define FUT_CORE_MEM_H

#include <stddef.h>

/* Zeroed; never NULL. Free with free(). */
void *xcalloc(size_t n, size_t size);
void *xmalloc(size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
#define FUT_COUNT(array) (sizeof(array) / sizeof(*(array)))
#define FUT_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
