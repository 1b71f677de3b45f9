#include "node/worker/rescue.h"

#include <assert.h>
#include <string.h>

#include "node/events.h"
#include "node/look.h"
#include "node/state.h"
#include "node/worker/due.h"
#include "node/worker/recovered.h"
#include "node/worker/worker.h"

bool
rescue_ask(struct node *node, cairn_node_set given_up, bool alone, const struct cairn_id *drawn)
{
    struct rescue *rescue = &node->rescue;
    int state = atomic_load_explicit(&rescue->state, memory_order_acquire);

    if (state == RESCUE_ASKED || state == RESCUE_KEEPING)
        return false;
    assert(!(given_up >> node->self & 1));
    rescue->given_up = given_up;
    rescue->alone = alone;
    memcpy(rescue->drawn, drawn, sizeof(rescue->drawn));
    atomic_store_explicit(&rescue->state, RESCUE_ASKED, memory_order_release);
    return true;
}

/* Can the cluster go on without an administrator's decision? More than half of the nodes are well, and more than half of
 * the catalog's voters. */
static bool
are_enough(const struct worker *worker)
{
    cairn_node_set well = atomic_load_explicit(&worker->node->introduction.well, memory_order_relaxed);
    cairn_node_set voters = worker->logs_count == 0 ? 0 : core_members(worker->logs[CATALOG_LOG]->core)->voters;

    return __builtin_popcount(well) > __builtin_popcount(worker->present) / 2 &&
           __builtin_popcount(well & voters) > __builtin_popcount(voters) / 2;
}

/* A node that has forgotten itself decides nothing, and nothing is decided against a node that is well. Where too few are well
 * to go on by themselves all others are given up; where enough are, one alone. */
static enum cairn_error
is_called_for(const struct worker *worker)
{
    const struct lives *lives = &worker->node->introduction.lives;
    bool enough = are_enough(worker);

    assert(worker_is_first(worker));
    if (lives->standing != STANDING_MEMBER || lives->identity.forgotten || !recovered_all(worker))
        return CAIRN_RECOVERING;
    if (worker->node->rescue.alone)
        return enough ? CAIRN_INVALID : CAIRN_OK;
    if (worker->node->rescue.given_up & (worker->reach | (cairn_node_set)1 << worker->self))
        return CAIRN_INVALID;
    return enough ? CAIRN_OK : CAIRN_NO_QUORUM;
}

static void
decide(struct worker *worker)
{
    struct rescue *rescue = &worker->node->rescue;

    rescue->error = is_called_for(worker);
    if (rescue->error == CAIRN_OK) {
        introduction_give_up(worker, rescue->given_up, rescue->drawn, rescue->alone);
        rescue->version = worker->node->introduction.lives.version;
        /* What was just decided is not kept yet, and nothing follows from it before that. */
        assert(rescue->version > worker->node->introduction.lives.kept_version);
    }
    atomic_store_explicit(&rescue->state, rescue->error == CAIRN_OK ? RESCUE_KEEPING : RESCUE_REFUSED,
                          memory_order_release);
}

/* Is the log led from here, or was never held here? */
static bool
goes_on(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    const cairn_node_set self = (cairn_node_set)1 << worker->self;

    /* This decision ends one about this log alone, so its term is above that one's. */
    if (!node_is_member(worker, log) ||
        (core_members(log->core)->voters == self && core_stopped(log->core) == STOP_NONE &&
         core_term_at(log->core, core_last_lsn(log->core)) >= log->rules.adopted_term))
        return true;
    if (core_go_on_alone(log->core, log->rules.adopted_term == 0 ? 0 : log->rules.adopted_term + 1, now_ns,
                         &log->sink) != CAIRN_OK)
        return false;
    assert(core_role(log->core) == ROLE_LEADER && core_stopped(log->core) == STOP_NONE);
    assert(core_members(log->core)->voters == self);
    assert(core_term(log->core) > log->rules.adopted_term);
    node_activate(worker, log);
    node_event(worker, EVENT_DECIDED, log, worker->self, 0, 0,
               "by an administrator's word: it goes on from what %s holds", worker->name);
    return true;
}

/* A majority knows that the member was given up: any other majority has one of them in it. */
static bool
is_known(const struct worker *worker)
{
    const struct lives *lives = &worker->node->introduction.lives;

    assert(!(worker->node->rescue.given_up >> worker->self & 1));
    for (uint8_t seat = 0; seat < worker->nodes; seat++) {
        if ((worker->node->rescue.given_up >> seat & 1) &&
            lives_agreeing(lives, seat) <= (uint32_t)__builtin_popcount(worker->present) / 2)
            return false;
    }
    return true;
}

static bool
all_go_on(const struct node *node)
{
    bool all = true;

    assert(node->rescue.alone);
    for (uint8_t number = 0; number < node->workers_count; number++)
        all &= atomic_load_explicit(&node->workers[number]->alone_from, memory_order_acquire) == node->rescue.version;
    return all;
}

void
rescue_turn(struct worker *worker)
{
    struct rescue *rescue = &worker->node->rescue;
    int state = atomic_load_explicit(&rescue->state, memory_order_acquire);

    assert(worker_is_first(worker));
    if (state == RESCUE_ASKED)
        decide(worker);
    if (state != RESCUE_KEEPING || worker->node->introduction.lives.kept_version < rescue->version)
        return;
    assert(rescue->version <= worker->node->introduction.lives.version);
    if (rescue->alone)
        atomic_store_explicit(&rescue->alone_from, rescue->version, memory_order_release);
    if (rescue->alone ? all_go_on(worker->node) : is_known(worker))
        atomic_store_explicit(&rescue->state, RESCUE_DONE, memory_order_release);
}

void
rescue_go_on(struct worker *worker, uint64_t now_ns)
{
    uint64_t from = atomic_load_explicit(&worker->node->rescue.alone_from, memory_order_acquire);
    bool all = true;

    if (from == atomic_load_explicit(&worker->alone_from, memory_order_relaxed))
        return;
    /* Decisions follow each other: none comes into force after a later one. */
    assert(from > atomic_load_explicit(&worker->alone_from, memory_order_relaxed));
    for (uint32_t i = 0; i < worker->logs_count; i++)
        all &= goes_on(worker, worker->logs[i], now_ns);
    if (all)
        atomic_store_explicit(&worker->alone_from, from, memory_order_release);
}
