/* What is on a node's disk: files of sectors, of all its workers. For the files that play disks alone. */
#ifndef SIM_MEDIUM_H
#define SIM_MEDIUM_H

#include <stddef.h>
#include <stdint.h>

#include "sim/disk.h"
#include "sim/scale.h"

/* How old a sector is at least that may rot, or be lost, before a crash, beside what two writes have told since. What has
 * not been told of twice nobody can tell from a write that the crash cut off. */
#define SAID_TWICE_NS (60 * MS)

/* Bytes behind `size_bytes` are zero: most of a journal is padding. */
struct sector {
    uint8_t *bytes;
    uint16_t size_bytes;
    uint32_t written_ms;
};

struct sim_file {
    uint64_t number;
    uint32_t sectors_count;
    struct sector *sectors;
};

/* Files of all workers are on one medium, by numbers that say whose they are. */
#define FILE_WORKER_SHIFT 24

/* The file of that number, or NULL. */
struct sim_file *medium_find(struct sim_disk *disk, uint64_t number);
/* A sector of DISK_SECTOR_BYTES. */
void sector_put(struct sector *sector, const uint8_t *bytes);
void sector_get(const struct sector *sector, uint8_t *bytes);
void medium_free_file(struct sim_file *file);
struct sim_file medium_copy_file(const struct sim_file *file);
/* Whole sectors, from one on: returns the bytes that are there. file NULL: none. */
int64_t medium_read(const struct sim_file *file, void *bytes, size_t size_bytes, uint64_t offset_bytes);
/* The file that the directory keeps for the next that is made is gone. */
void medium_free_spare(struct sim_directory *directory);

#endif
