/* notify: plays systemd's end of NOTIFY_SOCKET: every datagram, in the order of arrival. One
 * thread. Misfortune ends the test by fail(). */
#ifndef FUT_TESTS_SUPPORT_NOTIFY_H
#define FUT_TESTS_SUPPORT_NOTIFY_H

struct notify;

/* Makes the socket in dir, and a thread that empties it. */
struct notify *notify_new(const char *dir);
/* Makes the socket in dir, which nobody ever reads. */
struct notify *notify_new_unread(const char *dir);
/* "NOTIFY_SOCKET=…" for daemon_set; lives as long as n. */
const char *notify_setting(const struct notify *n);
/* The next datagram; valid until the next call. fail()s after a minute without one. */
const char *notify_next(struct notify *n);
/* Skips to the next datagram with needle in it. */
const char *notify_wait(struct notify *n, const char *needle);
/* Closes, frees, NULLs. */
void notify_free(struct notify **n);

#endif
