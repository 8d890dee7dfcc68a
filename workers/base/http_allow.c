#include "workers/base/http_allow.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"

#define ENTRY_MAX 2048 /* bytes of one entry of a list */

/* The first `bits` bits of 16 bytes; IPv4 is ::ffff:a.b.c.d. */
struct network {
    unsigned char bytes[16];
    int bits;
};

struct prefix {
    char *scheme, *host, *port, *path;
};

struct http_allow {
    struct prefix *prefixes;
    size_t n_prefixes;
    struct network *networks;
    size_t n_networks;
};

/* ---- addresses ------------------------------------------------------------------------------- */

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

#define V4(a, b, c, d, bits)                                                                       \
    {                                                                                              \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d}, 96 + (bits)                        \
    }
/* What is not the public Internet (IANA's special-purpose registries). Of IPv6 only 2000::/3 is. */
static const struct network special[] = {
    V4(0, 0, 0, 0, 8),
    V4(10, 0, 0, 0, 8),
    V4(100, 64, 0, 0, 10),
    V4(127, 0, 0, 0, 8),
    V4(169, 254, 0, 0, 16),
    V4(172, 16, 0, 0, 12),
    V4(192, 0, 0, 0, 24),
    V4(192, 0, 2, 0, 24),
    V4(192, 88, 99, 0, 24),
    V4(192, 168, 0, 0, 16),
    V4(198, 18, 0, 0, 15),
    V4(198, 51, 100, 0, 24),
    V4(203, 0, 113, 0, 24),
    V4(224, 0, 0, 0, 4),
    V4(240, 0, 0, 0, 4),
    {{0x20, 0x01, 0, 0}, 23},       /* Teredo and other protocols' */
    {{0x20, 0x01, 0x0D, 0xB8}, 32}, /* documentation */
    {{0x3F, 0xFF, 0x00}, 20},       /* documentation */
};
static const struct network global_v6 = {{0x20}, 3};
static const struct network nat64 = {{0, 0x64, 0xFF, 0x9B}, 96};
static const struct network six_to_four = {{0x20, 0x02}, 16};

static bool is_in(const unsigned char *address, const struct network *n)
{
    int whole = n->bits / 8, rest = n->bits % 8;
    unsigned mask = rest ? 0xFFu << (8 - rest) & 0xFFu : 0;
    return memcmp(address, n->bytes, (size_t)whole) == 0 &&
           (!rest || ((unsigned)(address[whole] ^ n->bytes[whole]) & mask) == 0);
}

static void from_v4(const void *four, unsigned char out[16])
{
    memcpy(out, mapped, sizeof(mapped));
    memcpy(out + sizeof(mapped), four, 4);
}

/* What the packets in the end go to, as 16 bytes. False: neither IPv4 nor IPv6. */
static bool read_address(const struct sockaddr *a, unsigned char out[16])
{
    if (a->sa_family == AF_INET) {
        from_v4(&((const struct sockaddr_in *)(const void *)a)->sin_addr, out);
        return true;
    }
    if (a->sa_family != AF_INET6)
        return false;
    unsigned char own[16];
    memcpy(own, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, sizeof(own));
    if (is_in(own, &nat64))
        from_v4(own + 12, out);
    else if (is_in(own, &six_to_four))
        from_v4(own + 2, out);
    else
        memcpy(out, own, sizeof(own));
    return true;
}

static bool is_public(const unsigned char address[16])
{
    bool is_v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
    for (size_t i = 0; i < FUT_COUNT(special); i++) {
        if (is_in(address, &special[i]))
            return false;
    }
    return is_v4 || is_in(address, &global_v6);
}

bool http_allow_address(const struct http_allow *f, const struct sockaddr *a)
{
    unsigned char address[16];
    if (!read_address(a, address))
        return false;
    for (size_t i = 0; i < f->n_networks; i++) {
        if (is_in(address, &f->networks[i]))
            return true;
    }
    return is_public(address);
}

