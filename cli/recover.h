/* What is decided of nodes whose state counts no more: cairn cluster recover, where too few are left that know what was
 * promised, and cairn member replace. */
#ifndef CLI_RECOVER_H
#define CLI_RECOVER_H

#include "cli/cli.h"

/* from: the node whose state is what counts from now on. without: names, with commas, of those whose state is given up
 * though it may be there; NULL: none. Says what is lost, decides, waits until who runs is back. Returns the exit status. */
int cli_recover(const struct cluster_config *cluster, uint8_t from, const char *without, bool json);

/* cairn member replace: what the node held counts no more; whoever starts in its place recovers from the others. Whoever of
 * those can be asked decides; returns, with the exit status, when more than half of all nodes know. anyway: also where logs wait
 * for good for what it held; they are named. */
int cli_replace(const struct cluster_config *cluster, uint8_t node, bool anyway, bool json);

#endif
