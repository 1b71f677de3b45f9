/* What must hold, whatever happens: the promises of docs/cap.md, looked at after every poll of every
 * node and at every answer to a client. */
#include "sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A suspicion is judged by timers that run once an interval, by a worker that takes its turns. */
#define MODE_SLACK_NS (3 * MS)
/* Is no entry that a leader writes behind what is on the trunk before it, by its hybrid clock? Not while a leader takes
 * in nothing of what it receives: each writes by its own clock alone. */
#define CLOCKS_RISE false

static struct committed
entry_of(const struct stretch *stretch, uint32_t offset, const struct record *record)
{
    const struct block *block = stretch->block;
    struct committed entry = {
        .client = UINT64_MAX,
        .term = block->term,
        .fork_lsn = block->fork_lsn,
        .hlc = block->kind == ENTRY_DATA ? block->hlc + stretch->index + offset : 0,
        .trunk_hlc = block->trunk_hlc + stretch->index + offset,
        .flags = block->flags,
        .seq = block->kind == ENTRY_DATA ? block->first_seq + stretch->index + offset : block->first_seq,
        .crc = record->crc32c,
        .incarnation = block->incarnation,
        .origin = block->origin,
        .kind = block->kind,
    };

    /* Clients give no keys; what has one is a scenario's. */
    if (block->kind == ENTRY_DATA && record->key_bytes > 0)
        entry.client = SIM_PROBE;
    if (block->kind == ENTRY_DATA && record->key_bytes == 0 && record->payload_bytes >= 16) {
        memcpy(&entry.client, record_payload(record), 8);
        memcpy(&entry.index, record_payload(record) + 8, 8);
    }
    return entry;
}

static bool
same(const struct committed *left, const struct committed *right)
{
    return left->client == right->client && left->index == right->index && left->term == right->term &&
           left->seq == right->seq && left->crc == right->crc && left->incarnation == right->incarnation &&
           left->origin == right->origin && left->kind == right->kind && left->hlc == right->hlc &&
           left->trunk_hlc == right->trunk_hlc && left->flags == right->flags && left->fork_lsn == right->fork_lsn;
}

static void
check_order(struct sim *sim, uint32_t log, struct sim_client *client, uint64_t producer, uint64_t index, uint64_t lsn)
{
    for (uint32_t i = 0; i < client->lives_count; i++) {
        struct producer_life *life = &client->lives[i];

        if (life->producer != producer)
            continue;
        if (index < life->last_index)
            sim_violation(sim, "log %s, lsn %lu: entry %lu of client %u comes after its entry %lu", sim_log_name(log),
                          (unsigned long)lsn, (unsigned long)index, client->index, (unsigned long)life->last_index - 1);
        life->last_index = index + 1;
        return;
    }
    sim_violation(sim, "log %s, lsn %lu: no client ever had producer %lx", sim_log_name(log), (unsigned long)lsn,
                  (unsigned long)producer);
}

static const char *
origin_text(const struct committed *entry, char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "term %lu, n%u's sequence %lu of life %u", (unsigned long)entry->term, entry->origin + 1,
             (unsigned long)entry->seq, entry->incarnation);
    return text;
}

/* An entry is committed for the first time anywhere: is it one that a client gave, and only once? */
static void
check_history(struct sim *sim, uint32_t log, uint64_t lsn, const struct committed *entry, uint64_t producer)
{
    struct sim_client *client;
    char first[80], second[80];
    struct op *op;

    if (log == 0 || entry->kind != ENTRY_DATA || entry->client == SIM_PROBE)
        return;
    if (entry->client >= SIM_CLIENTS || entry->index >= sim->clients[entry->client].given) {
        sim_violation(sim, "log %s, lsn %lu: an entry that no client gave", sim_log_name(log), (unsigned long)lsn);
        return;
    }
    client = &sim->clients[entry->client];
    op = &client->ops[entry->index];
    if (op->committed_lsn != 0)
        sim_violation(sim, "log %s: entry %lu of client %u stands at lsn %lu (%s) and again at %lu (%s)",
                      sim_log_name(log), (unsigned long)entry->index, client->index, (unsigned long)op->committed_lsn,
                      origin_text(&sim->trunks[log].entries[op->committed_lsn], first, sizeof(first)),
                      (unsigned long)lsn, origin_text(entry, second, sizeof(second)));
    if (op->state == OP_REFUSED)
        sim_violation(sim, "log %s, lsn %lu: entry %lu of client %u was refused, and stands there", sim_log_name(log),
                      (unsigned long)lsn, (unsigned long)entry->index, client->index);
    op->committed_lsn = lsn;
    check_order(sim, log, client, producer, entry->index, lsn);
}

