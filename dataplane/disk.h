/* Where journals are kept: numbered files of a directory, written by one worker without waiting.
 *
 * Two of them exist: the machine's (disk_machine_open), on io_uring with O_DIRECT and O_DSYNC or, where
 * that is missing or forbidden, on a thread with pwrite and fdatasync; and the simulator's. A write that is
 * done is durable; two under way are not ordered.
 *
 *   call                              thread
 *   submit, poll                      the worker's, from its first call on
 *   list, create, open, read, ...     any one other, or the worker's before it begins; they wait */
#ifndef DATAPLANE_DISK_H
#define DATAPLANE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cairn/error.h"

/* Offsets, sizes and addresses of what is submitted are multiples of this. A device's physical sectors may be
 * as large, and none that holds acknowledged data is written again. */
#define DISK_SECTOR_BYTES 4096u
_Static_assert((DISK_SECTOR_BYTES & (DISK_SECTOR_BYTES - 1)) == 0, "places are rounded by masks");

struct disk_file {
    uint64_t number, size_bytes;
    int handle;
    bool written; /* made of a former file: none of its space is only reserved */
};

struct disk_request {
    int handle;
    bool write;
    void *bytes;
    uint32_t size_bytes;
    uint64_t offset_bytes, token;
};

struct disk_done {
    uint64_t token;
    int32_t result; /* bytes, or a negative errno */
};

struct disk;

struct disk_operations {
    /* Numbers of the files there are, rising. */
    enum cairn_error (*list)(struct disk *disk, uint64_t *numbers, uint32_t max, uint32_t *count);
    /* A file of that size with head (one sector) in front, all its space taken, durable with its name. Behind the head
     * are zeroes, or what a retired file held. CAIRN_FULL: no space. */
    enum cairn_error (*create)(struct disk *disk, uint64_t number, uint64_t size_bytes, const void *head,
                               struct disk_file *out);
    /* Space set aside, whatever else is taken: made, or made larger, where there is less than size_bytes; *got_bytes: how
     * much there is. CAIRN_FULL: there is none, or no more. */
    enum cairn_error (*reserve)(struct disk *disk, uint64_t size_bytes, uint64_t *got_bytes);
    /* As much of it as that becomes a file, and the rest is given back; the file has no name yet, so that a crash leaves
     * what is set aside. name_reserved() gives it its name, with what is in it then: head (one sector), content behind it,
     * and zeroes. */
    enum cairn_error (*open_reserved)(struct disk *disk, uint64_t number, uint64_t size_bytes, struct disk_file *out);
    enum cairn_error (*name_reserved)(struct disk *disk, const struct disk_file *file, const void *head,
                                      const void *content, size_t content_bytes);
    enum cairn_error (*open)(struct disk *disk, uint64_t number, struct disk_file *out);
    void (*close)(struct disk *disk, const struct disk_file *file);
    enum cairn_error (*remove)(struct disk *disk, uint64_t number);
    /* Everything: the files and the small ones get names under which nothing looks for them, with the tag in them. */
    enum cairn_error (*set_aside)(struct disk *disk, uint32_t tag);
    /* The file's name is gone. One such file is kept, for create() to make the next of. */
    enum cairn_error (*retire)(struct disk *disk, uint64_t number);
    enum cairn_error (*shrink)(struct disk *disk, const struct disk_file *file, uint64_t size_bytes);
    /* Waits. Bytes read, fewer at the end of the file, or a negative errno. */
    int64_t (*read)(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes,
                    uint64_t offset_bytes);
    /* The same in two halves, one at a time: the file and the bytes are the disk's between begin and end. */
    void (*read_begin)(struct disk *disk, const struct disk_file *file, void *bytes, size_t size_bytes,
                       uint64_t offset_bytes);
    int64_t (*read_end)(struct disk *disk);
    /* Small files beside the journal, replaced as a whole and durable when the call returns. */
    enum cairn_error (*save)(struct disk *disk, const char *name, const void *bytes, size_t size_bytes);
    /* *bytes is for free(); NULL where there is none. */
    enum cairn_error (*load)(struct disk *disk, const char *name, void **bytes, size_t *size_bytes);
    uint64_t (*free_bytes)(struct disk *disk);
    /* Memory that requests will come from, before the first one: the disk may have all of it backed by the kernel now, so
     * that no request has to wait for that. What it holds stays. */
    void (*use_memory)(struct disk *disk, void *bytes, size_t size_bytes);
    /* false: too many under way. */
    bool (*submit)(struct disk *disk, const struct disk_request *request);
    /* What has ended since, at most max. */
    uint32_t (*poll)(struct disk *disk, struct disk_done *done, uint32_t max);
    void (*destroy)(struct disk *disk);
};

struct disk {
    const struct disk_operations *operations;
    const char *kind; /* "io_uring", "thread", for people */
    char detail[192]; /* of the last failure of a call that waits; or why it is not io_uring */
};

/* The directory is made where there is none. without_uring: the thread, though io_uring may be there. */
enum cairn_error disk_machine_open(const char *directory, bool without_uring, struct disk **out, char *detail,
                                   size_t detail_bytes);

#endif
