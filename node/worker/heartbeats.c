/* Heartbeats: that this worker is alive, and where the logs stand that it leads. */
#include "node/worker/heartbeats.h"

#include <assert.h>

#include "assert_costly.h"
#include "node/state.h"
#include "node/worker/frames.h"
#include "node/worker/hlc.h"
#include "node/worker/introduce.h"
#include "node/worker/log.h"
#include "node/worker/worker.h"

/* Changes are said a few times over, since a heartbeat may be lost; everything else now and then. */
#define ROW_BEATS 4u
#define ROW_REFRESH_BEATS 64u

static void
send_heartbeat(struct worker *worker, uint8_t peer, struct wire_heartbeat *heartbeat, const struct wire_row *rows,
               uint64_t now_ns)
{
    struct rte_mbuf *frame = port_frame(&worker->ports[peer]);

    assert(heartbeat->rows <= CODEC_HEARTBEAT_ROWS_MAX);
    assert(heartbeat->first == HEARTBEAT_CHANGES || heartbeat->first + heartbeat->rows <= heartbeat->led);
    if (frame == NULL)
        return;
    send_head(&worker->ports[peer], frame,
              codec_encode_heartbeat(&worker->codec, peer, heartbeat, rows, rte_pktmbuf_mtod(frame, uint8_t *)), now_ns,
              false);
}

static bool
leads(const struct node_log *log)
{
    return core_role(log->core) == ROLE_LEADER;
}

/* Does it tell others of the log? It does of those that it leads, and of those that have stopped for all. */
static bool
tells(const struct node_log *log)
{
    assert_costly(!leads(log) || core_stopped(log->core) == STOP_NONE);
    return leads(log) || core_stopped(log->core) == STOP_LOG;
}

/* Which rows have changed since the last heartbeat? Returns how many there are. */
static uint32_t
rows_review(struct worker *worker)
{
    uint32_t led = 0;

    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];
        uint64_t trim_lsn;

        if (!tells(log))
            continue;
        trim_lsn = leads(log) ? core_trim_limit(log->core) : 0;
        assert_costly(trim_lsn <= core_commit_lsn(log->core) && log->row_beats <= ROW_BEATS);
        if (log->row_commit_lsn != core_commit_lsn(log->core) || log->row_trim_lsn != trim_lsn ||
            log->row_aged_lsn != log->aged_lsn || (worker->beats + i) % ROW_REFRESH_BEATS == 0)
            log->row_beats = ROW_BEATS;
        else if (log->row_beats > 0)
            log->row_beats--;
        log->row_commit_lsn = core_commit_lsn(log->core);
        log->row_trim_lsn = trim_lsn;
        log->row_aged_lsn = log->aged_lsn;
        led++;
    }
    return led;
}

/* One peer's heartbeat, in as many frames as the rows that it needs take. */
static void
heartbeat_to(struct worker *worker, uint8_t peer, const struct wire_heartbeat *common, uint64_t now_ns)
{
    bool full = worker->peers[peer].seen != worker->lead_epoch;
    struct wire_row rows[CODEC_HEARTBEAT_ROWS_MAX];
    struct wire_heartbeat heartbeat = *common;
    bool sent = false;

    assert(peer != worker->self);
    heartbeat.seen = worker->peers[peer].complete;
    heartbeat.first = full ? 0 : HEARTBEAT_CHANGES;
    for (uint32_t i = 0; i < worker->logs_count; i++) {
        struct node_log *log = worker->logs[i];

        if (!tells(log) || (!full && log->row_beats == 0))
            continue;
        assert(heartbeat.rows < CODEC_HEARTBEAT_ROWS_MAX);
        /* What is told is what was reviewed, or it would not be said often enough. */
        assert_costly(log->row_commit_lsn == core_commit_lsn(log->core));
        rows[heartbeat.rows++] = (struct wire_row){
            .term = leads(log) ? core_term(log->core) : log->stopped_term,
            .commit_lsn = core_commit_lsn(log->core),
            .digest = log->digest,
            .trim_lsn = log->row_trim_lsn,
            .aged_lsn = log->row_aged_lsn,
            .log = log->id,
            .voters = leads(log) ? (uint16_t)core_members(log->core)->voters : 0,
            .learners = (uint16_t)core_members(log->core)->learners,
        };
        if (heartbeat.rows < CODEC_HEARTBEAT_ROWS_MAX)
            continue;
        send_heartbeat(worker, peer, &heartbeat, rows, now_ns);
        heartbeat.first += full ? heartbeat.rows : 0;
        heartbeat.rows = 0;
        sent = true;
    }
    /* Who is told all is told of as many as were said to be led: else it would wait for the rest. */
    assert(!full || heartbeat.first + heartbeat.rows == common->led);
    if (heartbeat.rows > 0 || !sent)
        send_heartbeat(worker, peer, &heartbeat, rows, now_ns);
}

void
send_heartbeats(struct worker *worker, uint64_t now_ns)
{
    struct wire_heartbeat common = {
        .progress = atomic_load_explicit(&worker->task.polls, memory_order_relaxed),
        .pace_ns = worker->pace_ns,
        .epoch = worker->lead_epoch,
        .led = rows_review(worker),
        .agreed_lsn = worker->agreed.lsn,
        .fingerprint = worker->fingerprint,
    };

    assert(worker->pace_ns >= worker->detector.config.interval_ns);
    assert_costly(worker->fingerprint == agreed_fingerprint(&worker->agreed));
    sight_tell(worker, &common, now_ns);
    node_clocks_tell(worker, &common, now_ns);
    worker->beats++;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (peer != worker->self)
            heartbeat_to(worker, peer, &common, now_ns);
    }
    if (worker_is_first(worker))
        introduction_beat(worker, now_ns);
}
