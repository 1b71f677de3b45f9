/* Faults and operations while a run goes on. Each strikes, lasts, and ends. */
#include "sim/sim.h"

#include <assert.h>

/* A trunk remembers the marks of so many lives; no node has more of them here. */
#define STARTS_MAX 15u

static uint64_t
about(struct sim *sim, uint64_t mean_ns)
{
    return mean_ns / 4 + random_under(&sim->nemesis, mean_ns * 3 / 2);
}

static void
end_later(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t peer, uint32_t value)
{
    sim_plan_happening(sim, about(sim, sim->plan.fault_for_ns), HAPPEN_FAULT_END, node, peer, (uint32_t)kind, value);
}

void
nemesis_start(struct sim *sim)
{
    for (unsigned kind = FAULT_SLOW_LINK; kind <= FAULT_DISK_LAST; kind++) {
        if (sim->plan.faults & (1u << kind))
            sim_plan_happening(sim, about(sim, sim->plan.fault_every_ns), HAPPEN_FAULT, 0, 0, kind, 0);
    }
    if (sim->plan.faults & 1u << FAULT_CLOCK_WRONG)
        sim_plan_happening(sim, random_under(&sim->clocks, 500 * MS), HAPPEN_FAULT, 0, 0, FAULT_CLOCK_WRONG, 0);
    if (sim->plan.faults & 1u << FAULT_AGREED)
        sim_plan_happening(sim, random_under(&sim->changes, 200 * MS), HAPPEN_FAULT, 0, 0, FAULT_AGREED, 0);
}

static uint8_t
any_node(struct sim *sim)
{
    return (uint8_t)random_under(&sim->nemesis, sim->plan.nodes);
}

static uint8_t
other_node(struct sim *sim, uint8_t node)
{
    return (uint8_t)((node + 1 + random_under(&sim->nemesis, sim->plan.nodes - 1)) % sim->plan.nodes);
}

/* Cuts all links between the nodes of side and the others, out of it and, unless one_way, into it. */
static void
cut_side(struct sim *sim, uint32_t side, bool one_way, bool cut)
{
    for (uint8_t from = 0; from < sim->plan.nodes; from++) {
        for (uint8_t to = 0; to < sim->plan.nodes; to++) {
            bool out = (side >> from & 1) && !(side >> to & 1), in = !(side >> from & 1) && (side >> to & 1);

            if (from != to && (out || (in && !one_way)))
                network_cut(sim, from, to, cut);
        }
    }
}

/* `memory` durability promises to survive any minority: more is not asked of it here. A minority of every
 * membership that any node has in force. */
static bool
may_crash(struct sim *sim, uint8_t node)
{
    /* A disk survives any number; but where nothing is ever done nothing is tried either. */
    if (sim->plan.disk) {
        uint32_t up = 0;

        if (sim->nodes[node].starts > STARTS_MAX || !disk_may_crash(&sim->nodes[node]))
            return false;

        for (uint8_t i = 0; i < sim->plan.nodes; i++)
            up += node_is_up(&sim->nodes[i]);
        return up - 1 > sim->plan.nodes / 2 || random_under(&sim->nemesis, 6) == 0;
    }
    if (sim->steward.busy)
        return false;
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        cairn_node_set lost = without_memory(sim, log) | (cairn_node_set)1 << node;

        for (uint8_t i = 0; i < sim->plan.nodes; i++) {
            const struct node_log *held = node_log_of(&sim->nodes[i], log);
            cairn_node_set voters = held == NULL ? (1u << sim->plan.nodes) - 1 : core_members(held->core)->voters;
            uint32_t minority = ((uint32_t)__builtin_popcount(voters) - 1) / 2;

            if ((uint32_t)__builtin_popcount(lost & voters) > minority)
                return false;
        }
    }
    return true;
}

