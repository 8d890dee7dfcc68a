/* What comes in the path, the query and headers, each reader against a second opinion. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/text/params.h"
#include "core/id.h"
#include "core/number.h"
#include "core/task_filter.h"
#include "tests/fuzz/fuzz.h"

static void try_escapes(const char *text)
{
    struct buf encoded = BUF_INIT;
    params_encode(&encoded, text);
    buf_putc(&encoded, '\0');
    FUT_MUST(params_decode(encoded.data) && strcmp(encoded.data, text) == 0);
    buf_release(&encoded);
    size_t n = strlen(text);
    char *copy = fuzz_text((const uint8_t *)text, n);
    if (params_decode(copy))
        FUT_ASSERT(strlen(copy) <= n);
    free(copy);
}

/* No byte is in two parameters, and no mark is in one. */
static void try_query(const char *text)
{
    const char *rest = text;
    struct params_pair p;
    size_t seen = 0;
    while (params_next(&rest, &p)) {
        bool has_value = p.name[p.name_len] == '=';
        seen += p.name_len + p.value_len + has_value;
        FUT_ASSERT(!memchr(p.name, '&', p.name_len) && !memchr(p.name, '=', p.name_len));
        FUT_ASSERT(!memchr(p.value, '&', p.value_len) && (has_value || !p.value_len));
        FUT_ASSERT(rest > text && rest <= text + strlen(text));
    }
    FUT_ASSERT(seen <= strlen(text) && !*rest);
}

static void try_numbers(const char *text)
{
    int64_t ms = -1;
    uint64_t number = 0;
    if (number_parse_seconds(text, 1000000000000LL, &ms)) {
        double real = strtod(text, NULL) * 1000;
        FUT_ASSERT(ms >= 0 && fabs((double)ms - real) <= 1.001);
    }
    if (number_parse_uint(text, 1000000, &number)) {
        FUT_ASSERT(number <= 1000000 && (double)number == strtod(text, NULL));
    }
    if (params_prefer_wait(text, &ms) == 0)
        FUT_ASSERT(ms >= 0 && ms <= PARAMS_WAIT_MAX_MS);
}

static void try_names(const char *text)
{
    struct task_filter filter;
    struct task_id id;
    char again[ID_TEXT_SIZE];
    if (task_filter_read(text, &filter) == 0) {
        struct task_filter read_again;
        struct buf written = BUF_INIT;
        task_filter_write(&written, &filter);
        FUT_ASSERT(task_filter_read(written.len ? written.data : "", &read_again) == 0);
        buf_release(&written);
    }
    if (params_type_ok(text))
        FUT_ASSERT(strlen(text) <= TASK_TYPE_MAX);
    if (params_url_ok(text))
        FUT_ASSERT(strstr(text, "://") && strlen(text) <= PARAMS_URL_MAX);
    if (params_traceparent(text))
        FUT_ASSERT(strlen(text) == 55);
    (void)task_type_is_json(text);
    if (id_parse(text, &id)) {
        id_format(id, again);
        FUT_ASSERT(strcasecmp(again, text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    try_escapes(text);
    try_query(text);
    try_numbers(text);
    try_names(text);
    free(text);
    return 0;
}
