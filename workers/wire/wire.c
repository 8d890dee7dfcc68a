#include "workers/wire/wire.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/number.h"

static const char *const verbs[WIRE_VERB_COUNT] = {
    [WIRE_HELLO] = "HELLO",
    [WIRE_PROGRESS] = "PROGRESS",
    [WIRE_LOG] = "LOG",
    [WIRE_DONE] = "DONE",
    [WIRE_FAIL] = "FAIL",
    [WIRE_FORKED] = "FORKED",
    [WIRE_RUN] = "RUN",
    [WIRE_CANCEL] = "CANCEL",
    [WIRE_FORK] = "FORK",
    [WIRE_SUSPEND] = "SUSPEND",
    [WIRE_CHECKPOINT] = "CHECKPOINT",
    [WIRE_SAVED] = "SAVED",
    [WIRE_REFUSED] = "REFUSED",
    [WIRE_YIELD] = "YIELD",
    [WIRE_RESULTS] = "RESULTS",
    [WIRE_INIT] = "INIT",
    [WIRE_CLOSE] = "CLOSE",
};

const char *wire_verb_name(enum wire_verb verb)
{
    return verbs[verb];
}

/* ---- a line that is being written ---- */

struct line {
    char *at, *end;
    bool is_bad; /* too long, or a character that no header can hold */
};

static void put(struct line *l, const char *text, size_t n)
{
    if ((size_t)(l->end - l->at) < n) {
        l->is_bad = true;
        return;
    }
    memcpy(l->at, text, n);
    l->at += n;
}

static void put_char(struct line *l, char c)
{
    put(l, &c, 1);
}

static void put_uint(struct line *l, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    put(l, digits + at, sizeof(digits) - at);
}

/* Not empty, and no character below this one. */
static void put_text(struct line *l, const char *text, unsigned char lowest)
{
    size_t n = 0;
    for (; text[n]; n++)
        l->is_bad |= (unsigned char)text[n] < lowest || text[n] == 0x7f;
    l->is_bad |= n == 0;
    put(l, text, n);
}

/* ---- the kinds of value ---- */

struct key;

struct kind {
    bool (*parse)(const char *value, void *field);
    /* False when there is nothing to say. */
    bool (*is_set)(const void *field);
    void (*print)(struct line *out, const void *field);
};

static bool parse_uint(const char *text, uint64_t *out)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (v > (WIRE_ID_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return *text == '\0';
}

static bool uint_parse(const char *value, void *field)
{
    return parse_uint(value, field);
}

static bool uint_is_set(const void *field)
{
    return *(const uint64_t *)field != 0;
}

static void uint_print(struct line *out, const void *field)
{
    put_uint(out, *(const uint64_t *)field);
}

static bool flag_parse(const char *value, void *field)
{
    if ((*value != '0' && *value != '1') || value[1])
        return false;
    *(bool *)field = *value == '1';
    return true;
}

static bool flag_is_set(const void *field)
{
    return *(const bool *)field;
}

static void flag_print(struct line *out, const void *field)
{
    put_char(out, *(const bool *)field ? '1' : '0');
}

static bool cancel_parse(const char *value, void *field)
{
    bool is_hard = false;
    bool is_soft = strcmp(value, "soft") == 0;
    if (!is_soft && !flag_parse(value, &is_hard))
        return false;
    *(enum wire_cancel *)field = is_soft   ? WIRE_CANCEL_SOFT
                                 : is_hard ? WIRE_CANCEL_HARD
                                           : WIRE_CANCEL_NONE;
    return true;
}

static bool cancel_is_set(const void *field)
{
    return *(const enum wire_cancel *)field != WIRE_CANCEL_NONE;
}

static void cancel_print(struct line *out, const void *field)
{
    bool is_soft = *(const enum wire_cancel *)field == WIRE_CANCEL_SOFT;
    put(out, is_soft ? "soft" : "1", is_soft ? 4 : 1);
}

static bool choice_parse(const char *value, void *field)
{
    bool b;
    if (!flag_parse(value, &b))
        return false;
    *(int *)field = b;
    return true;
}

static bool choice_is_set(const void *field)
{
    return *(const int *)field >= 0;
}

static void choice_print(struct line *out, const void *field)
{
    put_char(out, *(const int *)field ? '1' : '0');
}

static bool size_parse(const char *value, void *field)
{
    uint64_t n;
    if (!parse_uint(value, &n))
        return false;
    *(int64_t *)field = (int64_t)n; /* up to WIRE_ID_MAX */
    return true;
}

static bool size_is_set(const void *field)
{
    return *(const int64_t *)field >= 0;
}

static void size_print(struct line *out, const void *field)
{
    put_uint(out, (uint64_t) * (const int64_t *)field);
}

/* A number from 0 to 1, as any language prints it. */
static bool fraction_parse(const char *value, void *field)
{
    double f;
    if (!number_parse(value, &f) || !(f >= 0 && f <= 1))
        return false;
    *(double *)field = f;
    return true;
}

static bool fraction_is_set(const void *field)
{
    return *(const double *)field >= 0;
}

static void fraction_print(struct line *out, const void *field)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%.6f", *(const double *)field);
    put(out, digits, (size_t)n);
}