static void
crash(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[any_node(sim)];

    if (!node_is_up(node) || !may_crash(sim, node->self) || node->stop_by_ns != 0)
        return;
    sim->counts.kinds |= 1u << FAULT_CRASH;
    if (sim->plan.disk && random_under(&sim->nemesis, 3) == 0) {
        node_stop(node);
        return;
    }
    node_crash(node);
    sim->counts.crashes++;
    end_later(sim, FAULT_CRASH, node->self, 0, 0);
}

/* Everything goes dark at once, and comes back one by one. */
static void
power_fails(struct sim *sim)
{
    if (random_under(&sim->nemesis, 8) != 0 || sim->nodes[0].starts > STARTS_MAX)
        return;
    sim->counts.kinds |= 1u << FAULT_POWER;
    sim->counts.power_cuts++;
    trace_add(sim, TRACE_FAULT, 0, 0, "the power fails");
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (!node_is_up(node) || !disk_may_crash(node))
            continue;
        node_crash(node);
        sim->counts.crashes++;
        end_later(sim, FAULT_CRASH, i, 0, 0);
    }
}

/* Of media that decay, one node has one: with more, what was acknowledged may be gone from a majority. */
static struct sim_node *
decaying(struct sim *sim)
{
    return &sim->nodes[sim->plan.seed % sim->plan.nodes];
}

/* Writes fail, or space ends, for a while; a node whose write has failed is started anew at the end. */
static void
disk_trouble(struct sim *sim, enum fault_kind kind)
{
    struct sim_node *node = kind == FAULT_DISK_ASTRAY ? decaying(sim) : &sim->nodes[any_node(sim)];

    if (!node_is_up(node) || (kind == FAULT_DISK_ASTRAY && node->disk.damaged))
        return;
    sim->counts.kinds |= 1u << kind;
    sim->counts.disk_faults++;
    trace_add(sim, TRACE_FAULT, node->self, 0, "%s", fault_name(kind));
    if (kind == FAULT_DISK_FAIL)
        node->disk.failing = 1;
    else if (kind == FAULT_DISK_ASTRAY)
        node->disk.astray = 1;
    else
        node->disk.no_space = true;
    end_later(sim, kind, node->self, 0, 0);
}

static bool
has_failed_journal(const struct sim_node *node)
{
    bool failed = false;

    for (uint8_t worker = 0; worker < sim_workers(node->sim); worker++)
        failed |= node->node->workers[worker]->journal_failed;
    return failed;
}

static void
disk_trouble_ends(struct sim *sim, enum fault_kind kind, struct sim_node *node)
{
    node->disk.no_space = kind == FAULT_DISK_FULL ? false : node->disk.no_space;
    node->disk.failing = 0;
    if (kind == FAULT_DISK_FAIL && node_is_up(node) && has_failed_journal(node) && disk_may_crash(node)) {
        node_crash(node);
        node_boot(node);
        sim->counts.crashes++;
    }
}

static void
pause_one(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[any_node(sim)];

    if (!node_is_up(node) || sim->now_ns < node->paused_until_ns)
        return;
    sim->counts.kinds |= 1u << FAULT_PAUSE;
    if (sim_workers(sim) > 1 && random_under(&sim->nemesis, 2) == 0)
        worker_pause(node, (uint8_t)random_under(&sim->nemesis, sim_workers(sim)), about(sim, sim->plan.fault_for_ns));
    else if (sim->pauses++ % 2 == 0)
        node_pause(node, about(sim, sim->plan.fault_for_ns));
    else
        node_pause_in_poll(node, about(sim, sim->plan.fault_for_ns));
}

static void
cut(struct sim *sim, enum fault_kind kind, uint32_t side)
{
    sim->counts.partitions++;
    sim->counts.kinds |= 1u << kind;
    trace_add(sim, TRACE_FAULT, 0, 0, "%s: nodes of set %x cut off", fault_name(kind), side);
    cut_side(sim, side, kind == FAULT_ONE_WAY, true);
    end_later(sim, kind, 0, 0, side);
}

