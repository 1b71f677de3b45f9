#include "rules/identity.h"

#include <assert.h>

/* Between any two changes. */
static void
assert_identity(const struct identity *identity)
{
    assert(identity->chain_count <= CHAIN_MAX && identity->stops_count <= STOPS_MAX);
    assert(identity->chain_count == 0 ||
           identity->chain[identity->chain_count - 1].life.number == identity->life.number);
    assert(identity->life.number <= LIFE_NUMBER_MAX && identity->obeyed_number <= LIFE_NUMBER_MAX);
    assert((identity->forgetful_workers & 1) == 0);
}

static uint32_t
first_word(const struct cairn_id *id)
{
    uint32_t word;

    memcpy(&word, id->bytes, sizeof(word));
    return word;
}

uint32_t
identity_tag(const struct cairn_id *cluster, const struct cairn_id *life)
{
    uint32_t tag = first_word(cluster) ^ first_word(life);

    return tag == 0 ? 1 : tag;
}

static void
chain_push(struct identity *identity)
{
    assert(identity->chain_count == 0 ||
           identity->chain[identity->chain_count - 1].life.number + 1 == identity->life.number);
    if (identity->chain_count == CHAIN_MAX)
        memmove(identity->chain, identity->chain + 1, --identity->chain_count * sizeof(*identity->chain));
    identity->chain[identity->chain_count] = (struct link){.life = identity->life};
    for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++)
        identity->chain[identity->chain_count].began_places[worker] = PLACE_UNKNOWN;
    identity->chain_count++;
    assert_identity(identity);
}

bool
identity_members_fit(const struct agreed *agreed, const struct cairn_id *members)
{
    for (uint32_t i = 0; i < agreed->now.nodes; i++) {
        if (cairn_id_is_set(&members[i]) == (agreed->removed >> i & 1))
            return false;
    }
    return true;
}

void
identity_found(struct identity *identity, const struct cairn_id *cluster, const struct cairn_id *members,
               const struct cairn_id *lives, const struct agreed *agreed, uint8_t self)
{
    assert(self < agreed->now.nodes && agreed->now.nodes <= CAIRN_NODES_MAX);
    assert(agreed->lsn == 0 && agreed->removed == 0);
    memset(identity, 0, sizeof(*identity));
    identity->cluster = *cluster;
    identity->agreed = *agreed;
    identity->self = self;
    identity->born = true;
    for (uint32_t i = 0; i < agreed->now.nodes; i++) {
        identity->members[i] = members[i];
        identity->known[i].life = (struct life){.id = lives[i], .number = 1};
    }
    identity->life = identity->known[self].life;
    chain_push(identity);
}

bool
identity_continue(struct identity *identity, const struct cairn_id *life)
{
    assert(identity->life.number > 0 && identity->chain_count > 0);
    assert_identity(identity);
    if (identity->life.number >= LIFE_NUMBER_MAX)
        return false;
    identity->life = (struct life){.id = *life, .number = identity->life.number + 1};
    identity->born = identity->begun = false;
    chain_push(identity);
    /* Those workers have not recovered yet what earlier lives promised. */
    identity_forget_workers(identity, identity->forgetful_workers);
    return true;
}

void
identity_forget_workers(struct identity *identity, uint32_t workers)
{
    assert((workers & 1) == 0 && workers <= WORKERS_ALL && identity->life.number > 0);
    identity->forgetful_workers |= workers;
    for (uint32_t worker = 1; worker < CAIRN_WORKERS_MAX; worker++) {
        if (workers >> worker & 1)
            identity->settled_numbers[worker] = identity->life.number;
    }
}

void
identity_forget(struct identity *identity, const struct cairn_id *life)
{
    identity->forgotten = true;
    identity->born = identity->begun = false;
    identity->life = (struct life){.id = *life};
    identity->chain_count = 0;
    identity->forgetful_workers = 0;
    /* The histories that contradicted others count for nothing now. */
    identity->stops_count = 0;
}

void
identity_number(struct identity *identity, uint32_t number)
{
    assert(identity->life.number == 0 && number > 0 && number <= LIFE_NUMBER_MAX);
    identity->life.number = number;
    for (uint32_t worker = 0; worker < identity->agreed.workers; worker++)
        identity->settled_numbers[worker] = number;
    identity->chain_count = 0;
    chain_push(identity);
    assert(identity->settled_numbers[0] == identity->chain[0].life.number);
}

void
identity_begin(struct identity *identity, uint8_t worker, uint64_t place)
{
    uint32_t at = identity->chain_count;

    assert(at > 0 && worker < CAIRN_WORKERS_MAX && place != PLACE_UNKNOWN);
    assert_identity(identity);
    do {
        identity->chain[--at].began_places[worker] = place;
    } while (at > 0 && identity->chain[at - 1].began_places[worker] == PLACE_UNKNOWN);
}

struct stop
identity_stopped(const struct identity *identity, uint32_t log)
{
    struct stop gravest = {.log = log};

    assert(identity->stops_count <= STOPS_MAX);
    for (uint32_t i = 0; i < identity->stops_count; i++) {
        const struct stop *stop = &identity->stops[i];

        if (stop->log != log && stop->log != STOP_EVERY_LOG)
            continue;
        if (stop->kind > gravest.kind)
            gravest.kind = stop->kind;
        if (stop->last_term > gravest.last_term)
            gravest.last_term = stop->last_term;
    }
    return gravest;
}

