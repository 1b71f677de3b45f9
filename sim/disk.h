/* A node's disk: a medium, with a directory for each of its workers, whose requests take their time. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/disk.h"
#include "sim/scale.h"

#define SIM_DISK_REQUESTS 64u
#define SIM_ATOM_BYTES 512u /* what a device writes as a whole */

struct sim_disk;
struct sim_file;
struct sim_node;

struct sim_disk_request {
    struct disk_request request;
    uint64_t submitted_ns;
    uint8_t worker; /* whose it is */
    enum { REQUEST_FREE, REQUEST_UNDER_WAY, REQUEST_DONE } state;
    int32_t result;
};

/* The one small file of a directory. */
struct sim_saved {
    void *bytes;
    size_t size_bytes;
};

/* A worker's directory. */
struct sim_directory {
    struct disk base;
    struct sim_disk *disk; /* where it is */
    uint8_t worker;
    struct sim_file *spare;      /* retired, for the next that is made */
    struct disk_file ahead_file; /* the read that was begun */
    struct disk_request ahead;
    struct sim_saved saved;
    uint64_t reserve_bytes;
    uint64_t told_ns[2]; /* what was durable by then is told of by the last write that is done, and by the last two */
};

/* A node's medium, with a directory for each of its workers. */
struct sim_disk {
    struct sim_directory directories[SIM_WORKERS];
    struct sim_node *node;
    struct sim_file *files;
    uint32_t files_count;
    struct sim_disk_request requests[SIM_DISK_REQUESTS];
    uint64_t slower_ns;
    uint32_t failing, astray; /* so many writes fail, go elsewhere */
    int32_t torn_atoms;       /* of a write that is cut off so many get there, in order; -1: as it falls */
    bool no_space, hangs;
    uint64_t given_back_bytes;
    bool damaged; /* something that was written is not as it was */
    struct {
        uint64_t at_ns; /* 0: no write has gone astray */
        uint8_t worker;
    } lost;
};

void disk_init(struct sim_node *node);
void disk_wipe(struct sim_node *node);
/* All files of one worker are gone. */
void disk_lose_directory(struct sim_node *node, uint8_t worker);
void disk_request_end(struct sim_node *node, uint32_t index);
/* What is under way gets there in part. */
void disk_power_cut(struct sim_node *node);
/* Has what went astray been told of since, so that a crash does not hide it? A medium's fault is alone in its time. */
bool disk_may_crash(const struct sim_node *node);
/* Is a write of that kind on its way to the node's disk? */
bool disk_is_writing(const struct sim_node *node, bool (*kind)(const struct disk_request *request));

#endif