/* Of one worker alone: its queue of the link. */
static void
cut_worker(struct sim *sim, enum fault_kind kind, uint8_t left, uint8_t right)
{
    uint8_t worker = (uint8_t)random_under(&sim->nemesis, sim_workers(sim));

    trace_add(sim, TRACE_FAULT, left, right, "%s: worker %u's link to n%u cut", fault_name(kind), worker, right + 1);
    network_cut_worker(sim, worker, left, right, true);
    network_cut_worker(sim, worker, right, left, true);
    end_later(sim, kind, left, right, worker + 1u);
}

static void
cut_pair(struct sim *sim, enum fault_kind kind, uint8_t left, uint8_t right)
{
    sim->counts.partitions++;
    sim->counts.kinds |= 1u << kind;
    if (sim_workers(sim) > 1 && random_under(&sim->nemesis, 2) == 0) {
        cut_worker(sim, kind, left, right);
        return;
    }
    trace_add(sim, TRACE_FAULT, left, right, "%s: link to n%u cut", fault_name(kind), right + 1);
    network_cut(sim, left, right, true);
    network_cut(sim, right, left, true);
    end_later(sim, kind, left, right, 0);
}

static void
slow_down(struct sim *sim)
{
    uint8_t from = any_node(sim), to = other_node(sim, from);

    if (sim->links[from][to].slow > 0)
        return;
    sim->counts.kinds |= 1u << FAULT_SLOW_LINK;
    trace_add(sim, TRACE_FAULT, from, to, "link to n%u is slow", to + 1);
    sim->links[from][to].slow = 2 + (uint32_t)random_under(&sim->nemesis, 100);
    end_later(sim, FAULT_SLOW_LINK, from, to, 0);
}

/* Every 1.5 timeouts up and down, for a while: value counts the changes left. */
static void
flap(struct sim *sim, uint8_t left, uint8_t right, uint32_t left_over)
{
    bool down = left_over % 2 == 0;

    network_cut(sim, left, right, down);
    network_cut(sim, right, left, down);
    if (left_over > 0)
        sim_plan_happening(sim, SIM_TIMEOUT_NS * 3 / 2, HAPPEN_FAULT_END, left, right, FAULT_FLAP, left_over - 1);
}

static void
drift(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[any_node(sim)];
    int64_t ppm = (int64_t)random_under(&sim->nemesis, 2 * sim->plan.drift_ppm + 1) - sim->plan.drift_ppm;

    (void)node_clock_ns(node);
    node->clock.base_ns = sim->now_ns;
    node->clock.drift_ppm = ppm;
    sim->counts.kinds |= 1u << FAULT_DRIFT;
    trace_add(sim, TRACE_FAULT, node->self, 0, "its clock runs off by %ld ppm", (long)ppm);
}

static void
wall_jump(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[any_node(sim)];

    node->clock.wall_offset_ns = (int64_t)random_under(&sim->nemesis, 7200000 * MS) - (int64_t)(3600000 * MS);
    sim->counts.kinds |= 1u << FAULT_WALL_JUMP;
    trace_add(sim, TRACE_FAULT, node->self, 0, "its wall clock jumps");
}

/* Wall clocks are set wrong by days: one node's, or all at once; for a moment, or for good. All that it draws is of a
 * stream of its own. */
