/* What must hold of what clients are told: what an answer is worth, what is denied and what is not; and of modes, that
 * none of need outlasts the need. */
#include "sim/checker_answers.h"

#include "node/state.h"
#include "rules/mode.h"
#include "sim/checker_modes.h"
#include "sim/faults.h"
#include "sim/log_check.h"
#include "sim/node.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/sim.h"

/* Heartbeats of a node at rest come every third of a timeout; so late none is suspected. */
#define BEAT_GAP_NS (4500 * US)
/* A peer that flapped is held back for twenty timeouts at most (docs/cap.md, Detection). */
#define HELD_BACK_NS (20 * SIM_TIMEOUT_NS)
#define SURE_NS (HELD_BACK_NS + 6 * SIM_TIMEOUT_NS)
#define NEED_SLACK_NS (3 * MS)

/* The least that the log's policy gives, as long as nobody changes that. */
static enum cairn_ack
least_of_policy(const struct sim *sim, uint32_t log)
{
    if (log == 0 || sim->scripted || (sim->plan.faults & 1u << FAULT_POLICY))
        return CAIRN_ACK_LOCAL;
    switch (sim->plan.policies[log - 1]) {
    case CAIRN_POLICY_CP:
        return CAIRN_ACK_MAJORITY;
    case CAIRN_POLICY_CA: /* as catalog_change() has it, for when some are cut off */
        return sim->plan.seed % 2 == 0 ? CAIRN_ACK_MAJORITY : CAIRN_ACK_ALL;
    case CAIRN_POLICY_ADAPTIVE:
    case CAIRN_POLICY_AP:
        break;
    }
    return CAIRN_ACK_LOCAL;
}

void
check_level(struct sim *sim, uint32_t log, enum cairn_ack asked, const struct cairn_result *result)
{
    enum cairn_ack least = asked == CAIRN_ACK_POLICY ? least_of_policy(sim, log) : asked;

    if (result->ack < least || result->ack < CAIRN_ACK_LOCAL || result->ack > CAIRN_ACK_ALL)
        sim_violation(sim, "log %s: %s was asked for, which is %s at least, and n%u answers %s", sim_log_name(log),
                      cairn_ack_name(asked), cairn_ack_name(least), result->origin + 1, cairn_ack_name(result->ack));
    if (result->on_branch && result->ack != CAIRN_ACK_LOCAL)
        sim_violation(sim, "log %s: n%u has it on its branch, and answers %s", sim_log_name(log), result->origin + 1,
                      cairn_ack_name(result->ack));
}

void
check_denied(struct sim *sim, const struct log_check *check, const struct sim_reader *reader, enum cairn_error error)
{
    if (error == CAIRN_OK && check->denies_ns != 0 && check->denies_ns <= reader->asked_ns)
        sim_violation(sim, "log %s: n%u has denied reads since %.1f ms before this one, and serves it",
                      sim_log_name(reader->log), reader->node + 1, (double)(reader->asked_ns - check->denies_ns) / 1e6);
    if (error == CAIRN_DENIED && check->serves_ns != 0 && check->serves_ns <= reader->asked_ns)
        sim_violation(sim, "log %s: n%u denies a read, and is to serve them", sim_log_name(reader->log),
                      reader->node + 1);
}

void
check_rules(struct sim *sim, struct sim_node *node, uint32_t log)
{
    const struct node_log *held = node_log_of(node, log);
    struct log_check *check = &node->checks[log];
    bool may = (held->rules.deny & CAIRN_DENY_READS) != 0, denies = may && held->mode == CAIRN_MODE_DENIED;

    check->serves_ns = may ? 0 : check->serves_ns != 0 ? check->serves_ns : sim->now_ns;
    check->denies_ns = !denies ? 0 : check->denies_ns != 0 ? check->denies_ns : sim->now_ns;
}

void
check_beat(struct sim_node *node, uint8_t worker, uint8_t peer, uint32_t incarnation)
{
    struct sim_worker *heard = &node->workers[worker];
    uint64_t now_ns = node->sim->now_ns;

    if (incarnation < heard->beats[peer].incarnation)
        return;
    if (incarnation != heard->beats[peer].incarnation || now_ns - heard->beats[peer].last_ns > BEAT_GAP_NS)
        heard->beats[peer].since_ns = now_ns;
    heard->beats[peer].incarnation = incarnation;
    heard->beats[peer].last_ns = now_ns;
}

static bool
hears_surely(const struct sim *sim, const struct sim_node *node, uint8_t worker, uint8_t peer)
{
    const struct sim_worker *heard = &node->workers[worker];
    uint64_t since_ns = heard->beats[peer].since_ns;

    if (since_ns < worker_resumed_ns(node, worker))
        since_ns = worker_resumed_ns(node, worker);
    return node_is_up(node) && heard->beats[peer].incarnation == sim->nodes[peer].incarnation &&
           sim->now_ns - heard->beats[peer].last_ns <= BEAT_GAP_NS && sim->now_ns >= since_ns + SURE_NS;
}

cairn_node_set
check_sure_reach(const struct sim *sim, const struct sim_node *node, uint8_t worker)
{
    cairn_node_set set = (cairn_node_set)1 << node->self;

    /* Timeouts that are learned may be shorter than what is looked at here. */
    if (sim->cluster.timeout_ceiling_us != 0)
        return set;
    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        if (peer != node->self && hears_surely(sim, node, worker, peer) &&
            hears_surely(sim, &sim->nodes[peer], worker, node->self))
            set |= (cairn_node_set)1 << peer;
    }
    return set;
}

void
check_need(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, const struct mode_inputs *inputs,
           enum cairn_mode mode)
{
    bool need = mode == CAIRN_MODE_AP || mode == CAIRN_MODE_DENIED;

    if (!need || inputs->reached < mode_needs(inputs)) {
        check->needless_ns = 0;
        return;
    }
    if (check->needless_ns == 0)
        check->needless_ns = sim->now_ns;
    if (sim->now_ns - check->needless_ns > NEED_SLACK_NS)
        sim_violation(sim, "log %s: n%u has had %u of %u in reach for %lu ms, and is in mode %s", sim_log_name(log),
                      node + 1, inputs->reached, inputs->nodes, (unsigned long)(SURE_NS / MS), cairn_mode_name(mode));
}

void
check_alone(struct sim *sim, uint8_t node, uint32_t log, struct log_check *check, uint32_t heard, uint32_t voters,
            uint64_t wait_ns)
{
    if (heard > voters / 2) {
        check->alone_ns = check->alone_wait_ns = 0;
        return;
    }
    if (check->alone_ns == 0)
        check->alone_ns = sim->now_ns;
    if (check->alone_wait_ns < wait_ns)
        check->alone_wait_ns = wait_ns;
    /* A leader that never saw a majority has as long to see one as it waits for anybody. */
    if (sim->now_ns - check->alone_ns > check->alone_wait_ns + NEED_SLACK_NS)
        sim_violation(sim, "log %s: n%u leads, and has heard %u of %u voters for more than two timeouts",
                      sim_log_name(log), node + 1, heard, voters);
}
