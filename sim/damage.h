/* What is at rest on a disk and is damaged. */
#ifndef SIM_DAMAGE_H
#define SIM_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_block;
struct sim_node;

/* A bit of what is written flips; false: nothing is written. */
bool disk_rot(struct sim_node *node);
/* The oldest file, at rest: a bit flips, a sector is zero, or all from there on is gone, as `which` says; rising numbers
 * go through every byte. false: it is as it was. */
bool disk_damage_oldest(struct sim_node *node, uint64_t which);
/* Damages every place where these bytes stand; returns how many. */
uint32_t disk_flip_where(struct sim_node *node, const void *bytes, size_t size_bytes);
/* Damages every block of the types in the set. */
uint32_t disk_flip_blocks(struct sim_node *node, uint32_t types);
/* The headers of such blocks are changed, and their checksums made right. */
uint32_t disk_forge_blocks(struct sim_node *node, uint32_t types, void (*forge)(struct journal_block *head));

#endif
