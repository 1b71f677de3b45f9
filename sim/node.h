/* A node of a run, with its disk, its clock and what is known of it; looked at and driven from outside. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "cairn/types.h"
#include "dataplane/clock.h"
#include "rules/identity.h"
#include "sim/disk.h"
#include "sim/log_check.h"
#include "sim/scale.h"
#include "sim/shelf.h"

struct node;
struct node_log;
struct sim;

struct sim_clock {
    int64_t drift_ppm, wall_offset_ns;
    uint64_t base_ns, last_ns;
};

/* One of a node's workers. */
struct sim_worker {
    uint64_t poll_at_ns;                  /* UINT64_MAX: none planned */
    uint64_t paused_until_ns, resumed_ns; /* it alone; its node may be paused as well */
    uint64_t polled_ns; /* its clock as the poll read it that the pause cut in two; 0: the pause was between polls */
    uint64_t heard_ns[SIM_NODES]; /* the last heartbeat of each that was read */
    struct {
        uint64_t last_ns, since_ns; /* the last, and the first of those that have come in time */
        uint32_t incarnation;
    } beats[SIM_NODES];           /* heartbeats that came whole */
    uint64_t waits_ns[SIM_NODES]; /* how long it waited for each when that was last looked at */
};

struct sim_node {
    struct sim *sim;
    struct sim_disk disk;
    struct sim_shelf shelf;
    struct node *node; /* NULL: down */
    uint8_t self;
    uint32_t boots, starts;   /* tried; that came about */
    struct identity identity; /* as it was kept last */
    bool identified;          /* it was */
    uint32_t incarnation;     /* number of its present life, or of the last; 0: it has none yet */
    uint64_t booted_ns;       /* its present life */
    struct sim_clock clock;
    struct time_source time;
    uint64_t control_from_ns; /* its control thread gets no turn before */
    uint64_t paused_until_ns, resumed_ns, crashed_ns;
    uint64_t stop_by_ns; /* 0: it does not stop; else when it is killed, should it not have settled */
    struct sim_worker workers[SIM_WORKERS];
    uint64_t events_seen;
    struct log_check checks[SIM_LOGS + 1];
};

bool node_is_up(const struct sim_node *node);
struct node_log *node_log_of(const struct sim_node *node, uint32_t log);
/* By its number, whichever worker has it. */
struct node_log *node_log_numbered(const struct node *node, uint32_t id);
/* The node that leads the log in the highest term, or CAIRN_NODE_NONE. */
uint8_t sim_leader(const struct sim *sim, uint32_t log);
/* Nodes whose memory of the log does not count at the moment: down, or not yet recovered. */
cairn_node_set without_memory(const struct sim *sim, uint32_t log);
uint64_t node_clock_ns(struct sim_node *node);
void node_pause(struct sim_node *node, uint64_t for_ns);
/* Stopped in the middle of a poll: it goes on with what has arrived meanwhile, and the clock that it read before. */
void node_pause_in_poll(struct sim_node *node, uint64_t for_ns);
/* One of its workers takes no turns. */
void worker_pause(struct sim_node *node, uint8_t worker, uint64_t for_ns);
/* With the pauses of its node. */
uint64_t worker_paused_until_ns(const struct sim_node *node, uint8_t worker);
uint64_t worker_resumed_ns(const struct sim_node *node, uint8_t worker);
/* Of all of them, the latest. */
uint64_t node_resumed_ns(const struct sim_node *node);
/* All of its workers, or one. */
void node_want_poll(struct sim_node *node, uint64_t in_ns);
void worker_want_poll(struct sim_node *node, uint8_t worker, uint64_t in_ns);

#endif
