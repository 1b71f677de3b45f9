/* Who belongs to the log: voters, and learners, which hold the trunk and neither vote nor count
 * (Raft thesis 4.1 to 4.3, 4.2.1 for learners).
 *
 * The membership is an entry of the trunk and in force from the moment it is held, committed or not; a
 * truncation puts the former one in force again. */
#include "replication/state.h"

void
membership_start(struct core *core, const struct members *members)
{
    assert(members_sane(members));
    core->committed_members = *members;
    core->changes_count = 0;
}

const struct members *
core_members(const struct core *core)
{
    assert_costly(core->changes_count <= CHANGES_MAX);
    return core->changes_count == 0 ? &core->committed_members : &core->changes[core->changes_count - 1].members;
}

cairn_node_set
voters_of(const struct core *core)
{
    return core_members(core)->voters;
}

bool
is_member(const struct core *core, uint8_t node)
{
    const struct members *members = core_members(core);

    assert_costly((members->voters & members->learners) == 0);
    return ((members->voters | members->learners) & node_bit(node)) != 0;
}

bool
is_voter(const struct core *core, uint8_t node)
{
    return (voters_of(core) & node_bit(node)) != 0;
}

/* A node that a change takes out is needed until that is agreed on: its trunk may be the only one that is
 * far enough (thesis 4.2.2). */
bool
core_may_lead(const struct core *core)
{
    return is_voter(core, core->config.self) || (core->committed_members.voters & node_bit(core->config.self)) != 0;
}

bool
has_quorum(const struct core *core, cairn_node_set set)
{
    /* Of nobody everything would be a majority, or nothing. */
    assert_costly(voters_of(core) != 0);
    assert_costly(!is_majority(set, voters_of(core)) || !is_majority(~set, voters_of(core)));
    return is_majority(set, voters_of(core));
}

bool
membership_room(const struct core *core)
{
    assert_costly(core->changes_count <= CHANGES_MAX);
    return core->changes_count < CHANGES_MAX;
}

/* The trunk holds a change now. */
void
membership_note(struct core *core, const struct run *run)
{
    assert(run->kind == ENTRY_CONFIG);
    assert(membership_room(core));
    assert(run->count == 1 && run->first_lsn > core->commit_lsn);
    assert(core->changes_count == 0 || core->changes[core->changes_count - 1].lsn < run->first_lsn);
    core->changes[core->changes_count].lsn = run->first_lsn;
    core->changes[core->changes_count++].members = members_decode(run->first_seq);
    assert(members_sane(core_members(core)));
}

void
membership_truncate(struct core *core, uint64_t from_lsn)
{
    assert(from_lsn > core->commit_lsn);
    while (core->changes_count > 0 && core->changes[core->changes_count - 1].lsn >= from_lsn)
        core->changes_count--;
    assert(members_sane(core_members(core)));
}

void
membership_commit(struct core *core, uint64_t lsn)
{
    uint32_t done = 0;

    while (done < core->changes_count && core->changes[done].lsn <= lsn)
        core->committed_members = core->changes[done++].members;
    assert_costly(members_sane(&core->committed_members));
    assert_costly(lsn == core->commit_lsn);
    core->changes_count -= done;
    memmove(core->changes, core->changes + done, core->changes_count * sizeof(core->changes[0]));
}
