#include "workers/base/run_as.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

#define NAME_MAX_BYTES 128

static struct {
    bool is_set;
    struct run_as who;
} chosen;

static const struct passwd *find_user(const char *name)
{
    char *end;
    const struct passwd *user = getpwnam(name);
    unsigned long number = strtoul(name, &end, 10);
    return user || *end || end == name ? user : getpwuid((uid_t)number);
}

static const struct group *find_group(const char *name)
{
    char *end;
    const struct group *group = getgrnam(name);
    unsigned long number = strtoul(name, &end, 10);
    return group || *end || end == name ? group : getgrgid((gid_t)number);
}

/* A group that was named stands alone; else all that the user is in. */
static int find_groups(const char *user, const char *group, struct run_as *out,
                       struct fut_errbuf *err)
{
    const struct group *g = group ? find_group(group) : NULL;
    out->n_groups = RUN_AS_GROUPS_MAX;
    if (group && !g)
        return fut_fail(err, FUT_ERR_INVAL, "there is no group \"%.64s\"", group);
    if (g) {
        out->gid = out->groups[0] = g->gr_gid;
        out->n_groups = 1;
    } else if (getgrouplist(user, out->gid, out->groups, &out->n_groups) < 0) {
        return fut_fail(err, FUT_ERR_INVAL, "the user \"%.64s\" is in more than %d groups", user,
                        RUN_AS_GROUPS_MAX);
    }
    return 0;
}

int run_as_find(const char *text, struct run_as *out, struct fut_errbuf *err)
{
    char name[NAME_MAX_BYTES];
    struct run_as who = {0};
    (void)snprintf(name, sizeof(name), "%s", text);
    char *group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    const struct passwd *user = strlen(text) < sizeof(name) ? find_user(name) : NULL;
    if (!user)
        return fut_fail(err, FUT_ERR_INVAL, "there is no user \"%.64s\"", name);
    if (user->pw_uid == 0)
        return fut_fail(err, FUT_ERR_INVAL, "\"%.64s\" is root, from whom nothing is taken", name);
    if (geteuid() != 0)
        return fut_fail(err, FUT_ERR_INVAL, "only root can run programs as \"%.64s\"", name);
    who.uid = user->pw_uid;
    who.gid = user->pw_gid;
    (void)snprintf(who.home, sizeof(who.home), "%s", user->pw_dir);
    int rc = find_groups(user->pw_name, group, &who, err);
    if (rc == 0)
        *out = who;
    return rc;
}

void run_as_set(const struct run_as *who)
{
    chosen.is_set = who != NULL;
    if (who)
        chosen.who = *who;
}

const char *run_as_home(void)
{
    return chosen.is_set ? chosen.who.home : NULL;
}

/* Pipes alone: others are the system's (/dev/null) or open to all. */
static int give_pipes(const struct run_as *w, int n)
{
    for (int fd = 0; fd < n; fd++) {
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && fchown(fd, w->uid, w->gid) != 0)
            return FUT_ERR_STATE;
    }
    return 0;
}

int run_as_apply(pid_t parent, int n)
{
    const struct run_as *w = &chosen.who;
    if (!chosen.is_set)
        return 0;
    if (give_pipes(w, n) != 0)
        return FUT_ERR_STATE;
    if (setgroups((size_t)w->n_groups, w->groups) != 0 || setresgid(w->gid, w->gid, w->gid) != 0 ||
        setresuid(w->uid, w->uid, w->uid) != 0)
        return FUT_ERR_STATE;
    if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0) /* it must not find the way back */
        return FUT_ERR_STATE;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* a change of user clears it */
    return getppid() == parent ? 0 : FUT_ERR_STATE;
}
