/* What must hold of what readers are shown, by the level that they ask for, and of their sessions. */
#include "sim/checker_answers.h"

#include <string.h>

#include "sim/clients.h"
#include "sim/readers.h"
#include "sim/scale.h"
#include "sim/sim.h"
#include "sim/trunk.h"

void
check_read_entry(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    const struct trunk_check *trunk = &sim->trunks[reader->log];
    const struct reader_session *session = &reader->sessions[reader->log];
    uint64_t head[2] = {UINT64_MAX, 0};

    if (result->entry.payload_bytes >= sizeof(head))
        memcpy(head, result->entry.payload, sizeof(head));
    for (uint32_t i = 0; i < session->writes_count && head[0] == SIM_PROBE; i++)
        reader->shown |= (uint32_t)(session->writes[i] == head[1]) << i;
    if (result->on_branch && reader->session && result->error == CAIRN_OK)
        return;
    if (result->error != CAIRN_OK || result->lsn <= reader->seen_lsn || result->lsn > trunk->last ||
        trunk->entries[result->lsn].client != head[0] || trunk->entries[result->lsn].index != head[1])
        sim_violation(sim, "log %s: a read at n%u shows something else at lsn %lu than is committed there",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)result->lsn);
    /* What lies between are control entries. */
    for (uint64_t lsn = reader->seen_lsn + 1; lsn < result->lsn && lsn <= trunk->last; lsn++) {
        if (trunk->entries[lsn].kind == ENTRY_DATA)
            sim_violation(sim, "log %s: a read at n%u leaves out lsn %lu", sim_log_name(reader->log), reader->node + 1,
                          (unsigned long)lsn);
    }
    reader->seen_lsn = result->lsn;
}

void
check_session_write(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct reader_session *session = &reader->sessions[reader->log];

    if (result->error != CAIRN_OK)
        return;
    check_level(sim, reader->log, (enum cairn_ack)reader->ack, result);
    /* More than it has room for: another session. */
    if (session->writes_count == SESSION_WRITES || cairn_token_note(&session->token, result) != CAIRN_OK)
        *session = (struct reader_session){0};
    else if (result->on_branch) {
        session->writers[session->writes_count] = reader->node;
        session->writes[session->writes_count++] = reader->probes;
    }
}

static bool
on_the_trunk(const struct trunk_check *trunk, uint64_t probe, uint64_t up_to_lsn)
{
    for (uint64_t lsn = up_to_lsn < trunk->last ? up_to_lsn : trunk->last; lsn > 0; lsn--) {
        if (trunk->entries[lsn].client == SIM_PROBE && trunk->entries[lsn].index == probe)
            return true;
    }
    return false;
}

/* Read your writes, and nothing older than was read before. */
static void
check_session_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct reader_session *session = &reader->sessions[reader->log];

    /* What was written at a node that lost its memory may never come: another session, after a while. */
    if (result->error == CAIRN_BEHIND && ++session->behind >= 3)
        *session = (struct reader_session){0};
    if (result->error != CAIRN_OK)
        return;
    if (result->fork_lsn < session->seen_lsn || result->fork_lsn < session->token.lsn)
        sim_violation(sim, "log %s: a session reads up to lsn %lu at n%u after it has seen lsn %lu",
                      sim_log_name(reader->log), (unsigned long)result->fork_lsn, reader->node + 1,
                      (unsigned long)session->token.lsn);
    for (uint32_t i = 0; i < session->writes_count; i++) {
        /* One node's word, and its medium did not keep it. */
        if (sim->plan.disk && sim->nodes[session->writers[i]].disk.damaged)
            continue;
        if (!(reader->shown >> i & 1) && !on_the_trunk(&sim->trunks[reader->log], session->writes[i], result->fork_lsn))
            sim_violation(sim, "log %s: a session's read at n%u misses what it wrote (%lx)", sim_log_name(reader->log),
                          reader->node + 1, (unsigned long)session->writes[i]);
    }
    session->seen_lsn = result->fork_lsn;
    session->behind = 0;
    cairn_token_settle(&session->token, result);
    if (session->token.branches_count == 0)
        session->writes_count = 0;
}

void
check_read_end(struct sim *sim, struct sim_reader *reader, const struct cairn_result *result)
{
    struct trunk_check *trunk = &sim->trunks[reader->log];

    sim->counts.reads++;
    check_denied(sim, &sim->nodes[reader->node].checks[reader->log], reader, result->error);
    if (reader->session)
        check_session_end(sim, reader, result);
    if (result->error == CAIRN_OK && reader->max_lag_ns != 0 && result->lsn < reader->floor_lsn)
        sim_violation(sim, "log %s: a read at n%u, behind by %lu ms at most, ends at lsn %lu; lsn %lu was known before",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)(reader->max_lag_ns / MS),
                      (unsigned long)result->lsn, (unsigned long)reader->floor_lsn);
    if (result->error != CAIRN_OK || !reader->linearizable)
        return;
    if (result->lsn < reader->floor_lsn)
        sim_violation(sim, "log %s: a linearizable read at n%u ends at lsn %lu, and lsn %lu was known before it began",
                      sim_log_name(reader->log), reader->node + 1, (unsigned long)result->lsn,
                      (unsigned long)reader->floor_lsn);
    if (result->lsn > trunk->read_lsn)
        trunk->read_lsn = result->lsn;
}
