#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/problem.h"
#include "core/mem.h"

char *fuzz_bytes(const uint8_t *data, size_t n)
{
    char *copy = xmalloc(n ? n : 1);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

char *fuzz_text(const uint8_t *data, size_t n)
{
    char *copy = xmalloc(n + 1);
    if (n)
        memcpy(copy, data, n);
    copy[n] = '\0';
    return copy;
}

void fuzz_check_problem(const struct problem *p)
{
    struct buf out = BUF_INIT;
    FUT_ASSERT((unsigned)p->code < PROBLEM_COUNT);
    FUT_ASSERT(p->detail[0]);
    FUT_ASSERT(strlen(p->detail) < sizeof(p->detail) && strlen(p->field) < sizeof(p->field));
    FUT_ASSERT(p->line >= 0 && p->column >= 0);
    problem_write(&out, p);
    json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    FUT_ASSERT(json_is_object(json));
    FUT_ASSERT(json_integer_value(json_object_get(json, "status")) == problem_status(p->code));
    json_decref(json);
    buf_release(&out);
}
