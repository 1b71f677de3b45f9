/* What must hold, whatever happens: the promises of docs/cap.md. Here of the trunk: what nodes commit is one history, of
 * entries that clients gave, looked at after every poll of every node. */
#include "sim/checker.h"

#include <stdlib.h>
#include <string.h>

#include "node/state.h"
#include "sim/checker_modes.h"
#include "sim/checker_nodes.h"
#include "sim/clients.h"
#include "sim/log_check.h"
#include "sim/node.h"
#include "sim/ops.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trace.h"
#include "sim/trunk.h"

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
