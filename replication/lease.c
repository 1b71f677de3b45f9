/* Rounds of confirmation, and the lease that follows from them (Raft thesis 6.4, 6.4.1). */
#include "replication/state.h"

/* Highest confirmation round that a majority has answered. */
uint64_t
confirmed_seq(const struct core *core)
{
    uint64_t best = 0;

    if (has_quorum(core, node_bit(core->config.self)))
        return core->confirm_seq;
    for (uint8_t i = 0; i < CAIRN_NODES_MAX; i++) {
        uint64_t seq = core->progress[i].confirmed_seq;
        cairn_node_set set = node_bit(core->config.self);

        if (seq <= best)
            continue;
        for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
            if (core->progress[peer].confirmed_seq >= seq && peer != core->config.self)
                set |= node_bit(peer);
        }
        if (has_quorum(core, set))
            best = seq;
    }
    assert(best <= core->confirm_seq);
    return best;
}

/* This node's election timeout, or what a voter promised where that is less: nodes may not know yet of another timeout
 * that was agreed on. */
static uint64_t
lease_ns_of_round(const struct core *core, uint64_t seq)
{
    uint64_t lease_ns = core->config.election_timeout_ns;

    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        const struct progress *progress = &core->progress[peer];

        if (progress->confirmed_seq >= seq && progress->promised_ns < lease_ns && peer != core->config.self)
            lease_ns = progress->promised_ns;
    }
    assert(seq <= core->confirm_seq && seq + ROUNDS_KEPT > core->confirm_seq);
    assert(lease_ns <= core->config.election_timeout_ns);
    return lease_ns;
}

/* The lease (thesis 6.4.1): whoever answers a round promises to help nobody else to lead for an election
 * timeout. It runs from when the round was first sent, by the leader's clock, less what two clocks may
 * drift apart. Rounds before the newest change of membership do not count: the voters may be others. */
uint64_t
reads_lease_end_ns(const struct core *core)
{
    uint64_t seq = confirmed_seq(core), lease_ns;

    assert(core->role == ROLE_LEADER);
    assert(core->lease_floor_seq <= core->confirm_seq && seq <= core->confirm_seq);
    if (core->lease_over || seq <= core->lease_floor_seq || seq + ROUNDS_KEPT <= core->confirm_seq)
        return 0;
    lease_ns = lease_ns_of_round(core, seq);
    assert(core->transfer_target == CAIRN_NODE_NONE || !core->transfer_sent);
    return core->confirm_began_ns[seq % ROUNDS_KEPT] + lease_ns - lease_ns / LEASE_DRIFT_SHARE;
}
