/* Peers that are not gone and yet do not keep up: their heartbeats come late, or they owe acknowledgements (gray failures:
 * Huang et al., HotOS 2017). */
#include "node/worker/watch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "node/events.h"
#include "node/worker/worker.h"

/* A peer that owes an acknowledgement for longer is told of. */
#define OWED_TIMEOUTS 5u
/* A slow peer keeps up again when it has not been slow for so long. */
#define CALM_NS 1000000000u

static uint64_t
owed_for_ns(const struct worker *worker, const struct node_log *log, uint8_t peer, uint64_t now_ns, uint64_t *lsn)
{
    uint64_t owed_ns = core_owes_ns(log->core, peer, now_ns, lsn);

    assert(owed_ns == 0 || (core_role(log->core) == ROLE_LEADER && *lsn <= core_last_lsn(log->core)));
    return owed_ns > OWED_TIMEOUTS * worker->detector.config.timeout_ns ? owed_ns : 0;
}

void
watch_log(struct worker *worker, struct node_log *log, uint64_t now_ns)
{
    uint64_t lsn;

    if (core_role(log->core) != ROLE_LEADER)
        return;
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        if (worker->slow.owes[peer] == NULL && owed_for_ns(worker, log, peer, now_ns, &lsn) != 0)
            worker->slow.owes[peer] = log;
    }
    assert(worker->slow.owes[worker->self] == NULL);
}

/* What is slow about the peer, in words; false: nothing. */
static bool
describe(struct worker *worker, uint8_t peer, uint64_t now_ns, char *text, size_t text_bytes)
{
    const char *name = worker->config->cluster->names[peer];
    struct node_log *log = worker->slow.owes[peer];
    uint64_t lsn, owed_ns = log == NULL ? 0 : owed_for_ns(worker, log, peer, now_ns, &lsn);

    assert(log == NULL || log->worker == worker);
    if (owed_ns != 0) {
        snprintf(text, text_bytes, "%s is slow: it has owed lsn %lu of log %s for %lu ms", name, (unsigned long)lsn,
                 log->name, (unsigned long)(owed_ns / 1000000));
        return true;
    }
    worker->slow.owes[peer] = NULL;
    if (!(detector_slow(&worker->detector) >> peer & 1))
        return false;
    snprintf(text, text_bytes, "%s is slow: its heartbeats come %lu us late", name,
             (unsigned long)(worker->detector.peers[peer].lateness.mean_ns / 1000));
    return true;
}

void
watch_peers(struct worker *worker, uint64_t now_ns)
{
    for (uint8_t peer = 0; peer < worker->nodes; peer++) {
        cairn_node_set bit = (cairn_node_set)1 << peer;
        char text[128];

        if (peer == worker->self)
            continue;
        /* A peer out of reach is told of as that, not as slow. */
        if (!(worker->reach & bit)) {
            worker->slow.owes[peer] = NULL;
            worker->slow.peers &= ~bit;
        } else if (describe(worker, peer, now_ns, text, sizeof(text))) {
            if (!(worker->slow.peers & bit))
                node_event(worker, EVENT_PEER_SLOW, NULL, peer, 0, 0, "%s", text);
            worker->slow.peers |= bit;
            worker->slow.seen_ns[peer] = now_ns;
        } else if ((worker->slow.peers & bit) && now_ns - worker->slow.seen_ns[peer] > CALM_NS) {
            node_event(worker, EVENT_PEER_STEADY, NULL, peer, 0, 0, "%s keeps up again",
                       worker->config->cluster->names[peer]);
            worker->slow.peers &= ~bit;
        }
    }
    /* Who is out of reach, or is this node itself, is not slow. */
    assert((worker->slow.peers & ~worker->reach) == 0);
    assert(!(worker->slow.peers >> worker->self & 1));
}
