/* A worker's journal: everything that its durable logs must not forget, in one stream of blocks.
 *
 * All logs of a worker share it, so that one write makes durable what one poll accepted, of however many
 * logs (docs/storage.md has what that was measured against). Blocks are only ever added: what is written
 * over on a trunk is written again further on, and reading goes in order. The files are described in
 * docs/format.md.
 *
 * A write is a run of blocks that begins at a sector of its own and ends in zeroes. Several are under way
 * at once; they count in order, so what is durable is always everything before one place.
 *
 *   call                                thread
 *   journal_maintain                    the helper's: files are made ahead of the worker
 *   journal_init, _fini                 any, while nobody else looks
 *   everything else                     the worker's */
#ifndef DATAPLANE_JOURNAL_H
#define DATAPLANE_JOURNAL_H

#include <stdatomic.h>
#include <string.h>

#include "dataplane/disk.h"
#include "replication/plausible.h"
#include "wire/record.h"

/* What a block on a disk says of its records, as replication has it. */
static inline struct run
block_run(const struct block *block)
{
    return (struct run){
        .term = block->term,
        .first_lsn = block->first_lsn,
        .first_seq = block->first_seq,
        .count = block->count,
        .incarnation = block->incarnation,
        .origin = block->origin,
        .kind = block->kind,
    };
}

#define JOURNAL_VERSION 2u
#define JOURNAL_MAGIC "CAIRNJL1"
#define JOURNAL_BLOCK_MAGIC 0x4b4c4243u /* "CBLK" */
#ifndef JOURNAL_FILES_MAX
#define JOURNAL_FILES_MAX 65536u
#endif
#define JOURNAL_WRITES_MAX 8u
_Static_assert((JOURNAL_WRITES_MAX & (JOURNAL_WRITES_MAX - 1)) == 0, "indices wrap round");
/* The largest block: a record of the largest size. */
#define JOURNAL_BLOCK_BYTES_MAX (sizeof(struct journal_block) + RECORD_BYTES_MAX + 8)

/* In front of each file, padded to a sector. */
struct journal_head {
    char magic[8];
    uint32_t version;
    uint32_t crc32c; /* over what follows */
    uint32_t cluster;
    uint32_t incarnation; /* of the node's life that made the file */
    uint64_t number;
    uint64_t size_bytes;
    uint8_t node, worker;
    uint8_t doubtful; /* as JOURNAL_DOUBTFUL of the first block, which may never be written */
    uint8_t reserved[5];
    struct cairn_id cluster_id, life;
};

enum journal_type {
    JOURNAL_BEGIN =
        1, /* the file's first block: the former file's number (first_lsn), where that ended (first_seq); the
                          life that made the file, as in its head (incarnation; its id in fork_lsn and hlc) */
    JOURNAL_ENTRIES = 2, /* of a trunk; body: the records */
    JOURNAL_BRANCH = 3,  /* of a branch; body: the records */
    JOURNAL_STATE = 4,   /* term, and the vote in origin */
    JOURNAL_TAIL = 5,    /* where the trunk ends (first_lsn, prev), and the state, said once more */
    JOURNAL_BASE = 6,    /* the trunk begins anew; body: struct journal_base */
    JOURNAL_TRIM = 7,    /* what is up to there may be gone; body: struct journal_base */
    JOURNAL_PRODUCERS =
        8, /* follows either; body: struct producer_row each; PRODUCERS_ALL in first_seq: none is missing */
    /* How far the other nodes' journals are known to be; body: for each worker CAIRN_NODES_MAX of struct journal_end. */
    JOURNAL_ENDS = 9,
};

#define JOURNAL_ACKED 1u    /* flag: some may have been acknowledged on this node's word alone */
#define JOURNAL_DOUBTFUL 2u /* flag: the node did not know then what it had promised before (a BEGIN: of any log) */
#define JOURNAL_LAST 4u     /* flag: of its write; what follows up to the sector's end is nothing */

struct journal_block {
    uint32_t magic;
    uint32_t head_crc32c; /* over the rest of this header */
    uint64_t file;        /* number of the file: a stale or misplaced block names another place */
    uint32_t offset_bytes;
    uint32_t body_bytes; /* a multiple of 8 */
    uint32_t body_crc32c;
    uint32_t log;
    uint32_t cluster;
    uint8_t type, flags, node, worker;
    uint64_t durable;    /* everything before this place was durable when the block was written */
    uint64_t commit_lsn; /* of the log, then */
    uint64_t digest;     /* chain digest up to commit_lsn */
    struct block block;
};

