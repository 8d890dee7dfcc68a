/* cli: what the commands of `future` share: the daemon they speak to, how they show things, the
 * exit codes, and the tables from which help, completion and the manual are made. One thread. */
#ifndef FUT_CLIENT_CLI_CLI_H
#define FUT_CLIENT_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/cli/remote.h"

/* How a command ended. The codes of a future's end are those of `get`, `result`, `run` and `wait`.
 */
enum cli_exit {
    CLI_OK = 0,
    CLI_TASK_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CANCELLED = 3,
    CLI_NOT_DONE = 4,    /* the time was up */
    CLI_REFUSED = 5,     /* the daemon answered that it cannot or will not */
    CLI_UNREACHABLE = 6, /* no answer */
};

enum cli_format {
    CLI_TABLE, /* aligned columns with a head: on a terminal */
    CLI_TSV,   /* one line a row, no head: in a pipe */
    CLI_JSON,  /* what the daemon said */
};

/* An option of a command. `value` names what stands behind it in the help; NULL: a switch. */
struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: no short form */
    const char *value, *help;
    const char **text; /* where the value goes */
    bool *flag;        /* or where the switch goes */
};

struct cli {
    struct remote *remote;
    enum cli_format format;
    bool has_colour; /* standard output is a terminal that wants colours */
    bool has_terminal_err;
};

struct cli_command {
    const char *name, *arguments, *help;
    const struct cli_option *options; /* ends with a row without a name; NULL: none */
    int min_arguments, max_arguments; /* max -1: any number */
    int (*run)(struct cli *c, int argc, char **argv);
};

/* What a command does with its arguments when the first of them is this word. */
struct cli_action {
    const char *name;
    int min_arguments, max_arguments; /* behind the word; max -1: any number */
    int (*run)(struct cli *c, int argc, char **argv);
};

/* The tables of the commands, each ending with a row without a name. */
extern const struct cli_command cli_submit_commands[], cli_futures_commands[],
    cli_changes_commands[], cli_batches_commands[], cli_service_commands[], cli_top_commands[];

/* Options of all commands, understood before and after the command's name. */
extern const struct cli_option cli_common_options[];
/* What they say. */
extern struct remote_config cli_remote;
extern bool cli_as_json, cli_as_tsv, cli_wants_help;

/* Every command once, in the order of the help: calls each(ctx, command). */
void commands_each(void (*each)(void *ctx, const struct cli_command *c), void *ctx);
/* NULL: there is none of this name. */
const struct cli_command *commands_find(const char *name);
/* `future commands`: a line per command and option, of which the manual is made: "command",
 * "arguments", "help", and below it "-" or "x", "--option", "VALUE" or "-", "help", separated by
 * tabs. */
void commands_print(void);
/* `future complete`: what the last of these words (those behind "future" on a command line) may
 * become, a line each: the word, a tab, what it is. "@files": a file's name. */
void complete_print(int argc, char **argv);

/* Runs the action that argv[0] names (the table ends with a row without a name), or, when it names
 * none, `otherwise` with all arguments, of which there may be at most `most`. */
int cli_act(struct cli *c, const struct cli_action *actions,
            int (*otherwise)(struct cli *c, int argc, char **argv), int most, int argc,
            char **argv);

/* `future ls --all --batch BATCH`. */
int futures_list_batch(struct cli *c, char *batch);

/* ---- requests -------------------------------------------------------------------------------- */

/* Sends q. Returns the parsed body of a 2xx answer (json_decref it), or NULL with *code set, after
 * a sentence on standard error. An empty body is JSON null. */
json_t *cli_ask(struct cli *c, const struct remote_request *q, int *code);
/* GET path. */
json_t *cli_get(struct cli *c, const char *path, int *code);
/* Says on standard error why the answer is not what was asked for, and returns the exit code. */
int cli_refused(struct cli *c, const struct remote_answer *a);
/* That sentence, for who shows it elsewhere; free() it. */
char *cli_refusal(struct cli *c, const struct remote_answer *a);
/* Prints to standard error "future: …" and returns code. */
int cli_fail(int code, const char *fmt, ...) FUT_PRINTF(2, 3);

/* "/v1/futures/ID" and what follows, with id escaped. free() it. */
char *cli_path(struct cli *c, const char *before, const char *id, const char *after);
/* Seconds as people write them ("90", "1.5", "10m", "2h"); -1 when it is none. */
double cli_seconds(const char *text);

/* What follows from a future that is done, or is not. */
enum cli_exit cli_exit_of(const json_t *future);
/* "failed: exit 3: …" on standard error, for a future that did not succeed. */
void cli_explain(const json_t *future);

/* ---- showing --------------------------------------------------------------------------------- */

/* Rows of text under a head, written at the end: aligned on a terminal, tabs elsewhere. */
struct cli_table;
struct cli_table *cli_table_new(struct cli *c, size_t columns, const char *const *heads);
/* Copies the texts; NULL is an empty cell. Control characters are replaced. */
void cli_table_row(struct cli_table *t, const char *const *cells);
/* Writes to standard output and frees t. */
void cli_table_end(struct cli_table *t);
void cli_print_json(const json_t *value);
/* A value as text: numbers without trailing zeros, objects as JSON, null and NULL as "". free() it.
 */
char *cli_cell(const json_t *value);
/* A column of a listing: a member of each element, shown as text. */
struct cli_column {
    const char *head, *member;
};
/* GET path, and a row for each element of its array `member`: at most 16 columns. The exit code. */
int cli_list(struct cli *c, const char *path, const char *member, const struct cli_column *columns,
             size_t n);
/* GET path, and a line for each member, those of objects as "object.member". The exit code. */
int cli_show(struct cli *c, const char *path);
/* cli_show of one of those that `all` (a path with its last slash) lists. */
int cli_show_one(struct cli *c, const char *all, const char *name);
/* A copy in which control characters are "?" and line ends and tabs spaces. NULL: "". free() it. */
char *cli_safe(const char *s);
/* Writes s with control characters replaced, so that a task's text cannot drive the terminal. */
void cli_print_safe(FILE *f, const char *s);
/* "3 s ago", "2 h ago" for an RFC 3339 time in UTC; "" for NULL. `out` has at least 32 bytes. */
const char *cli_ago(const char *rfc3339, char *out);
/* Seconds since 1970 of an RFC 3339 time in UTC; -1 for NULL or nonsense. */
double cli_time(const char *rfc3339);

#endif
