#include "daemon/env_file.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/mem.h"

struct env_file {
    char *text; /* names and values point into it, each with a NUL put in */
    size_t n;
    struct {
        const char *name, *value;
    } items[ENV_FILE_MAX_NAMES];
};

/* One line on its way: out never runs ahead of in, for a value only gets shorter. */
struct line {
    const char *path;
    int no;
    char *in, *out;
};

static int refuse(const struct line *l, const char *what, struct fut_errbuf *err)
{
    return fut_fail(err, FUT_ERR_INVAL, "%.200s, line %d: %s", l->path, l->no, what);
}

/* ---- values -----------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Behind the opening quote. Inside double quotes a backslash takes the next character as it is. */
static int take_quoted(struct line *l, char quote, struct fut_errbuf *err)
{
    for (; *l->in && *l->in != quote; l->in++) {
        if (quote == '"' && *l->in == '\\' && l->in[1])
            l->in++;
        *l->out++ = *l->in;
    }
    if (!*l->in)
        return refuse(l, "a quote is not closed", err);
    l->in++;
    return 0;
}

/* Ends the value where it was written, without the blanks behind its last plain part. */
static int take_value(struct line *l, struct fut_errbuf *err)
{
    char *begin = l->out, *end = begin;
    size_t n = strlen(l->in);
    while (n && is_blank(l->in[n - 1]))
        l->in[--n] = '\0';
    if (n && l->in[n - 1] == '\\')
        return refuse(l, "lines cannot go on in the next one", err);
    while (*l->in) {
        char c = *l->in;
        int rc = 0;
        if (c == '"' || c == '\'') {
            l->in++;
            rc = take_quoted(l, c, err);
        } else {
            while (*l->in && *l->in != '"' && *l->in != '\'')
                *l->out++ = *l->in++;
        }
        if (rc != 0)
            return rc;
        end = l->out;
    }
    *end = '\0';
    return 0;
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static bool is_name(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return n > 0 && !s[n] && !(*s >= '0' && *s <= '9');
}

static bool looks_like_ours(const char *name)
{
    return strncmp(name, "FUTURED_", 8) == 0 || strncmp(name, "MAX_", 4) == 0;
}

static int add(struct env_file *f, const struct line *l, const char *name, const char *value,
               struct fut_errbuf *err)
{
    if (f->n == ENV_FILE_MAX_NAMES)
        return refuse(l, "more than 256 variables", err);
    f->items[f->n].name = name;
    f->items[f->n++].value = value;
    return 0;
}

static int take_line(struct env_file *f, struct line *l, bool (*is_known)(const char *name),
                     struct fut_errbuf *err)
{
    while (is_blank(*l->in))
        l->in++;
    if (!*l->in || *l->in == '#' || *l->in == ';')
        return 0;
    char *name = l->in, *eq = strchr(name, '=');
    if (!eq)
        return refuse(l, "this is not NAME=value", err);
    *eq = '\0';
    if (!is_name(name))
        return refuse(l, "what stands before the = is not the name of a variable", err);
    if (!is_known(name) && looks_like_ours(name))
        return refuse(l, "futured has no such variable (or not in this file)", err);
    l->in = eq + 1;
    while (is_blank(*l->in))
        l->in++;
    l->out = l->in;
    char *value = l->out;
    int rc = take_value(l, err);
    return rc != 0 ? rc : add(f, l, name, value, err);
}

static int take_lines(struct env_file *f, const char *path, bool (*is_known)(const char *name),
                      struct fut_errbuf *err)
{
    struct line l = {.path = path};
    int rc = 0;
    for (char *at = f->text; rc == 0 && at;) {
        char *end = strchr(at, '\n');
        if (end)
            *end++ = '\0';
        l.no++;
        l.in = at;
        rc = take_line(f, &l, is_known, err);
        at = end;
    }
    return rc;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

int env_file_load(const char *path, bool (*is_known)(const char *name), struct env_file **out,
                  struct fut_errbuf *err)
{
    struct buf text = BUF_INIT;
    size_t n;
    int rc = file_read(path, ENV_FILE_MAX_BYTES, &text, err);
    if (rc == 0 && memchr(text.data, '\0', text.len))
        rc = fut_fail(err, FUT_ERR_INVAL, "%.200s has a NUL byte in it", path);
    if (rc != 0) {
        buf_release(&text);
        return rc;
    }
    struct env_file *f = xnew(struct env_file);
    f->text = buf_take(&text, &n);
    rc = take_lines(f, path, is_known, err);
    if (rc != 0)
        env_file_free(&f);
    else
        *out = f;
    return rc;
}

const char *env_file_get(const struct env_file *f, const char *name)
{
    for (size_t i = f ? f->n : 0; i > 0; i--) {
        if (strcmp(f->items[i - 1].name, name) == 0)
            return f->items[i - 1].value;
    }
    return NULL;
}

void env_file_free(struct env_file **fp)
{
    struct env_file *f = *fp;
    if (!f)
        return;
    free(f->text);
    free(f);
    *fp = NULL;
}
