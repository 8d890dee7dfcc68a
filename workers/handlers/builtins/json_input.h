/* json_input: what built-ins that take JSON share: read the input as an object of known fields,
 * and say exactly which field is wrong. On any mistake the run has failed with "bad_input". */
#ifndef FUT_WORKERS_HANDLERS_BUILTINS_JSON_INPUT_H
#define FUT_WORKERS_HANDLERS_BUILTINS_JSON_INPUT_H

#include <jansson.h>

#include "workers/handlers/run.h"

/* The input as an object with no other fields than these (ended by NULL); NULL after a mistake.
 * The caller drops the reference. */
json_t *json_input_read(struct run *run, const char *const *fields);

/* Fails the run: field `name` holds `found` (NULL: is missing), this is allowed. */
void json_input_bad(struct run *run, const char *name, const json_t *found, const char *allowed);

/* A result object (takes the reference) as the run's JSON result. */
void json_input_succeed(struct run *run, json_t *result);

#endif
