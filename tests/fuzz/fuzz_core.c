/* Hostile messages to a core: whatever a decoder lets through must not trip an assertion. The input is a list
 * of events: messages with fields of its own, ticks, appends. */
#include <stdlib.h>
#include <string.h>

#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t
take(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    if (bytes > input->left)
        bytes = input->left;
    memcpy(&value, input->at, bytes);
    input->at += bytes;
    input->left -= bytes;
    return value;
}

/* Of what the core asks for only its recovery's nonce is kept: no input would ever guess it. */
static void
apply(void *context, const struct effect *effect)
{
    uint64_t *nonce = context;

    if (effect->type == EFFECT_SEND && effect->message.type == MESSAGE_RECOVER)
        *nonce = effect->message.recover.nonce;
}

static struct members
members(struct input *input)
{
    struct members taken;

    taken.voters = (cairn_node_set)take(input, 4);
    taken.learners = (cairn_node_set)take(input, 4);
    return taken;
}

/* The bounds are those that codec_decode() gives. */
static void
message(struct input *input, struct core *core, const struct sink *sink, uint64_t now_ns)
{
    static const struct entry_id ids[64];
    static const struct mark marks[70];
    struct producer_row rows[PRODUCER_ROWS_MAX];
    struct message message;
    struct run *run = &message.append.run;

    memset(&message, 0, sizeof(message));
    message.type = (uint8_t)(take(input, 1) % MESSAGE_TYPES);
    message.from = 1 + (uint8_t)(take(input, 1) % 2);
    message.to = 0;
    message.term = take(input, 1);
    message.yes = take(input, 1) & 1;
    message.recovering = take(input, 1) & 1;
    message.vote.last_lsn = take(input, 2);
    message.vote.last_term = take(input, 1);
    if (message.type == MESSAGE_HAND_OFF)
        run = &message.hand_off.run;
    if (message.type == MESSAGE_SPREAD) {
        run = &message.spread.run;
        message.spread.prev_place = branch_place((uint32_t)take(input, 1) % 4, take(input, 1));
        message.spread.settled_place = branch_place((uint32_t)take(input, 1) % 4, take(input, 1));
    }
    message.transfer = message.type == MESSAGE_VOTE && message.vote.last_lsn % 2 == 0;
    if (message.type == MESSAGE_APPEND)
        message.append.commit_lsn = take(input, 2);
    if (message.type == MESSAGE_LEND) {
        message.append.last_lsn = take(input, 2);
        message.append.last_term = take(input, 1);
    }
    if (message.type == MESSAGE_RECOVER_REPLY) {
        message.recover.nonce = *(const uint64_t *)sink->context;
        message.recover.last_lsn = take(input, 2);
        message.recover.members = members(input);
        message.recover.leader = take(input, 1) & 1;
    }
    if (message.type == MESSAGE_BASE) {
        message.base.members = members(input);
        message.base.marks = marks;
        message.base.marks_count = (uint32_t)take(input, 1) % 70;
    }
    if (message.type == MESSAGE_PRODUCERS) {
        message.producers.rows = rows;
        message.producers.count = (uint32_t)take(input, 1) % (PRODUCER_ROWS_MAX + 1);
        for (uint32_t i = 0; i < message.producers.count; i++) {
            memset(&rows[i], 0, sizeof(rows[i]));
            rows[i].id = take(input, 1);
            rows[i].seq = take(input, 1);
            rows[i].lsn = 1 + take(input, 1);
            rows[i].epoch = (uint32_t)take(input, 1);
        }
    }
    if (message.type == MESSAGE_APPEND || message.type == MESSAGE_LEND || message.type == MESSAGE_HAND_OFF ||
        message.type == MESSAGE_SPREAD) {
        memset(run, 0, sizeof(*run));
        run->term = take(input, 1);
        run->kind = (uint8_t)(take(input, 1) % 4);
        run->count = run->kind == ENTRY_DATA ? (uint32_t)take(input, 1) % 65 : 1;
        run->first_seq = 1 + take(input, 2);
        run->incarnation = (uint32_t)take(input, 1);
        run->origin = (uint8_t)(take(input, 1) % CAIRN_NODES_MAX);
        if (message.type != MESSAGE_HAND_OFF && message.type != MESSAGE_SPREAD)
            run->first_lsn = message.append.prev_lsn + 1;
    }
    core_receive(core, &message, ids, now_ns, sink);
}

/* One event, taken from the input. Returns the time after it. */
static uint64_t
step(struct input *input, struct core *core, const struct sink *sink, uint64_t now_ns)
{
    struct entry_id id = {.producer = 1 + take(input, 1) % 20, .producer_seq = 1 + take(input, 1) % 4};
    struct accepted accepted;
    struct members next;
    uint64_t lsn;

    switch (take(input, 1) % 11) {
    case 0:
        now_ns += take(input, 2);
        core_tick(core, now_ns, sink);
        break;
    case 1:
        core_append(core, &id, CAIRN_ACK_MAJORITY, &accepted);
        break;
    case 2:
        if (core_role(core) != ROLE_LEADER)
            core_append_branch(core, &id, &accepted);
        break;
    case 3:
        core_reach(core, (cairn_node_set)take(input, 1) & 7, now_ns, sink);
        break;
    case 4:
        core_leader_alive(core, 1 + (uint8_t)(take(input, 1) % 2), take(input, 1), take(input, 2), now_ns, sink);
        break;
    case 5:
        core_transfer(core, (uint8_t)(take(input, 1) % 4), now_ns);
        break;
    case 6:
        next.voters = (cairn_node_set)take(input, 1) & 15;
        next.learners = (cairn_node_set)take(input, 1) & 15;
        core_change_members(core, &next, now_ns, sink, &lsn);
        break;
    case 7:
        core_trimmed(core, core_commit_lsn(core) == 0 ? 0 : take(input, 2) % core_commit_lsn(core));
        break;
    default:
        message(input, core, sink, now_ns);
    }
    core_held(core, core_last_lsn(core), now_ns, sink);
    return now_ns;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t nonce = 0;
    struct sink sink = {.apply = apply, .context = &nonce};
    struct core_config config = {.members.voters = 7,
                                 .incarnation = 1,
                                 .seed = 1,
                                 .election_timeout_ns = 1000,
                                 .retransmit_ns = 500,
                                 .window_entries = 256,
                                 .producers_max = 16,
                                 .policy = (enum cairn_policy)(size % 4),
                                 .recovering = size % 8 == 7};
    void *memory = aligned_alloc(64, (core_footprint(&config) + 63) & ~(size_t)63);
    uint64_t now_ns = 1000000;
    struct core *core = core_init(memory, &config, now_ns);

    while (input.left > 0)
        now_ns = step(&input, core, &sink, now_ns);
    free(memory);
    return 0;
}
