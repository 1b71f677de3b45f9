/* Linearizable reads without a log entry (Raft thesis 6.4): the leader notes its commit lsn, makes
 * sure by a round to a majority that it still led after the read came in, and only then lets the
 * read be served, here or at the follower that asked. Under a lease it spares the round, and the follower of
 * a `ca` log the question (grants.c). */
#include "assert_costly.h"
#include "replication/state.h"

/* Sends the newest round, anew where its answers do not come. */
static void
confirm(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    struct message message = core_message(core, MESSAGE_CONFIRM, CAIRN_NODE_NONE);

    assert(core->role == ROLE_LEADER);
    assert(core->reads_count > 0);
    /* The newest read waits for the newest round. */
    assert(core->reads[core->reads_count - 1].seq == core->confirm_seq);
    message.confirm.seq = core->confirm_seq;
    core->confirm_sent_ns = now_ns;
    core_broadcast(core, &message, sink);
}

/* A new leader does not know its commit lsn until an entry of its term is committed (thesis 6.4). */
static bool
commit_known(const struct core *core)
{
    assert_costly(core->role == ROLE_LEADER);
    assert_costly(core->term_first_lsn <= core->last_lsn);
    return core->commit_lsn >= core->term_first_lsn;
}

void
reads_serve(struct core *core, const struct sink *sink)
{
    uint64_t seq = confirmed_seq(core), last_seq = 0;
    uint32_t kept = 0;

    assert_costly(seq <= core->confirm_seq);
    if (core->role != ROLE_LEADER || !commit_known(core))
        return;
    for (uint32_t i = 0; i < core->reads_count; i++) {
        struct read *read = &core->reads[i];

        if (read->lsn < core->term_first_lsn)
            read->lsn = core->commit_lsn;
        assert(read->seq <= core->confirm_seq);
        assert(read->seq > last_seq);
        assert(read->lsn <= core->commit_lsn);
        last_seq = read->seq;
        if (read->seq <= seq)
            read_answer(core, read, true, sink);
        else
            core->reads[kept++] = *read;
    }
    core->reads_count = kept;
}

static bool
lease_read(struct core *core, struct read *read, const struct sink *sink)
{
    assert(core->role == ROLE_LEADER);
    if (!commit_known(core) || read->asked_ns >= reads_lease_end_ns(core))
        return false;
    /* Nobody was told to campaign, and no round of former voters counts. */
    assert(!core->lease_over);
    assert(confirmed_seq(core) > core->lease_floor_seq);
    read->lsn = core->commit_lsn;
    read_answer(core, read, true, sink);
    return true;
}

static enum cairn_error
leader_read(struct core *core, struct read *read, const struct sink *sink)
{
    assert(core->role == ROLE_LEADER);
    assert(core->reads_count <= READS_MAX);
    assert(core->reads_count == 0 || core->reads[core->reads_count - 1].seq == core->confirm_seq);
    if (core->reads_count == READS_MAX)
        return CAIRN_AGAIN;
    core->confirm_seq++;
    core->confirm_began_ns[core->confirm_seq % ROUNDS_KEPT] = read->asked_ns;
    read->lsn = core->commit_lsn;
    read->seq = core->confirm_seq;
    core->reads[core->reads_count++] = *read;
    confirm(core, read->asked_ns, sink);
    reads_serve(core, sink);
    return CAIRN_OK;
}

enum cairn_error
core_read(struct core *core, uint64_t token, bool lease, uint64_t now_ns, const struct sink *sink)
{
    struct read read = {.token = token, .asked_ns = now_ns, .from = core->config.self};

    if (lease && (core->role == ROLE_LEADER ? lease_read(core, &read, sink) : grants_read(core, token, now_ns, sink)))
        return CAIRN_OK;
    if (core->role == ROLE_LEADER)
        return leader_read(core, &read, sink);
    assert(core->reads_count == 0);
    assert(core->leader != core->config.self);
    if (core->leader == CAIRN_NODE_NONE)
        return CAIRN_NO_LEADER;
    /* Nothing is kept here: a client that waits asks again when no answer comes. */
    grants_ask(core, token, lease, now_ns, sink);
    return CAIRN_OK;
}

void
reads_tick(struct core *core, uint64_t now_ns, const struct sink *sink)
{
    assert_costly(core->reads_count == 0 || core->role == ROLE_LEADER);
    assert_costly(core->reads_count <= READS_MAX);
    if (core->role == ROLE_LEADER && core->reads_count > 0 &&
        now_ns - core->confirm_sent_ns >= core->config.retransmit_ns)
        confirm(core, now_ns, sink);
}

void
receive_confirm(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct message reply;

    if (message->term > core->term || (message->term == core->term && core->role != ROLE_LEADER))
        follow(core, message->term, message->from, now_ns, sink);
    assert(core->term >= message->term);
    reply = core_message(core, MESSAGE_CONFIRM_REPLY, message->from);
    reply.yes = message->term == core->term && !core->config.recovering && core->leader == message->from;
    if (reply.yes && core->promise_until_ns < now_ns + core->config.election_timeout_ns)
        core->promise_until_ns = now_ns + core->config.election_timeout_ns;
    reply.confirm.seq = message->confirm.seq;
    reply.confirm.promise_ns = reply.yes ? core->config.election_timeout_ns : 0;
    assert(!reply.yes || core->role == ROLE_FOLLOWER);
    assert(now_ns + reply.confirm.promise_ns <= core->promise_until_ns || !reply.yes);
    core_send(&reply, sink);
}

void
receive_confirm_reply(struct core *core, const struct message *message, const struct sink *sink)
{
    struct progress *progress = &core->progress[message->from];

    if (core->role != ROLE_LEADER || message->term != core->term || !message->yes)
        return;
    if (message->confirm.seq > core->confirm_seq)
        return;
    assert(progress->confirmed_seq <= core->confirm_seq);
    assert(message->from != core->config.self);
    if (message->confirm.seq > progress->confirmed_seq) {
        progress->confirmed_seq = message->confirm.seq;
        progress->promised_ns = message->confirm.promise_ns;
    }
    reads_serve(core, sink);
}

void
receive_read_index(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct read read = {
        .token = message->read_index.token,
        .asked_ns = now_ns,
        .clock_ns = message->read_index.clock_ns,
        .from = message->from,
    };

    assert(read.from != core->config.self);
    if (core->role == ROLE_LEADER && message->yes && lease_read(core, &read, sink))
        return;
    if (core->role != ROLE_LEADER || leader_read(core, &read, sink) != CAIRN_OK)
        read_answer(core, &read, false, sink);
}

void
receive_read_index_reply(struct core *core, const struct message *message, uint64_t now_ns, const struct sink *sink)
{
    struct read read = {
        .token = message->read_index.token,
        .lsn = message->read_index.lsn,
    };

    grants_take(core, message, now_ns);
    if (read.token != READ_TOKEN_NONE)
        read_tell(&read, message->yes, sink);
}
