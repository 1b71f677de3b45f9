/* Readers, and their sessions as their tokens say. */
#ifndef SIM_READERS_H
#define SIM_READERS_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/token.h"
#include "sim/scale.h"

struct cairn_client;
struct sim;

/* What a reader has seen and written of one log, as its token says, and its writes on branches. */
#define SESSION_WRITES 8u
struct reader_session {
    struct cairn_token token;
    uint64_t seen_lsn;
    uint64_t writes[SESSION_WRITES]; /* that are not known to be on the trunk */
    uint8_t writers[SESSION_WRITES]; /* the nodes that took them */
    uint32_t writes_count, behind;
};

struct sim_reader {
    struct cairn_client *client;
    uint8_t node;
    uint32_t log;
    bool busy, linearizable, appends, session;
    struct reader_session sessions[SIM_LOGS + 1];
    uint64_t max_lag_ns; /* of the read: 0: any */
    uint32_t shown;      /* of the session's writes, by this read: a set */
    uint8_t ack;         /* that its append asked for */
    uint64_t probes;
    uint64_t token, asked_ns, from, floor_lsn, seen_lsn;
};

void reader_step(struct sim *sim, struct sim_reader *reader);
void reader_leave(struct sim_reader *reader);

#endif
