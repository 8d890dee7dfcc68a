#include "api/http/origin.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

#define SEPARATORS ", \t"

/* A text that belongs to somebody else. */
struct piece {
    const char *at;
    size_t n;
};

struct authority {
    struct piece host; /* of an IPv6 address with its brackets */
    struct piece port; /* empty: the scheme's own */
};

struct list {
    char *text; /* NUL between the entries */
    char **entries;
    size_t n;
};

struct origin_rules {
    struct list hosts, origins;
};

/* ---- authorities ----------------------------------------------------------------------------- */

static bool equal(struct piece a, struct piece b)
{
    return a.n == b.n && strncasecmp(a.at, b.at, a.n) == 0;
}

/* "host", "host:port", "[v6]" or "[v6]:port"; false when it is none of them. */
static bool split(const char *text, size_t n, struct authority *out)
{
    const char *end = text + n;
    const char *close = n && *text == '[' ? memchr(text, ']', n) : text;
    const char *colon = close ? memchr(close, ':', (size_t)(end - close)) : NULL;
    const char *host_end = colon ? colon : end;
    if (!close || host_end == text || (*text == '[' && close + 1 != host_end))
        return false;
    out->host = (struct piece){text, (size_t)(host_end - text)};
    out->port =
        colon ? (struct piece){colon + 1, (size_t)(end - colon - 1)} : (struct piece){"", 0};
    for (size_t i = 0; i < out->port.n; i++) {
        if (out->port.at[i] < '0' || out->port.at[i] > '9')
            return false;
    }
    for (size_t i = 0; i < out->host.n; i++) {
        if (strchr("/@?#\\ ,", out->host.at[i]))
            return false;
    }
    return true;
}

static bool is_loopback(struct piece host)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;
    bool is_six = host.n > 2 && host.at[0] == '[';
    if (equal(host, (struct piece){"localhost", 9}))
        return true;
    size_t n = is_six ? host.n - 2 : host.n;
    if (n >= sizeof(text))
        return false;
    memcpy(text, is_six ? host.at + 1 : host.at, n);
    text[n] = '\0';
    if (is_six)
        return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
    return inet_pton(AF_INET, text, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void split_list(const char *text, struct list *out)
{
    char *word, *rest;
    out->text = xstrdup(text);
    out->entries = xcalloc(strlen(text) / 2 + 1, sizeof(*out->entries));
    for (rest = out->text; (word = strsep(&rest, SEPARATORS)) != NULL;) {
        if (*word)
            out->entries[out->n++] = word;
    }
}

static void free_list(struct list *l)
{
    free(l->entries);
    free(l->text);
}

/* The authority behind "scheme://", and the scheme; false when nothing else may be there. */
static bool split_origin(const char *text, struct piece *scheme, struct authority *out)
{
    const char *mark = strstr(text, "://");
    if (!mark || mark == text)
        return false;
    *scheme = (struct piece){text, (size_t)(mark - text)};
    return split(mark + 3, strlen(mark + 3), out);
}

static int check_rules(const struct origin_rules *r, struct fut_errbuf *err)
{
    struct piece scheme;
    struct authority a;
    for (size_t i = 0; i < r->hosts.n; i++) {
        const char *host = r->hosts.entries[i];
        if (!split(host, strlen(host), &a) || a.host.n != strlen(host))
            return fut_fail(err, FUT_ERR_INVAL,
                            "\"%.200s\" is no host: it must be a name or an address without a "
                            "scheme or a port, such as futured.example or [fd00::1]",
                            host);
    }
    for (size_t i = 0; i < r->origins.n; i++) {
        if (!split_origin(r->origins.entries[i], &scheme, &a))
            return fut_fail(err, FUT_ERR_INVAL,
                            "\"%.200s\" is no origin: it must be a scheme, a host and perhaps a "
                            "port, such as https://app.example or http://localhost:3000",
                            r->origins.entries[i]);
    }
    return 0;
}

int origin_rules_new(const char *hosts, const char *origins, struct origin_rules **out,
                     struct fut_errbuf *err)
{
    struct origin_rules *r = xnew(struct origin_rules);
    split_list(hosts, &r->hosts);
    split_list(origins, &r->origins);
    int rc = check_rules(r, err);
    if (rc != 0)
        origin_rules_free(&r);
    else
        *out = r;
    return rc;
}

void origin_rules_free(struct origin_rules **r)
{
    if (!*r)
        return;
    free_list(&(*r)->hosts);
    free_list(&(*r)->origins);
    free(*r);
    *r = NULL;
}

bool origin_rules_name_any(const struct origin_rules *r)
{
    return r && r->origins.n;
}

/* ---- requests -------------------------------------------------------------------------------- */

bool origin_host_is_ours(const struct origin_rules *rules, const char *host, const char *listen)
{
    struct authority a, b;
    if (!split(host, strlen(host), &a))
        return false;
    if (is_loopback(a.host) ||
        (listen && split(listen, strlen(listen), &b) && equal(a.host, b.host)))
        return true;
    for (size_t i = 0; rules && i < rules->hosts.n; i++) {
        const char *name = rules->hosts.entries[i];
        if (equal(a.host, (struct piece){name, strlen(name)}))
            return true;
    }
    return false;
}

static struct piece port_of(const struct authority *a, struct piece scheme)
{
    if (a->port.n)
        return a->port;
    if (equal(scheme, (struct piece){"https", 5}))
        return (struct piece){"443", 3};
    return equal(scheme, (struct piece){"http", 4}) ? (struct piece){"80", 2} : a->port;
}

static bool is_same(const struct authority *a, const struct authority *b, struct piece scheme)
{
    return equal(a->host, b->host) && equal(port_of(a, scheme), port_of(b, scheme));
}

static bool is_named(const struct origin_rules *rules, struct piece scheme,
                     const struct authority *a)
{
    for (size_t i = 0; rules && i < rules->origins.n; i++) {
        struct piece its;
        struct authority b;
        if (split_origin(rules->origins.entries[i], &its, &b) && equal(scheme, its) &&
            is_same(a, &b, scheme))
            return true;
    }
    return false;
}

enum origin_verdict origin_judge(const struct origin_rules *rules, const struct origin_headers *h)
{
    struct piece scheme = {"", 0};
    struct authority origin, host;
    bool is_page_elsewhere = h->fetch_site && (strcasecmp(h->fetch_site, "cross-site") == 0 ||
                                               strcasecmp(h->fetch_site, "same-site") == 0);
    if (!h->origin)
        return is_page_elsewhere ? ORIGIN_FOREIGN : ORIGIN_OWN;
    if (!split_origin(h->origin, &scheme, &origin)) /* also "null" */
        return ORIGIN_FOREIGN;
    if (is_named(rules, scheme, &origin))
        return ORIGIN_ALLOWED;
    if (is_page_elsewhere || !h->host || !split(h->host, strlen(h->host), &host))
        return ORIGIN_FOREIGN;
    return is_same(&origin, &host, scheme) ? ORIGIN_OWN : ORIGIN_FOREIGN;
}
