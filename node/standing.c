#include "standing.h"

#include "journal_lives.h"

static void
forget(struct identity *identity, const struct cairn_id *life, enum standing *standing)
{
    identity_forget(identity, life);
    *standing = STANDING_FORGOTTEN;
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

/* The journal, beside what the node knows of its lives. */
static enum cairn_error
look_at_journal(struct identity *identity, struct disk *disk, const struct cairn_id *life, enum standing *standing,
                uint32_t *asked_number, const char **why)
{
    struct journal_lives lives;
    enum cairn_error error = journal_lives_read(disk, &identity->life.id, identity->life.number, &lives);

    if (error != CAIRN_OK)
        return error;
    if (lives.highest_number >= *asked_number)
        *asked_number = lives.highest_number + 1;
    if (identity->discard)
        *why = "the cluster was told to go on without what it held";
    else if (identity->forgotten && identity->life.number == 0)
        *why = "it had forgotten, and had not been granted a life yet";
    else if (!is_own_journal(identity, &lives))
        *why = lives.any ? "its journal is not that of its last life" : "its journal is gone";
    else if (identity_continue(identity, life))
        return CAIRN_OK;
    else
        *why = "its lives have no more numbers";
    forget(identity, life, standing);
    return CAIRN_OK;
}

enum cairn_error
standing_at_start(struct identity *identity, bool found, struct disk *disk, const struct cairn_id *life,
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
    if (disk != NULL)
        return look_at_journal(identity, disk, life, standing, asked_number, why);
    *why = "its logs were in memory";
    forget(identity, life, standing);
    return CAIRN_OK;
}
