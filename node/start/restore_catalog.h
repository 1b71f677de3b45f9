/* What the catalog said comes into force again. */
#ifndef NODE_START_RESTORE_CATALOG_H
#define NODE_START_RESTORE_CATALOG_H

#include <stdint.h>

struct node;

/* What the catalog says up to lsn is in force. The worker is not polled yet. */
void restore_catalog(struct node *node, uint64_t lsn);
/* The same in steps: from *next on. */
void catalog_up_to(struct node *node, uint64_t *next, uint64_t lsn);

#endif
