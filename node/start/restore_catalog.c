/* What the catalog that a disk holds says, before anything else is read. */
#include "node/start/restore_catalog.h"

#include <assert.h>

#include "node/control/catalog.h"
#include "node/look.h"
#include "node/state.h"
#include "node/worker/turn.h"

/* The worker is not polled yet: what the catalog says is in force at once. */
void
catalog_up_to(struct node *node, uint64_t *next, uint64_t lsn)
{
    struct node_log *catalog = node->workers[0]->logs[0];
    struct cursor cursor = {.position = *next};
    struct stretch stretch;

    assert(*next > 0 && catalog->id == CATALOG_LOG);
    while (store_look(&catalog->trunk, &cursor, lsn, 1, SIZE_MAX, &stretch)) {
        const struct record *record = (const struct record *)(const void *)stretch.records;

        if (stretch.block->kind == ENTRY_DATA)
            catalog_apply(node, stretch.first, record_payload(record), record->payload_bytes);
        store_advance(&cursor, &stretch);
    }
    assert(cursor.position >= *next);
    *next = cursor.position;
    for (uint8_t number = 0; number < node->workers_count; number++)
        adopt_snapshot(node->workers[number], node_now_ns(node));
}

void
restore_catalog(struct node *node, uint64_t lsn)
{
    uint64_t next = 1;

    assert(lsn == core_commit_lsn(node->workers[0]->logs[0]->core));
    catalog_up_to(node, &next, lsn);
}
