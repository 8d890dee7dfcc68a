/* A plug-in as a program of its own: NAME [fork] [one]. one: no task comes while another runs. */
#include <string.h>

#include "futured_worker.h"

int main(int argc, char **argv)
{
    struct futured_plugin plugin = futured_plugin;
    unsigned flags = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "fork") == 0)
            flags |= FUTURED_WORKER_FORK;
        else if (strcmp(argv[i], "one") == 0)
            plugin.ahead = 0;
    }
    return futured_worker_main(&plugin, flags);
}
