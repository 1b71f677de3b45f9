/* The directory of a cluster's nodes on this machine: identities, journals, sockets, memory are in it, so whoever can change it
 * is whoever the nodes are. It is believed only where nobody else can. */
#ifndef CONTROL_HOME_H
#define CONTROL_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Is the directory this user's own (root's are his own alone, too), and writable by nobody else, and can nobody else put another in
 * its place? A link is none. Also right after it was made, where somebody else may have been quicker. false: detail says what
 * is wrong, and what to do. */
bool home_is_own(const char *directory, char *detail, size_t detail_bytes);

/* The same directory by a path without links, of at most out_bytes with its NUL, to be used from then on: a link may be
 * another's tomorrow. A link that belongs to neither root nor this user is refused, and so is one that somebody else
 * may replace. The directory need not exist yet, but those above it must. false: detail says what is wrong, and what to
 * do. */
bool home_resolve(const char *directory, char *out, size_t out_bytes, char *detail, size_t detail_bytes);

/* Where the links of a cluster's nodes on this machine meet: sockets that only their user can reach, and a secret that both
 * ends of each know. */
#define HOME_SECRET_BYTES 25 /* with its NUL */

struct home_links {
    int fd;        /* of the directory, which stays open */
    char path[32]; /* by that, so that it is short, and the same whatever is renamed above it */
    char secret[HOME_SECRET_BYTES];
};

/* Opens the cluster's directory of links; whichever node comes first makes it. false: detail says why. */
bool home_links_open(const char *directory, struct home_links *out, char *detail, size_t detail_bytes);

/* Where a cluster is kept when the user has not said where: in the user's own directory for what runs (XDG_RUNTIME_DIR,
 * where there is one), else under a name in /tmp that home_is_own() has to look at. */
void home_default(char *path, size_t path_bytes);

/* The process that runs the node in that directory, an absolute path without links: one that is noted there, and has the node's
 * lock. 0: none does. */
pid_t home_runs(const char *directory, const char *node);

/* Does that process still have the node's lock? */
bool home_is_run_by(const char *directory, const char *node, pid_t pid);

#endif
