#include "api/http/mhd.h"

#include <microhttpd.h>
#include <string.h>

#include "api/http/head.h"
#include "api/http/request.h"
#include "core/fd.h"

#define TIMEOUT_MAX_MS 60000 /* of one sleep; the library's own are no longer */

int http_daemon_fd(const struct http_daemon *d)
{
    return MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int64_t http_daemon_timeout_ms(const struct http_daemon *d)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(d->mhd, &ms) == MHD_NO)
        return -1;
    return ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : (int64_t)ms;
}

void http_daemon_run(struct http_daemon *d)
{
    (void)MHD_run(d->mhd); /* fails only after a stop */
}

void http_daemon_quiesce(struct http_daemon *d)
{
    d->is_quiesced = true;
    (void)MHD_quiesce_daemon(d->mhd); /* gives back our own descriptor */
}

void http_daemon_stop(struct http_daemon *d)
{
    if (!d->mhd)
        return;
    MHD_stop_daemon(d->mhd); /* closes the listening socket unless quiesced */
    d->mhd = NULL;
    if (d->is_quiesced)
        fd_close(&d->listen_fd);
}

void http_suspend(struct request *r)
{
    MHD_suspend_connection(r->conn);
}

void http_resume(struct request *r)
{
    MHD_resume_connection(r->conn);
}

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    head_add(cls, &(struct head_field){name, value ? value : "", name_len, value_len});
    return MHD_YES;
}

void http_read_head(const struct request *r, struct head *h)
{
    (void)MHD_get_connection_values_n(r->conn, MHD_HEADER_KIND, add_field, h);
}

uint64_t http_header_bit(const char *name, size_t n)
{
    return 1ULL << (n * 5 + ((unsigned char)name[0] | 0x20u)) % 64;
}

/* Most that are looked for are not there, and the library compares with each that is. */
const char *http_header(const struct request *r, const char *name)
{
    const char *value = NULL;
    size_t n = strlen(name);
    if (r->header_names & http_header_bit(name, n))
        (void)MHD_lookup_connection_value_n(r->conn, MHD_HEADER_KIND, name, n, &value, NULL);
    return value;
}