void http_allow_write_address(const struct sockaddr *a, char out[HTTP_ALLOW_ADDRESS_SIZE])
{
    const void *bytes =
        a->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
    bool known = a->sa_family == AF_INET || a->sa_family == AF_INET6;
    if (!known || !inet_ntop(a->sa_family, bytes, out, HTTP_ALLOW_ADDRESS_SIZE))
        (void)snprintf(out, HTTP_ALLOW_ADDRESS_SIZE, "?");
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static char *part_of(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    if (curl_url_get(u, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) != CURLUE_OK)
        return NULL;
    char *copy = xstrdup(text);
    curl_free(text);
    return copy;
}

static void release_prefix(struct prefix *p)
{
    free(p->scheme);
    free(p->host);
    free(p->port);
    free(p->path);
}

/* False when it is no http(s) URL, or has a user name. out is to be released in any case. */
static bool split(const char *url, struct prefix *out)
{
    CURLU *u = curl_url();
    FUT_ASSERT(u);
    *out = (struct prefix){0};
    bool ok = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK;
    if (ok) {
        char *user = part_of(u, CURLUPART_USER);
        *out = (struct prefix){part_of(u, CURLUPART_SCHEME), part_of(u, CURLUPART_HOST),
                               part_of(u, CURLUPART_PORT), part_of(u, CURLUPART_PATH)};
        ok = !user && out->scheme && out->host && out->port && out->path &&
             (strcasecmp(out->scheme, "http") == 0 || strcasecmp(out->scheme, "https") == 0);
        free(user);
    }
    curl_url_cleanup(u);
    return ok;
}

/* What a server might read otherwise than we do. */
static bool is_ambiguous(const char *path)
{
    return strcasestr(path, "%2e") || strcasestr(path, "%2f") || strcasestr(path, "%5c") ||
           strchr(path, '\\') || strstr(path, "/../") || strstr(path, "/./") || strchr(path, ';');
}

static bool is_below(const char *path, const char *base)
{
    size_t n = strlen(base);
    if (strcmp(base, "/") == 0)
        return true;
    if (is_ambiguous(path) || strncmp(path, base, n) != 0)
        return false;
    return !path[n] || path[n] == '/' || base[n - 1] == '/';
}

static bool covers(const struct prefix *p, const struct prefix *url)
{
    return strcasecmp(p->scheme, url->scheme) == 0 && strcasecmp(p->host, url->host) == 0 &&
           strcmp(p->port, url->port) == 0 && is_below(url->path, p->path);
}

bool http_allow_url(const struct http_allow *f, const char *url)
{
    struct prefix parts;
    bool found = !f->n_prefixes;
    if (found)
        return true;
    if (split(url, &parts)) {
        for (size_t i = 0; i < f->n_prefixes && !found; i++)
            found = covers(&f->prefixes[i], &parts);
    }
    release_prefix(&parts);
    return found;
}

static bool allows_host(const struct http_allow *f, const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char bare[HTTP_ALLOW_ADDRESS_SIZE];
    size_t n = strlen(host);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        return http_allow_address(f, (const struct sockaddr *)&v4);
    if (host[0] != '[' || n < 3 || n - 2 >= sizeof(bare))
        return true;
    memcpy(bare, host + 1, n - 2);
    bare[n - 2] = '\0';
    return inet_pton(AF_INET6, bare, &v6.sin6_addr) != 1 ||
           http_allow_address(f, (const struct sockaddr *)&v6);
}

bool http_allow_target(const struct http_allow *f, const char *url)
{
    CURLU *u = curl_url();
    char *host = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK
                     ? part_of(u, CURLUPART_HOST)
                     : NULL;
    bool allows = host && allows_host(f, host) && http_allow_url(f, url);
    free(host);
    curl_url_cleanup(u);
    return allows;
}

/* ---- the lists ------------------------------------------------------------------------------- */

static int add_prefix(struct http_allow *f, const char *entry, struct fut_errbuf *err)
{
    struct prefix p;
    if (!split(entry, &p) || strpbrk(entry, "?#") || is_ambiguous(p.path)) {
        release_prefix(&p);
        return fut_fail(err, FUT_ERR_INVAL,
                        "\"%.100s\" is no prefix of URLs such as https://api.example.org/v1",
                        entry);
    }
    f->prefixes = xrealloc(f->prefixes, (f->n_prefixes + 1) * sizeof(p));
    f->prefixes[f->n_prefixes++] = p;
    return 0;
}

/* The bits behind the slash; as many as there are without one. -1: bad. */
static int read_bits(const char *slash, int most)
{
    char *end;
    if (!slash)
        return most;
    long bits = slash[1] >= '0' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : -1;
    return bits >= 0 && bits <= most && !*end ? (int)bits : -1;
}

static int add_network(struct http_allow *f, const char *entry, struct fut_errbuf *err)
{
    struct network n = {.bits = -1};
    char host[INET6_ADDRSTRLEN + 1] = "";
    unsigned char four[4];
    const char *slash = strchr(entry, '/');
    size_t len = slash ? (size_t)(slash - entry) : strlen(entry);
    if (len < sizeof(host))
        (void)snprintf(host, sizeof(host), "%.*s", (int)len, entry);
    if (inet_pton(AF_INET, host, four) == 1) {
        int bits = read_bits(slash, 32);
        from_v4(four, n.bytes);
        n.bits = bits < 0 ? -1 : 96 + bits;
    } else if (inet_pton(AF_INET6, host, n.bytes) == 1) {
        n.bits = read_bits(slash, 128);
    }
    if (n.bits < 0)
        return fut_fail(err, FUT_ERR_INVAL,
                        "\"%.100s\" is no network such as 10.0.0.0/8 or fd00::/8", entry);
    f->networks = xrealloc(f->networks, (f->n_networks + 1) * sizeof(n));
    f->networks[f->n_networks++] = n;
    return 0;
}

/* Comma list, blanks around entries ignored. */
static int each_entry(struct http_allow *f, const char *list,
                      int (*add)(struct http_allow *, const char *, struct fut_errbuf *),
                      struct fut_errbuf *err)
{
    char entry[ENTRY_MAX];
    while (*(list += strspn(list, ", \t"))) {
        size_t n = strcspn(list, ", \t");
        if (n >= sizeof(entry))
            return fut_fail(err, FUT_ERR_INVAL, "an entry has more than %d bytes", ENTRY_MAX - 1);
        memcpy(entry, list, n);
        entry[n] = '\0';
        int rc = add(f, entry, err);
        if (rc != 0)
            return rc;
        list += n;
    }
    return 0;
}

int http_allow_new(const char *prefixes, const char *networks, struct http_allow **out,
                   struct fut_errbuf *err)
{
    struct http_allow *f = xnew(struct http_allow);
    int rc = each_entry(f, prefixes, add_prefix, err);
    if (rc == 0)
        rc = each_entry(f, networks, add_network, err);
    if (rc == 0)
        *out = f;
    else
        http_allow_free(&f);
    return rc;
}

void http_allow_free(struct http_allow **fp)
{
    struct http_allow *f = *fp;
    if (!f)
        return;
    for (size_t i = 0; i < f->n_prefixes; i++)
        release_prefix(&f->prefixes[i]);
    free(f->prefixes);
    free(f->networks);
    free(f);
    *fp = NULL;
}
