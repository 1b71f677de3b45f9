#include "rules/lives.h"

#include <assert.h>

#include "rules/lives_change.h"

void
lives_init(struct lives *lives, const struct identity *identity, enum standing standing, uint64_t rival_after_ns)
{
    assert(identity->self < identity->agreed.now.nodes && identity->agreed.now.nodes <= CAIRN_NODES_MAX);
    assert((standing == STANDING_WAITING) != cairn_id_is_set(&identity->cluster));
    assert((standing == STANDING_MEMBER) == (identity->life.number > 0));
    memset(lives, 0, sizeof(*lives));
    lives->identity = *identity;
    lives->standing = standing;
    lives->fingerprint = agreed_fingerprint(&identity->agreed);
    lives->rival_after_ns = rival_after_ns;
    lives->asked_number = 1;
    lives->version = lives->kept_version = lives->life_version = 1;
    assert_lives(lives);
}

void
lives_tell(const struct lives *lives, uint8_t peer, struct hello *out)
{
    const struct identity *identity = &lives->identity;
    const struct peer_life *about = &lives->peers[peer];

    assert(peer != identity->self && peer < identity->agreed.now.nodes);
    assert_lives(lives);
    memset(out, 0, sizeof(*out));
    out->cluster = identity->cluster;
    memcpy(out->members, identity->members, sizeof(out->members));
    out->life = identity->life.id;
    out->confirmed = about->confirms;
    out->refused = about->refused;
    out->fingerprint = lives->fingerprint;
    out->agreed_lsn = identity->doubts_agreed ? AGREED_LSN_UNKNOWN : identity->agreed.lsn;
    memcpy(out->places, lives->places, sizeof(out->places));
    memcpy(out->known_places, identity->known[peer].places, sizeof(out->known_places));
    out->told_worker = about->told_worker;
    out->number = identity->life.number;
    out->asked_number = lives->standing == STANDING_FORGOTTEN ? lives->asked_number : 0;
    if (about->granted_number != 0 && lives->kept_version >= about->granted_version)
        out->granted_number = about->granted_number;
    out->standing = (uint8_t)lives->standing;
    out->introduced = about->introduced;
    out->recovering = lives->recovering;
    out->nodes = (uint8_t)identity->agreed.now.nodes;
    for (uint32_t i = 0; i < identity->agreed.now.nodes; i++) {
        out->known[i].life = identity->known[i].life.id;
        out->known[i].number = identity->known[i].life.number;
        out->known[i].place = identity->known[i].places[about->told_worker];
        out->known[i].decided = identity->known[i].decided;
        out->known[i].alone = identity->alone_for >> i & 1;
    }
}

static uint32_t
members_count(const struct lives *lives)
{
    return (uint32_t)__builtin_popcount(agreed_present(&lives->identity.agreed));
}

/* From here on this life counts, once that is kept. */
static void
become_member(struct lives *lives, uint32_t number, unsigned *verdict)
{
    assert(lives->standing < STANDING_MEMBER && cairn_id_is_set(&lives->identity.cluster));
    identity_number(&lives->identity, number);
    lives->standing = STANDING_MEMBER;
    lives_change(lives, verdict);
    lives->life_version = lives->version;
    *verdict |= LIVES_NUMBERED;
    assert_lives(lives);
}

/* Notes a member's last life. One that was not known before has to be introduced. */
static void
note_life(struct lives *lives, uint8_t node, const struct known_life *next, unsigned *verdict)
{
    struct known_life *known = &lives->identity.known[node];
    bool same = cairn_id_equal(&known->life.id, &next->life.id) && known->life.number == next->life.number;

    assert(node != lives->identity.self && next->life.number > 0);
    assert(same || next->life.number > known->life.number);
    if (same) {
        /* How far a journal is changes all the time: what is kept of that is kept now and then. */
        known_life_further(known, next);
        return;
    }
    *known = *next;
    lives_meet_anew(lives, node);
    lives_change(lives, verdict);
}

/* Are all values such as a node may send? */
static bool
is_sane(const struct lives *lives, const struct hello *hello)
{
    if (!cairn_id_is_set(&hello->life) || hello->standing > STANDING_REFUSED || hello->number > LIFE_NUMBER_MAX ||
        hello->asked_number > LIFE_NUMBER_MAX || hello->granted_number > LIFE_NUMBER_MAX ||
        hello->nodes > CAIRN_NODES_MAX || hello->told_worker >= CAIRN_WORKERS_MAX ||
        (hello->standing == STANDING_MEMBER) != (hello->number > 0))
        return false;
    if ((hello->standing == STANDING_WAITING) == cairn_id_is_set(&hello->cluster))
        return false;
    for (uint32_t i = 0; i < lives->identity.agreed.now.nodes; i++) {
        if (hello->known[i].number > LIFE_NUMBER_MAX || hello->known[i].decided > 1 || hello->known[i].alone > 1 ||
            (hello->known[i].number > 0 && !cairn_id_is_set(&hello->known[i].life)))
            return false;
    }
    return true;
}

