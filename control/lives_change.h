/* How what is known of lives changes: what lives.c and lives_agreed.c share. */
#ifndef CONTROL_LIVES_CHANGE_H
#define CONTROL_LIVES_CHANGE_H

#include "lives.h"

static inline cairn_node_set
lives_bit(uint8_t node)
{
    return (cairn_node_set)1 << node;
}

static inline void
lives_change(struct lives *lives, unsigned *verdict)
{
    lives->version++;
    *verdict |= LIVES_CHANGED;
}

static inline void
lives_meet_anew(struct lives *lives, uint8_t node)
{
    struct peer_life *about = &lives->peers[node];

    about->introduced = false;
    about->introduced_to = false;
    about->confirms = (struct cairn_id){{0}};
    about->granted_number = 0;
}

#endif
