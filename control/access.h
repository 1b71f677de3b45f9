/* Who may ask a node of this machine, by whose process is at the other end of a socket: root and the node's own user, who may
 * do anything; and whom the cluster file names as `clients`, who may append, read and look. */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

struct access {
    uid_t users[CLUSTER_CLIENT_USERS_MAX];
    uint32_t users_count;
    gid_t group;
    bool has_group;
};

enum access_right { ACCESS_NONE, ACCESS_CLIENT, ACCESS_ADMINISTRATOR };

/* By the names that the cluster file has. false: the machine knows one of them not, detail says which. */
bool access_resolve(const struct cluster_config *config, struct access *out, char *detail, size_t detail_bytes);

/* Is anybody named, beside those who may do anything? */
bool access_names_any(const struct access *access);

/* Of the process that connected the socket. *uid: whose it is, for people. */
enum access_right access_of(const struct access *access, int socket, uid_t *uid);

#endif