void
checker_init(struct sim *sim)
{
    sim->clocks_rise = CLOCKS_RISE;
}

/* What a leader writes is later than what it wrote before in this life. What came by a branch has the clock of when it was written
 * there. */
static void
check_clock(struct sim *sim, uint32_t log, uint64_t lsn, const struct committed *entry)
{
    struct trunk_check *trunk = &sim->trunks[log];

    if (entry->kind != ENTRY_DATA || entry->origin >= SIM_NODES)
        return;
    if (entry->fork_lsn == FORK_TRUNK) {
        if (trunk->clocks[entry->origin].incarnation == entry->incarnation &&
            entry->hlc <= trunk->clocks[entry->origin].hlc)
            sim_violation(sim, "log %s, lsn %lu: n%u's clock has gone back from %lu to %lu", sim_log_name(log),
                          (unsigned long)lsn, entry->origin + 1, (unsigned long)trunk->clocks[entry->origin].hlc,
                          (unsigned long)entry->hlc);
        if (sim->clocks_rise && entry->hlc <= trunk->hlc_max)
            sim_violation(sim, "log %s, lsn %lu: n%u wrote it at %lu, and what is before it at %lu", sim_log_name(log),
                          (unsigned long)lsn, entry->origin + 1, (unsigned long)entry->hlc,
                          (unsigned long)trunk->hlc_max);
        trunk->clocks[entry->origin].hlc = entry->hlc;
        trunk->clocks[entry->origin].incarnation = entry->incarnation;
    }
    if (entry->hlc > trunk->hlc_max)
        trunk->hlc_max = entry->hlc;
}

static void
trunk_add(struct sim *sim, uint32_t log, const struct committed *entry, uint64_t producer, uint64_t commit_term)
{
    struct trunk_check *trunk = &sim->trunks[log];

    if (trunk->last + 1 >= trunk->capacity) {
        trunk->capacity = trunk->capacity == 0 ? 4096 : 2 * trunk->capacity;
        trunk->entries = realloc(trunk->entries, trunk->capacity * sizeof(*trunk->entries));
    }
    trunk->entries[++trunk->last] = *entry;
    trunk->entries[trunk->last].commit_term = commit_term;
    sim->counts.committed++;
    check_clock(sim, log, trunk->last, entry);
    check_trunk_clock(sim, log, trunk->last, entry);
    check_history(sim, log, trunk->last, entry, producer);
}

void
check_committed(struct sim *sim, uint8_t node, uint32_t log, uint64_t lsn, const struct committed *entry,
                uint64_t producer, uint64_t commit_term)
{
    struct trunk_check *trunk = &sim->trunks[log];

    if (lsn == trunk->last + 1) {
        trunk_add(sim, log, entry, producer, commit_term);
        return;
    }
    if (lsn <= trunk->last && same(entry, &trunk->entries[lsn]))
        return;
    sim_violation(sim,
                  "log %s, lsn %lu: n%u has committed another entry (term %lu) than was committed first (term %lu)",
                  sim_log_name(log), (unsigned long)lsn, node + 1, (unsigned long)entry->term,
                  (unsigned long)(lsn <= trunk->last ? trunk->entries[lsn].term : 0));
}

