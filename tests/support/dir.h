/* dir: a scratch directory and the small files in it. Any thread; misfortune ends the test by
 * fail(). */
#ifndef FUT_TESTS_SUPPORT_DIR_H
#define FUT_TESTS_SUPPORT_DIR_H

#include <stddef.h>

/* Makes a directory below $TMPDIR (or /tmp) and returns its path. */
char *dir_new(void);
/* Removes it with all it holds, frees, NULLs. NULL ok. */
void dir_free(char **dir);
/* "dir/name"; free() it. */
char *dir_path(const char *dir, const char *name);
void dir_write(const char *dir, const char *name, const void *bytes, size_t n);
/* The file's bytes with a NUL behind, or NULL when it is not there; free() them. */
char *dir_read(const char *dir, const char *name);
/* Waits for the file and for a newline at its end. */
char *dir_wait_line(const char *dir, const char *name);

#endif
