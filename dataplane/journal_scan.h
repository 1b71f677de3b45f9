/* Reads a journal in order, tells whole from torn from damaged.
 *
 * A block says up to where everything was durable when it was written. What does not read well and lies
 * before such a place was acknowledged: it is damage. What lies behind the last such place may be a write
 * that a crash cut off: the journal ends there. A file that another one follows ends where that one's first
 * block says.
 *
 * Waits for the disk; one thread. */
#ifndef DATAPLANE_JOURNAL_SCAN_H
#define DATAPLANE_JOURNAL_SCAN_H

#include "dataplane/journal.h"
#include "dataplane/journal_look.h"

enum scan_verdict {
    SCAN_BLOCK,  /* head, body */
    SCAN_DAMAGE, /* [from, to) is damaged, reason says how; reading goes on after */
    SCAN_TORN,   /* a write that was cut off, from `from` on; nothing comes after */
    SCAN_END,    /* nothing was cut off */
    SCAN_FAILED, /* the disk refused; reason */
};

struct journal_scan {
    struct disk *disk;
    uint32_t cluster;
    struct cairn_id cluster_id; /* of the files; not set: none says */
    uint8_t node, worker;
    uint64_t *numbers;
    uint64_t *ends; /* of each file: the offset where its content ends, 0: nobody says */
    bool *filled;   /* of each file: something was written to it */
    bool *headless; /* of each file: its first sector is damaged; what that says is said elsewhere too */
    bool empty;     /* nothing was written to any file */
    bool doubtful;  /* the life of a file that nothing was written to may have known nothing of those before */
    uint32_t count, index;
    uint32_t known_from; /* of the files before this one only the numbers are known: nothing of them is read */
    struct disk_file file;
    bool opened;
    uint8_t *window;     /* in one of the two buffers; into the other the disk reads ahead */
    size_t window_bytes; /* that are loaded */
    uint64_t window_from;
    uint8_t *buffers[2];
    uint8_t current; /* buffer, of the window */
    bool streaming;  /* from here on the files are read from beginning to end */
    size_t room_bytes,
        headroom_bytes; /* of each of the windows: for a read, and before it for what was left of the last */
    size_t step_bytes;  /* that are read at once, at least */
    bool ahead;         /* what follows the window in the file is being read */
    uint64_t offset;    /* of what is looked at next */
    bool ended;
    bool within; /* a write, of which more blocks must follow */
    /* What the last call found. */
    const struct journal_block *head;
    const uint8_t *body;
    uint64_t place, from, to;
    bool harmless; /* what is damaged held nothing */
    bool known;    /* what is damaged is the body of one block, of this header */
    struct journal_block damaged;
    char reason[192];
    /* So far, over all. */
    uint64_t read_bytes, total_bytes; /* total: of the files that may be read */
    uint64_t end;                     /* the place behind the last block */
    uint32_t incarnation;             /* the highest that made a file */
    uint64_t highest_number;
};

/* Finds the numbers of the files, and where each ends. CAIRN_CORRUPT: they are of another node or version. from_number: reading
 * will not begin in a file before that one; 0: it may begin anywhere. */
enum cairn_error journal_scan_init(struct journal_scan *scan, struct disk *disk, uint32_t cluster, uint8_t node,
                                   uint8_t worker, uint64_t from_number, char *detail, size_t detail_bytes);
/* Reading may begin anywhere after all. */
enum cairn_error journal_scan_know_all(struct journal_scan *scan, char *detail, size_t detail_bytes);
void journal_scan_fini(struct journal_scan *scan);

enum scan_verdict journal_scan_next(struct journal_scan *scan);

/* After the end: what was cut off is given up, and with it the space behind; files that were made and never written
 * to, or are superseded, are removed. */
enum cairn_error journal_scan_tidy(struct journal_scan *scan);

/* Begins with the block at a place. */
void journal_scan_seek(struct journal_scan *scan, uint64_t place);

#endif
