#include "workers/handlers/exec_argv.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

#define MAX_ARGS 256

/* A string without NUL inside, or NULL. */
static const char *text_of(const json_t *value)
{
    const char *s = json_string_value(value);
    return s && strlen(s) == json_string_length(value) ? s : NULL;
}

const char *exec_argv_read(const json_t *value, struct exec_command *out)
{
    static const char allowed[] = "an array of 1 to 256 strings: program and arguments";
    size_t n = json_array_size(value);
    if (n < 1 || n > MAX_ARGS)
        return allowed;
    out->argv = xcalloc(n + 1, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *arg = text_of(json_array_get(value, i));
        if (!arg || (i == 0 && !*arg))
            return allowed;
        out->argv[i] = xstrdup(arg);
    }
    int rc = exec_command_resolve(out->argv[0], &out->path);
    if (rc == FUT_ERR_NOT_FOUND)
        return "a program that exists (absolute, or found in PATH)";
    return rc == 0 ? NULL : "a program that may be executed";
}

/* Loading it is the host's business: its code does not run in the daemon. */
const char *exec_argv_of_plugin(const json_t *value, struct exec_command *out)
{
    const char *path = text_of(value);
    struct stat st;
    if (!path || *path != '/' || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        access(path, R_OK) != 0)
        return "the absolute path of a shared object that can be read";
    out->argv = xcalloc(4, sizeof(char *));
    out->argv[0] = xstrdup("futured");
    out->argv[1] = xstrdup("--role=plugin-host");
    out->argv[2] = xstrdup(path);
    out->path = xstrdup("/proc/self/exe"); /* the fork server's, and so ours */
    return NULL;
}
