/* Asking a node over its admin socket. */
#ifndef CLIENT_ADMIN_CLIENT_H
#define CLIENT_ADMIN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct cairn_client;

/* Connects; -1 with a detail where nobody answers. The caller closes it. */
int admin_dial(const char *path, char *detail, size_t detail_bytes);

/* Sends request (taken over) and returns the answer (the caller's), or NULL. *passed_fd: a
 * descriptor that came along, or -1; passed_fd may be NULL. */
json_t *admin_ask(int fd, json_t *request, int *passed_fd);

/* Is the process at the other end still there? */
bool cairn_client_alive(struct cairn_client *client);

#endif
