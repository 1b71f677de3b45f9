/* What a node keeps of who it is: the file `identity` in its directory, beside its journal, so that the two come and go
 * together. docs/format.md has its lines. */
#ifndef CONTROL_IDENTITY_FILE_H
#define CONTROL_IDENTITY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "cairn/error.h"
#include "rules/identity.h"

/* What says that a node runs: DIR/NODE.lock, by which others on the machine find the process, and the node's own directory, which
 * nobody can take from under it without taking what it keeps. -1: not held. */
struct identity_lock {
    int name_fd, directory_fd;
};

/* Takes both, and makes the directory where there is none. Held until identity_unlock(). */
enum cairn_error identity_lock(const char *directory, const char *node, struct identity_lock *out, char *detail,
                               size_t detail_bytes);
void identity_unlock(struct identity_lock *held);

/* Reads DIR/NODE/identity. *found: there is one. CAIRN_CORRUPT: it is not as it was written; detail says what to do. */
enum cairn_error identity_load(const char *directory, const char *node, struct identity *out, bool *found, char *detail,
                               size_t detail_bytes);

/* The file's text, with its NUL behind size_bytes; it is cut up. false: it is not as it was written. */
bool identity_parse(char *text, size_t size_bytes, struct identity *out);

/* Takes the old one's place, durably, as a whole. The node's directory is made where there is none. */
enum cairn_error identity_save(const char *directory, const char *node, const struct identity *identity, char *detail,
                               size_t detail_bytes);

/* Of a node whose memory ended with it: nothing is left that could be taken for a state. */
void identity_remove(const char *directory, const char *node);

/* 128 bits from the kernel. false: it has none to give. */
bool identity_draw(struct cairn_id *out);

/* A new cluster, all of it: the first life of every member. out: one by seat. false: the kernel has no random bits. */
bool identity_draw_cluster(const struct agreed *agreed, struct identity *out);

#endif
