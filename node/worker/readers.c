/* Reads: each is a cursor that gives entries to its client as fast as the client takes them. */
#include "node/worker/readers.h"

#include <assert.h>
#include <string.h>

#include "assert_costly.h"
#include "cairn/token.h"
#include "node/look.h"
#include "node/worker/answers.h"
#include "node/worker/due.h"
#include "node/worker/durable.h"
#include "node/worker/excerpts.h"
#include "node/worker/index.h"
#include "node/worker/reader_entries.h"
#include "node/worker/worker.h"

#define ASK_AGAIN_NS 5000000u
#define GIVE_UP_NS 2000000000u

static void
reader_free(struct worker *worker, struct reader *reader)
{
    struct attachment *attachment = worker->attachments[reader->attachment];

    assert(reader->used && worker->readers_used > 0);
    if (attachment != NULL && attachment->serial == reader->serial && attachment->reads > 0)
        attachment->reads--;
    reader->used = false;
    reader->generation++;
    worker->readers_used--;
}

static void
reader_end(struct worker *worker, struct reader *reader, enum cairn_error error)
{
    struct answer answer = {
        .type = ANSWER_END,
        .error = (uint8_t)error,
        .token = reader->token,
        .leader = reader->log == NULL ? CAIRN_NODE_NONE : node_to_ask(worker, reader->log),
        .reached = (uint8_t)__builtin_popcount(worker->reach),
        .needed = reader->log == NULL ? 0 : node_needs(reader->log),
        .flags = reader->shows_branches ? ANSWER_ON_BRANCH : 0,
        .lsn = reader->next - 1,
        .fork_lsn = reader->began_lsn,
        .hlc = reader->lag_ns,
    };

    assert(reader->used && reader->next > 0);
    /* Its room was kept since it was asked for. */
    answer_put(worker, reader->attachment, reader->serial, &answer, NULL);
    reader_free(worker, reader);
}

/* A client has its share and no more, and some places are an administrator's. NULL: there is none. */
static struct reader *
reader_place(struct worker *worker, const struct attachment *attachment)
{
    assert(worker->readers_used <= READERS_MAX && attachment->reads <= worker->readers_used);
    if (!attachment->administrator &&
        (attachment->reads >= READERS_EACH || worker->readers_used >= READERS_MAX - READERS_KEPT))
        return NULL;
    for (uint32_t i = 0; i < READERS_MAX; i++) {
        if (!worker->readers[i].used)
            return &worker->readers[i];
    }
    return NULL;
}

/* A read's name in the core: which place, which use of it, and in which life, since an answer may come late. */
#define PLACE_BITS 16u
#define GENERATION_BITS 24u
_Static_assert(READERS_MAX <= 1u << PLACE_BITS, "each place has a name");
_Static_assert(LIFE_MAX < 1u << (64 - GENERATION_BITS - PLACE_BITS), "and so has each life");

static uint64_t
reader_token(const struct worker *worker, const struct reader *reader)
{
    uint64_t generation = reader->generation & ((1u << GENERATION_BITS) - 1);

    assert((uint64_t)(reader - worker->readers) < worker->readers_end);
    return (uint64_t)worker->codec.incarnation << (GENERATION_BITS + PLACE_BITS) | generation << PLACE_BITS |
           (uint64_t)(reader - worker->readers);
}

static struct reader *
reader_by_token(struct worker *worker, uint64_t token)
{
    uint64_t place = token & ((1u << PLACE_BITS) - 1);
    struct reader *reader;

    if (place >= READERS_MAX)
        return NULL;
    reader = &worker->readers[place];
    return reader->used && reader->waiting && reader_token(worker, reader) == token ? reader : NULL;
}

/* How far a read that follows may go on: what is committed; others: as far as it was told. */
static void
reader_open(struct reader *reader, uint64_t limit)
{
    reader->waiting = false;
    reader->began_lsn = limit;
    reader->limit = limit < reader->to ? limit : reader->to;
}

/* Has this node all that the session has seen and written? What it holds of it on branches alone is shown too. */
static void
try_session(struct reader *reader)
{
    const struct request_session *session = &reader->session;
    const struct core *core = reader->log->core;
    bool on_branches = false;

    assert(reader->waiting && reader->level == CAIRN_READ_SESSION);
    assert(session->branches_count <= sizeof(session->branches) / sizeof(*session->branches));
    if (core_commit_lsn(core) < session->lsn)
        return;
    for (uint32_t i = 0; i < session->branches_count; i++) {
        uint8_t origin = (uint8_t)session->branches[i].origin;

        if (core_branch_settled(core, origin, session->branches[i].incarnation, session->branches[i].seq))
            continue;
        if (!core_branch_holds(core, origin, session->branches[i].incarnation, session->branches[i].seq))
            return;
        on_branches = true;
    }
    reader->tentative |= on_branches;
    reader->shows_branches = on_branches;
    reader_open(reader, core_commit_lsn(core));
}

