/* With what standing a node starts: what it finds of itself decides, and nothing else. */
#ifndef NODE_START_STANDING_H
#define NODE_START_STANDING_H

#include "cairn/error.h"
#include "dataplane/disk.h"
#include "rules/lives.h"

/* identity: as it was kept; where nothing was (found is false) only self and agreed are set. life: of this start, drawn
 * by the caller. disks: of each worker's journal; NULL: its logs live in memory alone.
 *
 * A life follows the last one only where the first worker's journal shows that last one; in memory none does. Where another
 * worker's journal does not show it, that worker's logs alone are forgotten (identity->forgetful_workers). *why: in a sentence, why
 * it has forgotten; "" where it has not. *asked_number: where it has, it asks for no lower one. */
enum cairn_error standing_at_start(struct identity *identity, bool found, struct disk *const *disks,
                                   const struct cairn_id *life, enum standing *standing, uint32_t *asked_number,
                                   const char **why);

#endif
