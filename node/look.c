/* What can be seen of a node and its logs, without changing anything. */
#include "node/look.h"

#include <assert.h>

#include "assert_costly.h"
#include "node/state.h"
#include "node/worker/durable.h"
#include "node/worker/worker.h"

bool
log_is_sound(const struct node_log *log)
{
    uint64_t last_lsn = core_last_lsn(log->core);

    /* What the core decides and what the node does of it say the same. */
    assert(log->digest_lsn == core_commit_lsn(log->core));
    assert(log->base_lsn == core_base_lsn(log->core));
    assert(store_first(&log->trunk) == 0 || log->trunk.last == last_lsn);
    assert(core_branch_pending(log->core) || log->own->entries == 0);
    assert(log->own == &log->branches[log->self]);
    /* What is agreed on, and what of that. */
    assert(log->base_lsn <= log->digest_lsn);
    assert(log->data_lsn <= log->digest_lsn);
    assert(log->ticked_lsn <= log->digest_lsn);
    assert(log->trim_lsn <= log->digest_lsn);
    assert(log->durable == NULL || log->durable->held_lsn <= last_lsn);
    assert(log->uncommitted_bytes <= log->worker->uncommitted_bytes);
    return true;
}

uint64_t
node_now_ns(const struct node *node)
{
    return node->config.time->monotonic_ns(node->config.time->context);
}

struct node_log *
catalog_of(const struct worker *worker)
{
    return worker->node->workers[0]->logs[CATALOG_LOG];
}

bool
catalog_is_kept(const struct node *node)
{
    const struct worker *first = node->workers[0];

    return first->disk != NULL && !first->journal_was_empty && !first->journal_damaged && !node->forgotten;
}

struct node_log *
node_find_log(const struct worker *worker, uint32_t id)
{
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        assert_costly(worker->logs[i]->worker == worker);
        if (worker->logs[i]->id == id)
            return worker->logs[i];
    }
    return NULL;
}

struct mode_inputs
node_mode_inputs(const struct worker *worker, const struct node_log *log)
{
    bool branch_pending = core_branch_pending(log->core), recovering = core_recovering(log->core);
    cairn_node_set voters = core_members(log->core)->voters;

    return (struct mode_inputs){
        .policy = log->rules.policy,
        .falls_to_cp = log->rules.falls_to_cp,
        .nodes = (uint32_t)__builtin_popcount(voters),
        .reached = (uint32_t)__builtin_popcount(worker->reach & voters),
        .branch_pending = branch_pending,
        .recovering = recovering,
    };
}

bool
node_is_member(const struct worker *worker, const struct node_log *log)
{
    const struct members *members = core_members(log->core);

    assert_costly((members->voters & members->learners) == 0);
    return !log->left && ((members->voters | members->learners) >> worker->self & 1) != 0;
}

uint8_t
node_to_ask(const struct worker *worker, const struct node_log *log)
{
    uint8_t leader = core_leader(log->core);
    const struct members *members;
    cairn_node_set others;

    if (leader != CAIRN_NODE_NONE)
        return leader;
    assert_costly(core_role(log->core) != ROLE_LEADER);
    members = core_members(log->core);
    others = (members->voters | members->learners) & ~((cairn_node_set)1 << worker->self);
    if (node_is_member(worker, log) || others == 0)
        return CAIRN_NODE_NONE;
    if (others & worker->reach)
        others &= worker->reach;
    return (uint8_t)__builtin_ctz(others);
}

/* How many nodes it takes for the log to go on. */
uint8_t
node_needs(const struct node_log *log)
{
    struct mode_inputs inputs = {
        .policy = log->rules.policy,
        .nodes = (uint32_t)__builtin_popcount(core_members(log->core)->voters),
        .falls_to_cp = log->rules.falls_to_cp,
    };

    assert(mode_needs(&inputs) >= 1 && mode_needs(&inputs) <= inputs.nodes);
    return (uint8_t)mode_needs(&inputs);
}

uint64_t
node_hold_max_ns(const struct node *node)
{
    return node->config.cluster->flap_hold_ms == 0 ? 20 * cluster_timing(node->config.cluster).timeout_ns
                                                   : (uint64_t)node->config.cluster->flap_hold_ms * 1000000;
}
