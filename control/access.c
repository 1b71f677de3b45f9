#include "control/access.h"

#include <assert.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 64
#define IDS_BELOW 4294967295u

/* Takes the text as a number, where it is one. */
static bool
is_number(const char *text, uint32_t *out)
{
    unsigned long number;

    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10)
        return false;
    number = strtoul(text, NULL, 10);
    *out = (uint32_t)number;
    return number < IDS_BELOW;
}

static bool
resolve_user(const char *name, uid_t *out)
{
    const struct passwd *entry;

    if (is_number(name, out))
        return true;
    entry = getpwnam(name);
    if (entry != NULL)
        *out = entry->pw_uid;
    return entry != NULL;
}

static bool
resolve_group(const char *name, gid_t *out)
{
    const struct group *entry;

    if (is_number(name, out))
        return true;
    entry = getgrnam(name);
    if (entry != NULL)
        *out = entry->gr_gid;
    return entry != NULL;
}

bool
access_resolve(const struct cluster_config *config, struct access *out, char *detail, size_t detail_bytes)
{
    assert(config->client_users_count <= CLUSTER_CLIENT_USERS_MAX);
    *out = (struct access){0};
    for (uint32_t i = 0; i < config->client_users_count; i++) {
        if (!resolve_user(config->client_users[i], &out->users[i])) {
            snprintf(
                detail, detail_bytes,
                "the cluster file names '%s' among its clients' users, whom this machine does not know (write a name "
                "that 'getent passwd' has, or a uid)",
                config->client_users[i]);
            return false;
        }
        out->users_count++;
    }
    assert(out->users_count == config->client_users_count);
    out->has_group = config->client_group[0] != '\0';
    if (out->has_group && !resolve_group(config->client_group, &out->group)) {
        snprintf(
            detail, detail_bytes,
            "the cluster file names '%s' as its clients' group, which this machine does not know (write a name that "
            "'getent group' has, or a gid)",
            config->client_group);
        return false;
    }
    return true;
}

bool
access_names_any(const struct access *access)
{
    return access->users_count > 0 || access->has_group;
}

/* Is the process in the group, by its first group or by another of its groups? */
static bool
is_in_group(int socket, const struct ucred *peer, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size_bytes = sizeof(groups);

    if (peer->gid == group)
        return true;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size_bytes) != 0)
        return false;
    for (size_t i = 0; i < size_bytes / sizeof(*groups); i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

enum access_right
access_of(const struct access *access, int socket, uid_t *uid)
{
    struct ucred peer;
    socklen_t size_bytes = sizeof(peer);

    assert(access->users_count <= CLUSTER_CLIENT_USERS_MAX);
    *uid = (uid_t)-1;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size_bytes) != 0)
        return ACCESS_NONE;
    *uid = peer.uid;
    if (peer.uid == 0 || peer.uid == geteuid())
        return ACCESS_ADMINISTRATOR;
    for (uint32_t i = 0; i < access->users_count; i++) {
        if (access->users[i] == peer.uid)
            return ACCESS_CLIENT;
    }
    return access->has_group && is_in_group(socket, &peer, access->group) ? ACCESS_CLIENT : ACCESS_NONE;
}
