#include "workers/plugin_host.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "futured_worker.h"

int plugin_host_main(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
        (void)fprintf(stderr, "futured: plug-in: %s\n", dlerror());
        return EXIT_FAILURE;
    }
    const struct futured_plugin *plugin = dlsym(object, FUTURED_PLUGIN_SYMBOL);
    if (!plugin) {
        (void)fprintf(stderr, "futured: plug-in %s does not define %s\n", path,
                      FUTURED_PLUGIN_SYMBOL);
        return EXIT_FAILURE;
    }
    return futured_worker_main(plugin, FUTURED_WORKER_FORK);
}