/* A node without state hears of its cluster: it was born in its foundation, or it has forgotten. */
static void
join(struct lives *lives, const struct hello *hello, unsigned *verdict)
{
    struct identity *identity = &lives->identity;
    const struct cairn_id life = identity->life.id;

    assert(lives->standing == STANDING_WAITING && identity->life.number == 0);
    identity->cluster = hello->cluster;
    memcpy(identity->members, hello->members, sizeof(identity->members));
    for (uint8_t i = 0; i < identity->agreed.now.nodes; i++)
        identity->known[i] = (struct known_life){.decided = false};
    *verdict |= LIVES_JOINED;
    if (hello->known[identity->self].number == 1 && cairn_id_equal(&hello->known[identity->self].life, &life)) {
        identity->forgotten = false;
        identity->born = true;
        become_member(lives, 1, verdict);
    } else {
        identity_forget(identity, &life);
        lives->standing = STANDING_FORGOTTEN;
        lives->asked_number = 1;
        lives_change(lives, verdict);
    }
}

static void
lapse(struct lives *lives, unsigned *verdict)
{
    const struct cairn_id life = lives->identity.life.id;

    assert(lives->standing == STANDING_MEMBER);
    lives->standing = STANDING_LAPSED;
    identity_forget(&lives->identity, &life);
    lives_change(lives, verdict);
    *verdict |= LIVES_FORGOT;
}

/* Some workers' journals are not those of the lives before: the node starts anew, for their logs to recover. */
static void
lapse_workers(struct lives *lives, uint32_t workers, unsigned *verdict)
{
    assert(lives->standing == STANDING_MEMBER && (workers & 1) == 0);
    lives->standing = STANDING_LAPSED;
    lives->identity.forgetful_workers |= workers;
    lives_change(lives, verdict);
    *verdict |= LIVES_FORGOT;
}

/* Is it unknown yet where this life's journal goes on behind that one's? It is known once this life has begun; then the
 * peer tells the same again. */
static bool
is_judged_later(const struct identity *identity, const struct known_life *told)
{
    for (uint32_t i = 1; i < identity->chain_count; i++) {
        if (identity->chain[i].began_places[0] == PLACE_UNKNOWN &&
            cairn_id_equal(&identity->chain[i - 1].life.id, &told->life.id))
            return true;
    }
    return false;
}

/* What a hello says of the last life that is known of a member. */
static struct known_life
told_of(const struct hello *hello, uint8_t node)
{
    struct known_life told = {.life = {.id = hello->known[node].life, .number = hello->known[node].number},
                              .decided = hello->known[node].decided != 0};

    told.places[hello->told_worker] = hello->known[node].place;
    return told;
}

/* What the peer knows of this node itself. */
static void
hear_of_self(struct lives *lives, uint8_t from, const struct hello *hello, unsigned *verdict)
{
    struct identity *identity = &lives->identity;
    struct known_life told = told_of(hello, identity->self);
    struct peer_life *about = &lives->peers[from];
    uint32_t doubts;

    if (lives->standing == STANDING_FORGOTTEN) {
        bool own = cairn_id_equal(&told.life.id, &identity->life.id);

        if (identity_obey(identity, &told)) {
            lives_change(lives, verdict);
            return;
        }
        /* The number asked for is above all that are known anywhere. */
        if (!own && told.life.number >= lives->asked_number && told.life.number < LIFE_NUMBER_MAX) {
            lives->asked_number = told.life.number + 1;
            lives->granted_by = 0;
            *verdict |= LIVES_REPLY;
        }
        return;
    }
    if (told.life.number == 0 || lives->standing != STANDING_MEMBER)
        return;
    if (is_judged_later(identity, &told))
        return;
    memcpy(told.places, hello->known_places, sizeof(told.places));
    doubts = identity_doubts(identity, &told);
    if (doubts & 1) {
        identity_obey(identity, &told);
        lapse(lives, verdict);
        return;
    }
    if (doubts != 0) {
        lapse_workers(lives, doubts, verdict);
        return;
    }
    if (!cairn_id_equal(&about->confirms, &told.life.id)) {
        about->confirms = told.life.id;
        *verdict |= LIVES_REPLY;
    }
}

