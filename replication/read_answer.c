/* What a read is told, by the client's node or by the follower that asked for it. */
#include "replication/state.h"

void
read_tell(const struct read *read, bool ready, const struct sink *sink)
{
    struct effect effect = {.type = ready ? EFFECT_READ_READY : EFFECT_READ_FAILED};

    effect.read.token = read->token;
    effect.read.lsn = read->lsn;
    emit(sink, &effect);
}

void
read_answer(struct core *core, const struct read *read, bool ready, const struct sink *sink)
{
    struct message reply;

    assert(!ready || core->role == ROLE_LEADER);
    assert(!ready || core->commit_lsn >= core->term_first_lsn);
    assert(!ready || (read->lsn >= core->term_first_lsn && read->lsn <= core->commit_lsn));
    assert(read->seq <= core->confirm_seq);
    if (read->from == core->config.self) {
        read_tell(read, ready, sink);
        return;
    }
    reply = core_message(core, MESSAGE_READ_INDEX_REPLY, read->from);
    reply.yes = ready;
    reply.read_index.token = read->token;
    reply.read_index.lsn = read->lsn;
    reply.read_index.clock_ns = ready ? grants_give(core, read) : 0;
    assert(ready || reply.read_index.clock_ns == 0);
    assert(reply.read_index.clock_ns == 0 || core->config.policy == CAIRN_POLICY_CA);
    /* No grant outlasts the last of them all. */
    assert(core->granted_until_ns[read->from] <= core->grants_until_ns);
    core_send(&reply, sink);
}

void
reads_fail(struct core *core, const struct sink *sink)
{
    assert(core->reads_count <= READS_MAX);
    assert(core->reads_count == 0 || core->reads[core->reads_count - 1].seq == core->confirm_seq);
    for (uint32_t i = 0; i < core->reads_count; i++)
        read_answer(core, &core->reads[i], false, sink);
    core->reads_count = 0;
}