/* Goes over the node's trunk up to lsn. Returns how far it came. */
static uint64_t
walk(struct sim *sim, struct sim_node *node, uint32_t log, struct cursor *cursor, uint64_t done, uint64_t lsn)
{
    struct node_log *held = node_log_of(node, log);
    uint64_t first = store_first(&held->trunk) != 0 ? store_first(&held->trunk) : held->trunk.last + 1;
    struct stretch stretch;

    /* What is trimmed, or on disk alone, cannot be looked at any more. */
    if (done < held->base_lsn || done + 1 < first) {
        done = held->base_lsn > first ? held->base_lsn : first - 1;
        *cursor = (struct cursor){.position = done + 1};
    }
    while (done < lsn && !sim->failed && store_look(&held->trunk, cursor, lsn, UINT32_MAX, SIZE_MAX, &stretch)) {
        const uint8_t *at = stretch.records;

        if (stretch.first != done + 1) {
            sim_violation(sim, "log %s: n%u has a hole after lsn %lu", sim_log_name(log), node->self + 1,
                          (unsigned long)done);
            return done;
        }
        for (uint32_t i = 0; i < stretch.count; i++) {
            const struct record *record = (const struct record *)(const void *)at;
            struct committed entry = entry_of(&stretch, i, record);

            check_committed(sim, node->self, log, ++done, &entry, record->producer, core_term(held->core));
            at += record_size(record);
        }
        store_advance(cursor, &stretch);
    }
    return done;
}

static void
check_digest(struct sim *sim, struct sim_node *node, uint32_t log, const struct node_log *held)
{
    struct trunk_check *trunk = &sim->trunks[log];
    uint64_t lsn = held->digest_lsn;

    if (lsn == 0 || lsn > trunk->last || sim->contradicted)
        return;
    if (trunk->entries[lsn].digest == 0)
        trunk->entries[lsn].digest = held->digest;
    if (trunk->entries[lsn].digest != held->digest)
        sim_violation(sim, "log %s: n%u's digest at lsn %lu differs", sim_log_name(log), node->self + 1,
                      (unsigned long)lsn);
    if (core_stopped(held->core) != STOP_NONE)
        sim_violation(sim, "log %s: n%u has stopped: it says that histories contradict each other", sim_log_name(log),
                      node->self + 1);
}

/* Leader completeness (Raft figure 3): whoever leads in a term holds all that was committed in earlier
 * ones. A leader of a former term, which does not know yet that it is one, need not. */
static void
check_complete(struct sim *sim, struct sim_node *node, uint32_t log, const struct node_log *held)
{
    const struct trunk_check *trunk = &sim->trunks[log];
    struct cursor cursor = node->checks[log].cursor;
    uint64_t term = core_term(held->core), must_lsn = trunk->last;

    while (must_lsn > 0 && trunk->entries[must_lsn].commit_term >= term)
        must_lsn--;
    if (walk(sim, node, log, &cursor, node->checks[log].checked_lsn, must_lsn) < must_lsn && !sim->failed)
        sim_violation(sim, "log %s: n%u leads in term %lu without the committed lsn %lu", sim_log_name(log),
                      node->self + 1, (unsigned long)term, (unsigned long)must_lsn);
}

void
checker_adopt(struct sim *sim, uint32_t log, uint8_t from)
{
    struct trunk_check *trunk = &sim->trunks[log];
    uint64_t lsn = core_commit_lsn(node_log_of(&sim->nodes[from], log)->core);

    sim->contradicted = true;
    if (trunk->last > lsn)
        trunk->last = lsn;
    if (trunk->acked_lsn > lsn)
        trunk->acked_lsn = lsn;
    if (trunk->read_lsn > lsn)
        trunk->read_lsn = lsn;
    memset(trunk->clocks, 0, sizeof(trunk->clocks));
    trunk->hlc_max = 0;
}

