/* What is agreed on, as the catalog has it. */
#ifndef NODE_CONTROL_CATALOG_H
#define NODE_CONTROL_CATALOG_H

#include "cairn/cairn.h"
#include "control/config.h"

struct node;

void catalog_apply(struct node *node, uint64_t lsn, const void *text, size_t text_bytes);
enum cairn_durability durability_default(const struct node *node);

#endif
