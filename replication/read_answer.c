/* What a read is told, by the client's node or by the follower that asked for it. */
#include "state.h"

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

    if (read->from == core->config.self) {
        read_tell(read, ready, sink);
        return;
    }
    reply = core_message(core, MESSAGE_READ_INDEX_REPLY, read->from);
    reply.yes = ready;
    reply.read_index.token = read->token;
    reply.read_index.lsn = read->lsn;
    reply.read_index.clock_ns = ready ? grants_give(core, read) : 0;
    core_send(&reply, sink);
}

void
reads_fail(struct core *core, const struct sink *sink)
{
    for (uint32_t i = 0; i < core->reads_count; i++)
        read_answer(core, &core->reads[i], false, sink);
    core->reads_count = 0;
}
