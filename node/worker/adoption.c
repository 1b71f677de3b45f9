#include "node/worker/adoption.h"

#include <assert.h>

#include "node/events.h"
#include "node/state.h"
#include "node/worker/apply.h"
#include "node/worker/due.h"
#include "node/worker/held.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* The term that its trunk ends in, durably, or did before some of it was lost here. */
static uint64_t
term_known(const struct node_log *log)
{
    uint64_t held_term = core_term_at(log->core, durable_held_lsn(log)), lacking_lsn, lacking_term;

    assert(durable_held_lsn(log) <= core_last_lsn(log->core));
    assert(held_term <= core_term(log->core));
    return core_lacks(log->core, &lacking_lsn, &lacking_term) && lacking_term > held_term ? lacking_term : held_term;
}

/* From what this node holds. */
static void
lead_alone(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    enum cairn_error error;

    assert(log->rules.adopted_from == worker->self && log->rules.adopted_term > 0);
    if (log->adopting_term == log->rules.adopted_term)
        return;
    error = core_go_on_alone(log->core, log->rules.adopted_term, now_ns, &log->sink);
    if (error == CAIRN_AGAIN)
        return;
    assert(error != CAIRN_OK ||
           (core_role(log->core) == ROLE_LEADER && core_term(log->core) >= log->rules.adopted_term));
    log->adopting_term = log->rules.adopted_term;
    if (error == CAIRN_OK)
        node_event(worker, EVENT_DECIDED, log, worker->self, 0, 0,
                   "by an administrator's word: it goes on from what %s holds", worker->name);
    else
        node_event(worker, EVENT_DECIDED, log, worker->self, 0, 0,
                   "%s cannot go on with it: %s (another node's history can be adopted)", worker->name,
                   cairn_error_text(error));
}

static void
give_up(struct worker *worker, struct node_log *log)
{
    assert(log->rules.adopted_from != worker->self);
    assert(core_adopts(log->core) <= log->rules.adopted_term);
    if (core_adopts(log->core) == log->rules.adopted_term)
        return;
    core_adopt(log->core, log->rules.adopted_term);
    node_event(worker, EVENT_DECIDED, log, log->rules.adopted_from, 0, 0,
               "by an administrator's word: what %s holds is given up for what %s does", worker->name,
               worker->config->cluster->names[log->rules.adopted_from]);
}

static bool
has_stopped_since(const struct node_log *log, uint64_t term)
{
    assert(term > 0);
    return log->stopped_for_good || log->stopped_term >= term;
}

/* Every stop before the decision is over; one since is not. */
static void
end_stops(struct worker *worker, struct node_log *log)
{
    const uint64_t term = log->rules.adopted_term;

    if (core_stopped(log->core) != STOP_NONE && !has_stopped_since(log, term))
        core_end_stop(log->core);
    if (core_recovering(log->core))
        return;
    assert(log->adopted_term < term);
    introduction_end_stops(worker, log->id, term);
    log->adopted_term = term;
}

/* Where the log has not stopped, and is not lost either, what is held is compared with whoever leads, as always: a decision is
 * about stops, and about what too few still know. */
static void
carry_out(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    log_assert(log);
    if (term_known(log) >= log->rules.adopted_term)
        end_stops(worker, log);
    else if (core_stopped(log->core) == STOP_NONE && !core_is_lost(log->core))
        return;
    /* What it has lost since then is another loss, and waits for another decision: nobody meant the nothing that is left. */
    else if (log->rules.adopted_from == worker->self && core_recovering(log->core) && log->rules.adopted_before)
        return;
    else if (log->rules.adopted_from == worker->self)
        lead_alone(worker, log, now_ns);
    /* A replica that has forgotten what it held has nothing to give up, and recovers from whoever leads: unless it stopped
     * before, and was restarted when it had given that up and had nothing yet. */
    else if (core_stopped(log->core) != STOP_NONE)
        give_up(worker, log);
    log_assert(log);
    node_activate(worker, log);
    node_touch(worker, log);
}

void
adoption_review(struct worker *worker, uint64_t now_ns)
{
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        /* One decision follows another, in later and later terms. */
        assert(log->adopted_term <= log->rules.adopted_term && log->adopting_term <= log->rules.adopted_term);
        if (log->adopted_term != log->rules.adopted_term)
            carry_out(worker, log, now_ns);
    }
}
