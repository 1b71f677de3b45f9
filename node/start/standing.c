#include "node/start/standing.h"

#include <assert.h>

#include "dataplane/journal_lives.h"

static void
forget(struct identity *identity, const struct cairn_id *life, enum standing *standing)
{
    identity_forget(identity, life);
    *standing = STANDING_FORGOTTEN;
    assert(identity->forgotten && !identity->begun);
    assert(identity->life.number == 0 && identity->chain_count == 0);
}

/* Is it the journal of the last life, or, where that never began, of one before it? */
static bool
is_own_journal(const struct identity *identity, const struct journal_lives *lives)
{
    const struct known_life writer = {.life = {.id = lives->writer, .number = lives->writer_number}};

    if (identity->begun)
        return lives->has_file;
    return lives->writer_number == 0 || identity_confirms(identity, &writer);
}

/* One worker's journal; *asked_number: above all lives that it shows. */
static enum cairn_error
look_at_journal(const struct identity *identity, struct disk *disk, uint32_t *asked_number, struct journal_lives *lives)
{
    enum cairn_error error = journal_lives_read(disk, &identity->life.id, identity->life.number, lives);

    if (error == CAIRN_OK && lives->highest_number >= *asked_number)
        *asked_number = lives->highest_number + 1;
    return error;
}

/* *lost: the other workers whose journals are not those of the last life, a set. */
static enum cairn_error
look_at_others(const struct identity *identity, struct disk *const *disks, uint32_t *asked_number, uint32_t *lost)
{
    *lost = 0;
    for (uint32_t worker = 1; worker < identity->agreed.workers; worker++) {
        struct journal_lives lives;
        enum cairn_error error = look_at_journal(identity, disks[worker], asked_number, &lives);

        if (error != CAIRN_OK)
            return error;
        *lost |= is_own_journal(identity, &lives) ? 0 : 1u << worker;
    }
    /* Where the first worker's is not its own, all is forgotten, and not a worker's part. */
    assert((*lost & 1) == 0);
    return CAIRN_OK;
}

/* The journals, beside what the node knows of its lives. */
static enum cairn_error
look_at_journals(struct identity *identity, struct disk *const *disks, const struct cairn_id *life,
                 enum standing *standing, uint32_t *asked_number, const char **why)
{
    struct journal_lives lives;
    uint32_t lost;
    enum cairn_error error = look_at_journal(identity, disks[0], asked_number, &lives);

    assert(*standing == STANDING_MEMBER && (*why)[0] == '\0');
    if (error == CAIRN_OK)
        error = look_at_others(identity, disks, asked_number, &lost);
    if (error != CAIRN_OK)
        return error;
    if (identity->discard)
        *why = "the cluster was told to go on without what it held";
    else if (identity->forgotten && identity->life.number == 0)
        *why = "it had forgotten, and had not been granted a life yet";
    else if (!is_own_journal(identity, &lives))
        *why = lives.any ? "its journal is not that of its last life" : "its journal is gone";
    else if (!identity_continue(identity, life))
        *why = "its lives have no more numbers";
    if ((*why)[0] == '\0')
        identity_forget_workers(identity, lost);
    else
        forget(identity, life, standing);
    assert((*standing == STANDING_MEMBER) == ((*why)[0] == '\0'));
    assert((*standing == STANDING_MEMBER) == (identity->life.number > 0));
    return CAIRN_OK;
}

enum cairn_error
standing_at_start(struct identity *identity, bool found, struct disk *const *disks, const struct cairn_id *life,
                  enum standing *standing, uint32_t *asked_number, const char **why)
{
    *why = "";
    *asked_number = identity->life.number + 1;
    *standing = found ? STANDING_MEMBER : STANDING_WAITING;
    if (!found)
        identity->life = (struct life){.id = *life};
    /* It was added to a cluster that was there, and has not lived yet. */
    if (found && identity->born && identity->life.number == 0) {
        forget(identity, life, standing);
        identity->born = true;
        return CAIRN_OK;
    }
    /* Founded, and not begun: it has promised nothing. */
    if (!found || (identity->born && !identity->begun))
        return CAIRN_OK;
    if (disks[0] != NULL)
        return look_at_journals(identity, disks, life, standing, asked_number, why);
    *why = "its logs were in memory";
    forget(identity, life, standing);
    return CAIRN_OK;
}