static void
clock_wrong(struct sim *sim)
{
    int64_t days = 1 + (int64_t)random_under(&sim->clocks, 20);
    int64_t ahead_ns = (random_under(&sim->clocks, 3) == 0 ? -days : days) * 86400000ll * (int64_t)MS;
    uint8_t node = (uint8_t)random_under(&sim->clocks, sim->plan.nodes);
    bool all = random_under(&sim->clocks, 3) == 0, returns = random_under(&sim->clocks, 2) == 0;
    uint32_t log = (uint32_t)random_under(&sim->clocks, sim->plan.logs);
    char rules[64];

    sim->counts.kinds |= 1u << FAULT_CLOCK_WRONG;
    if (sim->clocks_set_ns == 0)
        sim->clocks_set_ns = sim->now_ns;
    snprintf(rules, sizeof(rules), "\"retain_age_ms\":%lu", (unsigned long)(800 + random_under(&sim->clocks, 2000)));
    if (random_under(&sim->clocks, 4) == 0 && sim->log_ids[log + 1] != 0)
        catalog_write(sim, log, "set", rules);
    trace_add(sim, TRACE_FAULT, node, 0, "the wall clock%s set %ld days off", all ? "s of all nodes are" : " is",
              (long)(ahead_ns < 0 ? -days : days));
    for (uint8_t i = 0; i < sim->plan.nodes; i++)
        sim->nodes[i].clock.wall_offset_ns += all || i == node ? ahead_ns : 0;
    if (returns)
        sim_plan_happening(sim, 50 * MS + random_under(&sim->clocks, 1500 * MS), HAPPEN_FAULT_END, node, all,
                           FAULT_CLOCK_WRONG, 0);
    sim_plan_happening(sim, 100 * MS + random_under(&sim->clocks, 3000 * MS), HAPPEN_FAULT, 0, 0, FAULT_CLOCK_WRONG, 0);
}

/* What is agreed on is changed, with nodes cut off, behind or down: timeouts, on which leases rest, get shorter and longer
 * than what others still go by. */
static void
change_agreed(struct sim *sim)
{
    uint64_t memory_mib = 256 + random_under(&sim->changes, 1000);
    uint64_t timeout_us = (4 + 2 * random_under(&sim->changes, 4)) * (SIM_TIMEOUT_NS / 10000);
    char change[96];

    sim->counts.kinds |= 1u << FAULT_AGREED;
    snprintf(change, sizeof(change), "\"timeout_us\":%lu,\"memory_mib\":%lu", (unsigned long)timeout_us,
             (unsigned long)memory_mib);
    catalog_write(sim, 0, "agree", change);
    sim_plan_happening(sim, 20 * MS + random_under(&sim->changes, 400 * MS), HAPPEN_FAULT, 0, 0, FAULT_AGREED, 0);
}

static void
clock_right(struct sim *sim, uint8_t node, bool all)
{
    trace_add(sim, TRACE_FAULT, node, 0, "the wall clock%s right again", all ? "s of all nodes are" : " is");
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        if (all || i == node)
            sim->nodes[i].clock.wall_offset_ns = 0;
    }
}

/* What a log keeps: by size, by age, or up to somewhere. */
static void
change_retention(struct sim *sim)
{
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs);
    uint64_t last = sim->trunks[log + 1].last, age_ms;
    char rules[96];

    if (sim->log_ids[log + 1] == 0)
        return;
    switch (random_under(&sim->nemesis, 3)) {
    case 0:
        snprintf(rules, sizeof(rules), "\"trim_before\":%lu", (unsigned long)random_under(&sim->nemesis, last + 2));
        catalog_write(sim, log, "trim", rules);
        break;
    case 1:
        age_ms = random_under(&sim->nemesis, 2);
        age_ms *= 500 + random_under(&sim->nemesis, 2000);
        snprintf(rules, sizeof(rules), "\"retain_age_ms\":%lu", (unsigned long)age_ms);
        catalog_write(sim, log, "set", rules);
        break;
    default:
        snprintf(rules, sizeof(rules), "\"retain_bytes\":%lu",
                 (unsigned long)(sim->plan.segment_bytes * (1 + random_under(&sim->nemesis, 4))));
        catalog_write(sim, log, "set", rules);
        break;
    }
}

static void
change_policy(struct sim *sim)
{
    static const enum cairn_policy policies[] = {CAIRN_POLICY_CP, CAIRN_POLICY_ADAPTIVE, CAIRN_POLICY_AP,
                                                 CAIRN_POLICY_CA};
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs);

    sim->counts.kinds |= 1u << FAULT_POLICY;
    if ((sim->plan.faults & 1u << FAULT_TRIM) && random_under(&sim->nemesis, 3) == 0) {
        change_retention(sim);
        return;
    }
    catalog_change(sim, log, policies[random_under(&sim->nemesis, 4)]);
}