static void
check_log(struct sim *sim, struct sim_node *node, uint32_t log)
{
    struct log_check *check = &node->checks[log];
    struct node_log *held = node_log_of(node, log);
    uint64_t commit_lsn, term, committed_before = check->checked_lsn;
    enum role role;

    if (held == NULL)
        return;
    commit_lsn = core_commit_lsn(held->core);
    role = core_role(held->core);
    term = core_term(held->core);
    /* It holds another history than what counts, until it gives that up. */
    if (sim->contradicted && log != 0 &&
        (core_stopped(held->core) != STOP_NONE ||
         core_term_at(held->core, core_last_lsn(held->core)) < sim->decided_term))
        return;
    if (sim->contradicted && commit_lsn < check->checked_lsn)
        *check = (struct log_check){0};
    if (commit_lsn > check->checked_lsn) {
        check->checked_lsn = walk(sim, node, log, &check->cursor, check->checked_lsn, commit_lsn);
        if (check->checked_lsn < commit_lsn && !sim->failed)
            sim_violation(sim, "log %s: n%u has committed lsn %lu and does not hold it", sim_log_name(log),
                          node->self + 1, (unsigned long)commit_lsn);
        check_digest(sim, node, log, held);
    }
    if (role == ROLE_LEADER && (check->role != ROLE_LEADER || check->leader_term != term)) {
        trace_add(sim, TRACE_ROLE, node->self, 0, "leads log %s in term %lu, last lsn %lu, committed %lu",
                  sim_log_name(log), (unsigned long)term, (unsigned long)core_last_lsn(held->core),
                  (unsigned long)commit_lsn);
        check_elected(sim, node->self, node->incarnation, log, term, core_members(held->core)->voters);
        if (!core_may_lead(held->core))
            sim_violation(sim, "log %s: n%u leads and is no voter", sim_log_name(log), node->self + 1);
        check_complete(sim, node, log, held);
        check->leader_term = term;
    }
    check_role(sim, node, log, committed_before);
    check_rules(sim, node, log);
    check_ages(sim, node, log, held, role == ROLE_LEADER || check->role == ROLE_LEADER);
    check->role = role;
}

void
check_node(struct sim *sim, struct sim_node *node)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++)
        check_log(sim, node, log);
}

/* What makes heartbeats late or nodes stall, of which there is something to learn. */
#define TEACHING                                                                                                       \
    (1u << FAULT_LOSS | 1u << FAULT_REORDER | 1u << FAULT_CORRUPT | 1u << FAULT_DELAY_TAIL | 1u << FAULT_SLOW_LINK |   \
     1u << FAULT_FLAP | 1u << FAULT_PAUSE)
#define CUTS (1u << FAULT_ISOLATE | 1u << FAULT_ONE_WAY | 1u << FAULT_PARTIAL | 1u << FAULT_SPLIT)

/* A cut that is over before anybody is suspected is lateness as well; the shortest lasts a quarter of the mean, and peace
 * ends one at any time. */
static bool
teaches(const struct sim *sim)
{
    const struct plan *plan = &sim->plan;

    return (plan->faults & TEACHING) ||
           ((plan->faults & CUTS) && (sim->healing || plan->fault_for_ns / 4 < SIM_TIMEOUT_NS));
}

/* How long the node may wait for the peer: by what it knew at the look before, too, since what it knows of a peer is gone
 * when that starts anew. */
static uint64_t
patience_ns(struct sim *sim, struct sim_node *node, uint8_t worker, uint8_t peer)
{
    uint64_t now_ns = node->node->workers[worker]->detector.peers[peer].wait_ns, wait_ns = now_ns;

    if (wait_ns < node->workers[worker].waits_ns[peer])
        wait_ns = node->workers[worker].waits_ns[peer];
    node->workers[worker].waits_ns[peer] = now_ns;
    if (wait_ns < SIM_TIMEOUT_NS)
        return SIM_TIMEOUT_NS;
    if (wait_ns > SIM_TIMEOUT_NS && !sim->scripted && !teaches(sim))
        sim_violation(sim, "n%u waits %lu us for n%u, and nothing was ever late", node->self + 1,
                      (unsigned long)(wait_ns / 1000), peer + 1);
    if (wait_ns > SIM_CEILING_NS)
        sim_violation(sim, "n%u waits %lu us for n%u", node->self + 1, (unsigned long)(wait_ns / 1000), peer + 1);
    return wait_ns;
}

/* How long the node waits for anybody, as was looked at last. */
static uint64_t
longest_wait_ns(const struct sim_node *node, uint8_t worker)
{
    uint64_t longest_ns = SIM_TIMEOUT_NS;

    for (uint8_t peer = 0; peer < node->sim->plan.nodes; peer++) {
        if (node->workers[worker].waits_ns[peer] > longest_ns)
            longest_ns = node->workers[worker].waits_ns[peer];
    }
    return longest_ns;
}

