/* What an operator has put aside of what a node keeps. */
#ifndef SIM_SHELF_H
#define SIM_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/identity.h"
#include "sim/disk.h"
#include "sim/scale.h"

struct sim_file;
struct sim_node;

/* What an operator has put aside of a node: all that it kept. */
struct sim_shelf {
    bool used;
    struct sim_file *files;
    uint32_t files_count;
    struct sim_saved saved[SIM_WORKERS];
    struct identity identity;
    bool identified;
};

/* What the node keeps, onto its shelf: as it is, or so that nothing is left here; and back, in place of what is here. */
void disk_shelve(struct sim_node *node, bool copy);
void disk_unshelve(struct sim_node *node);
/* That worker's files are as they were put aside, and all else is as it is. */
void disk_unshelve_directory(struct sim_node *node, uint8_t worker);
void shelf_free(struct sim_shelf *shelf);

#endif
