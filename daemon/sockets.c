#include "daemon/sockets.h"

#include <string.h>
#include <systemd/sd-daemon.h>

int sockets_take(struct sockets *out, struct fut_errbuf *err)
{
    *out = (struct sockets){.n = 0};
    int n = sd_listen_fds(1);
    if (n < 0)
        return fut_fail(err, FUT_ERR_INVAL, "LISTEN_FDS cannot be understood: %s", strerror(-n));
    if (n > API_LISTENERS_MAX)
        return fut_fail(err, FUT_ERR_INVAL, "%d sockets were handed over (LISTEN_FDS), %d may be",
                        n, API_LISTENERS_MAX);
    for (; out->n < (size_t)n; out->n++)
        out->fds[out->n] = SD_LISTEN_FDS_START + (int)out->n;
    return 0;
}
