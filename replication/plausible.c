/* What the numbers of each message can be. */
#include "replication/plausible.h"
#include "assert_costly.h"

/* A node whose trunk ends in a term is in that term, or has been in a later one since. */
static bool
vote_plausible(const struct message *message)
{
    return message->vote.last_lsn <= LSN_MAX && message->vote.last_term <= message->term;
}

static bool
lives_plausible(const uint32_t lives[CAIRN_NODES_MAX])
{
    for (uint32_t i = 0; i < CAIRN_NODES_MAX; i++) {
        /* 0: the voter knows of none. */
        if (lives[i] > LIFE_MAX)
            return false;
    }
    return true;
}

/* An append, or what is lent. This is the commonest of all, so it takes few steps: where a limit is all ones, one of several
 * numbers passes it if their union does. */
static bool
trunk_plausible(const struct message *message)
{
    const struct run *run = &message->append.run;

    if ((message->append.prev_lsn | message->append.commit_lsn | message->append.last_lsn) > LSN_MAX ||
        message->append.prev_term > message->term || message->append.last_term > message->term)
        return false;
    if (run->count == 0)
        return true;
    if (run->count > MESSAGE_ENTRIES_MAX || run->term - 1 >= message->term ||
        run->first_lsn != message->append.prev_lsn + 1 || run->first_lsn + run->count - 1 > LSN_MAX ||
        !run_seq_plausible(run))
        return false;
    assert_costly(message->append.prev_lsn <= LSN_MAX && message->append.commit_lsn <= LSN_MAX);
    assert_costly(message->append.last_lsn <= LSN_MAX);
    /* The few steps come to the same as the many of whoever asks of a journal. */
    assert_costly(trunk_run_plausible(run));
    return true;
}

static bool
batch_plausible(const struct run *run)
{
    if (run->count > MESSAGE_ENTRIES_MAX || !branch_run_plausible(run))
        return false;
    /* Each of its entries has a place, and they follow each other. */
    assert_costly(branch_place_incarnation(branch_place(run->incarnation, run->first_seq + run->count - 1)) ==
                  run->incarnation);
    assert_costly(branch_place_seq(branch_place(run->incarnation, run->first_seq)) == run->first_seq);
    return true;
}

/* By rising id. */
static bool
producers_plausible(const struct message *message)
{
    uint64_t last_id = message->producers.after_id;

    if (message->producers.count > PRODUCER_ROWS_MAX)
        return false;
    for (uint32_t i = 0; i < message->producers.count; i++) {
        const struct producer_row *row = &message->producers.rows[i];

        if (row->id <= last_id || !producer_row_plausible(row))
            return false;
        last_id = row->id;
    }
    assert(message->producers.count == 0 || last_id > message->producers.after_id);
    assert(message->producers.count == 0 || last_id <= PRODUCER_MAX);
    return true;
}

bool
message_plausible(const struct message *message)
{
    if (message->term > TERM_MAX || !life_plausible(message->incarnation))
        return false;
    assert_costly(message->term <= TERM_MAX);
    assert_costly(message->incarnation > 0);
    switch ((enum message_type)message->type) {
    case MESSAGE_PREVOTE:
    case MESSAGE_PREVOTE_REPLY:
    case MESSAGE_VOTE:
    case MESSAGE_PULL:
        return vote_plausible(message);
    case MESSAGE_VOTE_REPLY:
        return lives_plausible(message->vote_reply.lives);
    case MESSAGE_APPEND:
    case MESSAGE_LEND:
        return trunk_plausible(message);
    case MESSAGE_APPEND_REPLY:
        return message->append_reply.match_lsn <= LSN_MAX && message->append_reply.hint_lsn <= LSN_MAX;
    case MESSAGE_READ_INDEX_REPLY:
        return message->read_index.lsn <= LSN_MAX;
    case MESSAGE_HAND_OFF:
        return message->hand_off.prev_seq <= SEQ_MAX && batch_plausible(&message->hand_off.run);
    case MESSAGE_HAND_OFF_REPLY:
        return message->hand_off_reply.mark <= SEQ_MAX && life_plausible(message->hand_off_reply.incarnation) &&
               message->hand_off_reply.origin < CAIRN_NODES_MAX;
    case MESSAGE_RECOVER_REPLY:
        return message->recover.last_lsn <= LSN_MAX && members_sane(&message->recover.members);
    case MESSAGE_BASE:
        return base_plausible(&message->base) && message->base.base_term <= message->term;
    case MESSAGE_SPREAD:
        /* Every number is a place. */
        return batch_plausible(&message->spread.run);
    case MESSAGE_PRODUCERS:
        return producers_plausible(message);
    case MESSAGE_CONFIRM:
    case MESSAGE_CONFIRM_REPLY:
    case MESSAGE_READ_INDEX:
    case MESSAGE_RECOVER:
    case MESSAGE_TIMEOUT_NOW:
    case MESSAGE_SPREAD_REPLY:
    case MESSAGE_PRODUCERS_WANTED:
        return true;
    case MESSAGE_NONE:
    case MESSAGE_TYPES:
        break;
    }
    return false;
}