/* Whom the worker can have in reach: whose heartbeats it has read lately. */
static cairn_node_set
reachable(struct sim *sim, struct sim_node *node, uint8_t worker)
{
    const uint64_t *heard_ns = node->workers[worker].heard_ns;
    cairn_node_set set = (cairn_node_set)1 << node->self;

    for (uint8_t peer = 0; peer < sim->plan.nodes; peer++) {
        if (peer != node->self && heard_ns[peer] != 0 &&
            sim->now_ns - heard_ns[peer] <= patience_ns(sim, node, worker, peer) + SIM_INTERVAL_NS + MODE_SLACK_NS)
            set |= (cairn_node_set)1 << peer;
    }
    return set;
}

/* Modes change within timeout and interval of a cut; and back, once those who are back can be held back no more. */
static void
check_mode(struct sim *sim, struct sim_node *node, uint8_t worker)
{
    cairn_node_set reach = reachable(sim, node, worker), sure = check_sure_reach(sim, node, worker);

    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        const struct node_log *held = node_log_of(node, log);
        cairn_node_set voters = held == NULL ? 0 : core_members(held->core)->voters;
        struct mode_inputs inputs;

        if (held != NULL && held->worker->task.number != worker)
            continue;

        /* Who stops decides nothing any more. */
        if (held == NULL || node->stop_by_ns != 0 || core_role(held->core) != ROLE_LEADER)
            node->checks[log].alone_ns = 0;
        else
            check_alone(sim, node->self, log, &node->checks[log], (uint32_t)__builtin_popcount(reach & voters),
                        (uint32_t)__builtin_popcount(voters), longest_wait_ns(node, worker));
        if (held == NULL || node->stop_by_ns != 0 || held->rules.policy == CAIRN_POLICY_AP)
            continue;
        inputs = (struct mode_inputs){
            .policy = held->rules.policy,
            .nodes = (uint32_t)__builtin_popcount(voters),
            .reached = (uint32_t)__builtin_popcount(sure & voters),
            .falls_to_cp = held->rules.falls_to_cp,
        };
        check_need(sim, node->self, log, &node->checks[log], &inputs, held->mode);
        inputs.reached = (uint32_t)__builtin_popcount(reach & voters);
        if (inputs.reached >= mode_needs(&inputs))
            continue;
        if (held->mode == CAIRN_MODE_CP || held->mode == CAIRN_MODE_MERGING)
            sim_violation(sim, "log %s: n%u heard %u of %u for longer than timeout and interval, and is in mode %s",
                          sim_log_name(log), node->self + 1, inputs.reached, inputs.nodes, cairn_mode_name(held->mode));
    }
}

void
check_often(struct sim *sim)
{
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];

        for (uint8_t worker = 0; node_is_up(node) && worker < sim_workers(sim); worker++) {
            if (sim->now_ns > worker_resumed_ns(node, worker) + 3 * SIM_TIMEOUT_NS &&
                sim->now_ns >= worker_paused_until_ns(node, worker))
                check_mode(sim, node, worker);
        }
    }
}

/* Acknowledged by all: every voter that has lived since it could hold it does. */
static bool
held_by_all(const struct sim *sim, uint32_t log, uint64_t lsn)
{
    uint8_t leader = sim_leader(sim, log);
    cairn_node_set voters;

    if (leader == CAIRN_NODE_NONE)
        return true;
    voters = core_members(node_log_of(&sim->nodes[leader], log)->core)->voters;
    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);

        if ((voters >> i & 1) && held != NULL && !core_recovering(held->core) && !sim->nodes[i].disk.damaged &&
            core_last_lsn(held->core) < lsn)
            return false;
    }
    return true;
}

static bool
stands_at(const struct sim *sim, const struct sim_client *client, uint64_t index, uint64_t lsn)
{
    const struct trunk_check *trunk = &sim->trunks[client->log];

    return lsn >= 1 && lsn <= trunk->last && trunk->entries[lsn].client == client->index &&
           trunk->entries[lsn].index == index;
}

static void
note_acked(const struct sim *sim, struct trunk_check *trunk, uint64_t lsn)
{
    uint32_t last = trunk->acked_count - 1;

    trunk->acked_lsn = lsn;
    if (trunk->acked_count > 0 && sim->now_ns - trunk->acked[last % ACKED_KEPT].at_ns < MS)
        return;
    trunk->acked[trunk->acked_count % ACKED_KEPT].at_ns = sim->now_ns;
    trunk->acked[trunk->acked_count++ % ACKED_KEPT].lsn = lsn;
}