static void
hear_grant(struct lives *lives, uint8_t from, const struct hello *hello, unsigned *verdict)
{
    struct identity *identity = &lives->identity;
    uint32_t granted;

    if (lives->standing != STANDING_FORGOTTEN || hello->standing != STANDING_MEMBER || hello->granted_number == 0 ||
        hello->granted_number != lives->asked_number)
        return;
    assert(from != identity->self && identity->life.number == 0);
    lives->granted_by |= lives_bit(from);
    granted = (uint32_t)__builtin_popcount(lives->granted_by);
    if (hello->known[identity->self].alone)
        identity->discard = true;
    else if (granted <= (members_count(lives) - 1) / 2)
        return;
    /* Nobody ever knew a life of this node: nothing was promised before. */
    identity->born = lives->asked_number == 1;
    if (identity->born)
        identity->forgotten = false;
    become_member(lives, lives->asked_number, verdict);
    *verdict |= LIVES_REPLY;
}

/* What is known of others' lives is passed on; what a life that is not introduced says of itself is not. */
static void
hear_of_others(struct lives *lives, uint8_t from, const struct hello *hello, unsigned *verdict)
{
    const struct identity *identity = &lives->identity;

    lives->peers[from].agrees = 0;
    if (hello->standing != STANDING_MEMBER)
        return;
    for (uint8_t i = 0; i < identity->agreed.now.nodes; i++) {
        struct known_life told = told_of(hello, i);
        const struct life *known = &identity->known[i].life;

        if (i == identity->self || i == from || told.life.number < known->number ||
            (told.life.number == known->number && !cairn_id_equal(&told.life.id, &known->id)))
            continue;
        if (told.life.number > 0)
            note_life(lives, i, &told, verdict);
        lives->peers[from].agrees |= lives_bit(i);
    }
}

/* A life that is not the one introduced at that seat, while that one is still heard. true: it has to wait, or go. */
static bool
is_rival(struct lives *lives, uint8_t from, const struct hello *hello, bool heard, uint64_t now_ns, unsigned *verdict)
{
    struct peer_life *about = &lives->peers[from];

    if (!about->introduced || !heard || cairn_id_equal(&hello->life, &lives->identity.known[from].life.id)) {
        if (cairn_id_equal(&hello->life, &about->rival))
            about->rival = (struct cairn_id){{0}};
        return false;
    }
    if (!cairn_id_equal(&hello->life, &about->rival)) {
        about->rival = hello->life;
        about->rival_ns = now_ns;
    }
    if (now_ns - about->rival_ns >= lives->rival_after_ns) {
        *verdict |= LIVES_REPLY | LIVES_TWICE;
        about->refused = hello->life;
    }
    return true;
}

/* A life that has no number asks for one. */
static void
hear_asking(struct lives *lives, uint8_t from, const struct hello *hello, unsigned *verdict)
{
    struct peer_life *about = &lives->peers[from];
    const struct known_life *known = &lives->identity.known[from];
    struct known_life asked = {.life = {.id = hello->life, .number = hello->asked_number}};

    assert(hello->number == 0 && lives->standing == STANDING_MEMBER);
    *verdict |= LIVES_REPLY;
    if (hello->asked_number > known->life.number) {
        note_life(lives, from, &asked, verdict);
        about->granted_number = hello->asked_number;
        about->granted_version = lives->version;
    } else if (hello->asked_number == known->life.number && cairn_id_equal(&asked.life.id, &known->life.id) &&
               about->granted_number == 0) {
        /* The life was noted because another told of it, or before this node's own start. */
        lives_change(lives, verdict);
        about->granted_number = hello->asked_number;
        about->granted_version = lives->version;
    }
}

/* A life with a number: does it follow from what is known here? */
static void
hear_life(struct lives *lives, uint8_t from, const struct hello *hello, unsigned *verdict)
{
    struct peer_life *about = &lives->peers[from];
    struct known_life *known = &lives->identity.known[from];
    struct life life = {.id = hello->life, .number = hello->number};
    struct known_life heard = {.life = life};
    bool same = life.number == known->life.number && cairn_id_equal(&life.id, &known->life.id);
    bool follows = life.number > known->life.number &&
                   (known->life.number == 0 || cairn_id_equal(&hello->confirmed, &known->life.id));

    if (!same && !follows) {
        /* It is told what is known, and confirms that, or learns that it has forgotten. */
        *verdict |= LIVES_REPLY;
        return;
    }
    memcpy(heard.places, hello->places, sizeof(heard.places));
    note_life(lives, from, &heard, verdict);
    assert(known->life.number == hello->number && cairn_id_equal(&known->life.id, &hello->life));
    if (lives->identity.alone_for & lives_bit(from)) {
        lives->identity.alone_for &= ~lives_bit(from);
        lives_change(lives, verdict);
    }
    /* A peer that has not noticed yet that this is another life means the one before. */
    about->introduced_to = hello->introduced != 0 &&
                           cairn_id_equal(&hello->known[lives->identity.self].life, &lives->identity.life.id);
    about->recovering = hello->recovering != 0;
    if (!about->introduced) {
        about->introduced = true;
        *verdict |= LIVES_INTRODUCED | LIVES_REPLY;
    }
    if (!about->introduced_to && lives->standing == STANDING_MEMBER)
        *verdict |= LIVES_REPLY;
}

