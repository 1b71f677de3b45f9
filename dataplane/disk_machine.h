/* The machine's disk, inside: what its files share. */
#ifndef DATAPLANE_DISK_MACHINE_H
#define DATAPLANE_DISK_MACHINE_H

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <liburing.h>

#include "dataplane/disk.h"

#define RING_ENTRIES 64u
#define FILES_MAX 64u
#define PATH_BYTES 448u
#define NAME_BYTES 64u

_Static_assert((RING_ENTRIES & (RING_ENTRIES - 1)) == 0, "indices wrap round");
_Static_assert(NAME_BYTES >= sizeof("journal-18446744073709551615.new"), "any number");

/* The fallback's one queue each way: [head, tail), a place is the thread's until it is done. */
struct queue {
    struct disk_request requests[RING_ENTRIES];
    struct disk_done done[RING_ENTRIES];
    _Atomic uint32_t asked, finished;
    uint32_t taken;
    sem_t wake;
    pthread_t thread;
    _Atomic bool stop;
    bool running;
};

struct machine {
    struct disk disk;
    char directory[PATH_BYTES]; /* for people */
    int directory_fd;
    int extra_flags; /* O_DIRECT, where the file system has it */
    struct io_uring ring;
    bool ring_made, ring_enabled;
    int registered[FILES_MAX]; /* descriptor + 1 by place in the ring's table */
    uint32_t next_place;
    void *memory;
    size_t memory_bytes;
    uint32_t under_way;
    struct queue queue;
    /* The read that was begun, in a ring of its own where there is one; without, it is done when it is waited for. */
    struct io_uring ahead_ring;
    bool ahead_ring_tried, ahead_ring_made, ahead_under_way;
    struct disk_file ahead_file;
    struct disk_request ahead;
};

_Static_assert(offsetof(struct machine, disk) == 0, "one is taken for the other");

static inline struct machine *
machine_of(struct disk *disk)
{
    return (struct machine *)disk;
}

/* What O_DIRECT asks of each read and write. */
static inline void
machine_assert_aligned(const void *bytes, uint64_t size_bytes, uint64_t offset_bytes)
{
    assert((uintptr_t)bytes % DISK_SECTOR_BYTES == 0);
    assert(size_bytes % DISK_SECTOR_BYTES == 0);
    assert(offset_bytes % DISK_SECTOR_BYTES == 0);
}

/* Says why the last system call failed. name: of a file of the directory; "": the directory itself. */
enum cairn_error machine_fail(struct disk *disk, const char *name, const char *what);
/* In its directory, whatever that is called by now; and no link is followed. */
int machine_open_there(const struct machine *machine, const char *name, int flags);
bool machine_rename_there(const struct machine *machine, const char *from, const char *to);
enum cairn_error machine_refuse_irregular(struct disk *disk, const char *name);

/* Operations of struct disk_operations: disk_files.c. */
enum cairn_error machine_list(struct disk *disk, uint64_t *numbers, uint32_t max, uint32_t *count);
enum cairn_error machine_create(struct disk *disk, uint64_t number, uint64_t size_bytes, const void *head,
                                struct disk_file *out);
enum cairn_error machine_reserve(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes);
enum cairn_error machine_open_reserved(struct disk *disk, uint64_t number, uint64_t size_bytes, struct disk_file *out);
enum cairn_error machine_name_reserved(struct disk *disk, const struct disk_file *file, const void *head,
                                       const void *content, size_t content_bytes);
enum cairn_error machine_open_file(struct disk *disk, uint64_t number, struct disk_file *out);
void machine_close_file(struct disk *disk, const struct disk_file *file);
enum cairn_error machine_remove_file(struct disk *disk, uint64_t number);
enum cairn_error machine_set_aside(struct disk *disk, uint32_t tag);
enum cairn_error machine_retire(struct disk *disk, uint64_t number);
enum cairn_error machine_shrink(struct disk *disk, const struct disk_file *file, uint64_t size_bytes);

/* Requests, by io_uring or, where there is none, by a thread: disk_requests.c. The first returns what went wrong, as a negative errno. */
int machine_ring_make(struct machine *machine);
enum cairn_error machine_queue_start(struct machine *machine);
void machine_use_memory(struct disk *disk, void *bytes, size_t size_bytes);
bool machine_ring_submit(struct disk *disk, const struct disk_request *request);
uint32_t machine_ring_poll(struct disk *disk, struct disk_done *done, uint32_t max);
bool machine_queue_submit(struct disk *disk, const struct disk_request *request);
uint32_t machine_queue_poll(struct disk *disk, struct disk_done *done, uint32_t max);

#endif