/* What a client knew then to be committed; less, where that is not remembered exactly. */
uint64_t
acked_before(const struct trunk_check *trunk, uint64_t at_ns)
{
    for (uint32_t i = trunk->acked_count; i > 0 && i + ACKED_KEPT > trunk->acked_count; i--) {
        if (trunk->acked[(i - 1) % ACKED_KEPT].at_ns <= at_ns)
            return trunk->acked[(i - 1) % ACKED_KEPT].lsn;
    }
    return 0;
}

static void
check_acknowledged(struct sim *sim, struct sim_client *client, uint64_t index, const struct session_result *result)
{
    struct trunk_check *trunk = &sim->trunks[client->log];
    struct op *op = &client->ops[index];

    op->state = OP_ACKED;
    op->ack = (uint8_t)result->result.ack;
    op->on_branch = result->result.on_branch;
    op->lsn = result->result.lsn;
    op->holder = result->result.origin;
    op->holder_incarnation = result->result.incarnation;
    sim->counts.acked++;
    check_level(sim, client->log, client->ack, &result->result);
    if (op->on_branch || op->ack == CAIRN_ACK_LOCAL)
        return;
    /* Where the first copy stood may have been trimmed and forgotten. */
    if (op->lsn == 0 && result->result.repeated)
        op->lsn = op->committed_lsn;
    if (!stands_at(sim, client, index, op->lsn)) {
        sim_violation(sim, "log %s: entry %lu of client %u is acknowledged (%s) at lsn %lu, and is not committed there",
                      sim_log_name(client->log), (unsigned long)index, client->index,
                      cairn_ack_name(result->result.ack), (unsigned long)op->lsn);
        return;
    }
    /* Whoever came to vote since then need not. */
    if (op->ack == CAIRN_ACK_ALL && !(sim->plan.faults & 1u << FAULT_MEMBERS) &&
        !held_by_all(sim, client->log, op->lsn))
        sim_violation(sim, "log %s: lsn %lu is acknowledged by all, and one of them does not hold it",
                      sim_log_name(client->log), (unsigned long)op->lsn);
    /* Linearizable: behind all that was acknowledged before it was asked for. */
    if (op->lsn <= op->floor_lsn)
        sim_violation(sim,
                      "log %s: entry %lu of client %u stands at lsn %lu, before lsn %lu that was acknowledged earlier",
                      sim_log_name(client->log), (unsigned long)index, client->index, (unsigned long)op->lsn,
                      (unsigned long)op->floor_lsn);
    if (op->lsn > trunk->acked_lsn)
        note_acked(sim, trunk, op->lsn);
}

void
check_append_result(struct sim *sim, struct sim_client *client, const struct session_result *result)
{
    uint64_t index = client->first_index + result->index;
    struct op *op = &client->ops[index];

    assert(index < client->given);
    op->error = (uint8_t)result->error;
    if (result->error != CAIRN_OK)
        trace_add(sim, TRACE_CLIENT, result->node, 0, "client %u hears of entry %lu: %s", client->index,
                  (unsigned long)index, cairn_error_name(result->error));
    if (client->log == 0)
        return;
    if (result->error == CAIRN_OK) {
        check_acknowledged(sim, client, index, result);
    } else if (result->error == CAIRN_UNKNOWN) {
        op->state = OP_UNKNOWN;
        sim->counts.unknown++;
    } else {
        op->state = OP_REFUSED;
        sim->counts.refused++;
        if (op->committed_lsn != 0)
            sim_violation(sim, "log %s: entry %lu of client %u is refused (%s), and stands at lsn %lu",
                          sim_log_name(client->log), (unsigned long)index, client->index,
                          cairn_error_name(result->error), (unsigned long)op->committed_lsn);
    }
}

