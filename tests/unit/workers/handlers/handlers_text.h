/* handlers_text: what a handlers file with a given text brings. */
#ifndef FUT_TESTS_UNIT_WORKERS_HANDLERS_HANDLERS_TEXT_H
#define FUT_TESTS_UNIT_WORKERS_HANDLERS_HANDLERS_TEXT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fd.h"
#include "workers/handlers/registry.h"

/* As handlers_load. */
int handlers_from_text(const char *text, struct handlers **out, struct fut_errbuf *err);

#endif
