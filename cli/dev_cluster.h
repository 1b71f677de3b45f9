/* The cluster of `cairn dev`, as its directory has it: founded, or one that was there before and goes on. */
#ifndef CLI_DEV_CLUSTER_H
#define CLI_DEV_CLUSTER_H

#include "cli/dev.h"

/* Makes the directory where there is none, unless it is to be stopped there, and puts its path without links, and that of
 * its cluster file, into dev. given: NULL: the user's own. 0, or what to exit with, said: above all where it is not this
 * user's own. */
int dev_cluster_directory(struct dev *dev, const char *given);

/* What dev->cluster asks for becomes what the nodes start with. In memory it is a new cluster, with a new id: what its nodes held
 * ended with them, so nothing of a former run may be taken for this one's. One on disk goes on as what it was.
 * memory_mib: of each node; 0: its part of the machine's. durability_given: else what was there before decides. 0, or what to exit
 * with, said. */
int dev_cluster_make(struct dev *dev, uint32_t memory_mib, bool durability_given);

#endif
