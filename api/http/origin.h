/* origin: may a browser's page ask here? Any page on the web can make its visitor's browser send
 * requests to this daemon; the headers that only a browser sends tell them from those of programs.
 * Pure; constant once made, so any thread may ask; nothing blocks. */
#ifndef FUT_API_HTTP_ORIGIN_H
#define FUT_API_HTTP_ORIGIN_H

#include <stdbool.h>

#include "core/err.h"

/* What the operator allows beside the daemon's own addresses. */
struct origin_rules;

/* hosts: comma list of names and addresses that a Host may have; origins: comma list of
 * "scheme://host[:port]" whose pages may ask. Both may be "". 0, or FUT_ERR_INVAL with a sentence
 * in err that names the entry. */
FUT_MUST_CHECK int origin_rules_new(const char *hosts, const char *origins,
                                    struct origin_rules **out, struct fut_errbuf *err);
/* Sets *r to NULL, which it may be before. */
void origin_rules_free(struct origin_rules **r);
/* Are pages of any other origin allowed, so that answers differ by Origin? NULL: no. */
bool origin_rules_name_any(const struct origin_rules *r);

/* Headers of a request, as they came; NULL: not there. */
struct origin_headers {
    const char *host, *origin, *fetch_site;
};

enum origin_verdict {
    ORIGIN_OWN,     /* no browser, or a page of this daemon: answer it */
    ORIGIN_ALLOWED, /* a page whose origin is named: answer it, and let the page read the answer */
    ORIGIN_FOREIGN, /* a page of somebody else: refuse it */
};

/* Is the Host one of this machine, the one in listen ("host:port", or NULL), or named by the rules?
 * A name that an attacker's server gives to this machine's address is not. rules: NULL ok. */
bool origin_host_is_ours(const struct origin_rules *rules, const char *host, const char *listen);
/* rules: NULL ok. */
enum origin_verdict origin_judge(const struct origin_rules *rules, const struct origin_headers *h);

#endif