/* What was committed longer ago than that is here; UINT64_MAX: nobody knows. */
static uint64_t
lag_ns(const struct worker *worker, const struct node_log *log)
{
    uint64_t now_ns;

    if (log->fresh_ns == 0 || core_commit_lsn(log->core) < log->fresh_lsn)
        return UINT64_MAX;
    now_ns = node_now_ns(worker->node);
    /* A poll's clock may be ahead of the kernel's by a moment. */
    return now_ns > log->fresh_ns ? now_ns - log->fresh_ns : 0;
}

/* Is what is here fresh enough? The clock is read anew: a poll's may be from before a pause. */
static void
try_bounded(const struct worker *worker, struct reader *reader)
{
    uint64_t lag = lag_ns(worker, reader->log);

    assert(reader->waiting && reader->max_lag_ns != 0);
    if (lag > reader->max_lag_ns)
        return;
    reader_open(reader, core_commit_lsn(reader->log->core));
    reader->lag_ns = lag;
}

static void
ask(struct worker *worker, struct reader *reader, uint64_t now_ns)
{
    assert(reader->waiting);
    assert(reader->level == CAIRN_READ_LEASE || reader->level == CAIRN_READ_LINEARIZABLE);
    reader->asked_ns = now_ns;
    if (reader->round_ns == 0)
        reader->round_ns = now_ns;
    /* A lease is looked at by a clock read after the request was there: this poll's may be from before a
     * pause in which another leader was elected. */
    if (reader->level == CAIRN_READ_LEASE)
        core_read(reader->log->core, reader_token(worker, reader), true, node_now_ns(worker->node), &reader->log->sink);
    else
        core_read(reader->log->core, reader_token(worker, reader), false, now_ns, &reader->log->sink);
    node_activate(worker, reader->log);
}

_Static_assert(CAIRN_TOKEN_LSN_MAX == LSN_MAX && CAIRN_TOKEN_SEQ_MAX == SEQ_MAX && CAIRN_TOKEN_LIFE_MAX == LIFE_MAX,
               "what a token may say is what there can be");

static bool
session_sane(const struct request_session *session)
{
    if (session == NULL)
        return true;
    if (session->lsn > LSN_MAX || session->branches_count > sizeof(session->branches) / sizeof(*session->branches))
        return false;
    for (uint32_t i = 0; i < session->branches_count; i++) {
        if (session->branches[i].origin >= CAIRN_NODES_MAX ||
            !origin_plausible((uint8_t)session->branches[i].origin, session->branches[i].incarnation,
                              session->branches[i].seq))
            return false;
    }
    return true;
}

/* From what is here, where that will do; else as a linearizable read is. */
static enum cairn_error
admit_bounded(const struct worker *worker, const struct reader *reader, const struct mode_inputs *inputs,
              enum cairn_read_level *level)
{
    bool here = lag_ns(worker, reader->log) <= reader->max_lag_ns;

    assert(reader->max_lag_ns != 0);
    return mode_admit_read(reader->log->mode, inputs, reader->log->rules.deny,
                           here ? CAIRN_READ_STALE : CAIRN_READ_LINEARIZABLE, level);
}

/* Where it begins, its log being known, or NULL: at an lsn, at a moment, or wherever the log does. */
static void
reader_place_at(struct reader *reader, const struct request *request)
{
    bool since = (request->flags & REQUEST_SINCE) != 0 && request->from != 0;

    reader->since_hlc = since ? request->from : 0;
    reader->earliest = request->from == 0 || since;
    reader->next = reader->earliest ? 1 : request->from;
    if (reader->log != NULL && since)
        reader->next = trunk_since(reader->log, reader->since_hlc);
    reader->cursor.position = reader->next;
    assert(reader->next > 0);
    /* What could not be read for another is asked for anew. */
    if (reader->log != NULL && reader->log->durable != NULL)
        reader->log->durable->damaged_lsn = 0;
}

/* May this client read there, at which level? */
static enum cairn_error
admit(const struct worker *worker, const struct reader *reader, const struct attachment *attachment,
      const struct request *request, const struct request_session *session, enum cairn_read_level *level)
{
    struct mode_inputs inputs;

    if (reader->log == NULL)
        return CAIRN_NO_LOG;
    if (log_is_closed_to(reader->log, attachment))
        return CAIRN_FORBIDDEN;
    if (!node_is_member(worker, reader->log))
        return CAIRN_NOT_MEMBER;
    if (core_stopped(reader->log->core) != STOP_NONE)
        return CAIRN_STOPPED;
    if (request->level > CAIRN_READ_LINEARIZABLE || !session_sane(session))
        return CAIRN_INVALID;
    inputs = node_mode_inputs(worker, reader->log);
    if (reader->max_lag_ns != 0)
        return admit_bounded(worker, reader, &inputs, level);
    return mode_admit_read(reader->log->mode, &inputs, reader->log->rules.deny, (enum cairn_read_level)request->level,
                           level);
}

