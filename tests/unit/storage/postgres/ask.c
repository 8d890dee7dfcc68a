#include "tests/unit/storage/postgres/ask.h"

#include <check.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

char *ask_value(const char *url, const char *sql)
{
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    ck_assert_msg(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s: %s", sql,
                  PQerrorMessage(c));
    char *value = PQntuples(r) > 0 ? xstrdup(PQgetvalue(r, 0, 0)) : NULL;
    PQclear(r);
    PQfinish(c);
    return value;
}

bool ask_is_so(const char *url, const char *sql)
{
    char *value = ask_value(url, sql);
    bool is = value && strcmp(value, "t") == 0;
    free(value);
    return is;
}