static bool word_parse(const char *value, void *field)
{
    *(const char **)field = value;
    return *value != '\0';
}

static bool word_is_set(const void *field)
{
    return *(const char *const *)field != NULL;
}

static void word_print(struct line *out, const void *field)
{
    put_text(out, *(const char *const *)field, ' ' + 1);
}

/* Takes the rest of the line, so there may be spaces in it. */
static void rest_print(struct line *out, const void *field)
{
    put_text(out, *(const char *const *)field, ' ');
}

static const struct kind uint_kind = {uint_parse, uint_is_set, uint_print},
                         flag_kind = {flag_parse, flag_is_set, flag_print},
                         cancel_kind = {cancel_parse, cancel_is_set, cancel_print},
                         size_kind = {size_parse, size_is_set, size_print},
                         choice_kind = {choice_parse, choice_is_set, choice_print},
                         fraction_kind = {fraction_parse, fraction_is_set, fraction_print},
                         word_kind = {word_parse, word_is_set, word_print},
                         rest_kind = {word_parse, word_is_set, rest_print};

#define TYPE_KEY "type="

#define KEY(key, kind, field)                                                                      \
    {                                                                                              \
        key, sizeof(key) - 1, kind, offsetof(struct wire_head, field)                              \
    }

static const struct key {
    const char *name; /* with its = */
    size_t len;
    const struct kind *kind;
    size_t offset;
} keys[] = {
    KEY("cancel=", &cancel_kind, cancel),
    KEY("fork=", &flag_kind, fork),
    KEY("memfd=", &flag_kind, memfd),
    KEY("checkpoint=", &flag_kind, checkpoint),
    KEY("yield=", &flag_kind, yield),
    KEY("results=", &flag_kind, results),
    KEY("sessions=", &flag_kind, sessions),
    KEY("closes=", &flag_kind, closes),
    KEY("submits=", &flag_kind, token_wanted),
    KEY("concurrency=", &uint_kind, concurrency),
    KEY("text=", &size_kind, text),     /* FIRST_OF_FAIL: those before it are HELLO's alone */
    KEY("for_ms=", &uint_kind, for_ms), /* FIRST_OF_ALL */
    KEY("fraction=", &fraction_kind, fraction),
    KEY("retry=", &choice_kind, retry),
    KEY("kind=", &word_kind, kind),
    KEY("pid=", &uint_kind, pid),
    KEY("fd=", &flag_kind, fd), /* FIRST_OF_RUN: those before it are a worker's alone */
    KEY("ahead=", &uint_kind, ahead),
    KEY("task=", &word_kind, task),
    KEY("attempt=", &uint_kind, attempt),
    KEY("timeout_ms=", &uint_kind, timeout_ms),
    KEY("max_result=", &uint_kind, max_result),
    KEY("handler=", &word_kind, handler),
    KEY("trace=", &word_kind, trace),
    KEY("url=", &word_kind, url),
    KEY("token=", &word_kind, token),
    KEY("session=", &word_kind, session),
    KEY(TYPE_KEY, &rest_kind, type), /* the last */
};