struct journal_base {
    uint64_t lsn, base_term, producer_floor, digest, members, marks_lsn;
    uint64_t hlc; /* no entry up to there has a later trunk_hlc */
    uint64_t marks_count;
    struct {
        uint64_t seq;
        uint32_t incarnation, origin;
    } marks[MARKS_MAX];
};

/* By node: its last life that is known, and up to where its journal was durable. */
#define JOURNAL_ENDS_BYTES (CAIRN_NODES_MAX * sizeof(struct journal_end)) /* of a worker's */
struct journal_end {
    struct cairn_id life;
    uint64_t place;
    uint32_t number, reserved;
};

/* Can what the header says be, and what the body says under it? Asked where checksums match. */
bool journal_head_plausible(const struct journal_block *head);
bool journal_body_plausible(const struct journal_block *head, const void *body);

/* As the core has it. */
void journal_base_read(const struct journal_base *body, struct mark marks[MARKS_MAX], struct core_base *out);

_Static_assert(sizeof(struct journal_head) == 80, "journals are read by others");
_Static_assert(sizeof(struct journal_block) == 136, "journals are read by others");
_Static_assert(sizeof(struct journal_base) == 64 + MARKS_MAX * 16, "journals are read by others");
_Static_assert(sizeof(struct journal_end) == 32, "journals are read by others");
_Static_assert(sizeof(struct journal_head) <= DISK_SECTOR_BYTES, "a file's first block begins at the next sector");
_Static_assert(sizeof(struct journal_block) % 8 == 0, "records behind it are aligned");
_Static_assert((JOURNAL_ACKED | JOURNAL_DOUBTFUL | JOURNAL_LAST) == JOURNAL_ACKED + JOURNAL_DOUBTFUL + JOURNAL_LAST,
               "a bit each");

/* The life that a JOURNAL_BEGIN names. */
static inline struct cairn_id
journal_begin_life(const struct block *block)
{
    struct cairn_id life;

    _Static_assert(sizeof(life.bytes) == sizeof(block->fork_lsn) + sizeof(block->hlc), "they hold all of it");
    memcpy(life.bytes, &block->fork_lsn, sizeof(block->fork_lsn));
    memcpy(life.bytes + sizeof(block->fork_lsn), &block->hlc, sizeof(block->hlc));
    return life;
}

/* Places rise along the journal, over its files. */
static inline uint64_t
journal_place(uint64_t file, uint32_t offset_bytes)
{
    return file << 32 | offset_bytes;
}

/* What a write makes durable of one log, for whoever put it there. */
struct journal_item {
    void *owner;
    uint64_t lsn, branch, state;
};

struct journal_write {
    uint8_t *bytes;
    uint32_t size_bytes; /* of blocks so far */
    uint32_t last_bytes; /* where the last of them begins */
    uint32_t capacity_bytes;
    uint32_t offset_bytes;
    uint64_t file;
    int handle;
    struct journal_item *items;
    uint32_t items_count;
    uint64_t submitted_ns;
    bool submitted, done;
};

struct journal_config {
    struct disk *disk;
    uint32_t cluster, incarnation;
    struct cairn_id cluster_id, life;
    uint8_t node, worker;
    bool doubtful;        /* the journal of former lives is gone */
    uint64_t file_bytes;  /* of each file, a multiple of a sector */
    uint32_t write_bytes; /* of a write at most */
    uint32_t items_max;   /* logs that one write may touch */
};

