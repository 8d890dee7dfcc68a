/* commands: the one table of commands, of which help, completion and the manual are made. */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

static const struct cli_command *const tables[] = {cli_submit_commands,  cli_futures_commands,
                                                   cli_changes_commands, cli_batches_commands,
                                                   cli_service_commands, cli_top_commands};

struct remote_config cli_remote;
bool cli_as_json, cli_as_tsv, cli_wants_help;

const struct cli_option cli_common_options[] = {
    {"url", 'u', "URL", "the daemon: http://…, https://… or unix:/path (FUTURED_URL)",
     &cli_remote.url, NULL},
    {"token-file", 0, "FILE", "file that begins with the token (FUTURED_TOKEN_FILE)",
     &cli_remote.token_file, NULL},
    {"ca", 0, "FILE", "PEM file with the certificate to trust (FUTURED_CA)", &cli_remote.ca_file,
     NULL},
    {"json", 0, NULL, "print JSON", NULL, &cli_as_json},
    {"tsv", 0, NULL, "print lines of tab-separated cells, as in a pipe", NULL, &cli_as_tsv},
    {"help", 'h', NULL, "print this help", NULL, &cli_wants_help},
    {0},
};

void commands_each(void (*each)(void *ctx, const struct cli_command *c), void *ctx)
{
    for (size_t t = 0; t < FUT_COUNT(tables); t++) {
        for (const struct cli_command *c = tables[t]; c->name; c++)
            each(ctx, c);
    }
}

const struct cli_command *commands_find(const char *name)
{
    for (size_t t = 0; t < FUT_COUNT(tables); t++) {
        for (const struct cli_command *c = tables[t]; c->name; c++) {
            if (strcmp(c->name, name) == 0)
                return c;
        }
    }
    return NULL;
}

static void print_lines(void *ctx, const struct cli_command *c)
{
    (void)ctx;
    printf("%s\t%s\t%s\n", c->name, c->arguments, c->help);
    for (const struct cli_option *o = c->options; o && o->name; o++)
        printf("\t%c\t--%s\t%s\t%s\n", o->letter ? o->letter : '-', o->name,
               o->value ? o->value : "-", o->help);
}

void commands_print(void)
{
    commands_each(print_lines, NULL);
}
