/* Requests of a disk, as dataplane/disk.h has them, of a directory of a node. */
#ifndef SIM_DISK_REQUESTS_H
#define SIM_DISK_REQUESTS_H

#include "dataplane/disk.h"

/* false: there is no room for one more. */
bool disk_submit(struct disk *base, const struct disk_request *request);
uint32_t disk_poll_done(struct disk *base, struct disk_done *done, uint32_t max);

#endif
