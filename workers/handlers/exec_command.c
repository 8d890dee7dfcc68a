#include "workers/handlers/exec_command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/fd.h"
#include "core/file.h"
#include "core/mem.h"
#include "workers/base/run_as.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* 0, FUT_ERR_NOT_FOUND or FUT_ERR_INVAL. */
static int check_program(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FUT_ERR_NOT_FOUND;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : FUT_ERR_INVAL;
}

static char *join(const char *dir, size_t n, const char *name)
{
    struct buf path = BUF_INIT;
    size_t len;
    buf_put(&path, dir, n);
    buf_printf(&path, "/%s", name);
    return buf_take(&path, &len);
}

static char *absolute(const char *name)
{
    if (*name == '/')
        return xstrdup(name);
    char *cwd = getcwd(NULL, 0);
    char *path = join(cwd ? cwd : "", cwd ? strlen(cwd) : 0, name);
    free(cwd);
    return path;
}

static int search_path(const char *name, char **out_path)
{
    const char *dirs = getenv("PATH");
    int best = FUT_ERR_NOT_FOUND;
    for (const char *at = dirs && *dirs ? dirs : DEFAULT_PATH; *at;) {
        size_t n = strcspn(at, ":");
        char *path = join(at, n, name);
        int rc = n && *at == '/' ? check_program(path) : FUT_ERR_NOT_FOUND;
        if (rc == 0) {
            *out_path = path;
            return 0;
        }
        if (rc == FUT_ERR_INVAL)
            best = rc;
        free(path);
        at += n + (at[n] == ':');
    }
    return best;
}

int exec_command_resolve(const char *name, char **out_path)
{
    if (!strchr(name, '/'))
        return search_path(name, out_path);
    char *path = absolute(name);
    int rc = check_program(path);
    if (rc == 0)
        *out_path = path;
    else
        free(path);
    return rc;
}

void exec_command_interpreter(const char *path, char *out, size_t size)
{
    char line[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : 0;
    line[n > 0 ? n : 0] = '\0';
    const char *at = strncmp(line, "#!", 2) == 0 ? line + 2 + strspn(line + 2, " \t") : "";
    (void)snprintf(out, size, "%.*s", (int)strcspn(at, " \t\n"), at);
    fd_close(&fd);
}

bool exec_command_is_local(const struct exec_command *c)
{
    char interpreter[256];
    if (!file_is_local(c->path) || (c->cwd && !file_is_local(c->cwd)))
        return false;
    exec_command_interpreter(c->path, interpreter, sizeof(interpreter));
    return !*interpreter || file_is_local(interpreter);
}

static size_t count(char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

void exec_command_set_env(char ***env, const char *name, const char *value)
{
    size_t n = strlen(name), at = 0, len = count(*env), entry_len;
    struct buf entry = BUF_INIT;
    buf_printf(&entry, "%s=%s", name, value);
    while (at < len && (strncmp((*env)[at], name, n) != 0 || (*env)[at][n] != '='))
        at++;
    if (at == len) {
        *env = xrealloc(*env, (len + 2) * sizeof(**env));
        (*env)[len + 1] = NULL;
    } else {
        free((*env)[at]);
    }
    (*env)[at] = buf_take(&entry, &entry_len);
}

char **exec_command_base_env(void)
{
    static const char *const kept[] = {"PATH", "HOME", "LANG", "TMPDIR"};
    char **env = NULL;
    exec_command_set_env(&env, "PATH", DEFAULT_PATH);
    for (size_t i = 0; i < FUT_COUNT(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value)
            exec_command_set_env(&env, kept[i], value);
    }
    if (run_as_home())
        exec_command_set_env(&env, "HOME", run_as_home());
    return env;
}

static size_t list_bytes(char *const *list)
{
    size_t n = 0;
    for (; list && *list; list++)
        n += strlen(*list) + 1;
    return n;
}

size_t exec_command_bytes(const struct exec_command *c)
{
    return strlen(c->path) + 1 + list_bytes(c->argv) + list_bytes(c->env) +
           (c->cwd ? strlen(c->cwd) + 1 : 1);
}

static void free_list(char **list)
{
    for (char **s = list; s && *s; s++)
        free(*s);
    free(list);
}

void exec_command_free(struct exec_command **c)
{
    if (!*c)
        return;
    free((*c)->path);
    free_list((*c)->argv);
    free_list((*c)->env);
    free((*c)->cwd);
    free((*c)->content_type);
    free((*c)->writes_much);
    free(*c);
    *c = NULL;
}

bool exec_command_type_ok(const char *s)
{
    const char *slash = strchr(s, '/');
    if (!slash || slash == s || !slash[1] || strlen(s) > TASK_TYPE_MAX)
        return false;
    for (; *s; s++) {
        if (*s < ' ' || *s > '~')
            return false;
    }
    return true;
}

bool exec_command_env_name_ok(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return *s && strchr(first, *s) && s[strspn(s, rest)] == '\0' && strncmp(s, "FUTURED_", 8) != 0;
}
