/* The records of one event. */
#ifndef NODE_WORKER_BATCH_H
#define NODE_WORKER_BATCH_H

#include "dataplane/codec.h"
#include "replication/core.h"
#include "wire/record.h"

#define BATCH_RECORDS_MAX MESSAGE_ENTRIES_MAX

/* The records that the event now in the core brought. */
struct batch {
    const uint8_t *records;
    struct block block;
    uint32_t offsets[BATCH_RECORDS_MAX + 1];
    struct entry_id ids[BATCH_RECORDS_MAX];
    uint32_t count;
};

static inline struct entry_id
record_id(const struct record *record)
{
    return (struct entry_id){record->producer, record->producer_seq, record->epoch};
}

#endif
