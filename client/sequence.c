/* The names of a session's entries: producer and sequence. What keeps them apart is here: a name that an entry was tried
 * by, and may be taken by yet, never goes to another. */
#include <assert.h>

#include "client/session_state.h"

bool
for_what_it_is(enum cairn_error error)
{
    return error == CAIRN_MISMATCH || error == CAIRN_INVALID || error == CAIRN_TOO_LARGE;
}

void
finish(struct session *session, struct slot *slot, enum cairn_error error)
{
    slot->state = SLOT_DONE;
    slot->error = error;
    slot->node = session->node;
    slot->done_ns = session_now_ns(session);
}

/* What is settled and told leaves the window. */
void
release(struct session *session)
{
    while (session->head < session->out) {
        struct slot *slot = slot_at(session, session->head);

        if (slot->state != SLOT_DONE)
            break;
        free(slot->payload);
        slot->payload = NULL;
        session->bytes -= slot->payload_bytes;
        session->head++;
    }
    if (session->next < session->head)
        session->next = session->head;
}

/* Others' clocks may be ahead of this one, so what they have brought a log to forget may be above what this one makes. */
static uint64_t
new_name(const struct session *session)
{
    uint64_t producer = session->config.renew(session->config.connect_context);

    if (producer > session->producer_floor)
        return producer;
    return (((session->producer_floor >> PRODUCER_TIME_SHIFT) + 1) << PRODUCER_TIME_SHIFT) |
           (producer & PRODUCER_NOISE_MASK);
}

/* From this entry on, its producer's entries get names of a new producer. Only where the entry certainly was not taken
 * and nothing of it is under way any more: then whatever is under way of the entries behind it never can be taken,
 * wherever that is, since one is missing before it for good. */
static void
rename_from(struct session *session, uint64_t index, uint64_t producer)
{
    assert(!session->fixed);
    session->config.producer = new_name(session);
    session->next_seq = 1;
    for (uint64_t i = index; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state == SLOT_DONE || slot->producer != producer)
            continue;
        slot->producer = session->config.producer;
        slot->seq = session->next_seq++;
        slot->maybe = false;
        slot->attempts = 0;
        slot->named_epoch = (session->epoch + 1) & EPOCH_MASK;
    }
}

/* The log remembers the producer no longer, or not all of what it acknowledged: it can no longer tell what may have
 * been taken. Entries that certainly were not taken go on under a new name. */
void
forgotten(struct session *session, uint64_t producer, uint64_t at_ns)
{
    bool former = producer != session->config.producer;

    for (uint64_t i = session->head; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state == SLOT_DONE || slot->producer != producer)
            continue;
        if (uncertain(slot))
            finish(session, slot, CAIRN_UNKNOWN);
        else if (former) /* what was given later has the present names already */
            finish(session, slot, CAIRN_PRODUCER_EVICTED);
    }
    if (!former && !session->fixed)
        rename_from(session, session->head, producer);
    session->allowed = 1;
    send_anew(session, at_ns);
}

/* Is anything under way of an entry of this producer, from index on? */
static bool
any_uncertain(struct session *session, uint64_t index, uint64_t producer)
{
    for (uint64_t i = index; i < session->tail; i++) {
        const struct slot *slot = slot_at(session, i);

        if (slot->state != SLOT_DONE && slot->producer == producer && uncertain(slot))
            return true;
    }
    return false;
}

/* Those behind close up in the sequence. */
static void
close_up(struct session *session, uint64_t index, uint64_t producer)
{
    for (uint64_t i = index; i < session->tail; i++) {
        struct slot *slot = slot_at(session, i);

        if (slot->state != SLOT_DONE && slot->producer == producer)
            slot->seq--;
    }
    if (session->config.producer == producer)
        session->next_seq--;
}

/* Refused for good, certainly not appended. Its place in the sequence goes to the one behind it only where nothing is
 * under way of any of those, which might still arrive by its former name; else they get new names. Names that the
 * caller chose never go to another entry. */
void
refused(struct session *session, uint64_t index, enum cairn_error error, uint64_t at_ns)
{
    struct slot *slot = slot_at(session, index);

    finish(session, slot, error);
    if (session->fixed)
        session->broken = true;
    else if (any_uncertain(session, index + 1, slot->producer))
        rename_from(session, index + 1, slot->producer);
    else
        close_up(session, index + 1, slot->producer);
    session->allowed = 1;
    send_anew(session, at_ns);
}

/* The log does not know the entry's name any more, or knows another entry by it. */
void
lost_name(struct session *session, uint64_t index, enum cairn_error error, uint64_t at_ns)
{
    struct slot *slot = slot_at(session, index);
    bool certain = for_what_it_is(error) || !uncertain(slot);

    if (session->fixed && certain) {
        refused(session, index, error, at_ns);
    } else if (session->fixed) {
        finish(session, slot, CAIRN_UNKNOWN);
        send_anew(session, at_ns);
    } else if (certain) {
        rename_from(session, index, slot->producer);
        session->allowed = 1;
        send_anew(session, at_ns);
    } else {
        forgotten(session, slot->producer, at_ns);
    }
}

/* Whatever is under way behind an entry that is not taken cannot be taken either, while one is missing before it: under
 * new names that stays so. */
void
go_elsewhere(struct session *session, uint64_t index, uint64_t at_ns)
{
    const struct slot *slot = slot_at(session, index);

    if (!session->fixed && slot->state != SLOT_DONE && !uncertain(slot) &&
        any_uncertain(session, index + 1, slot->producer))
        rename_from(session, index, slot->producer);
    go_to_next(session, at_ns);
}

/* Does the entry have a name of the present producer, by which it certainly was not taken? */
static bool
untried(struct session *session, uint64_t index)
{
    const struct slot *slot = slot_at(session, index);

    return slot->state != SLOT_DONE && slot->producer == session->config.producer && !uncertain(slot);
}

/* An entry that was told to be unknown and is not decided yet is repeated no longer, since its place in the window is
 * needed. Entries that have not been tried yet go on under a new name; those that have keep theirs. */
bool
give_up_unknown(struct session *session)
{
    uint64_t index = session->head;
    const struct slot *slot = slot_at(session, index);

    if (session->head == session->out || slot->state == SLOT_DONE)
        return false;
    for (uint64_t i = session->head; i < session->out; i++) {
        if (slot_at(session, i)->state != SLOT_DONE)
            finish(session, slot_at(session, i), CAIRN_UNKNOWN);
    }
    while (index < session->tail && !untried(session, index))
        index++;
    if (!session->fixed)
        rename_from(session, index, session->config.producer);
    release(session);
    send_anew(session, session->retry_ns);
    return true;
}