/* Mostly at the leader, where it can succeed. */
static uint8_t
where_to_ask(struct sim *sim, uint32_t log)
{
    uint8_t leader = sim_leader(sim, log);

    return leader == CAIRN_NODE_NONE || random_under(&sim->nemesis, 8) == 0 ? any_node(sim) : leader;
}

static void
change_members(struct sim *sim)
{
    static const enum cairn_member_op ops[] = {CAIRN_MEMBER_REMOVE, CAIRN_MEMBER_ADD, CAIRN_MEMBER_PROMOTE,
                                               CAIRN_MEMBER_PROMOTE};
    /* Not the catalog: a node that does not follow it knows of no log. */
    uint32_t log = 1 + (uint32_t)random_under(&sim->nemesis, sim->plan.logs);
    uint8_t target = any_node(sim), via = where_to_ask(sim, log);
    enum cairn_member_op op = ops[random_under(&sim->nemesis, 4)];

    /* Nor is it asked to survive that voters change while one has lost its memory. */
    if (op != CAIRN_MEMBER_ADD && without_memory(sim, log) != 0)
        return;
    if (steward_ask(sim, via, log, op, target))
        sim->counts.kinds |= 1u << FAULT_MEMBERS;
}

static void
transfer(struct sim *sim)
{
    uint32_t log = (uint32_t)random_under(&sim->nemesis, sim->plan.logs + 1);
    uint8_t target = any_node(sim), via = where_to_ask(sim, log);

    if (steward_ask(sim, via, log, CAIRN_MEMBER_TRANSFER, target))
        sim->counts.kinds |= 1u << FAULT_TRANSFER;
}

/* What is done to the links of one node, or between two; false: the kind is none of these. */
static bool
strike_links(struct sim *sim, enum fault_kind kind, uint8_t node, uint8_t other)
{
    switch (kind) {
    case FAULT_SLOW_LINK:
        slow_down(sim);
        return true;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
        cut(sim, kind, 1u << node);
        return true;
    case FAULT_SPLIT:
        cut(sim, kind, 1 + (uint32_t)random_under(&sim->nemesis, (1u << sim->plan.nodes) - 2));
        return true;
    case FAULT_PARTIAL:
        cut_pair(sim, kind, node, other);
        return true;
    case FAULT_FLAP:
        sim->counts.partitions++;
        sim->counts.kinds |= 1u << FAULT_FLAP;
        flap(sim, node, other, 2 * (1 + (uint32_t)random_under(&sim->nemesis, 8)));
        return true;
    default:
        return false;
    }
}

static void
kill_client(struct sim *sim)
{
    sim->counts.kinds |= 1u << FAULT_CLIENT_DEATH;
    client_die(sim, &sim->clients[random_under(&sim->nemesis, sim->plan.sessions)]);
}

/* What is done to nodes, their disks and clocks, to clients, and by operators. Of the other kinds there is nothing to do at one moment. */
static void
strike_nodes(struct sim *sim, enum fault_kind kind)
{
    static void (*const strikes[FAULT_KINDS])(struct sim *) = {
        [FAULT_CRASH] = crash,         [FAULT_PAUSE] = pause_one,      [FAULT_DRIFT] = drift,
        [FAULT_WALL_JUMP] = wall_jump, [FAULT_POLICY] = change_policy, [FAULT_MEMBERS] = change_members,
        [FAULT_TRANSFER] = transfer,   [FAULT_POWER] = power_fails,    [FAULT_CLIENT_DEATH] = kill_client,
    };

    if (kind == FAULT_DISK_FAIL || kind == FAULT_DISK_FULL || kind == FAULT_DISK_ASTRAY)
        disk_trouble(sim, kind);
    else if (strikes[kind] != NULL)
        strikes[kind](sim);
}

