#include "tests/support/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool address_parse(const char *text, struct sockaddr_in *out)
{
    char host[INET_ADDRSTRLEN];
    if (strncmp(text, "http://", 7) == 0)
        text += 7;
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (*end || end == colon + 1 || port < 1 || port > 65535)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}
