/* address: "127.0.0.1:8420" as the kernel wants it. Pure. */
#ifndef FUT_TESTS_SUPPORT_ADDRESS_H
#define FUT_TESTS_SUPPORT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

/* Also takes "http://" before it. IPv4 only; false when it is none. */
bool address_parse(const char *text, struct sockaddr_in *out);

#endif