void
check_read_entry(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    const struct trunk_check *trunk = &sim->trunks[reader->log];
    const struct reader_session *session = &reader->sessions[reader->log];
    uint64_t head[2] = {UINT64_MAX, 0};

    if (result->entry.payload_bytes >= sizeof(head))
        memcpy(head, result->entry.payload, sizeof(head));
    for (uint32_t i = 0; i < session->writes_count && head[0] == SIM_PROBE; i++)
        reader->shown |= (uint32_t)(session->writes[i] == head[1]) << i;
    if (result->on_branch && reader->session && result->error == CAIRN_OK)
        return;
    if (result->error != CAIRN_OK || result->lsn <= reader->seen_lsn || result->lsn > trunk->last ||
        trunk->entries[result->lsn].client != head[0] || trunk->entries[result->lsn].index != head[1])
        sim_violation(sim, "log %s: a read at n%u shows something else at lsn %lu than is committed there",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)result->lsn);
    /* What lies between are control entries. */
    for (uint64_t lsn = reader->seen_lsn + 1; lsn < result->lsn && lsn <= trunk->last; lsn++) {
        if (trunk->entries[lsn].kind == ENTRY_DATA)
            sim_violation(sim, "log %s: a read at n%u leaves out lsn %lu", sim_log_name(reader->log), reader->node + 1,
                          (unsigned long)lsn);
    }
    reader->seen_lsn = result->lsn;
}

void
check_session_write(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct reader_session *session = &reader->sessions[reader->log];

    if (result->error != CAIRN_OK)
        return;
    check_level(sim, reader->log, (enum cairn_ack)reader->ack, result);
    /* More than it has room for: another session. */
    if (session->writes_count == SESSION_WRITES || cairn_token_note(&session->token, result) != CAIRN_OK)
        *session = (struct reader_session){0};
    else if (result->on_branch) {
        session->writers[session->writes_count] = reader->node;
        session->writes[session->writes_count++] = reader->probes;
    }
}

static bool
on_the_trunk(const struct trunk_check *trunk, uint64_t probe, uint64_t up_to_lsn)
{
    for (uint64_t lsn = up_to_lsn < trunk->last ? up_to_lsn : trunk->last; lsn > 0; lsn--) {
        if (trunk->entries[lsn].client == SIM_PROBE && trunk->entries[lsn].index == probe)
            return true;
    }
    return false;
}

/* Read your writes, and nothing older than was read before. */
static void
check_session_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct reader_session *session = &reader->sessions[reader->log];

    /* What was written at a node that lost its memory may never come: another session, after a while. */
    if (result->error == CAIRN_BEHIND && ++session->behind >= 3)
        *session = (struct reader_session){0};
    if (result->error != CAIRN_OK)
        return;
    if (result->fork_lsn < session->seen_lsn || result->fork_lsn < session->token.lsn)
        sim_violation(sim, "log %s: a session reads up to lsn %lu at n%u after it has seen lsn %lu",
                      sim_log_name(reader->log), (unsigned long)result->fork_lsn, reader->node + 1,
                      (unsigned long)session->token.lsn);
    for (uint32_t i = 0; i < session->writes_count; i++) {
        /* One node's word, and its medium did not keep it. */
        if (sim->plan.disk && sim->nodes[session->writers[i]].disk.damaged)
            continue;
        if (!(reader->shown >> i & 1) && !on_the_trunk(&sim->trunks[reader->log], session->writes[i], result->fork_lsn))
            sim_violation(sim, "log %s: a session's read at n%u misses what it wrote (%lx)", sim_log_name(reader->log),
                          reader->node + 1, (unsigned long)session->writes[i]);
    }
    session->seen_lsn = result->fork_lsn;
    session->behind = 0;
    cairn_token_settle(&session->token, result);
    if (session->token.branches_count == 0)
        session->writes_count = 0;
}

