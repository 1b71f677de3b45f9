/* What crosses between the workers of a node and its control thread: commands to a worker, and notes of one that the first
 * worker is to take down. Each in a ring of one writer and one reader. */
#ifndef NODE_WORKER_COMMAND_H
#define NODE_WORKER_COMMAND_H

#include <stdint.h>

struct attachment;

/* Of a log that a worker owns: that it has stopped, or goes on. The node's identity keeps it. */
enum note_kind { NOTE_STOPPED, NOTE_DECIDED };

/* Without gaps: all of it goes through a ring. */
struct note {
    uint64_t term; /* that its trunk ended in as it stopped; or that was decided */
    uint32_t log;
    uint16_t kind; /* enum note_kind */
    uint16_t stop; /* NOTE_STOPPED: enum core_stop */
};

enum command_kind { COMMAND_ATTACH, COMMAND_NOTE };

struct worker_command {
    enum command_kind kind;
    union {
        struct attachment *attachment; /* COMMAND_ATTACH: a client has come */
        struct note note;              /* COMMAND_NOTE, to the first worker */
    };
};

#endif
