/* What else changes the lives that are known: the catalog agrees on others, a cluster is founded, lessons are given and
 * learned, and nodes are given up. */
#include "rules/lives.h"

#include <assert.h>
#include <string.h>

#include "rules/lives_change.h"

void
lives_agree(struct lives *lives, const struct agreed *agreed, const struct cairn_id *members)
{
    struct identity *identity = &lives->identity;

    assert(agreed->lsn > identity->agreed.lsn && agreed->now.nodes >= identity->agreed.now.nodes);
    assert(agreed->durability == identity->agreed.durability && agreed->workers == identity->agreed.workers);
    if (agreed->now.timeout_ns < identity->agreed.now.timeout_ns &&
        identity->promised_ns < identity->agreed.now.timeout_ns)
        identity->promised_ns = identity->agreed.now.timeout_ns;
    for (uint8_t i = 0; i < agreed->now.nodes; i++) {
        bool present = !(agreed->removed >> i & 1);

        if (present && (i == identity->self || cairn_id_equal(&members[i], &identity->members[i])))
            continue;
        identity->members[i] = present ? members[i] : (struct cairn_id){{0}};
        lives_meet_anew(lives, i);
    }
    identity->agreed = *agreed;
    lives->fingerprint = agreed_fingerprint(agreed);
    lives->life_version = ++lives->version;
    if (agreed->removed >> identity->self & 1)
        lives->standing = STANDING_REMOVED;
    assert_lives(lives);
}

void
lives_teach(const struct lives *lives, struct lesson *out)
{
    assert(cairn_id_is_set(&lives->identity.cluster));
    memset(out, 0, sizeof(*out));
    out->cluster = lives->identity.cluster;
    memcpy(out->members, lives->identity.members, sizeof(out->members));
    out->agreed = lives->identity.agreed;
}

/* Does a member teach it, about the cluster that this node is of, or waits to hear of? And has this node its seat
 * there? */
static bool
is_taught(const struct lives *lives, uint8_t from, const struct lesson *lesson)
{
    const struct identity *identity = &lives->identity;
    const struct agreed *agreed = &lesson->agreed;
    bool waits = lives->standing == STANDING_WAITING;
    uint8_t self = identity->self;

    if ((!waits && lives->standing != STANDING_FORGOTTEN) || !agreed_plausible(agreed) ||
        agreed->number != identity->agreed.number || !cairn_id_is_set(&lesson->cluster))
        return false;
    /* A node that waits knows nothing but its cluster file, which may be wrong in anything. */
    if (waits && agreed->lsn == 0 && agreed_fingerprint(agreed) == lives->fingerprint)
        return false;
    if (!waits && ((agreed->lsn <= identity->agreed.lsn && !identity->doubts_agreed) ||
                   agreed->durability != identity->agreed.durability || agreed->workers != identity->agreed.workers ||
                   !cairn_id_equal(&lesson->cluster, &identity->cluster)))
        return false;
    return identity_members_fit(agreed, lesson->members) && from < agreed->now.nodes && self < agreed->now.nodes &&
           cairn_id_is_set(&lesson->members[from]) && cairn_id_is_set(&lesson->members[self]) &&
           strcmp(agreed->names[self], identity->agreed.names[self]) == 0;
}

unsigned
lives_learn(struct lives *lives, uint8_t from, const struct lesson *lesson)
{
    struct identity *identity = &lives->identity;
    const struct cairn_id life = identity->life.id;
    unsigned verdict = LIVES_LEARNED;

    if (!is_taught(lives, from, lesson))
        return 0;
    if (lives->standing == STANDING_WAITING) {
        for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++)
            identity->known[i] = (struct known_life){.decided = false};
        identity_forget(identity, &life);
        identity->born = true;
    }
    assert(identity->life.number == 0);
    identity->cluster = lesson->cluster;
    memcpy(identity->members, lesson->members, sizeof(identity->members));
    identity->doubts_agreed = false;
    if (agreed_fingerprint(&lesson->agreed) == lives->fingerprint) {
        verdict = 0;
        lives_change(lives, &verdict);
        return verdict;
    }
    identity->agreed = lesson->agreed;
    lives->standing = STANDING_LEARNED;
    lives_change(lives, &verdict);
    return verdict;
}

void
lives_kept(struct lives *lives, uint64_t version)
{
    assert(version <= lives->version);
    if (version > lives->kept_version)
        lives->kept_version = version;
    assert_lives(lives);
}

bool
lives_found(struct lives *lives, const struct cairn_id *cluster, const struct cairn_id *members, uint64_t fresh_ns,
            uint64_t now_ns, uint8_t *missing, bool *differs)
{
    struct identity *identity = &lives->identity;
    struct agreed agreed = identity->agreed;
    struct cairn_id births[CAIRN_NODES_MAX];

    *missing = CAIRN_NODE_NONE;
    *differs = false;
    if (lives->standing != STANDING_WAITING)
        return false;
    for (uint8_t i = 0; i < agreed.now.nodes; i++) {
        const struct peer_life *about = &lives->peers[i];

        births[i] = i == identity->self ? identity->life.id : about->waiting;
        if (i == identity->self)
            continue;
        *missing = i;
        if (!cairn_id_is_set(&about->waiting) || now_ns - about->waiting_ns > fresh_ns)
            return false;
        *differs = about->waiting_fingerprint != lives->fingerprint;
        if (*differs)
            return false;
    }
    *missing = CAIRN_NODE_NONE;
    identity_found(identity, cluster, members, births, &agreed, identity->self);
    assert(identity->life.number == 1 && cairn_id_equal(&identity->life.id, &births[identity->self]));
    lives->standing = STANDING_MEMBER;
    lives->life_version = ++lives->version;
    assert_lives(lives);
    return true;
}

void
lives_give_up(struct lives *lives, cairn_node_set given_up, const struct cairn_id *drawn, bool alone)
{
    assert(lives->standing == STANDING_MEMBER);
    identity_give_up(&lives->identity, given_up, drawn, alone);
    for (uint8_t i = 0; i < lives->identity.agreed.now.nodes; i++) {
        if (given_up >> i & 1)
            lives_meet_anew(lives, i);
    }
    lives->version++;
    assert_lives(lives);
}

uint32_t
lives_agreeing(const struct lives *lives, uint8_t seat)
{
    uint32_t count = 1;

    for (uint8_t i = 0; i < lives->identity.agreed.now.nodes; i++)
        count += i != lives->identity.self && lives->peers[i].introduced && (lives->peers[i].agrees & lives_bit(seat));
    assert(count <= lives->identity.agreed.now.nodes);
    return count;
}

bool
lives_unacquainted(const struct lives *lives, uint8_t peer)
{
    return !lives->peers[peer].introduced || !lives->peers[peer].introduced_to;
}
