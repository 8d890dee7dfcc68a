/* handlers_file: reads the operator's JSON file of programs. Strict: whatever is not understood is
 * refused, with the handler, the field, what was found and what is allowed. Boot only. */
#ifndef FUT_WORKERS_HANDLERS_HANDLERS_FILE_H
#define FUT_WORKERS_HANDLERS_HANDLERS_FILE_H

#include "workers/handlers/registry.h"

#define HANDLERS_FILE_MAX_BYTES ((size_t)1 << 20)

/* *out_items: heap array of *out_n handlers, each to be given to handlers_file_release; NULL, 0 for
 * an empty object. Errors as handlers_load. */
FUT_MUST_CHECK int handlers_file_load(const char *path, struct handler **out_items, size_t *out_n,
                                      struct fut_errbuf *err);
/* Frees what the entry owns, not the entry. */
void handlers_file_release(struct handler *h);
/* Writes the table of the members of an entry to stdout, as Markdown. */
void handlers_file_print_fields(void);

#endif