#define FIRST_OF_FAIL 10
#define FIRST_OF_ALL 11
#define FIRST_OF_RUN 16

static size_t first_key(enum wire_verb verb)
{
    if (verb == WIRE_RUN)
        return FIRST_OF_RUN;
    if (verb == WIRE_FAIL)
        return FIRST_OF_FAIL;
    return verb == WIRE_HELLO ? 0 : FIRST_OF_ALL;
}

/* ---- encoding ---- */

static void put_keys(struct line *l, const struct wire_head *h)
{
    for (size_t i = first_key(h->verb); i < FUT_COUNT(keys); i++) {
        const void *field = (const char *)h + keys[i].offset;
        if (!keys[i].kind->is_set(field))
            continue;
        put_char(l, ' ');
        put(l, keys[i].name, keys[i].len);
        keys[i].kind->print(l, field);
    }
}

int wire_put(struct buf *out, const struct wire_head *h)
{
    buf_reserve(out, WIRE_LINE_MAX);
    struct line l = {.at = out->data + out->len, .end = out->data + out->len + WIRE_LINE_MAX - 1};
    put(&l, verbs[h->verb], strlen(verbs[h->verb]));
    put_char(&l, ' ');
    put_uint(&l, h->id);
    put_char(&l, ' ');
    put_uint(&l, h->bytes);
    put_keys(&l, h);
    if (l.is_bad)
        return FUT_ERR_INVAL;
    *l.at++ = '\n';
    *l.at = '\0';
    out->len = (size_t)(l.at - out->data);
    return 0;
}

/* ---- decoding ---- */

static bool line_ok(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            return false;
    }
    return n < WIRE_LINE_MAX;
}

static bool parse_verb(const char *word, enum wire_verb *out)
{
    for (size_t i = 0; i < WIRE_VERB_COUNT; i++) {
        if (*verbs[i] == *word && strcmp(verbs[i], word) == 0) {
            *out = (enum wire_verb)i;
            return true;
        }
    }
    return false;
}

static bool parse_pair(const char *word, struct wire_head *h)
{
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return false;
    size_t n = (size_t)(equals - word) + 1;
    for (size_t i = first_key(h->verb); i < FUT_COUNT(keys); i++) {
        if (keys[i].len == n && *keys[i].name == *word && memcmp(keys[i].name, word, n) == 0)
            return keys[i].kind->parse(word + n, (char *)h + keys[i].offset);
    }
    return true; /* of another version: passed over */
}

/* The word that begins at *at; moves *at behind it, to NULL after the last. */
static char *next_word(char **at)
{
    char *word = *at;
    bool is_last = strncmp(word, TYPE_KEY, sizeof(TYPE_KEY) - 1) == 0;
    char *space = is_last ? NULL : strchr(word, ' ');
    if (space)
        *space = '\0';
    *at = space ? space + 1 : NULL;
    return word;
}

static bool kind_ok(const char *kind)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = strlen(kind);
    return n <= WIRE_KIND_MAX && strspn(kind, allowed) == n;
}

int wire_parse(char *line, size_t n, struct wire_head *out)
{
    struct wire_head h = WIRE_HEAD(WIRE_HELLO);
    char *at = line;
    if (!line_ok(line, n))
        return FUT_ERR_INVAL;
    if (!parse_verb(next_word(&at), &h.verb) || !at || !parse_uint(next_word(&at), &h.id) || !at ||
        !parse_uint(next_word(&at), &h.bytes))
        return FUT_ERR_INVAL;
    while (at) {
        if (!parse_pair(next_word(&at), &h))
            return FUT_ERR_INVAL;
    }
    if (h.kind && !kind_ok(h.kind))
        return FUT_ERR_INVAL;
    *out = h;
    return 0;
}
