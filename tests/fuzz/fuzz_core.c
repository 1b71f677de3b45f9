/* Hostile messages to a core: whatever message_plausible() lets through must not trip an assertion, nor make a sum wrap
 * round. The input is a list of events: what a disk tells at a start, then messages with fields of its own, ticks, appends. */
/* fuzz: replication/plausible.c */
/* fuzz: replication/dispatch.c:core_receive */
/* fuzz: replication/restore.c:core_restore_base,terms_sane,core_restore_checkpoint,core_restore_commit,restore_run,core_stands,core_restore_entries,is_missing,core_restore_branch,core_restore_copy,core_restore_state,core_restore_end */
/* fuzz-options: -len_control=0 */
#include <stdlib.h>

#include "replication/core.h"
#include "tests/fuzz/input.h"

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

    if (draw(input, 1) & 1)
        return (struct members){.voters = 7};
    taken.voters = (cairn_node_set)number(input);
    taken.learners = (cairn_node_set)number(input);
    return taken;
}

static struct run
run_from(struct input *input)
{
    struct run run = {0};

    run.term = number(input);
    run.kind = (uint8_t)(draw(input, 1) % 5);
    run.count = (uint32_t)number(input);
    run.first_seq = number(input);
    run.incarnation = (uint32_t)number(input);
    run.origin = (uint8_t)number(input);
    return run;
}

static struct core_base
base_from(struct input *input, struct mark marks[MARKS_MAX])
{
    struct core_base base = {0};

    base.lsn = number(input);
    base.base_term = number(input);
    base.producer_floor = number(input);
    base.marks_lsn = number(input);
    base.members = members(input);
    base.marks_count = (uint32_t)draw(input, 1) % (MARKS_MAX + 1);
    base.marks = marks;
    for (uint32_t i = 0; i < base.marks_count; i++) {
        marks[i].seq = number(input);
        marks[i].incarnation = (uint32_t)number(input);
        marks[i].origin = (uint8_t)number(input);
    }
    return base;
}

static void
rows_from(struct input *input, struct producer_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        memset(&rows[i], 0, sizeof(rows[i]));
        rows[i].id = number(input);
        rows[i].seq = number(input);
        rows[i].lsn = number(input);
        rows[i].former_seq = number(input);
        rows[i].epoch = (uint32_t)number(input);
        rows[i].former_epoch = (uint32_t)number(input);
    }
}

static void
ids_from(struct input *input, struct entry_id ids[MESSAGE_ENTRIES_MAX])
{
    for (uint32_t i = 0; i < 4; i++) {
        ids[i].producer = number(input);
        ids[i].producer_seq = number(input);
        ids[i].epoch = (uint32_t)number(input);
        if (!entry_id_plausible(&ids[i]))
            ids[i] = (struct entry_id){0};
    }
}

/* On a branch, or any 64 bits. */
static uint64_t
place_from(struct input *input)
{
    if (draw(input, 1) % 4 == 0)
        return number(input);
    return branch_place((uint32_t)number(input), number(input));
}

struct bodies {
    struct mark marks[MARKS_MAX];
    struct producer_row rows[PRODUCER_ROWS_MAX];
    struct entry_id ids[MESSAGE_ENTRIES_MAX];
};