void
nemesis_strike(struct sim *sim, enum fault_kind kind)
{
    uint8_t node, other;

    if (sim->healing)
        return;
    /* These choose their own time. */
    if (kind == FAULT_CLOCK_WRONG) {
        clock_wrong(sim);
        return;
    }
    if (kind == FAULT_AGREED) {
        change_agreed(sim);
        return;
    }
    node = any_node(sim);
    other = other_node(sim, node);
    if (!strike_links(sim, kind, node, other))
        strike_nodes(sim, kind);
    sim_plan_happening(sim, about(sim, sim->plan.fault_every_ns), HAPPEN_FAULT, 0, 0, (uint32_t)kind, 0);
}

static void
join_pair(struct sim *sim, const struct happening *happening)
{
    uint8_t left = happening->node, right = happening->peer;

    if (happening->value != 0) {
        network_cut_worker(sim, (uint8_t)(happening->value - 1), left, right, false);
        network_cut_worker(sim, (uint8_t)(happening->value - 1), right, left, false);
    } else {
        network_cut(sim, left, right, false);
        network_cut(sim, right, left, false);
    }
}

void
nemesis_end(struct sim *sim, const struct happening *happening)
{
    enum fault_kind kind = (enum fault_kind)happening->index;

    switch (kind) {
    case FAULT_CRASH:
        if (node_is_up(&sim->nodes[happening->node]))
            break;
        if ((sim->plan.faults & 1u << FAULT_DISK_ROT) && decaying(sim)->self == happening->node && !sim->healing &&
            !decaying(sim)->disk.damaged && disk_rot(&sim->nodes[happening->node]))
            sim->counts.kinds |= 1u << FAULT_DISK_ROT;
        operator_visits(sim, &sim->nodes[happening->node]);
        node_boot(&sim->nodes[happening->node]);
        break;
    case FAULT_DISK_FAIL:
    case FAULT_DISK_FULL:
        disk_trouble_ends(sim, kind, &sim->nodes[happening->node]);
        break;
    case FAULT_SLOW_LINK:
        sim->links[happening->node][happening->peer].slow = 0;
        break;
    case FAULT_FLAP:
        if (!sim->healing)
            flap(sim, happening->node, happening->peer, happening->value);
        break;
    case FAULT_ISOLATE:
    case FAULT_ONE_WAY:
    case FAULT_SPLIT:
        if (sim->healing)
            break;
        trace_add(sim, TRACE_FAULT, 0, 0, "%s: set %x is back", fault_name(kind), (uint32_t)happening->value);
        cut_side(sim, (uint32_t)happening->value, kind == FAULT_ONE_WAY, false);
        break;
    case FAULT_CLOCK_WRONG:
        clock_right(sim, happening->node, happening->peer != 0);
        break;
    case FAULT_PARTIAL:
        if (sim->healing)
            break;
        trace_add(sim, TRACE_FAULT, happening->node, happening->peer, "link to n%u is back", happening->peer + 1);
        join_pair(sim, happening);
        break;
    default:
        break;
    }
}

/* All faults end. */
void
nemesis_peace(struct sim *sim)
{
    trace_add(sim, TRACE_FAULT, 0, 0, "peace");
    sim->healing = true;
    network_heal(sim);
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        node->paused_until_ns = 0;
        for (uint8_t worker = 0; worker < SIM_WORKERS; worker++)
            node->workers[worker].paused_until_ns = 0;
        node->disk.no_space = false;
        node->disk.failing = node->disk.astray = 0;
        if (!node_is_up(node))
            node_boot(node);
        else
            node_want_poll(node, US);
    }
    nemesis_mend(sim);
}

void
nemesis_mend(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        if (!node_is_up(node) || !has_failed_journal(node))
            continue;
        node_crash(node);
        node_boot(node);
    }
}
