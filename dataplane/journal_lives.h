/* Whose journal lies on a disk, told from the beginnings of its files, before any of it is read. */
#ifndef DATAPLANE_JOURNAL_LIVES_H
#define DATAPLANE_JOURNAL_LIVES_H

#include <stdbool.h>

#include "cairn/error.h"
#include "cairn/types.h"
#include "dataplane/disk.h"

struct journal_lives {
    bool any;                /* there are files */
    bool has_file;           /* the life that is asked for made one, behind which no other wrote anything */
    struct cairn_id writer;  /* the last life that wrote anything */
    uint32_t writer_number;  /* 0: none did */
    uint32_t highest_number; /* of the lives that made these files */
};

/* life: asked for, with its number. Reads the beginnings of files, from the newest down to one that was written to. */
enum cairn_error journal_lives_read(struct disk *disk, const struct cairn_id *life, uint32_t number,
                                    struct journal_lives *out);

#endif