static void
hear_waiting(struct lives *lives, uint8_t from, const struct hello *hello, uint64_t now_ns, unsigned *verdict)
{
    struct peer_life *about = &lives->peers[from];

    about->waiting = hello->life;
    about->waiting_ns = now_ns;
    about->waiting_fingerprint = hello->fingerprint;
    if (lives->standing == STANDING_WAITING)
        return;
    *verdict |= LIVES_REPLY;
    /* By that it finds out what its cluster file says otherwise. */
    if (lives->standing == STANDING_MEMBER &&
        (lives->identity.agreed.lsn > 0 || hello->fingerprint != lives->fingerprint))
        *verdict |= LIVES_TEACH;
}

/* A node that has no logs yet is taught what is agreed on before it takes anybody's word. */
static bool
is_ahead(const struct lives *lives, const struct hello *hello)
{
    return (lives->standing == STANDING_WAITING || lives->standing == STANDING_FORGOTTEN) &&
           (lives->identity.doubts_agreed || hello->agreed_lsn > lives->identity.agreed.lsn);
}

unsigned
lives_compare(struct lives *lives, uint8_t from, uint64_t agreed_lsn, uint64_t fingerprint)
{
    if (agreed_lsn != lives->identity.agreed.lsn || fingerprint == lives->fingerprint)
        return 0;
    lives->peers[from].introduced = false;
    return LIVES_DIFFERS;
}

unsigned
lives_hear(struct lives *lives, uint8_t from, const struct hello *hello, bool heard, uint64_t now_ns)
{
    struct identity *identity = &lives->identity;
    unsigned verdict = 0;

    assert_lives(lives);
    if (from >= identity->agreed.now.nodes || from == identity->self || !is_sane(lives, hello))
        return 0;
    if (cairn_id_equal(&hello->refused, &identity->life.id)) {
        lives->standing = STANDING_REFUSED;
        return LIVES_REFUSED;
    }
    if (lives->standing >= STANDING_LAPSED)
        return 0;
    if (hello->standing == STANDING_WAITING) {
        if (!is_rival(lives, from, hello, heard, now_ns, &verdict))
            hear_waiting(lives, from, hello, now_ns, &verdict);
        return verdict;
    }
    if (identity->agreed.removed >> from & 1)
        return LIVES_REPLY;
    if (lives->standing == STANDING_WAITING && hello->standing == STANDING_MEMBER &&
        !cairn_id_is_set(&hello->members[identity->self]))
        return LIVES_UNSEATED;
    if (is_ahead(lives, hello))
        return 0;
    if (hello->agreed_lsn == AGREED_LSN_UNKNOWN)
        return lives->standing == STANDING_MEMBER && cairn_id_equal(&hello->cluster, &identity->cluster) &&
                       cairn_id_equal(&hello->members[from], &identity->members[from])
                   ? LIVES_TEACH
                   : 0;
    if (lives_compare(lives, from, hello->agreed_lsn, hello->fingerprint) != 0)
        return LIVES_DIFFERS;
    if (lives->standing == STANDING_WAITING) {
        if (hello->standing != STANDING_MEMBER || !identity_members_fit(&identity->agreed, hello->members))
            return 0;
        join(lives, hello, &verdict);
    }
    if (!cairn_id_equal(&hello->cluster, &identity->cluster))
        return LIVES_FOREIGN;
    if (hello->agreed_lsn > identity->agreed.lsn &&
        !cairn_id_equal(&hello->members[identity->self], &identity->members[identity->self])) {
        lives->standing = STANDING_REMOVED;
        return LIVES_REMOVED;
    }
    if (lives->standing == STANDING_MEMBER && hello->standing == STANDING_FORGOTTEN &&
        hello->agreed_lsn < identity->agreed.lsn)
        verdict |= LIVES_TEACH;
    if (!cairn_id_equal(&hello->members[from], &identity->members[from]))
        return LIVES_STRANGER;
    if (is_rival(lives, from, hello, heard, now_ns, &verdict))
        return verdict;
    hear_of_self(lives, from, hello, &verdict);
    hear_grant(lives, from, hello, &verdict);
    hear_of_others(lives, from, hello, &verdict);
    if (hello->number > 0)
        hear_life(lives, from, hello, &verdict);
    else if (hello->asked_number > 0 && lives->standing == STANDING_MEMBER)
        hear_asking(lives, from, hello, &verdict);
    return verdict;
}
