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

static const struct cli_command *const tables[] = {cli_submit_commands, cli_futures_commands,
                                                   cli_changes_commands, cli_service_commands};

static struct remote_config remote_config;
static bool as_json, as_tsv, wants_help;

/* Understood before and after the command's name. */
static const struct cli_option common[] = {
    {"url", 'u', "URL", "the daemon: http://…, https://… or unix:/path (FUTURED_URL)",
     &remote_config.url, NULL},
    {"token-file", 0, "FILE", "file that begins with the token (FUTURED_TOKEN_FILE)",
     &remote_config.token_file, NULL},
    {"ca", 0, "FILE", "PEM file with the certificate to trust (FUTURED_CA)", &remote_config.ca_file,
     NULL},
    {"json", 0, NULL, "print JSON", NULL, &as_json},
    {"tsv", 0, NULL, "print lines of tab-separated cells, as in a pipe", NULL, &as_tsv},
    {"help", 'h', NULL, "print this help", NULL, &wants_help},
    {0},
};

static const struct cli_command *find_command(const char *name)
{
    for (size_t t = 0; t < FUT_COUNT(tables); t++) {
        for (const struct cli_command *c = tables[t]; c->name; c++) {
            if (strcmp(c->name, name) == 0)
                return c;
        }
    }
    return NULL;
}

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
        for (size_t t = 0; t < FUT_COUNT(tables); t++) {
            for (const struct cli_command *c = tables[t]; c->name; c++)
                fprintf(f, "  %-9s %s\n", c->name, c->help);
        }
        fputs("\n`future COMMAND --help` has the options of a command. Of all commands:\n", f);
    }
    print_options(f, common);
    if (!only)
        fputs("\nExit status: 0 done or succeeded, 1 the task failed, 2 wrong use, 3 cancelled, 4 "
              "not done in time,\n"
              "5 the daemon refused, 6 no answer.\n",
              f);
}

/* One line per command and option, for completion and the manual: "command", "arguments", "help",
 * and below it "-" or "-x", "--option", "VALUE" or "-", "help", separated by tabs. */
static void dump(void)
{
    for (size_t t = 0; t < FUT_COUNT(tables); t++) {
        for (const struct cli_command *c = tables[t]; c->name; c++) {
            printf("%s\t%s\t%s\n", c->name, c->arguments, c->help);
            for (const struct cli_option *o = c->options; o && o->name; o++)
                printf("\t%c\t--%s\t%s\t%s\n", o->letter ? o->letter : '-', o->name,
                       o->value ? o->value : "-", o->help);
        }
    }
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
    c.format = as_json ? CLI_JSON : as_tsv || !isatty(STDOUT_FILENO) ? CLI_TSV : CLI_TABLE;
    c.remote = remote_open(&remote_config, error, sizeof(error));
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
    add_options(&all, common);
    if (!read_options(&all, argc, argv))
        return CLI_USAGE;
    if (optind == argc || wants_help) {
        print_help(wants_help ? stdout : stderr, NULL);
        return wants_help ? CLI_OK : CLI_USAGE;
    }
    if (strcmp(argv[optind], "--version") == 0 || strcmp(argv[optind], "version") == 0) {
        puts("future " FUT_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[optind], "commands") == 0) {
        dump();
        return CLI_OK;
    }
    const struct cli_command *command = find_command(argv[optind]);
    if (!command)
        return cli_fail(CLI_USAGE, "There is no command `%s`; `future --help` lists them.",
                        argv[optind]);
    argc -= optind;
    argv += optind;
    optind = 0; /* glibc: begin anew */
    all = (struct options){0};
    add_options(&all, common);
    add_options(&all, command->options);
    if (!read_options(&all, argc, argv))
        return CLI_USAGE;
    argc -= optind;
    argv += optind;
    if (wants_help) {
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
