/* Messages of this node, and to whom they go. */
#include "assert_costly.h"
#include "replication/state.h"

struct message
core_message(const struct core *core, enum message_type type, uint8_t to)
{
    struct message message;

    assert_costly(to != core->config.self);
    assert_costly(core->role != ROLE_LEADER || core->leader == core->config.self);
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
    assert_costly(message->to < CAIRN_NODES_MAX);
    assert_costly(message->from < CAIRN_NODES_MAX);
    emit(sink, &effect);
}

/* To every other voter. */
void
core_broadcast(const struct core *core, struct message *message, const struct sink *sink)
{
    assert(message->from == core->config.self);
    assert(core->stopped == STOP_NONE);
    for (uint8_t peer = 0; peer < CAIRN_NODES_MAX; peer++) {
        if (peer == core->config.self || !is_voter(core, peer))
            continue;
        message->to = peer;
        core_send(message, sink);
    }
}
