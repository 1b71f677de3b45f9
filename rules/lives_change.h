/* The steps by which what is known of lives changes, for lives.c and lives_agreed.c. */
#ifndef RULES_LIVES_CHANGE_H
#define RULES_LIVES_CHANGE_H

#include <assert.h>

#include "rules/lives.h"

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

static inline void
assert_life_of(const struct lives *lives, uint8_t node)
{
    const struct peer_life *about = &lives->peers[node];
    uint32_t known_number = lives->identity.known[node].life.number;

    assert(!about->introduced || (node != lives->identity.self && known_number > 0));
    assert(about->granted_number == 0 || about->granted_number == known_number);
    assert(about->granted_version <= lives->version && about->told_worker < CAIRN_WORKERS_MAX);
    assert(!(about->agrees & (lives_bit(lives->identity.self) | lives_bit(node))));
}

/* Between any two changes. */
static inline void
assert_lives(const struct lives *lives)
{
    const struct identity *identity = &lives->identity;

    assert(identity->self < identity->agreed.now.nodes && identity->agreed.now.nodes <= CAIRN_NODES_MAX);
    assert((lives->standing == STANDING_MEMBER) == (identity->life.number > 0) || lives->standing > STANDING_MEMBER);
    assert(cairn_id_is_set(&identity->cluster) ||
           (lives->standing != STANDING_MEMBER && lives->standing != STANDING_FORGOTTEN));
    assert(lives->kept_version <= lives->version && lives->life_version <= lives->version);
    assert(!(lives->granted_by & lives_bit(identity->self)));
    for (uint8_t i = 0; i < identity->agreed.now.nodes; i++)
        assert_life_of(lives, i);
}

#endif