static void
stop_raise(struct stop *stop, uint32_t kind, uint64_t last_term)
{
    stop->kind = stop->kind > kind ? stop->kind : kind;
    stop->last_term = stop->last_term > last_term ? stop->last_term : last_term;
}

/* false: that was known. */
static bool
note_stop(struct identity *identity, uint32_t log, uint32_t kind, uint64_t last_term)
{
    for (uint32_t i = 0; i < identity->stops_count; i++) {
        struct stop *stop = &identity->stops[i];

        if (stop->log != log || (stop->kind >= kind && stop->last_term >= last_term))
            continue;
        stop_raise(stop, kind, last_term);
        return true;
    }
    if (identity_stopped(identity, log).kind >= kind)
        return false;
    if (identity->stops_count < STOPS_MAX) {
        identity->stops[identity->stops_count++] = (struct stop){.log = log, .kind = kind, .last_term = last_term};
        return true;
    }
    identity->stops[STOPS_MAX - 1].log = STOP_EVERY_LOG;
    stop_raise(&identity->stops[STOPS_MAX - 1], kind, last_term);
    return true;
}

bool
identity_stop(struct identity *identity, uint32_t log, uint32_t kind, uint64_t last_term)
{
    bool news;

    assert(kind > 0 && kind <= STOP_KIND_MAX);
    news = note_stop(identity, log, kind, last_term);
    assert(identity_stopped(identity, log).kind >= kind);
    assert_identity(identity);
    return news;
}

static bool
is_over(const struct stop *stop, uint32_t log, uint64_t decided_term)
{
    return stop->log == log && stop->last_term < decided_term;
}

bool
identity_end_stops(struct identity *identity, uint32_t log, uint64_t decided_term)
{
    uint32_t kept = 0, before = identity->stops_count;

    assert_identity(identity);
    for (uint32_t i = 0; i < before; i++) {
        if (!is_over(&identity->stops[i], log, decided_term))
            identity->stops[kept++] = identity->stops[i];
    }
    identity->stops_count = kept;
    return kept < before;
}

bool
identity_stopped_since(const struct identity *identity, uint32_t log, uint64_t decided_term)
{
    for (uint32_t i = 0; i < identity->stops_count; i++) {
        const struct stop *stop = &identity->stops[i];

        if ((stop->log == log || stop->log == STOP_EVERY_LOG) && !is_over(stop, log, decided_term))
            return true;
    }
    return false;
}

void
identity_give_up(struct identity *identity, cairn_node_set given_up, const struct cairn_id *drawn, bool alone)
{
    assert(identity->life.number > 0 && !identity->forgotten && !(given_up >> identity->self & 1));
    assert_identity(identity);
    for (uint8_t i = 0; i < identity->agreed.now.nodes; i++) {
        struct life *last = &identity->known[i].life;
        struct life next = {.id = drawn[i], .number = last->number + (last->number < LIFE_NUMBER_MAX)};

        if (given_up >> i & 1)
            identity->known[i] = (struct known_life){.life = next, .decided = true};
    }
    if (!alone)
        return;
    identity->alone_for |= given_up;
    identity->stops_count = 0;
}

bool
identity_obey(struct identity *identity, const struct known_life *known)
{
    if (!known->decided || known->life.number <= identity->obeyed_number)
        return false;
    identity->obeyed_number = known->life.number;
    identity->discard = true;
    identity->alone_for = 0;
    /* What was agreed on since may have been in the history that was given up. */
    identity->doubts_agreed = true;
    assert(identity_doubts(identity, known) == 0);
    return true;
}

void
known_life_further(struct known_life *known, const struct known_life *told)
{
    assert(known->life.number == told->life.number);
    for (uint32_t worker = 0; worker < CAIRN_WORKERS_MAX; worker++) {
        if (known->places[worker] < told->places[worker])
            known->places[worker] = told->places[worker];
    }
}

/* Which workers' journals had come further than where the next life went on behind them? */
static uint32_t
beyond(const struct identity *identity, const struct known_life *known, const struct link *next)
{
    uint32_t workers = 0;

    assert(next->life.number == known->life.number + 1 && identity->agreed.workers <= CAIRN_WORKERS_MAX);
    for (uint32_t worker = 0; worker < identity->agreed.workers; worker++) {
        if (known->places[worker] > next->began_places[worker] &&
            (worker == 0 || known->life.number >= identity->settled_numbers[worker]))
            workers |= 1u << worker;
    }
    return workers;
}

uint32_t
identity_doubts(const struct identity *identity, const struct known_life *known)
{
    if (known->decided)
        return known->life.number <= identity->obeyed_number ? 0 : WORKERS_ALL;
    for (uint32_t i = 0; i < identity->chain_count; i++) {
        const struct link *link = &identity->chain[i];

        if (link->life.number != known->life.number || !cairn_id_equal(&link->life.id, &known->life.id))
            continue;
        /* This life has not ended. */
        return i + 1 == identity->chain_count ? 0 : beyond(identity, known, &identity->chain[i + 1]);
    }
    return known->life.number < identity->settled_numbers[0] ? 0 : WORKERS_ALL;
}

bool
identity_confirms(const struct identity *identity, const struct known_life *known)
{
    return (identity_doubts(identity, known) & 1) == 0;
}