void
reader_start(struct worker *worker, struct attachment *attachment, const struct request *request,
             const struct request_session *session, uint64_t now_ns)
{
    struct reader *reader = reader_place(worker, attachment);
    uint32_t generation = reader == NULL ? 0 : reader->generation;
    struct reader refused;
    enum cairn_read_level level = CAIRN_READ_STALE;
    enum cairn_error error;

    assert(attachment == worker->attachments[attachment->index]);
    if (reader == NULL)
        reader = &refused;
    memset(reader, 0, sizeof(*reader));
    reader->used = true;
    reader->generation = generation;
    reader->attachment = attachment->index;
    reader->serial = attachment->serial;
    reader->token = request->token;
    reader->to = request->to;
    reader->follow = (request->flags & REQUEST_FOLLOW) != 0;
    reader->tentative = (request->flags & REQUEST_TENTATIVE) != 0;
    reader->since_ns = now_ns;
    reader->log = node_find_log(worker, request->log);
    reader->max_lag_ns = request->max_lag_us * 1000ull;
    reader->lag_ns = UINT64_MAX;
    reader_place_at(reader, request);
    worker->readers_used++;
    attachment->reads++;
    if (reader != &refused && worker->readers_end <= (uint32_t)(reader - worker->readers))
        worker->readers_end = (uint32_t)(reader - worker->readers) + 1;
    error = reader == &refused ? CAIRN_FULL : admit(worker, reader, attachment, request, session, &level);
    if (error != CAIRN_OK) {
        reader_end(worker, reader, error);
        return;
    }
    reader->level = (uint8_t)level;
    if (level == CAIRN_READ_STALE) {
        reader_open(reader, core_commit_lsn(reader->log->core));
        reader->lag_ns = lag_ns(worker, reader->log);
        return;
    }
    reader->waiting = true;
    if (level != CAIRN_READ_SESSION) {
        ask(worker, reader, now_ns);
        return;
    }
    if (session != NULL)
        reader->session = *session;
    try_session(reader);
}

void
reader_cancel(struct worker *worker, const struct attachment *attachment, uint64_t token)
{
    for (uint32_t i = 0; i < READERS_MAX; i++) {
        struct reader *reader = &worker->readers[i];

        if (reader->used && reader->token == token && reader->serial == attachment->serial)
            reader_end(worker, reader, CAIRN_OK);
    }
}

void
readers_drop(struct worker *worker, uint8_t attachment)
{
    for (uint32_t i = 0; i < READERS_MAX; i++) {
        struct reader *reader = &worker->readers[i];

        if (reader->used && reader->attachment == attachment)
            reader_free(worker, reader);
    }
    assert(worker->attachments[attachment]->reads == 0);
}

void
reader_ready(struct worker *worker, uint64_t token, uint64_t lsn, bool here)
{
    struct reader *reader = reader_by_token(worker, token);
    uint64_t round_ns, now_ns;

    if (reader == NULL)
        return;
    round_ns = reader->round_ns;
    /* It may answer the first question, whichever was sent since; and no other answer counts for the next round. */
    reader->round_ns = 0;
    reader->generation++;
    /* A lease tells of the leader's word, not of when it was current. */
    if (reader->level != CAIRN_READ_LEASE && round_ns > reader->log->fresh_ns) {
        reader->log->fresh_ns = round_ns;
        reader->log->fresh_lsn = lsn;
    }
    if (reader->max_lag_ns != 0)
        return; /* it looks again at its turn */
    reader_open(reader, lsn);
    reader->here = here;
    now_ns = node_now_ns(worker->node);
    reader->lag_ns = now_ns > round_ns ? now_ns - round_ns : 0;
}

void
readers_truncated(struct worker *worker, const struct node_log *log, uint64_t from_lsn)
{
    assert(from_lsn > core_commit_lsn(log->core));
    for (uint32_t i = 0; i < worker->readers_end; i++) {
        struct reader *reader = &worker->readers[i];

        if (reader->used && reader->log == log && reader->here && reader->limit >= from_lsn)
            reader->limit = from_lsn - 1;
    }
}

