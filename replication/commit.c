/* What is committed (Raft 5.3, 5.4.2). */
#include "replication/state.h"

/* The highest lsn that a majority of the voters holds. A follower that is still recovering does not
 * count: what it says it holds now says nothing about what it promised before. */
static uint64_t
majority_lsn(const struct core *core, uint64_t *all_lsn)
{
    cairn_node_set voters = voters_of(core);
    uint64_t held[CAIRN_NODES_MAX];
    uint32_t count = 0;

    for (uint8_t node = 0; node < CAIRN_NODES_MAX; node++) {
        uint64_t lsn;
        uint32_t place;

        if (!(voters & node_bit(node)))
            continue;
        lsn = node == core->config.self         ? core->held_lsn
              : core->progress[node].recovering ? 0
                                                : core->progress[node].match_lsn;
        /* cppcheck-suppress uninitvar; places below count are filled */
        for (place = count++; place > 0 && held[place - 1] < lsn; place--)
            held[place] = held[place - 1];
        held[place] = lsn;
    }
    assert(count == set_size(voters) && count > 0);
    assert_costly(held[0] <= core->last_lsn);
    assert_costly(held[0] >= held[count / 2] && held[count / 2] >= held[count - 1]);
    *all_lsn = held[count - 1];
    return held[count / 2];
}

void
commit_to(struct core *core, uint64_t lsn, const struct sink *sink)
{
    if (lsn <= core->commit_lsn)
        return;
    assert(lsn <= core->last_lsn);
    assert(core->role == ROLE_LEADER || lsn <= core->match_lsn);
    core->commit_lsn = lsn;
    runs_commit(&core->runs, lsn, &core->committed_marks);
    producers_commit(&core->producers, lsn);
    membership_commit(core, lsn);
    assert_costly(core->changes_count == 0 || core->changes[0].lsn > lsn);
    assert_costly((core->runs.head == core->runs.tail) == (lsn == core->last_lsn));
    emit_lsn(sink, EFFECT_COMMIT, lsn);
    branch_settle(core, sink);
    assert_costly(core->commit_lsn == lsn);
}

static void
advance(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    uint64_t all_lsn, lsn = majority_lsn(core, &all_lsn), limit = grants_limit(core, now_ns);

    assert(core->role == ROLE_LEADER);
    assert(lsn <= core->last_lsn);
    assert(all_lsn <= lsn);
    assert_costly(core->term_first_lsn <= core->last_lsn);
    core->grants_held_back = lsn > limit;
    lsn = lsn < limit ? lsn : limit;
    /* Only an entry of this term is committed by counting (Raft 5.4.2). */
    if (lsn > core->commit_lsn && history_term(&core->history, lsn) == core->term) {
        if (all_lsn > core->all_lsn)
            core->all_lsn = all_lsn < lsn ? all_lsn : lsn;
        commit_to(core, lsn, sink);
        assert_costly(core->commit_lsn >= core->term_first_lsn);
        reads_serve(core, sink);
    } else if (all_lsn > core->all_lsn) {
        /* The slowest caught up with what is committed already. */
        core->all_lsn = all_lsn < core->commit_lsn ? all_lsn : core->commit_lsn;
        emit_lsn(sink, EFFECT_COMMIT, core->commit_lsn);
    }
    assert_costly(core->all_lsn <= core->commit_lsn && core->commit_lsn <= core->last_lsn);
}

void
commit_advance(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert_costly(core->role == ROLE_LEADER && core->leader == core->config.self);
    advance(core, now_ns, sink);
    pace_commit(core, now_ns);
    hand_off_resume(core, now_ns, sink);
    assert_costly(core->role == ROLE_LEADER);
}

/* What was held back is committed once the grant has ended, though nobody says anything new. */
void
commit_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    if (core->role == ROLE_LEADER && core->grants_held_back)
        commit_advance(core, now_ns, sink);
}
