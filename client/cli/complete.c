/* complete: what a word of a command line may become. What stands at a place is known from the
 * table of commands: its words in small letters are meant as such, those in capitals name a kind.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "core/mem.h"

#define PATIENCE_MS 2000 /* of a person who has pressed Tab */

/* The live names of a kind: a member of the elements of a list. */
static const struct kind {
    const char *name, *path, *list, *member, *help;
} kinds[] = {
    {"HANDLER", "/v1/handlers", "handlers", "name", "kind"},
    {"QUEUE", "/v1/queues?limit=1000", "queues", "name", "weight"},
    {"NAME", "/v1/queues?limit=1000", "queues", "name", "weight"},
    {"SCHEDULE", "/v1/schedules?limit=1000", "schedules", "name", "next_at"},
    {"NODE", "/v1/nodes", "nodes", "name", "state"},
    {"LIMIT", "/v1/limits", "limits", "name", "max_running"},
    {"ID", "/v1/futures?limit=100", "futures", "id", "handler"},
    {"BATCH", "/v1/batches?limit=1000", "batches", "id", "created_at"},
    {"SESSION", "/v1/sessions?limit=1000", "sessions", "id", "handler"},
    {"CODE", "/v1/failures", "failures", "code", "handler"},
};

/* Kinds of which all words are known. */
static const struct {
    const char *kind, *words;
} fixed[] = {
    {"LANE", "io cpu"},
    {"NAME", "io cpu"},
    {"STATES", "scheduled queued running succeeded failed cancelled"},
    {"WHEN", "ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION"},
};

struct completion {
    const char *word; /* that is to be completed */
    json_t *seen;     /* words that were printed */
};

static void offer(struct completion *c, const char *word, const char *help)
{
    if (!word || strncmp(word, c->word, strlen(c->word)) != 0 || json_object_get(c->seen, word))
        return;
    json_object_set_new(c->seen, word, json_true());
    cli_print_safe(stdout, word);
    putchar('\t');
    cli_print_safe(stdout, help ? help : "");
    putchar('\n');
}

static void offer_words(struct completion *c, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        char *word = xstrndup(words, n);
        offer(c, word, "");
        free(word);
        words += n + (words[n] == ' ');
    }
}

/* Asks the daemon; nobody is told when it does not answer. */
static void offer_live(struct completion *c, const struct kind *k)
{
    char error[512];
    struct remote_answer a;
    json_t *row;
    size_t i;
    struct remote *remote = remote_open(&cli_remote, error, sizeof(error));
    if (!remote)
        return;
    remote_call(remote, &(struct remote_request){.path = k->path, .timeout_ms = PATIENCE_MS}, &a);
    json_t *answer = a.status == 200 ? json_loadb(a.body.data, a.body.len, 0, NULL) : NULL;
    json_array_foreach (json_object_get(answer, k->list), i, row) {
        char *help = cli_cell(json_object_get(row, k->help));
        offer(c, json_string_value(json_object_get(row, k->member)), help);
        free(help);
    }
    json_decref(answer);
    remote_answer_release(&a);
    remote_close(remote);
}

static void offer_kind(struct completion *c, const char *kind)
{
    if (strcmp(kind, "FILE") == 0 || strcmp(kind, "DIR") == 0)
        puts("@files");
    for (size_t i = 0; i < FUT_COUNT(fixed); i++) {
        if (strcmp(fixed[i].kind, kind) == 0)
            offer_words(c, fixed[i].words);
    }
    for (size_t i = 0; i < FUT_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, kind) == 0)
            offer_live(c, &kinds[i]);
    }
}

/* One place of a command, such as "[retry|rm]" or "ID...". */
static void offer_place(struct completion *c, const char *place, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = strcspn(place + i, "[]|.@ ");
        n = n < len - i ? n : len - i;
        char *part = xstrndup(place + i, n);
        if (islower((unsigned char)part[0]))
            offer(c, part, "");
        else
            offer_kind(c, part);
        free(part);
        i += n + 1;
    }
}

/* The n-th argument of the command. Behind words in small letters, which may be left out, stands
 * what may also be first. The last place is that of all that follow. */
static void offer_argument(struct completion *c, const char *arguments, size_t n)
{
    const char *place = arguments, *next;
    bool is_first = n == 0;
    for (; n > 0 && (next = strchr(place, ' ')); n--)
        place = next + 1;
    if (n > 0 && !strstr(place, "..."))
        return;
    size_t len = strcspn(place, " ");
    offer_place(c, place, len);
    if (is_first && place[0] == '[' && islower((unsigned char)place[1]) && place[len])
        offer_place(c, place + len + 1, strcspn(place + len + 1, " "));
}

static void offer_options(struct completion *c, const struct cli_option *o)
{
    char word[64];
    for (; o && o->name; o++) {
        (void)snprintf(word, sizeof(word), "--%s", o->name);
        offer(c, word, o->help);
    }
}

static const struct cli_option *option_of(const struct cli_option *o, const char *word)
{
    for (; o && o->name; o++) {
        if (word[1] == '-' ? strcmp(o->name, word + 2) == 0
                           : o->letter && word[1] == o->letter && !word[2])
            return o;
    }
    return NULL;
}

static void offer_command(void *ctx, const struct cli_command *command)
{
    offer(ctx, command->name, command->help);
}

void complete_print(int argc, char **argv)
{
    struct completion c = {.word = argc ? argv[argc - 1] : "", .seen = json_object()};
    const struct cli_command *command = NULL;
    const struct cli_option *open = NULL; /* whose value comes next */
    size_t n = 0;
    for (int i = 0; i + 1 < argc; i++) {
        const struct cli_option *o = NULL;
        if (open) {
            if (open->text)
                *open->text = argv[i];
            open = NULL;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            o = option_of(cli_common_options, argv[i]);
            if (!o && command)
                o = option_of(command->options, argv[i]);
            open = o && o->value ? o : NULL;
        } else if (!command) {
            command = commands_find(argv[i]);
        } else {
            n++;
        }
    }
    if (open) {
        offer_place(&c, open->value, strlen(open->value));
    } else if (c.word[0] == '-') {
        offer_options(&c, command ? command->options : NULL);
        offer_options(&c, cli_common_options);
    } else if (!command) {
        commands_each(offer_command, &c);
    } else {
        offer_argument(&c, command->arguments, n);
    }
    json_decref(c.seen);
}
