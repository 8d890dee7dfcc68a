#include "tests/support/response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *response_header(const struct response *r, const char *name, size_t *out_len)
{
    size_t name_len = strlen(name);
    const char *end = r->head + r->head_len;
    const char *line = r->head;
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        line++;
        if ((size_t)(end - line) < name_len || strncasecmp(line, name, name_len) != 0)
            continue;
        const char *value = line + name_len;
        value += strspn(value, " \t");
        *out_len = strcspn(value, "\r\n");
        return value;
    }
    return NULL;
}

static bool has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

enum response_state response_parse(const char *bytes, size_t n, struct response *out)
{
    static const char blank[] = "\r\n\r\n";
    size_t len = 0;
    const char *end = memmem(bytes, n, blank, sizeof(blank) - 1);
    if (!end)
        return RESPONSE_MORE;
    if (strncmp(bytes, "HTTP/1.1 ", 9) != 0)
        return RESPONSE_BROKEN;
    *out = (struct response){.status = (int)strtol(bytes + 9, NULL, 10), .head = bytes};
    out->head_len = (size_t)(end - bytes) + sizeof(blank) - 1;
    out->body = bytes + out->head_len;
    if (out->status < 100 || out->status > 599)
        return RESPONSE_BROKEN;
    const char *length = response_header(out, "Content-Length:", &len);
    if (!length && has_body(out->status))
        return RESPONSE_BROKEN;
    out->body_len = length ? (size_t)strtoull(length, NULL, 10) : 0;
    const char *connection = response_header(out, "Connection:", &len);
    out->close = connection && strncasecmp(connection, "close", 5) == 0;
    out->total = out->head_len + out->body_len;
    return n >= out->total ? RESPONSE_WHOLE : RESPONSE_MORE;
}
