/* config_print: the knobs as people read them. */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/config_internal.h"

static void format_allowed(const struct config_row *r, char *out, size_t cap)
{
    char min[32], max[32];
    *out = '\0';
    if (r->kind > KIND_SIZE)
        return;
    config_format_units(r->kind, r->min, min, sizeof(min));
    config_format_units(r->kind, r->max, max, sizeof(max));
    (void)snprintf(out, cap, "%s to %s", min, max);
}

static const char *live_mark(const struct config_row *r)
{
    return config_is_live(r) ? " (live: SIGHUP)" : "";
}

void config_print_help(void)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *r = &config_rows[i];
        char allowed[80];
        format_allowed(r, allowed, sizeof(allowed));
        (void)printf("  %-24s %s%s\n", r->name, r->help, live_mark(r));
        (void)printf("  %-24s default %s%s%s\n", "",
                     !r->preset   ? "computed"
                     : *r->preset ? r->preset
                                  : "none",
                     *allowed ? "; allowed " : "", allowed);
    }
}

void config_print_markdown(void)
{
    (void)printf("| variable | default | allowed | what it does |\n|---|---|---|---|\n");
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *r = &config_rows[i];
        char allowed[80];
        format_allowed(r, allowed, sizeof(allowed));
        (void)printf("| `%s` | %s | %s | %s%s |\n", r->name,
                     !r->preset   ? "computed"
                     : *r->preset ? r->preset
                                  : "none",
                     allowed, r->help, live_mark(r));
    }
}

void config_print_values(const struct config *c)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    static const char *const lanes[] = {"", "io", "cpu", "io,cpu"};
    struct config copy = *c;
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct config_row *r = &config_rows[i];
        char text[64];
        if (config_is_text(r->kind)) {
            char name[4096] = "";
            const char *value = *config_text_at(&copy, r);
            if (value == c->db) { /* a URL may hold a password */
                config_db_name(c, name, sizeof(name));
                value = name;
            }
            (void)printf("%s=%s\n", r->name,
                         r->kind != KIND_SECRET ? value
                         : *value               ? "(set)"
                                                : "");
            continue;
        }
        if (r->kind == KIND_LEVEL)
            (void)snprintf(text, sizeof(text), "%s", levels[*config_number_at(&copy, r)]);
        else if (r->kind == KIND_LANES)
            (void)snprintf(text, sizeof(text), "%s", lanes[*config_number_at(&copy, r)]);
        else
            config_format_units(r->kind, *config_number_at(&copy, r), text, sizeof(text));
        (void)printf("%s=%s\n", r->name, text);
    }
}
