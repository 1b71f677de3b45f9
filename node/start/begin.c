/* A numbered life begins: what its disk holds is read, its logs are there, and its worker may take part. */
#include "node/start/begin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <urcu/urcu-qsbr.h>

#include "client/client.h"
#include "node/control/agree.h"
#include "node/control/catalog.h"
#include "node/control/control.h"
#include "node/control/logs.h"
#include "node/look.h"
#include "node/snapshot.h"
#include "node/start/keep.h"
#include "node/start/restore.h"
#include "node/worker/recovered.h"
#include "node/worker/turn.h"

static enum cairn_error
create_catalog(struct node *node)
{
    struct log_settings settings = {.name = "_catalog",
                                    .rules = {.policy = CAIRN_POLICY_CP, .deny = CAIRN_DENY_WRITES},
                                    .voters = agreed_present(&node->control->replayed),
                                    .durability = durability_default(node)};
    struct node_log *log = node_log_create(node->workers[0], CATALOG_LOG, &settings,
                                           node->recovering && settings.durability == CAIRN_MEMORY);
    struct snapshot *next = snapshot_copy(node);
    enum cairn_error error;

    if (log == NULL || next == NULL) {
        free(next);
        return CAIRN_NO_MEMORY;
    }
    assert(next->count == CATALOG_LOG && log->id == CATALOG_LOG);
    assert(settings.voters != 0);
    next->logs[next->count].log = log;
    next->logs[next->count++].rules = log->rules;
    snapshot_retire(snapshot_publish(node, next));
    error = node_attach(node, &node->control->catalog);
    return error == CAIRN_OK ? client_touch(node->control->catalog, CATALOG_LOG) : error;
}

/* The cluster goes on without what this node held. It is set aside, since whoever decided that may want to look at it. */
static enum cairn_error
set_aside(struct node *node, char *detail, size_t detail_bytes)
{
    enum cairn_error error = CAIRN_OK;

    assert(node->introduction.begun.discard && node->incarnation > 0);
    for (uint8_t number = 0; number < node->workers_count && error == CAIRN_OK; number++) {
        struct disk *disk = node->workers[number]->disk;

        error = disk == NULL ? CAIRN_OK : disk->operations->set_aside(disk, node->incarnation);
        if (error != CAIRN_OK)
            snprintf(detail, detail_bytes, "%s", disk->detail);
    }
    if (error == CAIRN_OK)
        node->introduction.begun.discard = false;
    return error;
}

/* The catalog first: it says which logs the others have. */
static enum cairn_error
restore_all(struct node *node, char *detail, size_t detail_bytes)
{
    enum cairn_error error = CAIRN_OK;

    for (uint8_t number = 0; number < node->workers_count && error == CAIRN_OK; number++) {
        if (node->workers[number]->disk != NULL)
            error = restore(node->workers[number], detail, detail_bytes);
        assert(!node->workers[number]->restoring);
    }
    return error;
}

/* What frames of this life carry. */
static void
enter_life(struct worker *worker, const struct identity *identity)
{
    assert(worker->logs_count == 0 && worker->codec.incarnation == 0);
    worker->codec.incarnation = identity->life.number;
    worker->codec.identity = identity_tag(&identity->cluster, &identity->life.id);
    worker->forgetful = identity->forgotten || (identity->forgetful_workers >> worker->task.number & 1);
    /* No epoch of a former life comes again. */
    worker->lead_epoch = identity->life.number << 12 | 1;
}

/* Once the turns that were under way are over the workers do nothing until the phase changes. One of these turns may have ended
 * this life by what it heard: false, and nothing begins. */
static bool
stop_workers(struct introduction *introduction)
{
    int outside = PHASE_OUTSIDE;

    if (!atomic_compare_exchange_strong_explicit(&introduction->phase, &outside, PHASE_BEGINNING, memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    urcu_qsbr_synchronize_rcu();
    return introduction_phase(introduction) == PHASE_BEGINNING;
}

enum cairn_error
node_begin(struct node *node, const struct identity *identity, char *detail, size_t detail_bytes)
{
    enum cairn_error error;

    assert(identity->life.number > 0 && node->snapshot->count == 0);
    if (!stop_workers(&node->introduction))
        return CAIRN_OK;
    node->introduction.begun = *identity;
    node->incarnation = identity->life.number;
    for (uint8_t number = 0; number < node->workers_count; number++)
        enter_life(node->workers[number], identity);
    node->recovering = !identity->born;
    node->forgotten = identity->forgotten;
    agree_begin(node, identity);
    error = create_catalog(node);
    if (error != CAIRN_OK)
        snprintf(detail, detail_bytes, "no memory for the catalog of logs");
    if (error == CAIRN_OK && identity->discard)
        error = set_aside(node, detail, detail_bytes);
    if (error == CAIRN_OK)
        error = restore_all(node, detail, detail_bytes);
    ends_merge(&node->workers[0]->ends, &node->introduction.begun);
    if (error == CAIRN_OK && !node_keep_life(node, true, detail, detail_bytes))
        error = CAIRN_IO;
    assert(error != CAIRN_OK || node->snapshot->count > CATALOG_LOG);
    /* What was read may say of any that it recovers. */
    atomic_store_explicit(&node->recovering_rows, node->snapshot->count, memory_order_release);
    for (uint8_t number = 1; number < node->workers_count; number++) {
        adopt_snapshot(node->workers[number], node_now_ns(node));
        recovered_report(node->workers[number]);
    }
    assert(introduction_phase(&node->introduction) == PHASE_BEGINNING);
    if (error == CAIRN_OK)
        atomic_store_explicit(&node->introduction.phase, PHASE_INSIDE, memory_order_release);
    return error;
}