/* Of which fields follow from others, codec_decode() makes them so. */
static void
body(struct input *input, struct message *message, struct bodies *bodies, uint64_t nonce)
{
    switch ((enum message_type)message->type) {
    case MESSAGE_APPEND:
    case MESSAGE_LEND:
        message->append.prev_lsn = number(input);
        message->append.prev_term = number(input);
        message->append.commit_lsn = number(input);
        message->append.last_lsn = number(input);
        message->append.last_term = number(input);
        message->append.run = run_from(input);
        message->append.run.first_lsn = message->append.prev_lsn + 1;
        ids_from(input, bodies->ids);
        break;
    case MESSAGE_HAND_OFF:
        message->hand_off.prev_seq = number(input);
        message->hand_off.run = run_from(input);
        ids_from(input, bodies->ids);
        break;
    case MESSAGE_SPREAD:
        message->spread.prev_place = place_from(input);
        message->spread.settled_place = place_from(input);
        message->spread.run = run_from(input);
        ids_from(input, bodies->ids);
        break;
    case MESSAGE_VOTE_REPLY:
        for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++)
            message->vote_reply.lives[i] = i < 3 ? (uint32_t)number(input) : 0;
        break;
    case MESSAGE_HAND_OFF_REPLY:
        message->hand_off_reply.mark = number(input);
        message->hand_off_reply.incarnation = (uint32_t)number(input);
        message->hand_off_reply.origin = (uint8_t)number(input);
        message->hand_off_reply.rate_per_s = (uint32_t)number(input);
        message->hand_off_reply.room = (uint32_t)number(input);
        break;
    case MESSAGE_RECOVER:
    case MESSAGE_RECOVER_REPLY:
        message->recover.nonce = draw(input, 1) % 4 == 0 ? number(input) : nonce;
        message->recover.last_lsn = number(input);
        message->recover.members = members(input);
        message->recover.leader = draw(input, 1) & 1;
        break;
    case MESSAGE_BASE:
        message->base = base_from(input, bodies->marks);
        break;
    case MESSAGE_PRODUCERS:
        message->producers.after_id = number(input);
        message->producers.rows = bodies->rows;
        message->producers.count = (uint32_t)draw(input, 1) % (PRODUCER_ROWS_MAX + 1);
        rows_from(input, bodies->rows, message->producers.count);
        break;
    default: /* three numbers at most */
        message->vote.last_lsn = number(input);
        message->vote.last_term = number(input);
        message->vote.round = number(input);
        break;
    }
}

static void
message(struct input *input, struct core *core, const struct sink *sink, uint64_t now_ns)
{
    struct bodies bodies;
    struct message message;

    memset(&message, 0, sizeof(message));
    memset(&bodies.ids, 0, sizeof(bodies.ids));
    message.type = (uint8_t)(draw(input, 1) % MESSAGE_TYPES);
    message.from = 1 + (uint8_t)(draw(input, 1) % 2);
    message.to = 0;
    message.term = number(input);
    message.incarnation = (uint32_t)number(input);
    message.yes = draw(input, 1) & 1;
    message.recovering = draw(input, 1) & 1;
    message.transfer = draw(input, 1) & 1;
    body(input, &message, &bodies, *(const uint64_t *)sink->context);
    if (message_plausible(&message))
        core_receive(core, &message, bodies.ids, now_ns, sink);
}

/* Where a checkpoint says that it stood, as far as checkpoint.c lets it through. */
static void
restore_checkpoint(struct input *input, struct core *core, const struct sink *sink)
{
    struct term_row terms[4];
    struct mark marks[MARKS_MAX];
    struct core_checkpoint checkpoint = {.base = base_from(input, marks), .terms = terms};

    checkpoint.terms_count = (uint32_t)draw(input, 1) % 5;
    for (uint32_t i = 0; i < checkpoint.terms_count; i++)
        terms[i] = (struct term_row){.term = number(input), .first_lsn = number(input)};
    checkpoint.term = number(input) % (TERM_MAX + 1);
    checkpoint.voted_for = (uint8_t)(draw(input, 1) % 3);
    checkpoint.trunk_base_lsn = number(input);
    checkpoint.trunk_base_term = number(input);
    /* It most often ends in the term that it says. */
    if (checkpoint.terms_count > 0 && draw(input, 1) < 192)
        terms[checkpoint.terms_count - 1].term = checkpoint.base.base_term;
    core_restore_checkpoint(core, &checkpoint, sink);
}

