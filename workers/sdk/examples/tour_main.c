/* A plug-in as a program of its own: NAME [fork] */
#include <string.h>

#include "futured_worker.h"

int main(int argc, char **argv)
{
    unsigned flags = argc > 1 && strcmp(argv[1], "fork") == 0 ? FUTURED_WORKER_FORK : 0;
    return futured_worker_main(&futured_plugin, flags);
}
