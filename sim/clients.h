/* Sessions that append, and what is known of what each gave; everybody who uses the logs, begun and ended. */
#ifndef SIM_CLIENTS_H
#define SIM_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "client/session.h"

struct sim;

/* A producer: a client from its start to its death. */
struct producer_life {
    uint64_t producer;
    uint64_t last_index; /* one past the last that is committed; rises */
};

/* The `client` of entries that readers append now and then, to see that they are answered. */
#define SIM_PROBE 0xffffu

struct sim_client {
    struct sim *sim;
    uint32_t index, log;
    struct session *session;
    enum cairn_ack ack;
    uint8_t via;
    uint64_t first_index; /* of this life's session */
    struct producer_life *lives;
    uint32_t lives_count, lives_capacity;
    struct op *ops;
    uint64_t given, capacity;
    bool last_given; /* the one that is asked for once all faults have ended */
};

void clients_start(struct sim *sim);
void clients_stop(struct sim *sim);
void client_turn(struct sim *sim, struct sim_client *client);
void client_die(struct sim *sim, struct sim_client *client);

#endif
