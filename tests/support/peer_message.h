/* peer_message: one message of the worker protocol as it came from a worker: its header line,
 * judged by the specification. Pure. */
#ifndef FUT_TESTS_SUPPORT_PEER_MESSAGE_H
#define FUT_TESTS_SUPPORT_PEER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_LINE_MAX 1024

struct peer_message {
    char line[PEER_LINE_MAX + 1]; /* without the newline */
    char verb[16];
    uint64_t id;
    size_t n;
    char *payload; /* with a NUL behind its n bytes; peer_message_release() frees it */
    bool by_fd, is_sealed;
};

/* Fills verb, id and n from line. False: it is not a header line. */
bool peer_message_parse(struct peer_message *m);
bool peer_message_is(const struct peer_message *m, const char *verb);
/* The value of a key ("" when it is not there). `type` runs to the end of the line. */
void peer_message_key(const struct peer_message *m, const char *key, char *out, size_t cap);
void peer_message_release(struct peer_message *m);

#endif
