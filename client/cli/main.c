/* future: the command line of futured. It speaks HTTP to a daemon, as any client does. */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "core/mem.h"

#define MAX_OPTIONS 32

static void print_options(FILE *f, const struct cli_option *o)
{
    for (; o && o->name; o++) {
        char letter[8] = "    ", usage[64];
        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        snprintf(usage, sizeof(usage), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(f, "  %-28s %s\n", usage, o->help);
    }
}

static void print_command(void *f, const struct cli_command *c)
{
    fprintf(f, "  %-9s %s\n", c->name, c->help);
}

static void print_help(FILE *f, const struct cli_command *only)
{
    if (only) {
        fprintf(f, "Usage: future %s [OPTION...] %s\n%c%s.\n\n", only->name, only->arguments,
                only->help[0] - 'a' + 'A', only->help + 1);
        print_options(f, only->options);
    } else {
        fputs(
            "Usage: future COMMAND [OPTION...] [ARGUMENT...]\nRuns tasks on a futured daemon.\n\n",
            f);
        commands_each(print_command, f);
        fputs("\n`future COMMAND --help` has the options of a command. Of all commands:\n", f);
    }
    print_options(f, cli_common_options);
    if (!only)
        fputs("\nExit status: 0 done or succeeded, 1 the task failed, 2 wrong use, 3 cancelled, 4 "
              "not done in time,\n"
              "5 the daemon refused, 6 no answer.\n",
              f);
}

/* What getopt_long wants of the two tables; its value is an index into `rows`. */
struct options {
    const struct cli_option *rows[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 1];
    char shorts[2 * MAX_OPTIONS + 2];
    size_t n;
};

static void add_options(struct options *all, const struct cli_option *o)
{
    for (; o && o->name; o++) {
        FUT_ASSERT(all->n < MAX_OPTIONS);
        all->longs[all->n] = (struct option){o->name, o->value ? required_argument : no_argument,
                                             NULL, 256 + (int)all->n};
        all->rows[all->n++] = o;
        if (o->letter) {
            size_t len = strlen(all->shorts);
            snprintf(all->shorts + len, sizeof(all->shorts) - len, "%c%s", o->letter,
                     o->value ? ":" : "");
        }
    }
}

static const struct cli_option *row_of(const struct options *all, int got)
{
    if (got >= 256)
        return all->rows[got - 256];
    for (size_t i = 0; i < all->n; i++) {
        if (all->rows[i]->letter == got)
            return all->rows[i];
    }
    return NULL;
}

/* Reads options, permuting what is none to the end. false after getopt's own sentence. */
static bool read_options(const struct options *all, int argc, char **argv)
{
    int got;
    while ((got = getopt_long(argc, argv, all->shorts, all->longs, NULL)) != -1) {
        const struct cli_option *o = row_of(all, got);
        if (!o)
            return false;
        if (o->text)
            *o->text = optarg;
        if (o->flag)
            *o->flag = true;
    }
    return true;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    char error[512] = "";
    struct cli c = {.has_colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"),
                    .has_terminal_err = isatty(STDERR_FILENO) == 1};
    c.format = cli_as_json ? CLI_JSON : cli_as_tsv || !isatty(STDOUT_FILENO) ? CLI_TSV : CLI_TABLE;
    c.remote = remote_open(&cli_remote, error, sizeof(error));
    if (!c.remote)
        return cli_fail(CLI_USAGE, "%s", error);
    int code = command->run(&c, argc, argv);
    remote_close(c.remote);
    if (fflush(stdout) != 0)
        code = cli_fail(CLI_USAGE, "Standard output cannot be written.");
    return code;
}

int main(int argc, char **argv)
{
    struct options all = {.shorts = "+"};
    setlocale(LC_ALL, "");
    add_options(&all, cli_common_options);
    if (!read_options(&all, argc, argv))
        return CLI_USAGE;
    if (optind == argc || cli_wants_help) {
        print_help(cli_wants_help ? stdout : stderr, NULL);
        return cli_wants_help ? CLI_OK : CLI_USAGE;
    }
    if (strcmp(argv[optind], "--version") == 0 || strcmp(argv[optind], "version") == 0) {
        puts("future " FUT_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[optind], "commands") == 0) {
        commands_print();
        return CLI_OK;
    }
    if (strcmp(argv[optind], "complete") == 0) {
        complete_print(argc - optind - 1, argv + optind + 1);
        return CLI_OK;
    }
    const struct cli_command *command = commands_find(argv[optind]);
    if (!command)
        return cli_fail(CLI_USAGE, "There is no command `%s`; `future --help` lists them.",
                        argv[optind]);
    argc -= optind;
    argv += optind;
    optind = 0; /* glibc: begin anew */
    all = (struct options){0};
    add_options(&all, cli_common_options);
    add_options(&all, command->options);
    if (!read_options(&all, argc, argv))
        return CLI_USAGE;
    argc -= optind;
    argv += optind;
    if (cli_wants_help) {
        print_help(stdout, command);
        return CLI_OK;
    }
    if (argc < command->min_arguments ||
        (command->max_arguments >= 0 && argc > command->max_arguments)) {
        print_help(stderr, command);
        return CLI_USAGE;
    }
    return run_command(command, argc, argv);
}