void
check_read_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct trunk_check *trunk = &sim->trunks[reader->log];

    sim->counts.reads++;
    check_denied(sim, &sim->nodes[reader->node].checks[reader->log], reader, result->error);
    if (reader->session)
        check_session_end(sim, reader, result);
    if (result->error == CAIRN_OK && reader->max_lag_ns != 0 && result->lsn < reader->floor_lsn)
        sim_violation(sim, "log %s: a read at n%u, behind by %lu ms at most, ends at lsn %lu; lsn %lu was known before",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)(reader->max_lag_ns / MS),
                      (unsigned long)result->lsn, (unsigned long)reader->floor_lsn);
    if (result->error != CAIRN_OK || !reader->linearizable)
        return;
    if (result->lsn < reader->floor_lsn)
        sim_violation(sim, "log %s: a linearizable read at n%u ends at lsn %lu, and lsn %lu was known before it began",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)result->lsn,
                      (unsigned long)reader->floor_lsn);
    if (result->lsn > trunk->read_lsn)
        trunk->read_lsn = result->lsn;
}

static const char *
log_settled(struct sim *sim, uint32_t log)
{
    uint32_t leaders = 0;

    for (uint8_t i = 0; i < sim->plan.nodes; i++) {
        const struct node_log *held = node_log_of(&sim->nodes[i], log);

        if (held == NULL)
            return "a node without one of the logs";
        if (core_recovering(held->core))
            return "a node that still recovers";
        if (__builtin_popcount(core_members(held->core)->voters) != (int)sim->plan.nodes)
            return "a node that is not a voter again";
        leaders += core_role(held->core) == ROLE_LEADER;
        if (core_commit_lsn(held->core) != sim->trunks[log].last || core_last_lsn(held->core) != sim->trunks[log].last)
            return "a node that has not all that is committed, or more";
        if (core_branch_pending(held->core) || held->own->entries != 0)
            return "a branch that is not merged";
        if (held->mode != (held->rules.policy == CAIRN_POLICY_AP ? CAIRN_MODE_AP : CAIRN_MODE_CP))
            return "a mode of times of need";
    }
    return leaders == 1 ? NULL : "no single leader";
}

const char *
check_settled(struct sim *sim)
{
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        const char *missing = log_settled(sim, log);

        if (missing != NULL)
            return missing;
    }
    return clients_quiet(sim) ? NULL : "a client that waits";
}

/* Did the holder of what was acknowledged at `local` live on? */
static bool
holder_lives(const struct sim *sim, const struct op *op)
{
    if (sim->plan.disk)
        return !sim->nodes[op->holder].disk.damaged;
    return sim->nodes[op->holder].incarnation == op->holder_incarnation;
}

void
check_client_final(struct sim *sim, const struct sim_client *client)
{
    for (uint64_t index = 0; index < client->given && !sim->failed; index++) {
        const struct op *op = &client->ops[index];

        if (op->state == OP_ACKED && op->committed_lsn == 0 &&
            ((!op->on_branch && op->ack > CAIRN_ACK_LOCAL) || holder_lives(sim, op)))
            sim_violation(sim, "log %s: entry %lu of client %u was acknowledged (%s%s) by n%u, and is lost",
                          sim_log_name(client->log), (unsigned long)index, client->index,
                          cairn_ack_name((enum cairn_ack)op->ack), op->on_branch ? ", on the branch" : "",
                          op->holder + 1);
    }
    if (client->last_given && client->ops[client->given - 1].state != OP_ACKED)
        sim_violation(sim, "client %u's append after all faults had ended was not acknowledged: %s", client->index,
                      cairn_error_name((enum cairn_error)client->ops[client->given - 1].error));
}

void
check_final(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_CLIENTS; i++)
        check_client_final(sim, &sim->clients[i]);
    for (uint32_t log = 0; log <= sim->plan.logs; log++) {
        for (uint8_t i = 1; i < sim->plan.nodes && !sim->failed; i++) {
            if (node_log_of(&sim->nodes[i], log)->digest != node_log_of(&sim->nodes[0], log)->digest)
                sim_violation(sim, "log %s: n1's and n%u's digests differ in the end", sim_log_name(log), i + 1);
        }
    }
}

void
checker_fini(struct sim *sim)
{
    for (uint32_t log = 0; log <= SIM_LOGS; log++) {
        for (uint32_t i = 0; i < SIM_NODES; i++)
            free(sim->votes[log][i]);
        free(sim->trunks[log].entries);
        free(sim->trunks[log].terms);
        free(sim->trunks[log].births);
        sim->trunks[log].births = NULL;
        sim->trunks[log].entries = NULL;
        sim->trunks[log].terms = NULL;
    }
}
