/* receiver: an HTTP server on loopback that keeps what it is told and may refuse some of it. One
 * connection after the other. Requests need a Content-Length and at most 64 KiB. Misfortune ends
 * the test by fail(). Any thread but for the start and the end. */
#ifndef FUT_TESTS_SUPPORT_RECEIVER_H
#define FUT_TESTS_SUPPORT_RECEIVER_H

#include <stdbool.h>

struct receiver;

/* keeps_open: a connection stays for as many requests as its client likes; else for one. */
struct receiver *receiver_start(bool keeps_open);
/* Ends the connection too that is open. NULL ok; NULLs. */
void receiver_stop(struct receiver **r);

/* The port that it listens on. */
unsigned receiver_port(const struct receiver *r);
/* The next n requests are answered with 500, all others with 204. */
void receiver_refuse(struct receiver *r, int n);
/* The next n requests are answered with these bytes (a literal), behind which the connection is
 * closed. */
void receiver_answer(struct receiver *r, int n, const char *bytes);
/* From now on requests are read and never answered. */
void receiver_silence(struct receiver *r);
/* So far, those refused included. */
int receiver_requests(struct receiver *r);
int receiver_connections(struct receiver *r);
/* Until so many requests have come. */
void receiver_wait(struct receiver *r, int requests);

/* The first eight requests are kept, counted from 0. Borrowed; it must have come. */
const char *receiver_request(const struct receiver *r, int i);
const char *receiver_body(const struct receiver *r, int i);
/* The value of a header, in out; NULL when there is none. */
const char *receiver_header(const struct receiver *r, int i, const char *name, char out[256]);

#endif