void
readers_stopped(struct worker *worker, const struct node_log *log)
{
    for (uint32_t i = 0; i < worker->readers_end; i++) {
        if (worker->readers[i].used && worker->readers[i].log == log)
            reader_end(worker, &worker->readers[i], CAIRN_STOPPED);
    }
}

void
reader_failed(struct worker *worker, uint64_t token)
{
    struct reader *reader = reader_by_token(worker, token);

    /* It is asked again at the next chance, while its time lasts. */
    if (reader != NULL)
        reader->asked_ns = 0;
}

/* What the reader wants next may be gone. A reader that asked for whatever there is goes on where the log begins;
 * one that asked for an lsn is told. false: it has ended. */
static bool
reader_has_ground(struct worker *worker, struct reader *reader)
{
    uint64_t base_lsn = reader->log->base_lsn;

    if (reader->next > base_lsn)
        return true;
    if (!reader->earliest) {
        reader_end(worker, reader, CAIRN_TRIMMED);
        return false;
    }
    reader->next = base_lsn + 1;
    reader->cursor = (struct cursor){.position = reader->next};
    return true;
}

static uint32_t
reader_turn(struct worker *worker, struct reader *reader, uint64_t now_ns)
{
    uint32_t given;

    assert(reader->log->worker == worker && reader->limit <= reader->to);
    assert_costly(log_is_sound(reader->log));
    if (!node_is_member(worker, reader->log)) {
        reader_end(worker, reader, CAIRN_NOT_MEMBER);
        return 0;
    }
    if (core_stopped(reader->log->core) != STOP_NONE) {
        reader_end(worker, reader, CAIRN_STOPPED);
        return 0;
    }
    if (reader->waiting && reader->level == CAIRN_READ_SESSION) {
        try_session(reader);
        if (reader->waiting && now_ns - reader->since_ns > GIVE_UP_NS)
            reader_end(worker, reader, CAIRN_BEHIND);
        return 0;
    }
    if (reader->waiting && reader->max_lag_ns != 0)
        try_bounded(worker, reader);
    if (reader->waiting) {
        if (now_ns - reader->since_ns > GIVE_UP_NS && reader->max_lag_ns != 0)
            reader_end(worker, reader, CAIRN_BEHIND);
        else if (now_ns - reader->since_ns > GIVE_UP_NS)
            reader_end(worker, reader,
                       core_leader(reader->log->core) == CAIRN_NODE_NONE ? CAIRN_NO_LEADER : CAIRN_TIMEOUT);
        else if (now_ns - reader->asked_ns > ASK_AGAIN_NS)
            ask(worker, reader, now_ns);
        return 0;
    }
    if (!reader_has_ground(worker, reader))
        return 0;
    if (reader->log->durable != NULL && reader->log->durable->damaged_lsn == reader->cursor.position) {
        reader_end(worker, reader, CAIRN_UNREADABLE);
        return 0;
    }
    given = read_trunk(worker, reader);
    if (given > 0) {
        reader->since_ns = now_ns;
        return given;
    }
    if (!reader->follow && reader->limit > core_commit_lsn(reader->log->core)) {
        /* Promised, and on its way here; not waited for without end. */
        if (now_ns - reader->since_ns > GIVE_UP_NS)
            reader_end(worker, reader, CAIRN_TIMEOUT);
        return 0;
    }
    if (!reader->follow && reader->next <= reader->limit && core_commit_lsn(reader->log->core) >= reader->next)
        return 0; /* the client has no room */
    if (reader->tentative && (!read_branches(worker, reader, &given) || given > 0))
        return given;
    if (reader->follow && reader->next <= reader->to)
        return 0;
    reader_end(worker, reader, CAIRN_OK);
    return 1;
}

/* It follows, and has been given all there is. Whether it may still be served here is looked at now and then. */
static bool
is_at_end(const struct worker *worker, const struct reader *reader, uint64_t now_ns)
{
    return reader->follow && !reader->waiting && !reader->tentative && reader->next <= reader->to &&
           reader->next > core_commit_lsn(reader->log->core) && now_ns != worker->reviewed_ns;
}

uint32_t
readers_turn(struct worker *worker, uint64_t now_ns)
{
    uint32_t given = 0;

    if (worker->readers_used == 0)
        return 0;
    assert(worker->readers_used <= worker->readers_end && worker->readers_end <= READERS_MAX);
    /* Each is the first in its turn: there are few places to read old entries into. */
    worker->readers_first++;
    for (uint32_t i = 0; i < worker->readers_end; i++) {
        struct reader *reader = &worker->readers[(worker->readers_first + i) % worker->readers_end];

        if (reader->used && !is_at_end(worker, reader, now_ns))
            given += reader_turn(worker, reader, now_ns);
    }
    return given;
}