struct journal {
    struct journal_config config;
    uint8_t *memory;
    struct journal_write writes[JOURNAL_WRITES_MAX];
    uint32_t head, tail; /* [head, tail) are under way; tail is being filled */
    uint64_t next_number, former_end;
    uint64_t oldest_number;       /* the helper's: no file below is left */
    _Atomic uint64_t keep_number; /* the worker's: files below are needed no more */
    _Atomic bool doubtful;        /* worker's: config.doubtful, until that is so no more */
    struct disk_file file;        /* that is written to; handle -1: none yet */
    uint32_t offset_bytes;        /* where the next write goes */
    uint64_t durable;
    uint64_t wrote_bytes;  /* since the last tick */
    uint32_t zeroed_bytes; /* of the file, from its start */
    uint32_t zeroing_from; /* where zeroes are under way to; 0: nowhere */
    uint32_t zeroes_left;  /* pieces of them that may still go before the next tick */
    bool file_reserved;    /* the file was set aside for a start without space */
    uint8_t *zeroes;
    int32_t failure; /* negative errno of the write that failed; 0: all is well */
    bool failed;
    /* The helper makes the next file, the worker takes it. */
    _Alignas(64) struct disk_file next;
    _Atomic bool next_ready; /* helper sets, worker clears */
    _Atomic bool no_space;   /* helper writes: the next file could not be made */
    bool next_reserved;      /* as file_reserved, of the next file */
    uint64_t reserved_bytes; /* helper's: the reserve's, 0: there is none */
    char no_space_detail[192];
};

/* A journal that goes on in a new file, next_number, after the place former_end where what was read ends (0:
 * nothing was there). Not before journal_maintain() was called once can it write. */
enum cairn_error journal_init(struct journal *journal, const struct journal_config *config, uint64_t next_number,
                              uint64_t former_end, char *detail, size_t detail_bytes);
void journal_fini(struct journal *journal);

/* At the end, when nothing is under way: the space behind what was written is given back, and a start need not look
 * there for writes that were cut off. Waits. */
void journal_shorten(struct journal *journal);

/* Room for a body of that size now? Else ask again when writes have ended. */
bool journal_has_room(struct journal *journal, size_t body_bytes);

/* Bytes of bodies that one block in the write now being filled may still take. */
uint32_t journal_room(const struct journal *journal);

/* Adds a block, of which head's type, flags, log, commit_lsn, digest and block are the caller's, and what it
 * makes durable. There must be room. Returns the place it gets. */
uint64_t journal_put(struct journal *journal, const struct journal_block *head, const void *body, size_t body_bytes,
                     const struct journal_item *item);

/* Sends what was put on its way, if it may go now; now_ns is what submitted_ns will say. */
void journal_submit(struct journal *journal, uint64_t now_ns);

/* A request of the journal's has ended: journal_take() then gives what is durable. Returns the write that it was, or
 * NULL. */
const struct journal_write *journal_done(struct journal *journal, const struct disk_done *done);

/* The write that has been under way for longest; NULL: none is. */
const struct journal_write *journal_under_way(const struct journal *journal);

/* The oldest write that is durable, for its items; NULL: none. Valid until the next call. */
struct journal_write *journal_take(struct journal *journal);

/* Every 10 ms or so: while little is written, the space ahead is made ready. */
void journal_tick(struct journal *journal);

/* Something is under way. */
bool journal_busy(const struct journal *journal);

/* Items under way of one owner: a truncation lowers what they will say. */
void journal_clamp(struct journal *journal, const void *owner, uint64_t lsn);

/* Is there room for that many bytes beside what is kept for those who come after? Without space for another file clients'
 * entries end first; followers take what a leader has let in meanwhile; then what logs need to go on, leaders' own entries
 * and the catalog; and states, tails and trims to the last. SPACE_SOON: the next file is being made. */
enum journal_use { USE_CLIENT, USE_FOLLOWER, USE_ORDER };
enum journal_space { SPACE_YES, SPACE_SOON, SPACE_NONE };
enum journal_space journal_space(const struct journal *journal, uint64_t size_bytes, enum journal_use use);

/* There is no next file, nor space for one. */
bool journal_is_tight(const struct journal *journal);
/* There is no next file, for whatever reason, and little room in this one. */
bool journal_is_short(const struct journal *journal);

/* Makes the next file when there is none, and before that a reserve, with which the next start can write though there be no
 * space at all. */
void journal_maintain(struct journal *journal);

/* At a start for which there is no space: goes on in the reserve, or a part of it that leaves as much for the next start.
 * false: there is none. What is put then, of one write at most, is written by journal_name_reserve(), which waits: before
 * that the file has no name, and nothing is submitted. Its first block says that the file before it ends at former_end;
 * files between that one and this are superseded. */
bool journal_open_reserve(struct journal *journal);
bool journal_name_reserve(struct journal *journal, uint64_t former_end);

#endif
