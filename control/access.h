/* Who may ask a node of this machine. The user of the process at the other end of a socket decides: root and the node's
 * own user may do anything; those whom the cluster file names as `clients` may append, read and look. */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/config.h"

struct access {
    uid_t users[CLUSTER_CLIENT_USERS_MAX];
    uint32_t users_count;
    gid_t group;
    bool has_group;
};

enum access_right { ACCESS_NONE, ACCESS_CLIENT, ACCESS_ADMINISTRATOR };

/* Resolves the names that the cluster file has. false: this machine does not know one of them; detail says which. */
bool access_resolve(const struct cluster_config *config, struct access *out, char *detail, size_t detail_bytes);

/* Is anybody named, beside those who may do anything? */
bool access_names_any(const struct access *access);

/* The right of the process that connected the socket. *uid: its user, for people. */
enum access_right access_of(const struct access *access, int socket, uid_t *uid);

#endif
