#include "tests/support/daemon_database.h"

#include <stdlib.h>

#include "tests/support/text.h"

void daemon_database_give(struct daemon *d, const struct database *db)
{
    char *url = database_url(db, "");
    char *setting = text_printf("FUTURED_DB=%s", url);
    daemon_set(d, setting);
    free(setting);
    free(url);
}

struct daemon *daemon_database_start(const struct database *db)
{
    struct daemon *d = daemon_new();
    daemon_database_give(d, db);
    daemon_set(d, "MAX_WORKERS=2");
    daemon_set(d, "FUTURED_DRAIN=100ms");
    daemon_start(d);
    return d;
}
