#include "tests/support/peer_message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/text.h"

static const char *after_number(const char *at, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)*at))
        return NULL;
    errno = 0;
    *out = strtoull(at, &end, 10);
    return errno == 0 && *out <= INT64_MAX ? end : NULL;
}

/* ` key=value`, single spaces, `type=` last. */
static bool keys_are_fine(const char *at)
{
    while (*at) {
        if (*at != ' ' || !islower((unsigned char)at[1]))
            return false;
        if (strncmp(at, " type=", 6) == 0)
            return at[6] != '\0';
        const char *equals = strchr(at, '=');
        size_t word = strcspn(at + 1, " ");
        if (!equals || equals >= at + 1 + word)
            return false;
        at += 1 + word;
    }
    return true;
}

bool peer_message_parse(struct peer_message *m)
{
    uint64_t n = 0;
    size_t len = strspn(m->line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (len == 0 || len >= sizeof(m->verb) || m->line[len] != ' ')
        return false;
    memcpy(m->verb, m->line, len);
    const char *at = after_number(m->line + len + 1, &m->id);
    at = at && *at == ' ' ? after_number(at + 1, &n) : NULL;
    m->n = (size_t)n;
    return at && keys_are_fine(at);
}

bool peer_message_is(const struct peer_message *m, const char *verb)
{
    return strcmp(m->verb, verb) == 0;
}

void peer_message_release(struct peer_message *m)
{
    free(m->payload);
    m->payload = NULL;
}

void peer_message_key(const struct peer_message *m, const char *key, char *out, size_t cap)
{
    const char *type = strstr(m->line, " type=");
    bool is_type = strcmp(key, "type") == 0;
    char *wanted = text_printf(" %s=", key);
    const char *at = strstr(m->line, wanted);
    out[0] = '\0';
    if (at && (is_type || !type || at < type)) {
        at += strlen(wanted);
        (void)snprintf(out, cap, "%.*s", (int)(is_type ? strlen(at) : strcspn(at, " ")), at);
    }
    free(wanted);
}