/* What a disk tells, as far as journal_check.c lets it through. */
static void
restore_step(struct input *input, struct core *core, const struct sink *sink)
{
    struct bodies bodies;
    struct run run;
    struct core_base base;
    bool flag;

    memset(&bodies.ids, 0, sizeof(bodies.ids));
    switch (draw(input, 1) % 6) {
    case 0:
        base = base_from(input, bodies.marks);
        if (draw(input, 1) % 8 == 0)
            base = (struct core_base){.members = base.members};
        if (base_plausible(&base) || base_is_nothing(&base))
            core_restore_base(core, &base, sink);
        break;
    case 1:
        run = run_from(input);
        run.first_lsn = number(input);
        ids_from(input, bodies.ids);
        if (trunk_run_plausible(&run) && run.count <= MESSAGE_ENTRIES_MAX)
            core_restore_entries(core, &run, bodies.ids, number(input) % (LSN_MAX + 1), draw(input, 1) & 1, sink);
        break;
    case 2:
        run = run_from(input);
        ids_from(input, bodies.ids);
        run.origin = 0;
        if (branch_run_plausible(&run) && run.count <= MESSAGE_ENTRIES_MAX)
            core_restore_branch(core, &run, place_from(input), bodies.ids, &flag);
        break;
    case 3:
        run = run_from(input);
        if (branch_run_plausible(&run) && run.count <= MESSAGE_ENTRIES_MAX)
            core_restore_copy(core, &run, place_from(input), &flag);
        break;
    case 4:
        core_restore_state(core, number(input) % (TERM_MAX + 1), (uint8_t)(draw(input, 1) % 3));
        break;
    default:
        rows_from(input, bodies.rows, 2);
        if (producer_row_plausible(&bodies.rows[0]) && producer_row_plausible(&bodies.rows[1]))
            core_restore_producers(core, bodies.rows, 2, draw(input, 1) & 1);
        break;
    }
}

/* One event, taken from the input. Returns the time after it. */
static uint64_t
step(struct input *input, struct core *core, const struct sink *sink, uint64_t now_ns)
{
    struct entry_id id = {.producer = number(input), .producer_seq = number(input), .epoch = (uint32_t)number(input)};
    struct accepted accepted;
    struct members next;
    uint64_t lsn;

    switch (draw(input, 1) % 12) {
    case 0:
        now_ns += draw(input, 2);
        core_tick(core, now_ns, sink);
        break;
    case 1:
        core_append(core, &id, (enum cairn_ack)(1 + draw(input, 1) % 3), &accepted);
        break;
    case 2:
        if (core_role(core) != ROLE_LEADER)
            core_append_branch(core, &id, &accepted);
        break;
    case 3:
        core_reach(core, (cairn_node_set)draw(input, 1) & 7, now_ns, sink);
        break;
    case 4:
        core_leader_alive(core, 1 + (uint8_t)(draw(input, 1) % 2), number(input), number(input), now_ns, sink);
        break;
    case 5:
        core_transfer(core, (uint8_t)(draw(input, 1) % 4), now_ns);
        break;
    case 6:
        next = members(input);
        core_change_members(core, &next, now_ns, sink, &lsn);
        break;
    case 7:
        core_trimmed(core, core_commit_lsn(core) == 0 ? 0 : number(input) % core_commit_lsn(core));
        break;
    case 8:
        core_read(core, number(input), draw(input, 1) & 1, now_ns, sink);
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
    uint8_t told = (uint8_t)draw(&input, 1);
    struct core_config config = {.members.voters = 7,
                                 .incarnation = told % 8 == 0 ? 1 : 5,
                                 .seed = 1,
                                 .election_timeout_ns = 1000,
                                 .retransmit_ns = 500,
                                 .window_entries = 256,
                                 .producers_max = 16,
                                 .policy = (enum cairn_policy)(size % 4),
                                 .durable = told % 8 != 0,
                                 .recovering = size % 8 == 7};
    void *memory = aligned_alloc(64, (core_footprint(&config) + 63) & ~(size_t)63);
    uint64_t now_ns = 1000000;
    struct core *core = core_init(memory, &config, now_ns);

    if (told % 8 != 0 && !config.recovering) {
        if (told & 128)
            restore_checkpoint(&input, core, &sink);
        for (uint32_t i = 0; i < told % 8u; i++)
            restore_step(&input, core, &sink);
        core_restore_end(core, number(&input) % (LSN_MAX + 1), number(&input) % (TERM_MAX + 1), now_ns, &sink);
    }
    while (input.left > 0)
        now_ns = step(&input, core, &sink, now_ns);
    free(memory);
    return 0;
}
