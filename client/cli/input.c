#include "client/cli/input.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

/* jansson refuses what is not UTF-8; a text is tested as a JSON string would be. */
static bool is_utf8(const char *bytes, size_t len)
{
    json_t *string = memchr(bytes, '\0', len) ? NULL : json_stringn(bytes, len);
    json_decref(string);
    return string != NULL;
}

static const char *type_of(const char *bytes, size_t len)
{
    json_t *value = json_loadb(bytes, len, JSON_DECODE_ANY, NULL);
    json_decref(value);
    if (value)
        return "application/json";
    return is_utf8(bytes, len) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static int read_all(FILE *f, const char *name, struct buf *b)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_put(b, chunk, n);
    return ferror(f) ? cli_fail(-1, "%s cannot be read: %s.", name, strerror(errno)) : 0;
}

static int read_file(const char *path, struct buf *b)
{
    FILE *f = fopen(path, "re");
    int rc;
    if (!f)
        return cli_fail(-1, "%s cannot be read: %s.", path, strerror(errno));
    rc = read_all(f, path, b);
    fclose(f);
    return rc;
}

int input_open(struct input *in, const char *argument)
{
    struct buf b = BUF_INIT;
    int rc = 0;
    buf_reserve(&b, 1);
    if (argument && strcmp(argument, "-") == 0)
        rc = read_all(stdin, "Standard input", &b);
    else if (argument && argument[0] == '@')
        rc = read_file(argument + 1, &b);
    else if (argument)
        buf_puts(&b, argument);
    if (rc != 0) {
        buf_release(&b);
        return rc;
    }
    in->bytes = buf_take(&b, &in->len);
    if (!in->bytes)
        in->bytes = xstrdup("");
    in->type = type_of(in->bytes, in->len);
    return 0;
}

void input_close(struct input *in)
{
    free(in->bytes);
    in->bytes = NULL;
}
