/* Messages of this node, and to whom they go. */
#include "state.h"

struct message
core_message(const struct core *core, enum message_type type, uint8_t to)
{
    struct message message;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)type;
    message.from = core->config.self;
    message.to = to;
    message.incarnation = core->config.incarnation;
    message.term = core->term;
    message.recovering = core->config.recovering;
    return message;
}

void
core_send(const struct message *message, const struct sink *sink)
{
    struct effect effect = {.type = EFFECT_SEND, .message = *message};

    assert(message->to != message->from);
    emit(sink, &effect);
}

/* To every other voter. */
void
core_broadcast(const struct core *core, struct message *message, const struct sink *sink)
{
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer == core->config.self || !is_voter(core, peer))
            continue;
        message->to = peer;
        core_send(message, sink);
    }
}
